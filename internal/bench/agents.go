package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"layercake/internal/client"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// AgentsConfig is the number of agents, and what they do.
type AgentsConfig struct {
	URLs        []string // addresses of the replicas, such as http://127.0.0.1:3001
	Admins      []string // admin addresses of the same replicas, to measure their memory; may be empty
	AllowRemote bool     // whether replicas on other machines may be loaded
	Agents      int      // agents that follow a project each, of all eras in turn
	Projects    int      // projects over which they are spread
	Rate        float64  // changes a second in all
	Duration    time.Duration
	Changes     int64         // number of answered changes that ends it early; 0 for any number
	Listeners   int           // agents that also listen to one more project, the same for all
	Updates     int           // changes of that project
	Posts       int           // calls by posts to another replica than that with the stream, and as many to the same
	Seed        uint64        // seed of who changes what
	Settle      time.Duration // limit for everybody to be told of the last change
	Progress    io.Writer     // receiver of a line each second; nil for none
}

// Check reports everything that is wrong at once.
func (c AgentsConfig) Check() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("no URL: name at least one replica, such as http://127.0.0.1:3001"))
	}
	for _, u := range append(append([]string{}, c.URLs...), c.Admins...) {
		errs = append(errs, checkURL(u, c.AllowRemote))
	}
	between := func(what string, value, least, most int) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("%s is %d: it is from %d to %d", what, value, least, most))
		}
	}
	between("agents", c.Agents, 1, 5000)
	between("projects", c.Projects, 1, max(c.Agents, 1)) // each project has an agent that changes it
	between("listeners", c.Listeners, 0, min(c.Agents, MaxListeners))
	between("updates", c.Updates, 0, 1000)
	between("posts", c.Posts, 0, 10_000)
	if c.Rate <= 0 || c.Rate > 1000 {
		errs = append(errs, fmt.Errorf("rate is %v: it is above 0, and 1000 at most", c.Rate))
	}
	if c.Duration < time.Second || c.Duration > time.Hour {
		errs = append(errs, fmt.Errorf("duration is %v: it is from 1s to 1h", c.Duration))
	}
	if c.Changes < 0 {
		errs = append(errs, fmt.Errorf("changes is %d: it is 0 or more", c.Changes))
	}
	if c.Settle < time.Second || c.Settle > time.Minute {
		errs = append(errs, fmt.Errorf("settle is %v: it is from 1s to 1m", c.Settle))
	}
	return errors.Join(errs...)
}

// MaxListeners is how many agents may listen to the project that they share: as many as may be in a project.
const MaxListeners = 1000

const (
	maxEdits = 64 // edits that are on their way at once

	betweenUpdates = 250 * time.Millisecond // more than replicas leave between two updates of a resource
	betweenPosts   = 25 * time.Millisecond  // below the rate of an agent
	resting        = time.Second            // pause before memory is measured
)

// agents is a running measurement.
type agents struct {
	cfg      AgentsConfig
	clients  clients
	run      string
	projects []*followed
	shared   int // project that the listeners listen to
	all      []*follower
	hearing  *hearing
	changes  *changes
	result   AgentsResult
}

// Agents lets agents of all eras change projects and wait for each other's changes, and judges what each was told. It takes at most four
// times Settle and two minutes more than Duration, and ends earlier when ctx does, with what it has. The projects are deleted afterwards.
// The error says why there is no result.
func Agents(ctx context.Context, cfg AgentsConfig) (AgentsResult, error) {
	if err := cfg.Check(); err != nil {
		return AgentsResult{}, err
	}
	a := &agents{
		cfg: cfg, clients: newClients(cfg.URLs), run: "agents-" + uuid.NewString()[:8], hearing: newHearing(cfg.Listeners),
		result: AgentsResult{
			Agents: cfg.Agents, Projects: cfg.Projects, Replicas: len(cfg.URLs), Listeners: cfg.Listeners, Rate: cfg.Rate,
			ByEra: map[client.Era]Latency{},
		},
	}
	a.changes = &changes{run: a.run, counts: counts{refused: map[string]int64{}, surprises: map[string]int64{}}}
	defer a.clients.close()
	defer a.deleteProjects(ctx)
	defer a.disconnect()
	for _, step := range []func(context.Context) error{a.prepare, a.connect, a.furnish, a.listen, a.follow} {
		if err := step(ctx); err != nil {
			return AgentsResult{}, err
		}
	}
	return a.result, nil
}

// say writes a line of progress.
func (a *agents) say(format string, args ...any) {
	if a.cfg.Progress != nil {
		_, _ = fmt.Fprintf(a.cfg.Progress, format+"\n", args...)
	}
}

// prepare makes the projects.
func (a *agents) prepare(ctx context.Context) error {
	for n := range a.cfg.Projects + 1 {
		id, err := a.clients.createProject(ctx, fmt.Sprintf("%s %d", a.run, n+1))
		if err != nil {
			return fmt.Errorf("create a project (do the replicas run?): %w", err)
		}
		if n == a.cfg.Projects {
			a.shared = id
			break
		}
		a.projects = append(a.projects, &followed{id: id})
	}
	return nil
}

func (a *agents) deleteProjects(ctx context.Context) {
	ids := []int{a.shared}
	for _, p := range a.projects {
		ids = append(ids, p.id)
	}
	a.clients.deleteProjects(ctx, ids)
}

// each does something for each of some agents, many at once.
func each(ctx context.Context, all []*follower, atOnce int, do func(context.Context, *follower) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("it took more than %v", connectTime))
	defer cancel()
	doing, inner := errgroup.WithContext(ctx)
	doing.SetLimit(atOnce)
	for _, f := range all {
		doing.Go(func() error {
			if err := do(inner, f); err != nil {
				return fmt.Errorf("agent %d of %s at %s: %w", f.number, f.era, f.client.URL(), err)
			}
			return nil
		})
	}
	return doing.Wait()
}

// connect connects all agents.
func (a *agents) connect(ctx context.Context) error {
	for n := range a.cfg.Agents {
		// The agents of a project are of all eras and on all replicas.
		group := n / a.cfg.Projects
		a.all = append(a.all, &follower{
			number: n, era: client.Eras[group%len(client.Eras)], client: a.clients[group/len(client.Eras)%len(a.clients)],
			project: a.projects[n%a.cfg.Projects], changes: a.changes,
		})
	}
	began := time.Now()
	err := each(ctx, a.all, dialers, func(ctx context.Context, f *follower) (err error) {
		var updated func(string)
		if f.number < a.cfg.Listeners {
			updated = func(string) { a.hearing.hear(f.number) }
		}
		f.agent, err = f.client.Agent(ctx, fmt.Sprintf("%s-%d", a.run, f.number), f.era, updated)
		return err
	})
	a.result.Connected = time.Since(began).Seconds()
	a.say("%d agents are connected after %.1f s", len(a.all), a.result.Connected)
	return err
}

// disconnect ends all agents.
func (a *agents) disconnect() {
	var all sync.WaitGroup
	for _, f := range a.all {
		if f.agent != nil {
			all.Go(f.agent.Close)
		}
	}
	all.Wait()
}

// furnish puts nodes into the projects, by their first agents, and notes where the plans are then.
func (a *agents) furnish(ctx context.Context) error {
	nodes := make([]any, nodesToMove)
	for n := range nodes {
		nodes[n] = map[string]any{"op": "add_node", "id": nodeID(int64(n)), "node_type": "GraphNode"}
	}
	err := each(ctx, a.all[:a.cfg.Projects], dialers, func(ctx context.Context, f *follower) error {
		return f.edit(ctx, f.project.id, a.run, nodes)
	})
	if err == nil {
		err = a.all[0].edit(ctx, a.shared, a.run, nodes)
	}
	if err == nil {
		err = each(ctx, a.all, dialers, func(ctx context.Context, f *follower) error { return f.begin(ctx) })
	}
	return err
}

// listen lets all listeners come at once.
func (a *agents) listen(ctx context.Context) error {
	if a.cfg.Listeners == 0 {
		return nil
	}
	uri := fmt.Sprintf("layercake://projects/%d/plan", a.shared)
	began := time.Now()
	err := each(ctx, a.all[:a.cfg.Listeners], a.cfg.Listeners, func(ctx context.Context, f *follower) error {
		return f.agent.Subscribe(ctx, uri)
	})
	a.result.Listening = time.Since(began).Seconds()
	a.say("%d agents listen after %.1f s", a.cfg.Listeners, a.result.Listening)
	return err
}

// follow lets everybody wait for changes, measures meanwhile, and judges what they were told.
func (a *agents) follow(ctx context.Context) error {
	a.measure(ctx)
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	for _, f := range a.all {
		running.Go(func() { f.run(following) })
	}
	err := a.change(ctx)
	if err == nil {
		err = a.update(ctx)
	}
	if err == nil {
		err = a.post(ctx)
	}
	stop()
	running.Wait()
	if err != nil {
		return err
	}
	return a.judge(context.WithoutCancel(ctx))
}

// change makes one change to each project, which says that everybody follows, and then those that are measured.
func (a *agents) change(ctx context.Context) error {
	random := rand.New(rand.NewPCG(a.cfg.Seed, 0))
	if err := each(ctx, a.all[:a.cfg.Projects], dialers, func(ctx context.Context, f *follower) error {
		return f.change(ctx, a.changes.next(), rand.New(rand.NewPCG(a.cfg.Seed, uint64(f.number)+1)))
	}); err != nil {
		return err
	}
	a.reach(ctx)
	_ = Wait(ctx, resting)
	a.measure(ctx)
	for _, f := range a.all {
		f.reset()
	}
	a.changes.reset()

	began := time.Now()
	editing, cancel := context.WithTimeout(ctx, a.cfg.Duration)
	defer cancel()
	ended, end := context.WithCancel(ctx)
	var edits errgroup.Group
	edits.SetLimit(maxEdits)
	var reporter sync.WaitGroup
	reporter.Go(func() { a.report(ended, began) })
	for pace := rate.NewLimiter(rate.Limit(a.cfg.Rate), 1); a.cfg.Changes == 0 || a.changes.counts.soFar() < a.cfg.Changes; {
		if pace.Wait(editing) != nil {
			break
		}
		f, dice := a.all[random.IntN(len(a.all))], rand.New(rand.NewPCG(a.cfg.Seed, random.Uint64()))
		edits.Go(func() error {
			_ = f.change(context.WithoutCancel(ctx), a.changes.next(), dice) // it is counted
			return nil
		})
	}
	_ = edits.Wait() // none has an error
	a.result.Seconds = time.Since(began).Seconds()
	end()
	reporter.Wait()
	began = time.Now()
	a.reach(context.WithoutCancel(ctx))
	a.result.Settled = time.Since(began).Seconds()
	return nil
}

func (a *agents) report(ctx context.Context, began time.Time) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var told histogram
		var calls int64
		for _, f := range a.all {
			calls += f.sum(&told)
		}
		a.say("%3.0fs of %v  %d changes  %d calls  told of %d, p99 %.0f ms", time.Since(began).Seconds(), a.cfg.Duration,
			a.changes.counts.soFar(), calls, told.count, told.latency().P99)
	}
}

// reach waits until everybody who still follows has come to the head of their project, at most for Settle.
func (a *agents) reach(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Settle)
	defer cancel()
	for _, f := range a.all {
		for f.behind() && Wait(ctx, 5*time.Millisecond) == nil {
		}
	}
}

// update changes the project that the listeners listen to. The first change is not measured: a listener may have been told of something
// that was there when it came.
func (a *agents) update(ctx context.Context) error {
	if a.cfg.Listeners == 0 {
		return nil
	}
	for n := 0; n <= a.cfg.Updates && ctx.Err() == nil; n++ {
		_ = Wait(ctx, betweenUpdates) // the edit looks at ctx
		told := a.hearing.begin(n > 0)
		moved := []any{map[string]any{"op": "move_node", "id": nodeID(0), "x": n + 1, "y": 0}}
		err := a.all[n%len(a.all)].edit(ctx, a.shared, fmt.Sprintf("%s-shared-%d", a.run, n), moved)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("change what is listened to: %w", err)
		}
		late := time.NewTimer(a.cfg.Settle)
		select {
		case <-told:
			late.Stop()
		case <-ctx.Done():
			return nil
		case <-late.C:
			a.result.Unheard += int64(a.hearing.missing())
			a.result.complain("%d of %d listeners were not told of change %d within %v", a.hearing.missing(), a.cfg.Listeners, n+1, a.cfg.Settle)
		}
	}
	a.result.Told = a.hearing.sum()
	a.say("listeners were told of %d changes", a.cfg.Updates)
	return nil
}

// post compares calls by posts to the replica with the stream with those by posts to another one, in turn.
func (a *agents) post(ctx context.Context) error {
	if len(a.clients) < 2 || a.cfg.Posts == 0 {
		return nil
	}
	pairs := make([][2]*client.Agent, len(a.clients))
	defer func() {
		for _, pair := range pairs {
			for _, one := range pair {
				if one != nil {
					one.Close()
				}
			}
		}
	}()
	connecting, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	for n, stream := range a.clients {
		for i, to := range []*client.Client{stream, a.clients[(n+1)%len(a.clients)]} {
			var err error
			if pairs[n][i], err = stream.AgentPosting(connecting, fmt.Sprintf("%s-post-%d-%d", a.run, n, i), to); err != nil {
				return fmt.Errorf("an agent whose messages go to another replica: %w", err)
			}
		}
	}
	var took [2]histogram
	for n := 0; n < a.cfg.Posts && ctx.Err() == nil; n++ {
		for i := range took {
			began := time.Now()
			err := pairs[n%len(pairs)][i].Call(ctx, "describe_node_types", map[string]any{"node_type": "GraphNode"}, nil)
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("call by posts to another replica: %w", err)
			}
			took[i].observe(time.Since(began))
		}
		_ = Wait(ctx, betweenPosts) // the loop looks at ctx
	}
	a.result.PostedHere, a.result.PostedElsewhere = took[0].latency(), took[1].latency()
	return nil
}

// measure notes what the replicas hold.
func (a *agents) measure(ctx context.Context) {
	var sum AgentsMemory
	for _, admin := range a.cfg.Admins {
		asking, cancel := context.WithTimeout(ctx, requestTime)
		_, err := client.Get(asking, admin+"/debug/pprof/heap?gc=1") // what nobody uses is gone then
		cancel()
		var now map[string]float64
		if err == nil {
			now, err = metrics(ctx, admin)
		}
		if err != nil {
			a.say("the memory of %s is not known: %v", admin, err)
			return
		}
		sum.Bytes += now["go_memstats_heap_alloc_bytes"] + now["go_memstats_stack_inuse_bytes"]
		sum.Goroutines += now["go_goroutines"]
	}
	if len(a.cfg.Admins) > 0 {
		a.result.Memory = append(a.result.Memory, sum)
	}
}

// judge compares what each agent was told with the plans.
func (a *agents) judge(ctx context.Context) error {
	r := &a.result
	for _, p := range a.projects {
		plan, err := a.clients.plan(ctx, p.id)
		if err != nil {
			return fmt.Errorf("read the plan of project %d in the end: %w", p.id, err)
		}
		p.rows = plan
	}
	var has histogram
	byEra := map[client.Era]*histogram{}
	for _, f := range a.all {
		if byEra[f.era] == nil {
			byEra[f.era] = &histogram{}
		}
		r.Calls += f.sum(byEra[f.era])
		r.add(f)
	}
	for era, h := range byEra {
		has.add(h)
		r.ByEra[era] = h.latency()
	}
	r.Has = has.latency()
	c := &a.changes.counts
	r.Answered, r.Refused, r.Retries, r.Unresolved, r.Change = c.answered, c.refused, c.retries, c.unresolved, c.latency.latency()
	r.Surprises = c.surprises
	return nil
}
