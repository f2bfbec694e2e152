package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/task"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) {
	if servertest.IsProcess() {
		os.Exit(servertest.RunProcess())
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}

// ask sends a document. What it waits for so long never comes: no request takes more than a few seconds.
func ask(t *testing.T, url, query string) *client.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	c := client.New(url)
	defer c.Close()
	answer, err := c.Ask(ctx, client.Request{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// get returns the status of a path.
func get(t *testing.T, url string, header ...string) int {
	t.Helper()
	return fetch(t, url, header...).Status
}

// fetch returns the answer of a path.
func fetch(t *testing.T, url string, header ...string) *client.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if request.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			request.Host = header[i+1]
		}
	}
	c := client.New(url)
	defer c.Close()
	answer, err := c.Send(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func newProject(t *testing.T, url string) {
	t.Helper()
	if a := ask(t, url, `mutation { createProject(input: {name: "Test"}) { id } }`); a.Code() != "" {
		t.Fatalf("create a project: %+v", a.Errors)
	}
}

func addNode(n int) string {
	return fmt.Sprintf(`mutation { addPlanDagNode(projectId: 1, opId: "add-%d", node: {id: "n%d", nodeType: GraphNode,
		position: {x: 0, y: 0}, metadata: {label: ""}, config: "{}"}) { id } }`, n, n)
}

type place struct{ Version, Cursor string }

// head returns where the plan of project 1 is.
func head(t *testing.T, url string) place {
	t.Helper()
	var data struct{ GetPlanDag place }
	if err := json.Unmarshal(ask(t, url, `{ getPlanDag(projectId: 1) { version cursor } }`).Data, &data); err != nil {
		t.Fatal(err)
	}
	return data.GetPlanDag
}

// until asks again until done, as long as a test is patient.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(pgtest.Patience); !done(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// A database that is away makes requests fail clearly and soon; when it is back, everything goes on by itself, and subscribers of
// every replica get what is changed then, in order.
func TestDatabaseGoesAndComesBack(t *testing.T) {
	t.Parallel()
	database := pgtest.Server(t)
	replicas := servertest.Start(t, 2, func(c *server.Config) { c.DatabaseURL = database.URL })
	here, there := replicas[0].URL, replicas[1].URL
	newProject(t, here)

	ctx, stop := context.WithTimeout(t.Context(), 2*pgtest.Patience)
	defer stop()
	var watching errgroup.Group
	versions := make(chan int, 10)
	cursor := head(t, here).Cursor
	watching.Go(func() error {
		return client.New(there).Watch(ctx, 1, cursor, func(event json.RawMessage) error {
			var e struct{ Version int }
			err := json.Unmarshal(event, &e)
			versions <- e.Version
			return err
		}, func(error) {})
	})
	ask(t, here, addNode(1))
	if v := <-versions; v != 1 {
		t.Fatalf("the first version is %d, want 1", v)
	}
	until(t, "/health with a database", func() bool { return get(t, here+"/health") == http.StatusOK })

	database.Stop()
	for _, url := range []string{here, there} {
		start := time.Now()
		a := ask(t, url, addNode(2))
		if a.Code() != "UNAVAILABLE" || a.Errors[0].RetryAfter() == 0 {
			t.Errorf("a change without a database: %+v, want UNAVAILABLE", a)
		}
		t.Logf("UNAVAILABLE after %v", time.Since(start)) // the promise is 5 s; what never answers ends with the client's patience
		if strings.Contains(fmt.Sprint(a.Errors), "connect") {
			t.Errorf("internal text left the server: %+v", a.Errors)
		}
		if status := get(t, url+"/health"); status != http.StatusServiceUnavailable {
			t.Errorf("/health without a database = %d, want 503", status)
		}
		if status := get(t, url+"/health/live"); status != http.StatusOK {
			t.Errorf("/health/live without a database = %d, want 200", status)
		}
	}
	database.Start()
	until(t, "both replicas to recover", func() bool {
		return ask(t, here, addNode(2)).Code() == "" && ask(t, there, addNode(2)).Code() == "" &&
			get(t, here+"/health") == http.StatusOK && get(t, there+"/health") == http.StatusOK
	})
	if a := ask(t, there, addNode(3)); a.Code() != "" {
		t.Fatalf("a change after the restart: %+v", a.Errors)
	}
	for want, end := 2, head(t, here).Version; ; want++ {
		select {
		case v := <-versions:
			if v != want {
				t.Fatalf("version %d came, want %d", v, want)
			}
		case <-time.After(pgtest.Patience):
			t.Fatalf("version %d of %s did not come", want, end)
		}
		if fmt.Sprint(want) == end {
			break
		}
	}
	stop()
	if err := watching.Wait(); err != nil {
		t.Error(err)
	}
}

// When the network to the database is lost without a word, nobody is told: what is asked meanwhile must not wait for the system to
// notice, which takes a quarter of an hour.
func TestSilentDatabaseIsUnavailableInTime(t *testing.T) {
	t.Parallel()
	for name, question := range map[string]string{
		"a list": `{ projects { id } }`, "a plan": `{ getPlanDag(projectId: 1) { version } }`, "a part of a list": `{ projects { plan { id } } }`,
		"a project": `mutation { updateProject(id: 1, input: {name: "Renamed"}) { id } }`, "a change": addNode(1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			proxy, through := pgtest.Proxy(t, database)
			url := servertest.StartOn(t, database, 1, func(c *server.Config) {
				c.DatabaseURL = through
				c.Database, c.Changes, c.Patience = postgres.DefaultTiming, plan.DefaultTiming, 0
			})[0].URL
			newProject(t, url)
			if a := ask(t, url, question); a.Code() != "" {
				t.Fatalf("%+v", a.Errors)
			}
			if proxy.Silence(func(application string) bool { return strings.HasSuffix(application, "/requests") }) == 0 {
				t.Fatal("no connection was silenced")
			}
			start := time.Now()
			if a := ask(t, url, question); a.Code() != "UNAVAILABLE" || a.Errors[0].RetryAfter() == 0 {
				t.Errorf("%+v, want UNAVAILABLE", a)
			}
			t.Logf("UNAVAILABLE after %v", time.Since(start)) // what never answers ends with the client's patience, as a failure
			// Other connections that were idle may be silent, too.
			until(t, "an answer over a new connection", func() bool { return ask(t, url, question).Code() == "" })
		})
	}
}

func TestWrongSettingsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := server.Config{
		HTTPAddr: "nonsense", AdminAddr: "also nonsense", AllowedOrigins: []string{"example.com"}, PoolMin: -1, Drain: -1, Loss: 2,
		TrustedProxies: []string{"10.0.0.1"}, Hosts: []string{"http://plans.example"}, MaxSockets: -1, AllowedHeaders: []string{"*"},
	}.Check()
	if err == nil {
		t.Fatal("no error")
	}
	for _, setting := range []string{
		"DATABASE_URL", "HTTP_ADDR", "ADMIN_ADDR", "ALLOWED_ORIGINS", "POOL_MAX", "POOL_MIN", "REPLICAS", "WRITE_SLOTS", "DRAIN",
		"EVENT_RETENTION", "CLEAN_UP", "FAULT_LOSS", "TRUSTED_PROXIES", "ALLOWED_HEADERS", "SOCKETS_PER_ADDRESS", "HOSTS",
	} {
		if !strings.Contains(err.Error(), "LAYERCAKE_"+setting+" is ") {
			t.Errorf("%s is not reported:\n%v", setting, err)
		}
	}
}

// Whoever stops a replica that waits for the database gets no error, which a supervisor would take for a crash.
func TestStopBeforeItIsReady(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{"while it migrates": "goose_db_version", "while it asks who lives": "replicas"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			conn := pgtest.Connect(t, database)
			pgtest.Exec(t, conn, "BEGIN")
			pgtest.Exec(t, conn, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
			s := server.New(server.Config{
				DatabaseURL: database, HTTPAddr: "127.0.0.1:0", Open: true, Migrate: true, PoolMax: 5, Replicas: 8, WriteSlots: 1,
				EventRetention: time.Hour, CleanUp: time.Minute, BuildMemory: 64 << 20, BuildTimeout: time.Minute,
				Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			running := task.Go(t.Context(), s.Run)
			pgtest.AwaitCount(t, conn, 1, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass`, table)
			if err := running.Stop(); err != nil {
				t.Error(err)
			}
			select {
			case <-s.Ready():
				t.Error("it was ready")
			default:
			}
		})
	}
}

// An operator may ask for a profile of many minutes, which is no reason to stop late, or with an error.
func TestStopDoesNotWaitForAProfile(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, func(c *server.Config) { c.AdminAddr = "127.0.0.1:0" })[0]
	asked := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(asked) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, replica.Admin+"/debug/pprof/goroutine?seconds=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	profile := task.Go(ctx, func(context.Context) error {
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	})
	<-asked
	replica.Stop(t)
	if profile.Wait() == nil {
		t.Error("the profile was answered")
	}
}

// Stopping tells the balancer first and lets subscribers come back elsewhere; nothing that was answered is lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	here := servertest.StartOn(t, database, 1, func(c *server.Config) { c.Drain = 20 * time.Second })[0] // a fifth of it for us to notice
	there := servertest.StartOn(t, database, 1, nil)[0]
	newProject(t, here.URL)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		here.Stop(t)
	}()
	until(t, "the balancer to be told", func() bool { return get(t, here.URL+"/health/ready") == http.StatusServiceUnavailable })
	if a := ask(t, here.URL, addNode(1)); a.Code() != "" {
		t.Errorf("a change while draining: %+v", a.Errors)
	}
	<-ended
	if a := ask(t, there.URL, `{ getPlanDag(projectId: 1) { nodes { id } } }`); !strings.Contains(string(a.Data), "n1") {
		t.Errorf("what a draining replica answered is lost: %s", a.Data)
	}
}
