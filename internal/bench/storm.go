// Package bench measures replicas under load.
//
// A storm changes plans, a flood moves cursors, joins let many people in at once, agents edit and wait for each other, a soak loads for
// hours, with a team of agents. Each also checks that every watcher saw every change and everybody was told who was there.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// Config is the size and the time of a storm.
type Config struct {
	URLs        []string // addresses of the replicas, such as http://127.0.0.1:3001
	AllowRemote bool     // whether replicas on other machines may be loaded
	Accounts    bool     // whether each mutator has an account, which replicas let it make, and another one owns the projects and follows
	Mutators    int      // mutators that change at the same time
	Duration    time.Duration
	Changes     int64         // number of answered changes that ends the storm early; 0 for any number
	Projects    int           // projects that are changed; 1 is a hot project
	Others      []int         // ids of more projects with as many subscribers, which somebody else changes
	Subscribers int           // subscribers per replica and project to planEvents with a cursor
	Deltas      int           // subscribers per project to planDagDeltaChanged without one, as the existing client
	Nappers     int           // subscribers per project that hang up again and again, and go on later at another replica
	Naps        time.Duration // time that nappers are away; 0 for half a second
	Rate        float64       // changes a second in all; 0 is as fast as possible
	Seed        uint64        // seed of the choices of mutators
	Settle      time.Duration
	Progress    io.Writer // receiver of a line each second; nil for none
}

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("no URL: name at least one replica, such as http://127.0.0.1:3001"))
	}
	for _, u := range c.URLs {
		errs = append(errs, checkURL(u, c.AllowRemote))
	}
	between := func(what string, value, least, most any, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v: it is from %v to %v", what, value, least, most))
		}
	}
	between("mutators", c.Mutators, 1, 2000, c.Mutators >= 1 && c.Mutators <= 2000)
	between("duration", c.Duration, 100*time.Millisecond, time.Hour, c.Duration >= 100*time.Millisecond && c.Duration <= time.Hour)
	between("projects", c.Projects, 1, 1000, c.Projects >= 1 && c.Projects <= 1000)
	between("rate", c.Rate, 0, 1e6, c.Rate >= 0 && c.Rate <= 1e6)
	between("settle", c.Settle, time.Second, time.Hour, c.Settle >= time.Second && c.Settle <= time.Hour)
	between("changes", c.Changes, 0, "any number", c.Changes >= 0)
	between("subscribers", c.Subscribers, 0, "5000 sockets in all", c.Subscribers >= 0 && c.sockets() <= 5000)
	return errors.Join(errs...)
}

func (c Config) sockets() int {
	return (c.Subscribers*len(c.URLs) + c.Deltas + c.Nappers) * (c.Projects + len(c.Others))
}

// checkURL accepts the address of a replica. Load is for one's own machines, so others have to be asked for.
func checkURL(text string, remote bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("URL is %q: it has the form http://host:port", text)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if remote || u.Hostname() == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("URL is %q: that is not this machine; a storm loads it heavily, and --allow-remote says that it may", text)
}

const (
	connectTime   = 30 * time.Second // for all subscribers
	cleanUpTime   = 15 * time.Second
	maxComplaints = 10
	napperStays   = time.Second
	napperIsAway  = 500 * time.Millisecond
)

// MaxRecovery is how long replicas and watchers may take to recover from a fault.
const MaxRecovery = time.Minute

// Storm makes projects, lets mutators change them and subscribers follow them, and compares in the end. It takes at most
// Duration and Settle and a minute, and ends earlier when ctx does, with what it has. The projects are deleted afterwards. The
// error says why there is no result.
func Storm(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.Check(); err != nil {
		return Result{}, err
	}
	s, err := StartStorm(ctx, cfg)
	if err != nil {
		return Result{}, err
	}
	defer s.Close(ctx)
	s.Mutate(ctx)
	return s.Settle(context.WithoutCancel(ctx))
}

// RunningStorm is a storm during which the caller may do something else. It calls Mutate in a goroutine, then Settle, and Close at the
// end.
type RunningStorm struct {
	cfg         Config
	clients     clients
	projects    []*project
	watched     []*project // those, and the others that subscribers follow
	others      []int      // projects that are deleted in the end, too
	owner       client.Account
	writers     []client.Account // an account for each mutator; none without accounts
	subscribers []*subscriber
	counts      counts
	asking      sync.RWMutex  // held for reading while a request is on its way
	began       time.Time     // time of the first change
	mutated     time.Duration // time from then to the last answer

	deliveries, reconnects atomic.Int64
	connected              chan struct{} // receives once for each subscriber whose first subscription has begun
	following              sync.WaitGroup
	unfollow               context.CancelFunc
}

// StartStorm makes the projects, and returns when all subscribers follow them, which they do until Settle or Close.
func StartStorm(ctx context.Context, cfg Config) (*RunningStorm, error) {
	s := &RunningStorm{
		cfg: cfg, clients: newClients(cfg.URLs), unfollow: func() {},
		counts: counts{refused: map[string]int64{}, surprises: map[string]int64{}},
	}
	if err := s.follow(ctx); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Close lets all subscribers go and deletes the projects.
func (s *RunningStorm) Close(ctx context.Context) {
	s.unfollow()
	s.following.Wait()
	s.clients.deleteProjects(ctx, append(s.Projects(), s.others...))
	s.clients.close()
}

func (s *RunningStorm) follow(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.unfollow = stop
	for _, sub := range s.subscribers {
		s.following.Go(func() { sub.run(following) })
	}
	return s.connect(ctx)
}

// prepare makes the projects, and subscribers that have read them.
func (s *RunningStorm) prepare(ctx context.Context) error {
	s.connected = make(chan struct{}, s.cfg.sockets())
	run := "storm-" + uuid.NewString()[:8]
	if err := s.register(ctx, run); err != nil {
		return err
	}
	for i := range s.cfg.Projects {
		id, err := s.clients.createProject(ctx, fmt.Sprintf("%s %d", run, i+1))
		if err != nil {
			return fmt.Errorf("create a project (do the replicas run?): %w", err)
		}
		p := &project{id: id, run: run, pairs: map[[2]int64]bool{}}
		s.projects, s.watched = append(s.projects, p), append(s.watched, p)
	}
	if err := s.invite(ctx, run); err != nil {
		return err
	}
	for _, id := range s.cfg.Others {
		s.watched = append(s.watched, &project{id: id, run: run})
	}
	for i, p := range s.watched {
		base, err := s.clients.plan(ctx, p.id)
		if err != nil {
			return fmt.Errorf("read a plan: %w", err)
		}
		for replica := range s.cfg.URLs {
			for range s.cfg.Subscribers {
				s.subscribe(replica, p, newEvents(base))
			}
		}
		for n := range s.cfg.Deltas {
			s.subscribe((i+n)%len(s.cfg.URLs), p, newDeltas(s.clients, base))
		}
		for n := range s.cfg.Nappers {
			napper := s.subscribe((i+n)%len(s.cfg.URLs), p, newEvents(base))
			napper.stay, napper.away = napperStays, cmp.Or(s.cfg.Naps, napperIsAway)
		}
	}
	return nil
}

// subscribe adds a subscriber that begins at a replica.
func (s *RunningStorm) subscribe(replica int, p *project, v view) *subscriber {
	sub := newSubscriber(s.cfg.URLs, replica, p, v)
	sub.secret = s.owner.Secret
	sub.deliveries, sub.reconnects = &s.deliveries, &s.reconnects
	sub.connected = sync.OnceFunc(func() { s.connected <- struct{}{} })
	s.subscribers = append(s.subscribers, sub)
	return sub
}

// connect waits until all subscriptions have begun.
func (s *RunningStorm) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("not all subscribers could connect within %v", connectTime))
	defer cancel()
	for range s.subscribers {
		select {
		case <-s.connected:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Mutate changes the projects. It returns when the time is over and every change on its way has ended.
func (s *RunningStorm) Mutate(ctx context.Context) {
	s.began = time.Now()
	defer func() { s.mutated = time.Since(s.began) }()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Duration)
	defer cancel()
	var pace *rate.Limiter
	if s.cfg.Rate > 0 {
		pace = rate.NewLimiter(rate.Limit(s.cfg.Rate), 1)
	}
	var running sync.WaitGroup
	for i := range s.cfg.Mutators {
		by := s.clients
		if s.cfg.Accounts {
			by = by.as(s.writers[i].Secret)
		}
		m := &mutator{
			clients: by, project: s.projects[i%len(s.projects)], replica: i % len(s.cfg.URLs),
			pace: pace, changes: s.cfg.Changes, rand: rand.New(rand.NewPCG(s.cfg.Seed, uint64(i))), counts: &s.counts,
			asking: &s.asking,
		}
		running.Go(func() { m.run(ctx) })
	}
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	var reporter sync.WaitGroup
	if s.cfg.Progress != nil {
		reporter.Go(func() { s.report(ended) })
	}
	running.Wait()
	end()
	reporter.Wait()
}

func (s *RunningStorm) report(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.counts.mu.Lock()
		answered, refused := s.counts.answered, int64(0)
		for _, n := range s.counts.refused {
			refused += n
		}
		s.counts.mu.Unlock()
		_, _ = fmt.Fprintf(s.cfg.Progress, "%3.0fs of %v  %d changes (%d/s)  %d deliveries  %d refused  %d reconnects\n",
			time.Since(s.began).Seconds(), s.cfg.Duration, answered, answered-before, s.deliveries.Load(), refused, s.reconnects.Load())
		before = answered
	}
}

// Settle waits until every subscriber has reached the head of its project, at most for the Settle of the Config, lets the subscribers go,
// and compares all of them with the plans. The caller has no mutators running.
func (s *RunningStorm) Settle(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Settle)
	defer cancel()
	rows := make([]convergence.Plan, len(s.watched))
	for i, p := range s.watched {
		for {
			// A change without an answer may still commit, so the plan is read again until no subscriber is ahead of it.
			plan, err := s.read(ctx, p.id)
			if err != nil {
				return Result{}, fmt.Errorf("read the plan of project %d in the end: %w", p.id, err)
			}
			rows[i] = plan
			if !s.reached(ctx, p, PlaceOf(plan.Cursor)) {
				break
			}
		}
	}
	s.unfollow()
	s.following.Wait()
	return s.result(rows), nil
}

// read reads a plan, again and again while the replicas are busy or away.
func (s *RunningStorm) read(ctx context.Context, id int) (convergence.Plan, error) {
	// The request may outlive ctx, because without the plan there is nothing to compare with.
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Settle)
	defer cancel()
	for {
		plan, err := s.clients.plan(request, id)
		if err == nil {
			return plan, nil
		}
		if Wait(ctx, maxBackOff/4) != nil {
			return plan, err
		}
	}
}

// reached waits until all who follow a project have come to a head. It reports whether somebody is ahead of it.
func (s *RunningStorm) reached(ctx context.Context, p *project, head Place) (ahead bool) {
	for {
		behind := false
		ahead = false
		for _, sub := range s.subscribers {
			if sub.project == p {
				at := sub.at()
				behind = behind || at.before(head)
				ahead = ahead || at.Epoch == head.Epoch && at.Version > head.Version
			}
		}
		if !behind || Wait(ctx, 5*time.Millisecond) != nil {
			return ahead && ctx.Err() == nil
		}
	}
}
