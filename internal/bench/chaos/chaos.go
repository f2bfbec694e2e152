// Package chaos does harm to a deployment under load.
//
// It runs replicas as processes over a PostgreSQL of their own, breaks one thing after the other, and checks each time that no answered
// change is lost, no watcher misses an event, everybody is told who is there, built graphs are what the pure engine computes, and pages in
// a browser show the plans as they are.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/builds"
	"layercake/internal/bench/convergence"
	"layercake/internal/bench/deployment"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Config is the load and the faults.
type Config struct {
	Serve    func() *exec.Cmd // the command that runs one replica, which its environment configures
	Binaries string           // folder of PostgreSQL's programs; "" to look for them
	Faults   []string         // names of faults; none for all
	Duration time.Duration    // time of each fault
	Rate     float64          // changes a second in all
	Projects int              // projects that are changed
	Seed     uint64           // seed of the choices, for changes and for harm
	Silence  time.Duration    // silence after which replicas cut sockets off; 0 for their default
	Slack    time.Duration    // delay beyond the promise with which people may learn of each other, on a busy machine
	Progress io.Writer        // receiver of a line for each thing that happens; nil for none
	Pages    int              // pages in browsers among the clients, where there are a browser and what drives it
	Web      string           // folder of the sources of the page
}

const (
	replicas = 3 // that let everybody in
	required = 2 // where everybody signs in
	mutators = 12
	maxPages = 12
)

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var errs []error
	for _, name := range c.Faults {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.name == name }) {
			errs = append(errs, fmt.Errorf("fault is %q: these are known: %s", name, strings.Join(FaultNames(), ", ")))
		}
	}
	if c.Duration < time.Second || c.Duration > time.Hour {
		errs = append(errs, fmt.Errorf("duration is %v: it is from 1s to 1h", c.Duration))
	}
	if c.Pages < 0 || c.Pages > maxPages {
		errs = append(errs, fmt.Errorf("pages is %d: it is from 0 to %d", c.Pages, maxPages))
	}
	return errors.Join(append(errs, bench.CheckLoad(c.Rate, c.Projects))...)
}

// FaultNames lists the faults that Run can do, in its order.
func FaultNames() []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.name
	}
	return names
}

// Run runs replicas as processes over a PostgreSQL of their own, loads them, and does them harm in one way after the other. With
// each fault it compares what every subscriber saw with the rows and with what was answered. It ends earlier when ctx does,
// with what it has, and leaves nothing running. The error says why there is no more.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.Check(); err != nil {
		return Result{}, err
	}
	c := &chaos{cfg: cfg, began: time.Now()}
	defer func() { c.pages.close() }()
	result := Result{Seed: cfg.Seed, Replicas: replicas + required, Rate: cfg.Rate, Projects: cfg.Projects}
	of := deployment.Config{Replicas: replicas + required, Required: required, Serve: cfg.Serve, Binaries: cfg.Binaries}
	err := deployment.Run(ctx, of, func(ctx context.Context, d *deployment.Deployment) error {
		c.deployment = d
		c.openBrowser()
		failed := false
		for _, f := range faults {
			if ctx.Err() != nil || len(cfg.Faults) > 0 && !slices.Contains(cfg.Faults, f.name) {
				continue
			}
			r, err := c.fault(ctx, f)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			result.Faults = append(result.Faults, r)
			failed = failed || !r.OK()
		}
		for _, r := range d.Replicas {
			result.Deaths = append(result.Deaths, r.Died()...)
		}
		if failed || len(result.Deaths) > 0 {
			return errFailed // keeps the log
		}
		return nil
	})
	return result, err
}

// Soak is bench.Soak over replicas as processes and a PostgreSQL of their own, which are told what the soak asks for. It leaves nothing
// running. The error also says that something grew.
func Soak(ctx context.Context, serve func() *exec.Cmd, binaries string, cfg bench.SoakConfig) (result bench.SoakResult, err error) {
	if err := cfg.Check(); err != nil {
		return result, err
	}
	of := deployment.Config{Replicas: replicas, Serve: serve, Binaries: binaries}
	err = deployment.Run(ctx, of, func(ctx context.Context, d *deployment.Deployment) error {
		if err := d.Configure(ctx, cfg.Environment()); err != nil {
			return err
		}
		cfg.URLs, cfg.Admins, cfg.Table = d.URLs(), d.Admins(), d.Connect
		if result, err = bench.Soak(ctx, cfg); err == nil && !result.OK() {
			err = errFailed // keeps the log
		}
		return err
	})
	return result, err
}

// errFailed makes a deployment keep its log although use had no error: the result is not good.
var errFailed = errors.New("not everything held")

// chaos is a run over all faults.
type chaos struct {
	cfg        Config
	deployment *deployment.Deployment
	pages      *pages // nil for none
	began      time.Time
	writing    sync.Mutex
}

// openBrowser starts what shows pages, or says why there are none.
func (c *chaos) openBrowser() {
	if c.cfg.Pages == 0 {
		return
	}
	var err error
	if c.pages, err = startPages(c.cfg.Web); err != nil {
		c.pages = nil
		c.say("no pages among the clients: %v", err)
	}
}

// say writes a line of progress.
func (c *chaos) say(format string, args ...any) {
	c.writing.Lock()
	defer c.writing.Unlock()
	line := fmt.Sprintf(format, args...)
	c.deployment.Log.Info("chaos", "says", line)
	if c.cfg.Progress != nil {
		_, _ = fmt.Fprintf(c.cfg.Progress, "%6.1fs  %s\n", time.Since(c.began).Seconds(), line)
	}
}

// harm is a fault under way.
type harm struct {
	*chaos
	storm    *bench.RunningStorm
	crowd    *bench.Crowd
	agents   *bench.Team
	builds   *builds.Load
	silence  time.Duration // silence after which replicas cut sockets off
	rand     *rand.Rand
	duration time.Duration
}

// fault loads the deployment, does it harm, and judges.
func (c *chaos) fault(ctx context.Context, f fault) (FaultResult, error) {
	result := FaultResult{Name: f.name}
	d := c.deployment
	c.say("%s: %s", f.name, f.summary)
	env, silence := f.env, bench.Silence
	if c.cfg.Silence > 0 {
		silence = c.cfg.Silence
		env = append(slices.Clone(env), "LAYERCAKE_SILENCE="+silence.String())
	}
	if err := d.Configure(ctx, env); err != nil {
		return result, err
	}
	pace := c.cfg.Rate
	if f.hurry {
		pace = 0
	}
	seed := rand.NewPCG(c.cfg.Seed, uint64(slices.Index(FaultNames(), f.name)))
	building, err := builds.NewLoad(ctx, d.URLs(), seed.Uint64())
	if err != nil {
		return result, err
	}
	defer building.Close(ctx)
	s, err := bench.StartStorm(ctx, bench.Config{
		URLs: d.URLs(), Mutators: mutators, Duration: time.Hour, Projects: c.cfg.Projects, Others: []int{building.Project()},
		Subscribers: 1, Deltas: 1, Nappers: 1, Naps: f.naps, Rate: pace, Seed: seed.Uint64(), Settle: bench.MaxRecovery,
	})
	if err != nil {
		return result, err
	}
	defer s.Close(ctx)
	if err := c.pages.follow(ctx, c.cfg.Pages, d.URLs(), s.Projects()); err != nil {
		return result, err
	}
	people, err := c.people(ctx, s, seed.Uint64())
	if err != nil {
		return result, err
	}
	defer people.Close()
	if err := people.Come(ctx); err != nil {
		return result, err
	}
	agents, err := c.agents(ctx, s)
	if err != nil {
		return result, err
	}
	defer agents.Close()
	leaving, err := c.leavers(ctx, seed.Uint64())
	if err != nil {
		return result, err
	}
	defer leaving.close()
	building.Start(ctx)
	counting, counted := context.WithCancel(ctx)
	var counter sync.WaitGroup
	tally := newTally(ctx, d)
	counter.Go(func() { result.Counters = tally.run(counting) })
	loading, enough := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { s.Mutate(loading) })
	stop := func() { enough(); load.Wait(); counted(); counter.Wait() }
	defer stop()

	_ = bench.Wait(ctx, warmUp) // ctx is looked at below
	began := time.Now()
	err = f.do(&harm{
		chaos: c, storm: s, crowd: people, agents: agents, builds: building, silence: silence, rand: rand.New(seed), duration: c.cfg.Duration,
	}, ctx)
	ended := time.Now()
	if err != nil && ctx.Err() == nil {
		result.Problems = append(result.Problems, err.Error())
	}
	if err := c.recover(ctx, s); err != nil && ctx.Err() == nil {
		result.Problems = append(result.Problems, "no recovery: "+err.Error())
	}
	result.Recovered = time.Since(ended).Seconds()
	c.say("%s: every watcher was at the head %.2f s after the fault", f.name, result.Recovered)
	_ = bench.Wait(ctx, warmUp) // ctx is looked at below
	stop()

	after := context.WithoutCancel(ctx)
	result.Leavers = leaving.settle()
	c.say("%s: %v", f.name, result.Leavers)
	people.Gather()
	within := f.within
	if within == (convergence.Patience{}) {
		// Replicas learn from the table, with the next correction, what no line said during the fault.
		within.Gone = ended.Sub(began) + maxCorrection
		within.Here = within.Gone
	}
	within.Silent = bench.Noticed(silence)
	within = within.Plus(c.cfg.Slack)
	result.People = people.Judge(after, bench.MaxRecovery, within)
	c.say("%s: %v", f.name, result.People)
	if result.Agents, err = agents.Settle(after); err != nil {
		return result, err
	}
	c.say("%s: %v", f.name, result.Agents)
	if result.Builds, err = building.Settle(after); err != nil {
		return result, err
	}
	c.say("%s: %v", f.name, result.Builds)
	if result.Result, err = s.Settle(after); err != nil {
		return result, err
	}
	if result.Pages = c.pages.agree(after); result.Pages.Pages > 0 {
		c.say("%s: %v", f.name, result.Pages)
	}
	err = d.Query(after, func(conn *pgx.Conn) error {
		left, err := builds.AtRest(after, conn)
		result.Builds.Problems = append(result.Builds.Problems, left...)
		return err
	})
	if err != nil {
		return result, err
	}
	problems, err := c.compareLog(after, s, agents)
	if err != nil {
		return result, err
	}
	result.Problems = append(result.Problems, problems...)
	for what, refused := range map[string]map[string]int64{"changes": result.Refused, "uploads and builds": result.Builds.Refused} {
		for code, n := range refused {
			if !slices.Contains(explained, code) {
				result.Problems = append(result.Problems, fmt.Sprintf("%d %s were answered with %s", n, what, code))
			}
		}
	}
	if f.check != nil {
		result.Problems = append(result.Problems, f.check(result)...)
	}
	verdict := "all is well"
	if !result.OK() {
		verdict = "FAILED"
	}
	c.say("%s: %d changes, %d deliveries: %s", f.name, result.Answered, result.Deliveries, verdict)
	return result, nil
}

// maxCorrection is more than it takes until replicas have compared what they know of people with the table.
const maxCorrection = 20 * time.Second

// people lets a crowd come, at every replica one of each kind: a person who joins again after a reconnect, one who does not, one who
// stays away for a while after being cut off, and one who comes and goes.
func (c *chaos) people(ctx context.Context, s *bench.RunningStorm, seed uint64) (*bench.Crowd, error) {
	project, err := s.CreateProject(ctx, "people of a storm")
	if err != nil {
		return nil, err
	}
	people := bench.NewCrowd(c.deployment.URLs(), project, c.deployment.Connect)
	for replica := range c.deployment.URLs() {
		for _, h := range []bench.Habit{
			{Joins: true},
			{Joins: false},
			{Joins: true, CutOff: 10 * time.Second},
			{Joins: true, Moves: time.Second, Idles: time.Second, Away: time.Second},
		} {
			people.Add(replica, h, seed)
		}
	}
	people.Start(ctx)
	return people, nil
}

// agents lets agents of all transports come.
func (c *chaos) agents(ctx context.Context, s *bench.RunningStorm) (*bench.Team, error) {
	project, err := s.CreateProject(ctx, "agents of a storm")
	if err != nil {
		return nil, err
	}
	return bench.StartTeam(ctx, c.deployment.URLs(), project, editPause, 0)
}

// editPause is the pause between two edits of an agent.
const editPause = 100 * time.Millisecond

// explained are the codes of refusals that faults cause, or mutators cause each other.
var explained = []string{"NETWORK", "UNAVAILABLE", "RATE_LIMITED", "NOT_FOUND", "BAD_REQUEST", "CONFLICT"}

// warmUp is how long load goes on before a fault, and after recovery.
const warmUp = 500 * time.Millisecond

// recover waits until every subscriber that is awake has come to the heads as they are now.
func (c *chaos) recover(ctx context.Context, s *bench.RunningStorm) error {
	ctx, cancel := context.WithTimeout(ctx, bench.MaxRecovery)
	defer cancel()
	for {
		heads, err := c.heads(ctx, s)
		if err == nil {
			return s.Reach(ctx, heads)
		}
		if bench.Wait(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("the database does not answer: %w", err)
		}
	}
}

// heads reads the heads of the projects.
func (c *chaos) heads(ctx context.Context, s *bench.RunningStorm) (map[int]bench.Place, error) {
	heads := map[int]bench.Place{}
	err := c.deployment.Query(ctx, func(conn *pgx.Conn) error {
		epoch, err := postgres.ReadEpoch(ctx, conn)
		for _, project := range s.Watched() {
			at := bench.Place{Epoch: string(epoch)}
			if err == nil {
				err = conn.QueryRow(ctx, "SELECT version FROM heads WHERE project_id = $1", project).Scan(&at.Version)
			}
			heads[project] = at
		}
		return err
	})
	return heads, err
}

// compareLog returns the gaps of the logs, and the answered changes that they lack.
func (c *chaos) compareLog(ctx context.Context, s *bench.RunningStorm, agents *bench.Team) (problems []string, err error) {
	err = c.deployment.Query(ctx, func(conn *pgx.Conn) error {
		for _, project := range append(s.Projects(), agents.Project()) {
			floor, head, ids, err := readLog(ctx, conn, project)
			if err != nil {
				return err
			}
			if int64(len(ids)) != head-floor {
				problems = append(problems, fmt.Sprintf("the log of project %d has %d events between %d and %d", project, len(ids), floor, head))
			}
			// Events that were trimmed cannot be looked for.
			lost, first := agents.Unlogged(ids)
			if project != agents.Project() {
				lost, first = s.Unlogged(project, ids)
			}
			if lost > 0 && floor == 0 {
				problems = append(problems, fmt.Sprintf("project %d: %d changes were answered and are not in the log, such as %s",
					project, lost, first))
			}
		}
		return nil
	})
	return problems, err
}

// readLog reads the bounds of a project's log, and the operation ids of its events.
func readLog(ctx context.Context, conn *pgx.Conn, project int) (floor, head int64, ids []string, err error) {
	if err := conn.QueryRow(ctx, "SELECT log_floor, version FROM heads WHERE project_id = $1", project).Scan(&floor, &head); err != nil {
		return 0, 0, nil, err
	}
	rows, err := conn.Query(ctx, "SELECT op_id FROM events WHERE project_id = $1", project)
	if err != nil {
		return 0, 0, nil, err
	}
	ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return floor, head, ids, err
}
