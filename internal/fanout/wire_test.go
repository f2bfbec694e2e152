package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
)

// replica is a running wire and everything that it told.
type replica struct {
	*fanout.Wire
	name    string
	metrics *prometheus.Registry
	stop    func() // waits for the end; may be called twice

	mu     sync.Mutex
	epoch  postgres.Epoch // of the newest session that listens
	events []event
	doubts []string
}

// event is what the topic of these tests says: that a project has reached a version, and by what.
type event struct {
	Epoch   postgres.Epoch
	Project int32
	Version int64
	Body    []byte // nil for a hint
}

// config is how a replica is started.
type config struct {
	fanout.Config
	OnEvent func(event)
	OnDoubt func(reason string)
	Topics  []fanout.Topic // others
}

func hint(project int32, version int64) fanout.Line {
	text := strconv.Itoa(int(project)) + " " + strconv.FormatInt(version, 10)
	return fanout.Line{Letter: 'h', Text: text, Project: project, Version: version}
}

func (c config) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Events, Kinds: map[byte]string{'e': "event", 'h': "hint"}, Doubt: c.OnDoubt, Hint: hint,
		Hear: func(l fanout.Line) error {
			project, rest, _ := strings.Cut(l.Text, " ")
			version, body, _ := strings.Cut(rest, " ")
			id, errProject := strconv.Atoi(project)
			e := event{Epoch: l.Epoch, Project: int32(id)}
			var errVersion error
			e.Version, errVersion = strconv.ParseInt(version, 10, 64)
			if body != "" {
				e.Body = []byte(body)
			}
			err := errors.Join(errProject, errVersion)
			if err == nil {
				c.OnEvent(e)
			}
			return err
		},
	}
}

// publish tells the others of an event of the history that the replica writes to.
func (r *replica) publish(project int32, version int64, body []byte) {
	r.Publish(fanout.Line{
		Letter: 'e', Text: strconv.Itoa(int(project)) + " " + strconv.FormatInt(version, 10) + " " + string(body),
		Epoch: r.Epoch(), Project: project, Version: version,
	})
}

// Epoch returns the history that the replica writes to.
func (r *replica) Epoch() postgres.Epoch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch
}

// start runs a wire until the test ends, and returns when it listens. change may be nil.
func start(t testing.TB, url, name string, change func(*replica, *config)) *replica {
	t.Helper()
	r := &replica{name: name, metrics: prometheus.NewRegistry()}
	cfg := config{
		Config: fanout.Config{URL: url, Replica: name, Metrics: r.metrics, Log: slog.New(slog.NewTextHandler(t.Output(), nil))},
		OnEvent: func(e event) {
			r.note(func() { r.events = append(r.events, e) })
		},
		OnDoubt: func(reason string) {
			r.note(func() {
				r.doubts = append(r.doubts, reason)
				if reason == fanout.Listening {
					r.epoch = r.HeardEpoch()
				}
			})
		},
	}
	if change != nil {
		change(r, &cfg)
	}
	r.Wire = fanout.New(cfg.Config)
	r.Handle(cfg.topic())
	for _, topic := range cfg.Topics {
		r.Handle(topic)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("replica %s: Run = %v, want nil after a normal stop", name, err)
			}
		case <-time.After(pgtest.Patience):
			t.Errorf("replica %s does not stop", name)
		}
	})
	t.Cleanup(r.stop)
	select {
	case <-r.Ready():
	case <-time.After(pgtest.Patience):
		t.Fatalf("replica %s is not ready", name)
	}
	return r
}

func (r *replica) note(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	r.Stepped().Say()
}

// wait returns when what holds, which is asked at each event, doubt and step of the wire, under r's mutex.
func (r *replica) wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	r.Stepped().Await(t, what+" on replica "+r.name, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return holds()
	})
}

// waitEvent returns the first event of project at version or later.
func (r *replica) waitEvent(t testing.TB, project int32, version int64) (found event) {
	t.Helper()
	r.wait(t, fmt.Sprintf("version %d of project %d", version, project), func() bool {
		i := slices.IndexFunc(r.events, func(e event) bool { return e.Project == project && e.Version >= version })
		if i >= 0 {
			found = r.events[i]
		}
		return i >= 0
	})
	return found
}

// waitDoubts returns when there were as many doubts of this reason.
func (r *replica) waitDoubts(t testing.TB, reason string, many int) {
	t.Helper()
	r.wait(t, fmt.Sprintf("%d doubts %q", many, reason), func() bool { return r.count(reason) >= many })
}

// count is called under the mutex.
func (r *replica) count(reason string) (n int) {
	for _, d := range r.doubts {
		if d == reason {
			n++
		}
	}
	return n
}

func (r *replica) doubted(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count(reason)
}

// metric returns the value of a metric, summed over its labels that contain each of want; of a histogram, its count.
func (r *replica) metric(t testing.TB, name string, want ...string) (sum float64) {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "layercake_fanout_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(m.String(), w) }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// waitMetric returns when a metric is at least least.
func (r *replica) waitMetric(t testing.TB, least float64, name string, want ...string) {
	t.Helper()
	r.wait(t, fmt.Sprintf("%s %v to be at least %v", name, want, least), func() bool { return r.metric(t, name, want...) >= least })
}

// kill ends the backend of one of a replica's sessions.
func kill(t testing.TB, conn *pgx.Conn, replica, role string) {
	t.Helper()
	pgtest.Exec(t, conn, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = $1`, "layercake/"+replica+"/"+role)
}

func TestLinesReachEveryReplicaInTheOrderOfTheirSender(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	const replicas, lines = 4, 1000
	var all []*replica
	for i := range replicas {
		all = append(all, start(t, url, fmt.Sprintf("r%d", i), nil))
	}
	var publishing sync.WaitGroup
	for i, r := range all {
		publishing.Go(func() {
			for v := range int64(lines) {
				r.publish(int32(i+1), v+1, fmt.Appendf(nil, `{"by":"%s","version":%d}`, r.name, v+1))
			}
		})
	}
	publishing.Wait()
	for _, r := range all {
		r.wait(t, "all lines of others", func() bool { return len(r.events) >= (replicas-1)*lines })
		next := make(map[int32]int64)
		for _, e := range r.events {
			next[e.Project]++
			want := fmt.Sprintf(`{"by":"r%d","version":%d}`, e.Project-1, e.Version)
			if e.Version != next[e.Project] || string(e.Body) != want || e.Epoch != r.Epoch() {
				t.Fatalf("replica %s heard %d of project %d as %q in epoch %s, want version %d with %q in %s",
					r.name, e.Version, e.Project, e.Body, e.Epoch, next[e.Project], want, r.Epoch())
			}
		}
		if len(next) != replicas-1 {
			t.Errorf("replica %s heard of %d replicas, want all but itself", r.name, len(next))
		}
		if !slices.Equal(r.doubts, []string{"listening"}) {
			t.Errorf("replica %s doubts %q, want only that it listens", r.name, r.doubts)
		}
		if !r.Listening() || r.metric(t, "listener_up") != 1 {
			t.Errorf("replica %s does not say that it listens", r.name)
		}
		r.waitMetric(t, 1, "heartbeat_seconds")
	}
}

func TestLinesThatDoNotFitIntoAPayloadBecomeHints(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := start(t, url, "a", nil), start(t, url, "b", nil)
	bodies := []struct {
		name, body string
		hint       bool
	}{
		{"small", `{}`, false},
		{"blanks and quotes", `{"a b": "c  d '$1' \\ é"}`, false},
		{"as long as may be", strings.Repeat("x", 5700-len("7 1 ")), false},
		{"too long", strings.Repeat("x", 5700-len("7 1 ")+1), true},
		{"two lines", "{\n}", true},
		{"not text", "\xff", true},
		{"NUL", "\x00", true},
		{"none", "", true},
	}
	for i, b := range bodies {
		a.publish(7, int64(i+1), []byte(b.body))
	}
	for i, want := range bodies {
		e := b.waitEvent(t, 7, int64(i+1))
		if e.Version != int64(i+1) || (e.Body == nil) != want.hint || !want.hint && string(e.Body) != want.body {
			t.Errorf("%s: heard version %d with %q, want %d, hint: %t", want.name, e.Version, e.Body, i+1, want.hint)
		}
	}
	if n := a.metric(t, "publisher_errors_total"); n != 0 {
		t.Errorf("%v errors", n)
	}
}
