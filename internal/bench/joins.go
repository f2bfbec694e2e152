package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"layercake/internal/client"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// JoinsConfig is the number of users who join at once.
type JoinsConfig struct {
	URLs        []string // addresses of the replicas, such as http://127.0.0.1:3001
	AllowRemote bool     // whether replicas on other machines may be loaded
	Rounds      int      // rounds of mutations, each of which joins a new project; 0 for none
	Together    int      // mutations in a round, over all replicas
	Within      time.Duration
	Sockets     int       // collaboration sockets that join at once; 0 for none
	Each        int       // sockets in each project
	Progress    io.Writer // receiver of a line for each round; nil for none
}

// Check reports everything that is wrong at once.
func (c JoinsConfig) Check() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("no URL: name at least one replica, such as http://127.0.0.1:3001"))
	}
	for _, u := range c.URLs {
		errs = append(errs, checkURL(u, c.AllowRemote))
	}
	between := func(what string, value, least, most int) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("%s is %d: it is from %d to %d", what, value, least, most))
		}
	}
	between("rounds", c.Rounds, 0, 10_000)
	between("together", c.Together, 1, 1000)
	between("sockets", c.Sockets, 0, 20_000)
	between("each", c.Each, 1, 1000)
	return errors.Join(append(errs, checkWithin(c.Within))...)
}

// JoinsResult is how long joining took.
type JoinsResult struct {
	Replicas int `json:"replicas"`

	Rounds   int     `json:"rounds"` // rounds of mutations at once, each in a new project
	Together int     `json:"together"`
	Answers  Latency `json:"answers"`
	Refused  int64   `json:"refused"` // mutations that were not answered with true
	Slow     int64   `json:"slow"`    // mutations that were answered too late

	Sockets    int     `json:"sockets"` // sockets that joined at once
	Each       int     `json:"each"`    // sockets in each project
	Opened     float64 `json:"openedSeconds"`
	Rosters    Latency `json:"rosters"`         // time from joining to having seen everybody
	Complete   float64 `json:"completeSeconds"` // time until the last socket had seen everybody
	Incomplete int64   `json:"incomplete"`      // sockets that never saw everybody

	Complaints []string `json:"complaints"`
}

// OK reports whether every mutation was answered in time, and every socket saw everybody.
func (r JoinsResult) OK() bool { return len(r.Complaints) == 0 }

func (r *JoinsResult) complain(format string, args ...any) {
	if len(r.Complaints) < maxComplaints {
		r.Complaints = append(r.Complaints, fmt.Sprintf(format, args...))
	}
}

// joins is a running measurement.
type joins struct {
	cfg      JoinsConfig
	clients  clients
	run      string
	projects []int
	result   JoinsResult
}

// Joins lets many join at once, first by mutations and then by sockets. Each round and all sockets have a limited time; it ends earlier
// when ctx does, with what it has. The projects are deleted afterwards. The error says why there is no result.
func Joins(ctx context.Context, cfg JoinsConfig) (JoinsResult, error) {
	if err := cfg.Check(); err != nil {
		return JoinsResult{}, err
	}
	j := &joins{
		cfg: cfg, clients: newClients(cfg.URLs), run: "joins-" + uuid.NewString()[:8],
		result: JoinsResult{Replicas: len(cfg.URLs), Together: cfg.Together, Each: cfg.Each},
	}
	defer j.clients.close()
	defer func() { j.clients.deleteProjects(ctx, j.projects) }()
	if err := j.mutations(ctx); err != nil {
		return JoinsResult{}, err
	}
	if cfg.Sockets > 0 && ctx.Err() == nil {
		if err := j.sockets(ctx); err != nil {
			return JoinsResult{}, err
		}
	}
	return j.result, nil
}

func (j *joins) project(ctx context.Context) (int, error) {
	id, err := j.clients.createProject(ctx, fmt.Sprintf("%s %d", j.run, len(j.projects)+1))
	if err != nil {
		return 0, fmt.Errorf("create a project (do the replicas run?): %w", err)
	}
	j.projects = append(j.projects, id)
	return id, nil
}

const joinProject = `mutation($project: Int!, $client: String!) { joinProjectCollaboration(projectId: $project, clientId: $client) }`

// mutations join new projects.
func (j *joins) mutations(ctx context.Context) error {
	var took histogram
	for ; j.result.Rounds < j.cfg.Rounds && ctx.Err() == nil; j.result.Rounds++ {
		project, err := j.project(ctx)
		if err != nil {
			return err
		}
		times, errs := make([]time.Duration, j.cfg.Together), make([]error, j.cfg.Together)
		start := make(chan struct{})
		var all sync.WaitGroup
		for n := range j.cfg.Together {
			q := client.Request{
				Query: joinProject, Variables: map[string]any{"project": project, "client": fmt.Sprintf("%s-%d", j.run, n)},
			}
			all.Go(func() {
				<-start
				began := time.Now()
				var data struct{ JoinProjectCollaboration bool }
				errs[n] = j.clients.do(ctx, n%len(j.cfg.URLs), q, &data)
				if times[n] = time.Since(began); errs[n] == nil && !data.JoinProjectCollaboration {
					errs[n] = errors.New("the answer is false")
				}
			})
		}
		close(start)
		all.Wait()
		var round histogram
		for n, err := range errs {
			round.observe(times[n])
			switch {
			case err != nil && ctx.Err() == nil:
				j.result.Refused++
				j.result.complain("a mutation was not answered with true: %v", err)
			case times[n] > j.cfg.Within:
				j.result.Slow++
				j.result.complain("a mutation was answered after %v, not within %v", times[n].Round(time.Millisecond), j.cfg.Within)
			}
		}
		took.add(&round)
		if j.cfg.Progress != nil {
			_, _ = fmt.Fprintf(j.cfg.Progress, "round %d of %d: %v\n", j.result.Rounds+1, j.cfg.Rounds, round.latency())
		}
	}
	j.result.Answers = took.latency()
	return nil
}

// joiner is a socket that joins.
type joiner struct {
	socket      *client.Socket
	number      int
	first, last int // numbers of the sockets in its project, from first to before last
}

// dialers is how many sockets are opened at a time.
const dialers = 32

// sockets join at once, when all of them are open.
func (j *joins) sockets(ctx context.Context) error {
	began := time.Now()
	joiners := make([]*joiner, j.cfg.Sockets)
	defer func() {
		for _, joiner := range joiners {
			if joiner != nil {
				joiner.socket.CloseNow()
			}
		}
	}()
	opening, inner := errgroup.WithContext(ctx)
	opening.SetLimit(dialers)
	project := 0
	for n := range joiners {
		first := n - n%j.cfg.Each
		if n == first {
			var err error
			if project, err = j.project(ctx); err != nil {
				return errors.Join(err, opening.Wait())
			}
		}
		into := project // project may change before this socket is opened
		opening.Go(func() error {
			socket, err := client.Dialer{Timeout: connectTime}.Collaboration(inner, j.cfg.URLs[n%len(j.cfg.URLs)], into)
			if err != nil {
				return fmt.Errorf("open a collaboration socket: %w", err)
			}
			joiners[n] = &joiner{socket: socket, number: n, first: first, last: min(first+j.cfg.Each, j.cfg.Sockets)}
			return nil
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	j.result.Opened = time.Since(began).Seconds()
	if j.cfg.Progress != nil {
		_, _ = fmt.Fprintf(j.cfg.Progress, "%d sockets are open\n", j.cfg.Sockets)
	}

	times, errs := make([]time.Duration, len(joiners)), make([]error, len(joiners))
	joining, cancel := context.WithTimeoutCause(ctx, rosterTime, fmt.Errorf("it took more than %v", rosterTime))
	defer cancel()
	var all sync.WaitGroup
	began = time.Now()
	for n, joiner := range joiners {
		all.Go(func() {
			errs[n] = joiner.join(joining)
			times[n] = time.Since(began)
		})
	}
	all.Wait()
	var took histogram
	reasons, first := map[string]int{}, map[string]int{}
	for n, err := range errs {
		if err == nil {
			took.observe(times[n])
			continue
		}
		if reasons[err.Error()]++; reasons[err.Error()] == 1 {
			first[err.Error()] = n
		}
	}
	for reason, n := range reasons {
		j.result.Incomplete += int64(n)
		j.result.complain("%d sockets, such as number %d: %s", n, first[reason], reason)
	}
	j.result.Sockets, j.result.Rosters, j.result.Complete = len(joiners), took.latency(), took.max.Seconds()
	return nil
}

// rosterTime is the limit for every socket to see everybody.
const rosterTime = 30 * time.Second

var joinerStart = []byte(`"userId":"joiner-`)

// join joins, and returns when it has seen everybody in its project.
func (j *joiner) join(ctx context.Context) error {
	if err := j.socket.Send(ctx, join(fmt.Sprintf("joiner-%d", j.number))); err != nil {
		return err
	}
	seen := make([]bool, j.last-j.first)
	for missing := len(seen); missing > 0; {
		frame, err := j.socket.Receive(ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx) // says more than the deadline
		}
		if err != nil {
			return fmt.Errorf("saw all but %d of %d: %w", missing, len(seen), err)
		}
		if bytes.HasPrefix(frame, activityStart) {
			continue
		}
		for {
			_, rest, found := bytes.Cut(frame, joinerStart)
			if !found {
				break
			}
			number, _, _ := bytes.Cut(rest, []byte(`"`))
			n, err := strconv.Atoi(string(number))
			if err != nil || n < j.first || n >= j.last {
				return fmt.Errorf("was told of joiner %q, who is not in its project", number)
			}
			if !seen[n-j.first] {
				seen[n-j.first] = true
				missing--
			}
			frame = rest
		}
	}
	return nil
}

// Write writes the result for people.
func (r JoinsResult) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) } // Flush reports errors
	if r.Rounds > 0 {
		row("joins by mutation", "%d rounds of %d at once, %d replicas", r.Rounds, r.Together, r.Replicas)
		row("answers", "%s", r.Answers)
		row("refused, slow", "%d, %d", r.Refused, r.Slow)
	}
	if r.Sockets > 0 {
		row("joins by socket", "%d at once, %d in a project, %d replicas", r.Sockets, r.Each, r.Replicas)
		row("opened", "in %.2f s", r.Opened)
		row("complete rosters", "%s", r.Rosters)
		row("the last", "after %.2f s", r.Complete)
		row("incomplete", "%d", r.Incomplete)
	}
	for _, c := range r.Complaints {
		row("wrong", "%s", c)
	}
	verdict := "everybody joined in time, and saw everybody"
	if !r.OK() {
		verdict = "FAILED"
	}
	row("verdict", "%s", verdict)
	return t.Flush()
}
