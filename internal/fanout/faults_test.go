package fanout_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"layercake/internal/fanout"
	"layercake/internal/postgres/pgtest"
)

// project stands for a project's tables and one replica's feed of it. The feed looks at the tables only in doubt.
type project struct {
	head  atomic.Int64 // what is committed
	known int64        // what the feed knows, under the replica's mutex
}

// follow makes r a replica that keeps up with p.
func (p *project) follow(r *replica, cfg *config) {
	seen, onEvent := cfg.OnDoubt, cfg.OnEvent
	cfg.OnDoubt = func(reason string) {
		head := p.head.Load()
		r.note(func() { p.known = max(p.known, head) })
		seen(reason)
	}
	cfg.OnEvent = func(e event) {
		onEvent(e)
		// A feed with a gap asks the log for what lies between, so that any version stands for all before it.
		r.note(func() { p.known = max(p.known, e.Version) })
	}
}

// commit is a change: first the tables, then the lines.
func (p *project) commit(by *replica) {
	by.publish(1, p.head.Add(1), []byte(`{"a":1}`))
}

// disturb commits to p through by, in small steps, and does harm in each of at least so many rounds of 100 ms, until it is enough.
func (p *project) disturb(by *replica, rounds int, harm func(), enough func() bool) {
	commits := time.NewTicker(time.Millisecond)
	defer commits.Stop()
	began := time.Now()
	for n := 0; n < rounds || !enough() && time.Since(began) < pgtest.Patience; n++ {
		harm()
		for range 100 {
			<-commits.C
			p.commit(by)
		}
	}
}

// settle waits until r's feed knows everything, though nothing is committed any more.
func (p *project) settle(t *testing.T, r *replica) {
	t.Helper()
	r.wait(t, "the last version", func() bool { return p.known == p.head.Load() })
}

// talk returns when two replicas hear each other.
func talk(t *testing.T, a, b *replica) {
	t.Helper()
	a.publish(1001, 1, []byte(`{}`))
	b.publish(1002, 1, []byte(`{}`))
	b.waitEvent(t, 1001, 1)
	a.waitEvent(t, 1002, 1)
}

// often makes a replica send heartbeats ten times as often.
func often(_ *replica, cfg *config) {
	cfg.Timing = fanout.DefaultTiming
	cfg.Timing.Heartbeat /= 10
}

// hasty makes a replica notice within a second what others notice within five.
func hasty(_ *replica, cfg *config) {
	often(nil, cfg)
	cfg.Timing.Silence = 600 * time.Millisecond
	cfg.Timing.Connect, cfg.Timing.Statement = time.Second, time.Second
}

func TestLinesLostByAListenerAreFollowedByDoubt(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	// Of each version it must be known that there is something to read, and a later version does not count: only the line
	// itself, or a doubt after the commit.
	var head atomic.Int64
	heard := make(map[int64]bool)
	var swept int64
	a := start(t, url, "a", nil)
	b := start(t, url, "b", func(r *replica, cfg *config) {
		cfg.OnEvent = func(e event) { r.note(func() { heard[e.Version] = true }) }
		onDoubt := cfg.OnDoubt
		cfg.OnDoubt = func(reason string) {
			h := head.Load()
			r.note(func() { swept = h })
			onDoubt(reason)
		}
	})
	conn := pgtest.Connect(t, url)
	const rounds = 20
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for n := 0; n < rounds || b.doubted("listening") < 3 && time.Since(began) < pgtest.Patience; n++ {
		kill(t, conn, "b", "listener")
		for range 100 {
			<-tick.C
			v := head.Add(1)
			a.publish(1, v, []byte(`{"a":1}`))
		}
	}
	b.wait(t, "each version or a doubt after it", func() bool {
		for v := swept + 1; v <= head.Load(); v++ {
			if !heard[v] {
				return false
			}
		}
		return true
	})
	b.stop()
	lost := head.Load() - int64(len(heard))
	t.Logf("%d of %d lines were lost, %d doubts", lost, head.Load(), b.doubted("listening"))
	if lost == 0 || b.doubted("listening") < 3 {
		t.Errorf("%d lines were lost with %d doubts: the test did no harm", lost, b.doubted("listening"))
	}
	if n := a.doubted("listening"); n != 1 {
		t.Errorf("replica a began to listen %d times, want once: nobody disturbed it", n)
	}
}

func TestNothingStaysUnknownWhateverIsKilled(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	var p project
	a := start(t, url, "a", nil)
	b := start(t, url, "b", p.follow)
	conn := pgtest.Connect(t, url)
	p.disturb(a, 20, func() {
		kill(t, conn, "a", "publisher")
		kill(t, conn, "b", "listener")
	}, func() bool { return a.metric(t, "publisher_connects_total") >= 3 })
	p.settle(t, b)
	a.waitMetric(t, 3, "publisher_connects_total")
	if n := a.metric(t, "publisher_errors_total", `"connection"`); n < 1 {
		t.Errorf("%v errors of the connection, want some", n)
	}
}

func TestHalfOpenListenerIsNoticedAndRedialled(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	proxy, url := pgtest.Proxy(t, direct)
	a := start(t, direct, "a", nil)
	b := start(t, url, "b", hasty)
	b.waitMetric(t, 2, "heartbeat_seconds") // all is well
	began := time.Now()
	if n := proxy.Silence(of("listener")); n != 1 {
		t.Fatalf("silenced %d sessions, want 1", n)
	}
	a.publish(1, 1, []byte(`{}`)) // into the void
	b.waitDoubts(t, "listening", 2)
	took := time.Since(began)
	t.Logf("noticed and listening again after %v", took)
	if took < 400*time.Millisecond { // a loaded machine takes longer
		t.Errorf("took %v, want 0.6 to 1 s", took)
	}
	a.publish(1, 2, []byte(`{}`))
	if e := b.waitEvent(t, 1, 1); e.Version != 2 {
		t.Errorf("heard version %d, want 2: the network has lost 1", e.Version)
	}
	if n := b.metric(t, "publisher_connects_total"); n != 1 {
		t.Errorf("the publisher connected %v times, want once: it was not concerned", n)
	}
}

func TestConnectionThatGoesSilentWhileItBeginsIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"first query": "pg_control_system", "LISTEN": `listen "layercake_events"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := pgtest.New(t)
			proxy, url := pgtest.Proxy(t, direct)
			other := start(t, direct, "other", nil)
			proxy.SilenceAt(at)
			r := start(t, url, "a", hasty)
			talk(t, r, other)
			if proxy.Armed() {
				t.Errorf("nobody sent %q: the test did no harm", at)
			}
		})
	}
}

func TestSilentHostDoesNotKeepFromTheNext(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	proxy, url := pgtest.Proxy(t, pgtest.New(t))
	good := proxy.Addr()
	start(t, strings.Replace(url, good, silent.Addr().String()+","+good, 1), "a", hasty)
}

func TestSuspendedBackendOfAListenerIsNoticed(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r, other := start(t, url, "a", hasty), start(t, url, "other", nil)
	r.waitMetric(t, 2, "heartbeat_seconds")
	var pid int
	const find = "select pid from pg_stat_activity where datname = current_database() and application_name = $1"
	if err := pgtest.Connect(t, url).QueryRow(t.Context(), find, "layercake/a/listener").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Skipf("the server is not on this machine, or not ours: %v", err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	r.waitDoubts(t, "listening", 2)
	t.Logf("noticed and listening again after %v", time.Since(began))
	talk(t, r, other)
}

func TestHalfOpenPublisherIsRedialledAndSaysEverythingAgain(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	proxy, url := pgtest.Proxy(t, direct)
	a := start(t, url, "a", func(_ *replica, cfg *config) {
		cfg.Timing = fanout.DefaultTiming
		cfg.Timing.Statement = 2 * time.Second
	})
	b := start(t, direct, "b", nil)
	a.publish(1, 1, []byte(`{}`))
	b.waitEvent(t, 1, 1)
	a.waitMetric(t, 1, "lines_total", `"event"`, `"sent"`) // the publisher has its answer too
	if n := proxy.Silence(of("publisher")); n != 1 {
		t.Fatalf("silenced %d sessions, want 1", n)
	}
	// More than the queue holds, of few projects: none of these may wait for the network.
	const lines = 20_000
	var slowest time.Duration
	for v := range int64(lines) {
		began := time.Now()
		a.publish(int32(1+v%100), 2+v, []byte(`{"some":"body"}`))
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 1500*time.Millisecond { // the publisher waits 2 s
		t.Errorf("Publish took %v", slowest)
	}
	began := time.Now()
	for p := range int64(100) {
		last := lines - 100 + p + 2
		if e := b.waitEvent(t, int32(1+p), last); e.Body != nil || e.Version != last {
			t.Errorf("project %d ends with version %d and %q, want a hint of %d", 1+p, e.Version, e.Body, last)
		}
	}
	t.Logf("everything said again after %v; slowest Publish %v", time.Since(began), slowest)
	b.waitDoubts(t, "hole", 1)
	if n := a.metric(t, "listener_connects_total"); n != 1 {
		t.Errorf("the listener connected %v times, want once: it was not concerned", n)
	}
	if n := a.metric(t, "publisher_connects_total"); n != 2 {
		t.Errorf("the publisher connected %v times, want twice", n)
	}
	if n := a.metric(t, "lines_dropped_total"); n != 0 {
		t.Errorf("%v lines were dropped, want none: hints of one project take one place", n)
	}
	if n := a.metric(t, "publisher_errors_total", `"timeout"`); n != 1 {
		t.Errorf("%v statements timed out, want 1", n)
	}
}

func TestFullQueueOfTheServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	conn := pgtest.Connect(t, direct)
	// The server's queue takes 8 GB to fill. In this database, a function in the place of pg_notify raises what it would, for a.
	pgtest.Exec(t, conn, `create table full_queue ()`)
	pgtest.Exec(t, conn, `set allow_system_table_mods = on`)
	pgtest.Exec(t, conn, `alter function pg_catalog.pg_notify(text, text) rename to notify`)
	pgtest.Exec(t, conn, `create function pg_catalog.pg_notify(channel text, payload text) returns void language plpgsql as $$
		begin
			if current_setting('application_name') = 'layercake/a/publisher' and exists (select from public.full_queue) then
				raise exception 'too many notifications in the NOTIFY queue' using errcode = '54000';
			end if;
			perform pg_catalog.notify(channel, payload);
		end $$`)
	a := start(t, direct, "a", nil)
	b := start(t, direct, "b", nil)
	a.publish(1, 1, []byte(`{}`))
	if e := b.waitEvent(t, 1, 1); e.Body == nil {
		t.Error("heard a hint, want the body")
	}
	pgtest.Exec(t, conn, `insert into full_queue default values`)
	for v := int64(2); v <= 10; v++ {
		a.publish(1, v, []byte(`{}`))
		a.publish(2, v, []byte(`{}`))
	}
	a.waitMetric(t, 3, "publisher_errors_total", `"queue_full"`)
	pgtest.Exec(t, conn, `delete from full_queue`)
	for project := range int32(2) {
		if e := b.waitEvent(t, project+1, 2); e.Version != 10 || e.Body != nil {
			t.Errorf("heard version %d with %q, want a hint of 10", e.Version, e.Body)
		}
	}
	b.waitDoubts(t, "hole", 1)
	if n := a.metric(t, "publisher_connects_total"); n != 1 {
		t.Errorf("the publisher connected %v times, want once: its connection was good", n)
	}
	a.publish(1, 11, []byte(`{}`))
	if e := b.waitEvent(t, 1, 11); e.Body == nil {
		t.Error("heard a hint, want bodies again")
	}
}

func TestLossIsSeenAsHoles(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	var p project
	a := start(t, url, "a", func(_ *replica, cfg *config) { cfg.Loss = 0.3 })
	b := start(t, url, "b", p.follow)
	p.disturb(a, 1, func() {}, func() bool { return b.metric(t, "holes_total") >= 10 })
	p.settle(t, b)
	dropped, holes := a.metric(t, "lines_dropped_total"), b.metric(t, "holes_total")
	t.Logf("%v of %d lines dropped, %v holes", dropped, p.head.Load(), holes)
	if dropped < 10 || dropped >= float64(p.head.Load()) || holes < 10 {
		t.Errorf("%v of %d lines dropped, %v holes: want some of both, and some lines left", dropped, p.head.Load(), holes)
	}
	b.waitDoubts(t, "hole", int(holes))
}

func TestALastLineThatIsLostIsNoticedByTheHeartbeat(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	b := start(t, url, "b", nil)
	a := start(t, url, "a", func(_ *replica, cfg *config) {
		cfg.Loss = 1
		often(nil, cfg)
	})
	a.waitMetric(t, 2, "heartbeat_seconds") // b has heard the first
	before := b.doubted("hole")
	began := time.Now()
	a.publish(1, 1, []byte(`{}`))
	b.waitDoubts(t, "hole", before+1)
	t.Logf("noticed after %v; without the heartbeat it never would be", time.Since(began))
}

// While a replica of the release before lives, which does not seal what it says, anybody can speak as one.
func TestStrangersOnTheChannel(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := start(t, url, "a", func(_ *replica, cfg *config) { cfg.Former = func() bool { return true } })
	conn := pgtest.Connect(t, url)
	say := func(payload string) { pgtest.Exec(t, conn, "select pg_notify('layercake_events', $1)", payload) }
	say("hello")
	say("1 b " + string(r.Epoch()) + " 1\nnonsense\ne 1 1 {}")
	r.waitEvent(t, 1, 1)
	say("2 a newer replica")
	r.waitDoubts(t, "format", 1)
	say("1 c elsewhere-9 1\nh 2 1")
	r.waitDoubts(t, "epoch", 1)
	if e := r.waitEvent(t, 2, 1); e.Epoch != "elsewhere-9" {
		t.Errorf("epoch %q, want that of the sender", e.Epoch)
	}
	if n := r.metric(t, "lines_total", `"malformed"`); n != 2 {
		t.Errorf("%v malformed, want 2", n)
	}
}

func TestReplicaSurvivesTheEndOfItsServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	var p project
	a, b := start(t, server.URL, "a", nil), start(t, server.URL, "b", p.follow)
	a.waitMetric(t, 1, "publisher_connects_total")
	server.Kill()
	a.waitMetric(t, 1, "publisher_errors_total")
	p.commit(a)
	server.Start()
	b.waitDoubts(t, "listening", 2)
	p.settle(t, b) // a's publisher may have been faster than b's listener
	a.waitMetric(t, 2, "publisher_connects_total")
	a.wait(t, "lines to be sent", func() bool { // until then a line may join what waits, as a hint
		return a.metric(t, "lines_total", `"hint"`, `"sent"`)+a.metric(t, "lines_total", `"event"`, `"sent"`) > 0
	})
	a.publish(2, 1, []byte(`{}`))
	if e := b.waitEvent(t, 2, 1); e.Body == nil {
		t.Error("heard a hint, want bodies again")
	}
}

func TestStopSendsWhatIsQueued(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := start(t, url, "a", nil), start(t, url, "b", nil)
	a.waitMetric(t, 1, "publisher_connects_total")
	for v := range int64(3000) {
		a.publish(1, v+1, []byte(`{}`))
	}
	a.stop()
	b.wait(t, "all lines", func() bool { return len(b.events) == 3000 })
	if a.Listening() || a.metric(t, "listener_up") != 0 {
		t.Error("listens after its end")
	}
}

func TestStopWhileTheNetworkIsSilent(t *testing.T) {
	t.Parallel()
	proxy, url := pgtest.Proxy(t, pgtest.New(t))
	r := start(t, url, "a", hasty)
	r.waitMetric(t, 1, "publisher_connects_total")
	proxy.Silence(func(string) bool { return true })
	r.publish(1, 1, []byte(`{}`))
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 12*time.Second { // 1 s for what is queued, 1 s for each session, and a loaded machine
		t.Errorf("took %v", took)
	}
}

func TestRunSaysWhatIsWrongWithItsConfiguration(t *testing.T) {
	t.Parallel()
	good := fanout.Config{URL: "postgres://localhost/x", Replica: "a"}
	topic := config{}.topic()
	for name, spoil := range map[string]func(*fanout.Config, *fanout.Topic){
		"URL":                 func(c *fanout.Config, _ *fanout.Topic) { c.URL = "postgres://localhost:port/x" },
		"no replica":          func(c *fanout.Config, _ *fanout.Topic) { c.Replica = "" },
		"blank":               func(c *fanout.Config, _ *fanout.Topic) { c.Replica = "a b" },
		"loss":                func(c *fanout.Config, _ *fanout.Topic) { c.Loss = 1.5 },
		"negative loss":       func(c *fanout.Config, _ *fanout.Topic) { c.Loss = -1 },
		"nobody hears":        func(_ *fanout.Config, topic *fanout.Topic) { topic.Hear = nil },
		"no channel":          func(_ *fanout.Config, topic *fanout.Topic) { topic.Channel = "" },
		"no letters":          func(_ *fanout.Config, topic *fanout.Topic) { topic.Kinds = nil },
		"another's letter":    func(_ *fanout.Config, topic *fanout.Topic) { topic.Kinds = map[byte]string{'z': "other"} },
		"the wire's letter":   func(_ *fanout.Config, topic *fanout.Topic) { topic.Kinds = map[byte]string{'b': "heartbeat"} },
		"a blank as a letter": func(_ *fanout.Config, topic *fanout.Topic) { topic.Kinds = map[byte]string{' ': "blank"} },
	} {
		cfg, topic := good, topic
		spoil(&cfg, &topic)
		w := fanout.New(cfg)
		w.Handle(fanout.Topic{Channel: fanout.Events, Kinds: map[byte]string{'z': "other"}, Hear: func(fanout.Line) error { return nil }})
		w.Handle(topic)
		if err := w.Run(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := fanout.New(good)
	w.Handle(topic)
	if err := w.Run(ctx); err != nil {
		t.Errorf("a good configuration that is stopped at once: %v", err)
	}
	if w.Listening() {
		t.Error("listens before the first connection")
	}
}

func TestPublishFromManyGoroutines(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r, other := start(t, url, "a", nil), start(t, url, "other", nil)
	var publishing sync.WaitGroup
	for g := range int32(8) {
		publishing.Go(func() {
			for v := range int64(500) {
				r.publish(g+1, v+1, []byte(`{}`))
			}
		})
	}
	publishing.Wait()
	for g := range int32(8) {
		other.waitEvent(t, g+1, 500)
	}
}
