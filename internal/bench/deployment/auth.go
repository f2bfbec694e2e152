package deployment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"layercake/internal/bench"
)

// Comparison is what storms showed in open mode and where everybody signs in.
type Comparison struct {
	Rounds []Round `json:"rounds"`
	Ratio  float64 `json:"ratio"` // changes a second in required mode, over those in open mode: the median of the rounds
}

// Round is a storm in each mode.
type Round struct {
	Open     bench.Result `json:"open"`
	Required bench.Result `json:"required"`
}

// ratio returns what is left of the changes a second where everybody signs in.
func (r Round) ratio() float64 { return r.Required.ChangesPerSecond / r.Open.ChangesPerSecond }

// The environments of replicas in the two modes. Each mutator has an account, and accounts have no limits.
var (
	openMode     = []string{"LAYERCAKE_AUTH=open"}
	requiredMode = []string{
		"LAYERCAKE_AUTH=required", "LAYERCAKE_REGISTRATION=open", "LAYERCAKE_ACCOUNT_SOCKETS=0", "LAYERCAKE_ACCOUNT_REQUESTS=0",
	}
)

// CompareAuth runs a deployment and storms in both modes in turn, so many rounds, so that what else the machine does meets both alike. The
// order changes from round to round. The error also says that a subscriber did not get every change.
func CompareAuth(ctx context.Context, of Config, storm bench.Config, rounds int) (c Comparison, err error) {
	err = Run(ctx, of, func(ctx context.Context, d *Deployment) error {
		storm.URLs = d.URLs()
		once := func(accounts bool) (bench.Result, error) {
			env := openMode
			if accounts {
				env = requiredMode
			}
			if err := d.Configure(ctx, env); err != nil {
				return bench.Result{}, err
			}
			storm := storm
			storm.Accounts = accounts
			result, err := bench.Storm(ctx, storm)
			if err == nil && !result.OK() {
				err = errors.New("not every subscriber got every change")
			}
			return result, err
		}
		for i := range rounds {
			var r Round
			var err error
			for _, accounts := range []bool{i%2 == 1, i%2 == 0} {
				result := &r.Open
				if accounts {
					result = &r.Required
				}
				if *result, err = once(accounts); err != nil {
					return err
				}
			}
			c.Rounds = append(c.Rounds, r)
		}
		ratios := make([]float64, len(c.Rounds))
		for i, r := range c.Rounds {
			ratios[i] = r.ratio()
		}
		slices.Sort(ratios)
		c.Ratio = (ratios[(len(ratios)-1)/2] + ratios[len(ratios)/2]) / 2
		return nil
	})
	return c, err
}

// Write writes the result for people.
func (c Comparison) Write(w io.Writer) error {
	for i, r := range c.Rounds {
		if i == 0 {
			_, _ = fmt.Fprintf(w, "storm: %d mutators, %d projects, %d replicas, %d subscribers\n",
				r.Open.Mutators, r.Open.Projects, r.Open.Replicas, r.Open.Subscribers)
		}
		_, _ = fmt.Fprintf(w, "round %d: %.0f changes/s in open mode, %.0f where everybody signs in (%.0f %%)\n", i+1,
			r.Open.ChangesPerSecond, r.Required.ChangesPerSecond, 100*r.ratio())
	}
	_, err := fmt.Fprintf(w, "median of the rounds: %.1f %%\n", 100*c.Ratio)
	return err
}
