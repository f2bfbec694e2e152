package task

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"
)

// Guard keeps panics in one part of the server from ending the process, which serves everybody else. Do belongs around the least that can
// be given up alone: one connection, one line of another replica, one round of a loop. Whoever calls it then begins anew from the tables.
type Guard struct {
	log    *slog.Logger
	where  string
	panics prometheus.Counter
	often  rate.Sometimes // limits the log
}

// Panic is the error that a panic became.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// NewGuard returns a guard for the part of that name, which no other guard of the same registry has. Log and metrics may be nil.
func NewGuard(log *slog.Logger, metrics prometheus.Registerer, where string) *Guard {
	return &Guard{
		log: cmp.Or(log, slog.New(slog.DiscardHandler)), where: where,
		panics: promauto.With(metrics).NewCounter(prometheus.CounterOpts{
			Namespace: "layercake", Name: "panics_total", Help: "Panics, each of which ended what it was about and nothing else.",
			ConstLabels: prometheus.Labels{"where": where},
		}),
		often: rate.Sometimes{Interval: time.Minute},
	}
}

// Do calls f and returns its error. A panic in f is counted, and Do returns it as a *Panic. It is logged with its stack, unless another one
// of this guard was within the last minute: a loop that panics each time would fill the log.
func (g *Guard) Do(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := g.Caught(v, debug.Stack())
			g.often.Do(func() { g.log.Error("a panic was caught", "where", g.where, "error", p, "stack", string(p.Stack)) })
			err = p
		}
	}()
	return f()
}

// Caught counts a panic that somebody else recovered and will log.
func (g *Guard) Caught(value any, stack []byte) *Panic {
	g.panics.Inc()
	return &Panic{value, stack}
}
