package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"layercake/graph"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/client"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/socket"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// deadline is for anything that a test waits for.
const deadline = time.Minute

// site is a handler behind a real HTTP server.
type site struct {
	*graph.Handler
	*socket.Registry
	url     string
	client  *client.Client
	metrics *prometheus.Registry
	log     *logBuffer
	plans   *plan.Service
}

// setting is what a test may change of a site.
type setting struct {
	graph.Options

	callers caller.Config
}

// offline serves a handler without a core: what needs one panics. Requests wait as long as tests do: what a
// busy machine is late with is answered all the same.
func offline(t testing.TB, changes ...func(*setting)) *site {
	t.Helper()
	s := &site{metrics: prometheus.NewRegistry(), log: &logBuffer{}}
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	s.Registry = socket.New(socket.Options{Log: log, Metrics: s.metrics})
	o := setting{
		Options: graph.Options{
			Sockets: s.Registry, Log: log, Metrics: s.metrics, Budget: budget.New(budget.Config{Patience: deadline}), Patience: deadline,
			Pace: graph.Pace{BodyBytes: 1, BodyTime: deadline, AnswerBytes: graph.DefaultPace.AnswerBytes, AnswerTime: deadline},
		},
		callers: caller.Config{Open: true},
	}
	for _, change := range changes {
		change(&o)
	}
	s.Handler, s.plans = graph.New(o.Options), o.Plans
	mux := http.NewServeMux()
	mux.Handle("/graphql", s.HTTP())
	mux.Handle("/graphql/ws", s.WebSocket())
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) { s.Drain(r.Context(), 0) })
	server := httptest.NewServer(caller.Middleware(o.callers)(mux))
	s.url, s.client = server.URL, client.New(server.URL)
	clocks, stop := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return s.Run(clocks) })
	t.Cleanup(func() {
		stop()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
		s.client.Close()
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		s.Drain(ctx, 0)
		if ctx.Err() != nil {
			t.Error("sockets did not end")
		}
	})
	return s
}

// hurry makes the clocks of sockets fast enough for tests.
func hurry(init, ping, silence, write time.Duration) func(*setting) {
	return func(o *setting) {
		o.InitTimeout, o.Timing = init, socket.Timing{Ping: ping, Silence: silence, Write: write}
	}
}

// online serves a handler of a replica with a database of its own.
func online(t testing.TB, changes ...func(*setting)) *site {
	t.Helper()
	url := pgtest.New(t)
	return onlineAt(t, url, url, changes...)
}

// onlineAt serves a handler of a replica whose requests take one way to a database, and whose own work takes another.
func onlineAt(t testing.TB, url, direct string, changes ...func(*setting)) *site {
	t.Helper()
	core := servertest.StartCoreOn(t, url, func(c *server.Config) { c.ListenURL = direct })
	return offline(t, append(changes, of(core))...)
}

// of gives a handler the services of a core.
func of(core *servertest.Core) func(*setting) {
	return func(o *setting) {
		o.Rights, o.Plans, o.Proposals, o.Projects, o.Presence = core.Rights, core.Plans, core.Proposals, core.Projects, core.Presence
		o.Sources, o.Graphs, o.Builds = core.Sources, core.Graphs, core.Builds
		o.Accounts, o.Collaborators, o.Look, o.Keeper = core.Accounts, core.Collaborators, core.Accounts.Look, core.Keeper
	}
}

type vars map[string]any

// ask sends a document by POST and reads the answer.
func (s *site) ask(t testing.TB, document string, variables vars) *client.Answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	return s.post(t, bytes.NewReader(body), nil)
}

func (s *site) post(t testing.TB, body io.Reader, header http.Header) *client.Answer {
	t.Helper()
	answer, err := s.client.Post(t.Context(), body, header)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// do sends a request that is no ordinary one.
func (s *site) do(t testing.TB, r *http.Request) *client.Answer {
	t.Helper()
	answer, err := s.client.Send(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// must asks for what has to succeed, and decodes the data.
func (s *site) must(t testing.TB, into any, document string, variables vars) {
	t.Helper()
	r := s.ask(t, document, variables)
	if len(r.Errors) > 0 || r.Status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", document, r.Status, r.Text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(r.Data, into); err != nil {
		t.Fatal(err)
	}
}

// newProject makes a project and returns its id.
func (s *site) newProject(t testing.TB) int {
	t.Helper()
	id, err := s.client.CreateProject(t.Context(), "Test")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// logBuffer holds what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
