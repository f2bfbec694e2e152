package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"layercake/internal/client"

	"github.com/google/uuid"
)

// FloodConfig is the number of sockets that move, and their rates.
type FloodConfig struct {
	URLs        []string // addresses of the replicas, such as http://127.0.0.1:3001
	Admins      []string // admin addresses of the same replicas, to measure their processors; may be empty
	AllowRemote bool     // whether replicas on other machines may be loaded
	Sockets     int      // sockets that move
	Projects    int      // projects over which the sockets are spread
	Rates       []float64
	Duration    time.Duration // time at each rate
	Within      time.Duration // limit for everybody to see the last position of everybody
	Progress    io.Writer     // receiver of a line each second; nil for none
}

const (
	// allowedRate is how many messages a second a replica takes of one socket.
	allowedRate = 20
	// pacing is the factor by which pauses are longer than a rate asks for. A replica counts messages that arrive within a second, and on
	// a busy machine messages that were sent evenly do not arrive evenly.
	pacing = 1.04
	// LimitForgets is when a socket that has met the limit may send again.
	LimitForgets = 1100 * time.Millisecond
)

// Check reports everything that is wrong at once.
func (c FloodConfig) Check() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("no URL: name at least one replica, such as http://127.0.0.1:3001"))
	}
	for _, u := range append(append([]string{}, c.URLs...), c.Admins...) {
		errs = append(errs, checkURL(u, c.AllowRemote))
	}
	if c.Sockets < 2 || c.Sockets > 5000 {
		errs = append(errs, fmt.Errorf("sockets is %d: it is from 2 to 5000", c.Sockets))
	}
	if c.Projects < 1 || 2*c.Projects > c.Sockets {
		errs = append(errs, fmt.Errorf("projects is %d: it is at least 1, and two sockets are in each", c.Projects))
	}
	if len(c.Rates) == 0 {
		errs = append(errs, errors.New("no rate: name at least one"))
	}
	for _, r := range c.Rates {
		if r <= 0 || r > 1000 {
			errs = append(errs, fmt.Errorf("rate is %v: it is above 0, and 1000 at most", r))
		}
	}
	if c.Duration < time.Second || c.Duration > time.Hour {
		errs = append(errs, fmt.Errorf("duration is %v: it is from 1s to 1h", c.Duration))
	}
	return errors.Join(append(errs, checkWithin(c.Within))...)
}

func checkWithin(d time.Duration) error {
	if d <= 0 || d > time.Minute {
		return fmt.Errorf("within is %v: it is above 0s, and 1m at most", d)
	}
	return nil
}

// FloodResult is how replicas carried moving cursors.
type FloodResult struct {
	Sockets  int          `json:"sockets"`
	Projects int          `json:"projects"`
	Replicas int          `json:"replicas"`
	Phases   []FloodPhase `json:"phases"`
}

// FloodPhase is a time at one rate.
type FloodPhase struct {
	Rate       float64   `json:"rate"` // messages a second that each socket should send
	Seconds    float64   `json:"seconds"`
	Sent       float64   `json:"sentPerSecond"` // messages, by all sockets
	SentBytes  float64   `json:"sentBytesPerSecond"`
	Got        float64   `json:"gotPerSecond"` // frames, by all sockets
	GotBytes   float64   `json:"gotBytesPerSecond"`
	Move       Latency   `json:"move"`        // time from sending a position to its arrival at another socket, unless it was overtaken
	Limited    int64     `json:"limited"`     // messages that were answered with Rate limit exceeded
	Errors     int64     `json:"errors"`      // other errors that replicas answered
	Cut        int64     `json:"cut"`         // sockets that replicas closed
	Unseen     int64     `json:"unseen"`      // last positions that somebody did not see in time
	Seen       float64   `json:"seenSeconds"` // from the last move until everybody had seen it
	CPU        []float64 `json:"cpu"`         // processor seconds a second, of each replica with an admin address
	Complaints []string  `json:"complaints"`
}

// OK reports whether nothing was wrong.
func (p FloodPhase) OK() bool { return len(p.Complaints) == 0 }

// OK reports whether nothing was wrong at any rate.
func (r FloodResult) OK() bool {
	for _, p := range r.Phases {
		if !p.OK() {
			return false
		}
	}
	return len(r.Phases) > 0
}

// flood is a running flood.
type flood struct {
	cfg      FloodConfig
	began    time.Time
	projects []int
	movers   []*mover
}

// mover is a socket that moves its cursor and looks at the cursors of others.
type mover struct {
	number int
	others []*mover // movers in the same project, itself included
	socket *client.Socket
	joined chan struct{} // closed once its roster came, or the socket ended

	mu        sync.Mutex
	last      int64   // last position that it sent, in microseconds
	seen      []int64 // last position that it saw of each mover
	sent      int64
	sentBytes int64
	got       int64
	gotBytes  int64
	latency   histogram
	limited   int64
	before    int64 // value of limited when it last sent
	errors    int64
	failure   error // error that ended the socket
}

// Flood joins with many sockets, lets all of them move their cursors as fast as each rate says, and checks who saw what. It takes at
// most a minute more than the rates do, and ends earlier when ctx does, with what it has. The error says why there is no result.
func Flood(ctx context.Context, cfg FloodConfig) (FloodResult, error) {
	result := FloodResult{Sockets: cfg.Sockets, Projects: cfg.Projects, Replicas: len(cfg.URLs)}
	if err := cfg.Check(); err != nil {
		return result, err
	}
	f := &flood{cfg: cfg, began: time.Now()}
	all := newClients(cfg.URLs)
	defer all.close()
	defer func() { all.deleteProjects(ctx, f.projects) }()
	for n := range cfg.Projects {
		id, err := all.createProject(ctx, fmt.Sprintf("flood-%s %d", uuid.NewString()[:8], n+1))
		if err != nil {
			return result, fmt.Errorf("create a project (do the replicas run?): %w", err)
		}
		f.projects = append(f.projects, id)
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer f.close()
	if err := f.connect(ctx, &reading); err != nil {
		return result, err
	}
	for _, rate := range cfg.Rates {
		if ctx.Err() != nil {
			break
		}
		p := f.phase(ctx, rate)
		result.Phases = append(result.Phases, p)
	}
	return result, nil
}

// close closes all sockets that are still open.
func (f *flood) close() {
	var all sync.WaitGroup
	for _, m := range f.movers {
		all.Go(m.socket.CloseNow)
	}
	all.Wait()
}

// connect returns when everybody has joined.
func (f *flood) connect(ctx context.Context, reading *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("not all sockets could join within %v", connectTime))
	defer cancel()
	groups := make([][]*mover, f.cfg.Projects)
	for n := range f.cfg.Sockets {
		// The sockets of a project are on all replicas.
		project, replica := n%f.cfg.Projects, n/f.cfg.Projects%len(f.cfg.URLs)
		socket, err := client.Dialer{}.Collaboration(ctx, f.cfg.URLs[replica], f.projects[project])
		if err != nil {
			return fmt.Errorf("open a collaboration socket: %w", err)
		}
		m := &mover{number: n, socket: socket, seen: make([]int64, f.cfg.Sockets), joined: make(chan struct{})}
		f.movers = append(f.movers, m)
		groups[project] = append(groups[project], m)
		reading.Go(func() { m.read(f.began) })
		if err := socket.Send(ctx, join(fmt.Sprintf("mover-%d", n))); err != nil {
			return fmt.Errorf("join: %w", err)
		}
	}
	for n, m := range f.movers {
		m.others = groups[n%f.cfg.Projects]
		select {
		case <-m.joined:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// read takes frames until the socket ends.
func (m *mover) read(began time.Time) {
	joined := sync.OnceFunc(func() { close(m.joined) })
	for {
		frame, err := m.socket.Receive(context.Background())
		now := time.Since(began).Microseconds()
		m.mu.Lock()
		if err != nil {
			m.failure = err
			m.mu.Unlock()
			joined()
			return
		}
		m.got++
		m.gotBytes += int64(len(frame))
		switch {
		case bytes.HasPrefix(frame, activityStart): // clients draw nothing for it
		case bytes.HasPrefix(frame, errorStart) && bytes.Contains(frame, limited):
			m.limited++
		case bytes.HasPrefix(frame, errorStart):
			m.errors++
		default:
			for who, at := range positions(frame) {
				if who != m.number && who < len(m.seen) && at > m.seen[who] {
					m.seen[who] = at
					m.latency.observe(time.Duration(now-at) * time.Microsecond)
				}
			}
		}
		m.mu.Unlock()
		joined()
	}
}

// move sends a position, which is the time.
func (m *mover) move(ctx context.Context, began time.Time) error {
	m.mu.Lock()
	m.last, m.before = time.Since(began).Microseconds(), m.limited
	frame := move(m.number, m.last)
	m.sent++
	m.sentBytes += int64(len(frame))
	m.mu.Unlock()
	return m.socket.Send(ctx, frame)
}

// run moves until ctx ends or the socket does. It never makes up for a move that came late.
func (m *mover) run(ctx context.Context, began time.Time, rate float64) {
	pause := time.Duration(pacing * float64(time.Second) / rate)
	if Wait(ctx, rand.N(pause)) != nil {
		return
	}
	for {
		due := time.Now().Add(pause)
		if m.move(context.WithoutCancel(ctx), began) != nil || Wait(ctx, time.Until(due)) != nil {
			return // read notes the error
		}
	}
}

// reset sets all counters to zero.
func (m *mover) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent, m.sentBytes, m.got, m.gotBytes, m.limited, m.errors, m.latency = 0, 0, 0, 0, 0, 0, histogram{}
}

// phase moves all cursors at a rate, and judges.
func (f *flood) phase(ctx context.Context, rate float64) FloodPhase {
	p := FloodPhase{Rate: rate}
	for _, m := range f.movers {
		m.reset()
	}
	used := f.processorTime(ctx)
	began := time.Now()
	moving, stop := context.WithTimeout(ctx, f.cfg.Duration)
	defer stop()
	var running, reporter sync.WaitGroup
	for _, m := range f.movers {
		running.Go(func() { m.run(moving, f.began, rate) })
	}
	if f.cfg.Progress != nil {
		reporter.Go(func() { f.report(moving, rate) })
	}
	running.Wait()
	reporter.Wait()
	p.Seconds = time.Since(began).Seconds()
	for n, after := range f.processorTime(context.WithoutCancel(ctx)) {
		if n < len(used) {
			p.CPU = append(p.CPU, (after-used[n])/p.Seconds)
		}
	}
	f.sum(&p)
	f.settle(context.WithoutCancel(ctx), &p)
	p.judge(f.cfg.Sockets, f.cfg.Within)
	return p
}

// processorTime returns the processor time that each replica has used so far, or nil when one has no admin address.
func (f *flood) processorTime(ctx context.Context) []float64 {
	var used []float64
	for _, admin := range f.cfg.Admins {
		now, err := metrics(ctx, admin)
		if err != nil {
			return nil
		}
		used = append(used, now["process_cpu_seconds_total"])
	}
	return used
}

func (f *flood) sum(p *FloodPhase) {
	var latency histogram
	for _, m := range f.movers {
		m.mu.Lock()
		p.Sent += float64(m.sent) / p.Seconds
		p.SentBytes += float64(m.sentBytes) / p.Seconds
		p.Got += float64(m.got) / p.Seconds
		p.GotBytes += float64(m.gotBytes) / p.Seconds
		p.Limited += m.limited
		p.Errors += m.errors
		latency.add(&m.latency)
		m.mu.Unlock()
	}
	p.Move = latency.latency()
}

// settle moves everybody once more when the limit allows it, and waits until everybody has seen that: which of the moves before were
// refused is not known. A replica that reads those late may refuse this one, too; then it is made again.
func (f *flood) settle(ctx context.Context, p *FloodPhase) {
	if p.Rate > allowedRate {
		f.moveAgain(ctx, func(*mover) bool { return true })
	}
	began := time.Now()
	for stopped := began; ; {
		p.Unseen = 0
		for _, m := range f.movers {
			p.Unseen += m.unseen()
		}
		p.Seen = time.Since(stopped).Seconds()
		if p.Unseen == 0 || time.Since(began) > 10*f.cfg.Within {
			break
		}
		if p.Rate > allowedRate && slices.ContainsFunc(f.movers, (*mover).refused) {
			f.moveAgain(ctx, (*mover).refused)
			stopped = time.Now()
		}
		_ = Wait(ctx, 2*time.Millisecond)
	}
	for _, m := range f.movers {
		m.mu.Lock()
		if m.failure != nil {
			p.Cut++
			p.complain("socket %d was cut: %v", m.number, m.failure)
		}
		m.mu.Unlock()
	}
}

// moveAgain moves some once the limit has forgotten what it met.
func (f *flood) moveAgain(ctx context.Context, whom func(*mover) bool) {
	_ = Wait(ctx, LimitForgets) // this ctx does not end
	var all sync.WaitGroup
	for _, m := range f.movers {
		if whom(m) {
			all.Go(func() { _ = m.move(ctx, f.began) }) // read notes the error
		}
	}
	all.Wait()
}

// refused reports whether the limit has met the mover since it moved last.
func (m *mover) refused() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limited > m.before
}

// unseen returns the number of others whose last position the mover does not know.
func (m *mover) unseen() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.others {
		// Reading last needs no lock: nobody moves any more.
		if other != m && m.seen[other.number] != other.last {
			n++
		}
	}
	return n
}

func (p *FloodPhase) complain(format string, args ...any) {
	if len(p.Complaints) < maxComplaints {
		p.Complaints = append(p.Complaints, fmt.Sprintf(format, args...))
	}
}

// judge fills the complaints.
func (p *FloodPhase) judge(sockets int, within time.Duration) {
	if p.Seen > within.Seconds() {
		p.complain("not everybody saw every last position within %v; after %.1f s, %d were not seen", within, p.Seen, p.Unseen)
	}
	if p.Errors > 0 {
		p.complain("%d messages were answered with an error", p.Errors)
	}
	switch {
	case p.Rate <= allowedRate && p.Limited > 0:
		p.complain("%d messages within the limit were refused", p.Limited)
	case p.Rate > allowedRate && p.Limited < int64(sockets):
		p.complain("%d messages above the limit were refused, less than one of each socket", p.Limited)
	}
}

func (f *flood) report(ctx context.Context, rate float64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p := FloodPhase{Seconds: time.Since(began).Seconds()}
		f.sum(&p)
		_, _ = fmt.Fprintf(f.cfg.Progress, "%3.0fs of %v at %g/s  %.0f messages/s in, %.0f frames/s out  p99 %.0f ms  %d refused\n",
			p.Seconds, f.cfg.Duration, rate, p.Sent, p.Got, p.Move.P99, p.Limited)
	}
}

// Write writes the result for people.
func (r FloodResult) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) } // Flush reports errors
	row("flood", "%d sockets, %d projects, %d replicas", r.Sockets, r.Projects, r.Replicas)
	for _, p := range r.Phases {
		row("", "")
		row("rate", "%g messages/s each, for %.1f s", p.Rate, p.Seconds)
		row("to the replicas", "%.0f messages/s, %.2f MB/s", p.Sent, p.SentBytes/1e6)
		row("from the replicas", "%.0f frames/s, %.2f MB/s", p.Got, p.GotBytes/1e6)
		row("move to the others", "%s", p.Move)
		row("refused by the limit, otherwise", "%d, %d", p.Limited, p.Errors)
		row("sockets cut", "%d", p.Cut)
		row("last positions seen by all", "after %.0f ms, %d unseen", 1000*p.Seen, p.Unseen)
		cpu := "not known: name the replicas' admin addresses"
		if len(p.CPU) > 0 {
			cpu = fmt.Sprintf("%.2f seconds a second", p.CPU)
		}
		row("CPU of the replicas", "%s", cpu)
		for _, c := range p.Complaints {
			row("wrong", "%s", c)
		}
	}
	verdict := "everybody saw everybody, and the limit met only those above it"
	if !r.OK() {
		verdict = "FAILED"
	}
	row("", "")
	row("verdict", "%s", verdict)
	return t.Flush()
}
