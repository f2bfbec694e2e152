package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/child"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// deployment is three replicas behind haproxy with the configuration that docker-compose.yml uses.
type deployment struct {
	url      string // of haproxy
	t        testing.TB
	database string
	tell     func(*server.Config) // what each replica is told
	replicas []*servertest.Replica
	log      *haproxyLog
}

// deploy runs a deployment until the test ends. Each replica is told what it is to be other than in other tests.
func deploy(t testing.TB, tell func(*server.Config)) *deployment {
	t.Helper()
	d := &deployment{t: t, database: pgtest.New(t), tell: tell}
	var addresses []string
	for i := range 3 {
		d.replicas = append(d.replicas, servertest.StartOn(t, d.database, 1, d.configure(servertest.Address(t)))[0])
		addresses = append(addresses, d.address(i))
	}
	d.url, d.log = balance(t, addresses)
	return d
}

// balance runs haproxy in front of three servers until the test ends. Without haproxy the test is skipped, or fails where CI is set.
func balance(t testing.TB, addresses []string) (url string, log *haproxyLog) {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/haproxy")
	}
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal("haproxy is not installed")
	case err != nil:
		t.Skip("haproxy is not installed")
	}
	// The system chooses the port, and haproxy takes the listening socket over.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log = newHaproxyLog(t)
	cmd := exec.Command(program, "-db", "-f", "haproxy.cfg")
	cmd.Env = append(os.Environ(), "BIND=fd@3")
	for i, address := range addresses {
		cmd.Env = append(cmd.Env, "REPLICA"+strconv.Itoa(i+1)+"="+address)
	}
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = log
	ended := make(chan struct{})
	if err := child.Start(cmd, syscall.SIGKILL, func(error) { close(ended) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return "http://" + listener.Addr().String(), log
}

func (d *deployment) address(i int) string { return strings.TrimPrefix(d.replicas[i].URL, "http://") }

func (d *deployment) configure(address string) func(*server.Config) {
	return func(c *server.Config) {
		d.tell(c)
		c.HTTPAddr = address
	}
}

// drains lets each replica take some time to drain.
func drains(drain time.Duration) func(*server.Config) {
	return func(c *server.Config) { c.Drain = drain }
}

// stop drains a replica, with haproxy noticing.
func (d *deployment) stop(i int) {
	d.t.Helper()
	mark := d.log.mark()
	d.replicas[i].Stop(d.t)
	d.log.wait(mark, "Server sockets/replica"+strconv.Itoa(i+1)+" is DOWN")
}

// start starts a stopped replica at its former address, and returns when haproxy sends clients to it.
func (d *deployment) start(i int) {
	d.t.Helper()
	mark := d.log.mark()
	d.replicas[i] = servertest.StartOn(d.t, d.database, 1, d.configure(d.address(i)))[0]
	d.log.wait(mark, "Server sockets/replica"+strconv.Itoa(i+1)+" is UP")
}

// haproxyLog keeps what haproxy writes.
type haproxyLog struct {
	t     testing.TB
	mu    sync.Mutex
	text  []byte
	grown chan struct{} // is closed and replaced when text grows
}

func newHaproxyLog(t testing.TB) *haproxyLog { return &haproxyLog{t: t, grown: make(chan struct{})} }

func (l *haproxyLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	close(l.grown)
	l.grown = make(chan struct{})
	return l.t.Output().Write(b)
}

// mark is the end of the log now.
func (l *haproxyLog) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.text)
}

// wait waits until the log holds words behind a mark.
func (l *haproxyLog) wait(mark int, words string) {
	l.t.Helper()
	deadline := time.After(pgtest.Patience)
	for {
		l.mu.Lock()
		text, grown := l.text[mark:], l.grown
		l.mu.Unlock()
		if bytes.Contains(text, []byte(words)) {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			l.t.Fatalf("haproxy did not write %q", words)
		}
	}
}

// get returns the answer to a request.
func get(t *testing.T, request *http.Request) *client.Answer {
	t.Helper()
	c := client.New(request.URL.String())
	defer c.Close()
	answer, err := c.Send(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestHaproxyAnswersForReplicas(t *testing.T) {
	t.Parallel()
	d := deploy(t, drains(100*time.Millisecond))
	request := func(host string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/graphql", strings.NewReader(`{"query":"{ __typename }"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if host != "" {
			r.Host = host
		}
		return r
	}
	if a := get(t, request("")); a.Status != http.StatusOK || string(a.Text) != `{"data":{"__typename":"Query"}}` {
		t.Errorf("query: %d %s", a.Status, a.Text)
	}
	if a := get(t, request("localhost:3000")); a.Status != http.StatusOK {
		t.Errorf("query to localhost: %d %s", a.Status, a.Text)
	}
	if a := get(t, request("layercake.example:3000")); a.Status != http.StatusMisdirectedRequest {
		t.Errorf("query to a foreign name: %d %s, want 421", a.Status, a.Text)
	}

	for i := range d.replicas {
		d.stop(i)
	}
	a := get(t, request(""))
	if len(a.Errors) != 1 {
		t.Fatalf("without replicas: %d %s", a.Status, a.Text)
	}
	if e := a.Errors[0]; a.Status != http.StatusServiceUnavailable || e.Code() != "UNAVAILABLE" || e.RetryAfter() == 0 ||
		a.Header.Get("Retry-After") != "1" {
		t.Errorf("without replicas: %d %v %s", a.Status, a.Header, a.Text)
	}
	r := request("")
	r.URL.Path = "/mcp"
	if a := get(t, r); a.Status != http.StatusServiceUnavailable || !strings.HasPrefix(string(a.Text), `{"jsonrpc":"2.0","id":null,"error":{`) ||
		!json.Valid(a.Text) || a.Header.Get("Retry-After") != "1" {
		t.Errorf("agents without replicas: %d %v %s", a.Status, a.Header, a.Text)
	}
}

// nextBuild returns a way to a database for replicas of a build that follows this one: they speak on channels that this one does not listen
// to, and hear each other only. It also returns how often they named such a channel, and how often something came of one.
func nextBuild(t *testing.T, database string) (url string, spoke, heard *atomic.Int64) {
	t.Helper()
	proxy, url := pgtest.Proxy(t, database)
	spoke, heard = new(atomic.Int64), new(atomic.Int64)
	rewrite := func(from, to string, count *atomic.Int64) func([]byte) []byte { // the names are of equal length
		return func(b []byte) []byte {
			count.Add(int64(bytes.Count(b, []byte(from))))
			return bytes.ReplaceAll(b, []byte(from), []byte(to))
		}
	}
	const ours, theirs = "layercake_sealed", "layercake_future"
	proxy.Rewrite(rewrite(ours, theirs, spoke), rewrite(theirs, ours, heard))
	return url, spoke, heard
}

// Replicas count sockets by what haproxy says of a client, so a client must not be able to say it.
func TestClientsDoNotChooseTheirAddress(t *testing.T) {
	t.Parallel()
	replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q", r.Header.Values("X-Forwarded-For"))
	}))
	t.Cleanup(replica.Close)
	address := replica.Listener.Addr().String()
	url, _ := balance(t, []string{address, address, address})
	for _, path := range []string{"/graphql", "/graphql/ws", "/mcp"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["X-Forwarded-For"] = []string{"198.51.100.7", "203.0.113.9, 192.0.2.1"}
		if a := get(t, r); string(a.Text) != `["127.0.0.1"]` {
			t.Errorf("%s is forwarded for %s", path, a.Text)
		}
	}
}

// Calls of an agent go from replica to replica: nothing is to hold only because each happened to come back to the same.
func TestAgentsGoRound(t *testing.T) {
	t.Parallel()
	var addresses []string
	for i := range 3 {
		replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, i) }))
		t.Cleanup(replica.Close)
		addresses = append(addresses, replica.Listener.Addr().String())
	}
	url, _ := balance(t, addresses)
	var came []string
	for _, path := range []string{"/mcp", "/mcp?read_only=true", "/mcp/sse?session=1"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		came = append(came, string(get(t, r).Text))
	}
	if slices.Sort(came); !slices.Equal(came, []string{"0", "1", "2"}) {
		t.Errorf("the requests came to %q, want each to another replica", came)
	}
}

// A call may wait for longer than haproxy waits for a replica that says nothing.
func TestAgentsWaitForLong(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(*server.Config) {})
	call := func(tool, arguments string) string {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		return string(get(t, r).Text)
	}
	if made := call("create_project", `{"name":"Quiet"}`); !strings.Contains(made, `"id":1,`) {
		t.Fatalf("create_project: %s", made)
	}
	waited := call("list_changes", `{"project_id":1,"wait_seconds":50}`)
	if !strings.Contains(waited, `"structuredContent":{"changes":[]`) || !strings.Contains(waited, "\n:\n") {
		t.Errorf("list_changes: %s, want comments and no changes", waited)
	}
}

// Everybody goes through haproxy while each replica is replaced by one of another build, one after the other.
func TestNothingIsLostInARollingRestart(t *testing.T) {
	t.Parallel()
	// A fifth of it must be longer than the half second between two checks.
	d := deploy(t, drains(4*time.Second))
	var spoke, heard *atomic.Int64
	d.database, spoke, heard = nextBuild(t, d.database)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := make(chan struct{})
	type outcome struct {
		result bench.Result
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		r, err := bench.Storm(ctx, bench.Config{
			URLs: []string{d.url}, Mutators: 8, Duration: 5 * time.Minute, Rate: 100, Projects: 2,
			Subscribers: 10, Deltas: 4, Nappers: 4, Seed: 1, Settle: 2 * pgtest.Patience,
			Progress: &once{f: func() { close(began) }},
		})
		ended <- outcome{r, err}
	}()
	select {
	case <-began:
	case o := <-ended:
		t.Fatal(o.err)
	}
	for i := range d.replicas {
		d.stop(i)
		d.start(i)
	}
	cancel()
	o := <-ended
	if o.err != nil {
		t.Fatal(o.err)
	}
	r := o.result
	var table bytes.Buffer
	if err := r.Write(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
	if !r.OK() || r.Unresolved > 0 {
		t.Errorf("%d unresolved; not every subscriber got every change: %q", r.Unresolved, r.Complaints)
	}
	if spoke.Load() == 0 || heard.Load() == 0 {
		t.Errorf("%d channels of the next build were named, %d times something came: the builds were the same", spoke.Load(), heard.Load())
	}
	// Every socket was at some replica, and each of them was replaced. Nappers come and go anyway.
	if r.Reconnects < int64(r.Subscribers) {
		t.Errorf("%d reconnects of %d subscribers", r.Reconnects, r.Subscribers)
	}
}

// once calls a function at the first write.
type once struct {
	sync.Once
	f func()
}

func (o *once) Write(b []byte) (int, error) {
	o.Do(o.f)
	return len(b), nil
}
