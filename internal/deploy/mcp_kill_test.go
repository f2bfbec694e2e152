package deploy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"golang.org/x/sync/errgroup"
)

// Agents edit, follow and listen while one replica after the other is killed in the middle of their calls. They say again what was not
// answered, under the same operation id, and so each operation happens once; whoever follows by a cursor is told of each once, in order.
func TestEditsOfAgentsHappenOnceWhoeverDies(t *testing.T) {
	t.Parallel()
	const (
		operations, rounds = 1000, 10
		editors            = 9
		beforeKill         = 30 // answers in a round before somebody dies
	)
	database := pgtest.New(t)
	addresses, replicas := make([]string, 3), make([]*servertest.Process, 3)
	for i := range replicas {
		addresses[i] = servertest.Address(t)
		replicas[i] = servertest.StartProcess(t, database, servertest.Told{HTTPAddr: addresses[i]}.Variable())
	}
	url, _ := balance(t, addresses)
	owner := goClient(t, url+"/mcp", "2026-07-28", nil)
	owner.call(t, "create_project", `{"name":"Tea"}`)
	start, _ := owner.call(t, "list_changes", `{"project_id":1}`)["cursor"].(string)

	limited, cancel := context.WithTimeout(t.Context(), 3*pgtest.Patience)
	working, ctx := errgroup.WithContext(limited)
	tickets, answered := make(chan int, operations), make(chan struct{}, operations)
	noMore := sync.OnceFunc(func() { close(tickets) })
	defer func() { cancel(); noMore(); _ = working.Wait() }() // when the test fails early; the error is looked at below
	for i := range editors {
		w := newWorker(t, url, i, fmt.Sprint("editor ", i))
		working.Go(func() error {
			for n := range tickets {
				if err := edit(ctx, w, n); err != nil {
					return err
				}
				answered <- struct{}{}
			}
			return nil
		})
	}
	var readers []*reader
	for i := range client.Eras {
		follower := &reader{worker: newWorker(t, url, i, fmt.Sprint("follower ", i)), cursor: start, all: operations}
		working.Go(func() error { return follower.follow(ctx) })
		readers = append(readers, follower)
	}
	ready := make(chan struct{}, 3)
	var listeners []*listener
	for kind, open := range []func(*listener, context.Context) error{(*listener).listen, (*listener).hearSession, (*listener).hearSSE} {
		l := &listener{
			reader: reader{worker: newWorker(t, url, 0, fmt.Sprint("listener ", kind)), cursor: start, all: operations},
			ready:  sync.OnceFunc(func() { ready <- struct{}{} }), connections: &http.Transport{},
		}
		t.Cleanup(l.connections.CloseIdleConnections)
		working.Go(func() error { return l.run(ctx, open) })
		listeners, readers = append(listeners, l), append(readers, &l.reader)
	}
	await := func(what string, from <-chan struct{}, n int) {
		t.Helper()
		for range n {
			select {
			case <-from:
			case <-ctx.Done():
				t.Fatalf("waiting for %s: %v", what, context.Cause(ctx))
			}
		}
	}
	await("listeners", ready, len(listeners))
	for round := range rounds {
		for n := range operations / rounds {
			tickets <- round*operations/rounds + n
		}
		await("answers", answered, beforeKill)
		replicas[round%3].Kill()
		replicas[round%3] = servertest.StartProcess(t, database, servertest.Told{HTTPAddr: addresses[round%3]}.Variable())
		await("answers", answered, operations/rounds-beforeKill)
	}
	noMore()
	if err := working.Wait(); err != nil {
		t.Error(err)
	}
	for _, r := range readers {
		if n := r.seen.Load(); n != operations {
			t.Errorf("%s saw %d changes, want %d", r.worker.name, n, operations)
		}
	}
	for _, l := range listeners { // each was at some replica, and each replica was killed
		if n := l.opened.Load(); n < 2 {
			t.Errorf("%s opened %d streams, want another after its replica was killed; they ended so:\n%s", l.worker.name, n, strings.Join(l.ends, "\n"))
		}
	}
	db := pgtest.Connect(t, database)
	for what, query := range map[string]string{
		"versions": "SELECT version FROM heads", "changes": "SELECT count(*) FROM events", "nodes": "SELECT count(*) FROM plan_nodes",
	} {
		if n := pgtest.Count(t, db, query); n != operations {
			t.Errorf("%d %s, want %d", n, what, operations)
		}
	}
}

// edit adds a node. Some answers count as lost, so that it is said again what was done: what comes then is the same.
func edit(ctx context.Context, w *worker, n int) error {
	type result struct {
		Applied bool
		Version int64
	}
	var first, again result
	arguments := map[string]any{
		"project_id": 1, "op_id": fmt.Sprint("operation ", n),
		"operations": []any{map[string]any{"op": "add_node", "node_type": "GraphNode", "x": n, "y": 0}},
	}
	if err := w.call(ctx, "edit_plan", arguments, &first); err != nil {
		return err
	}
	if n%10 != 0 {
		return nil
	}
	if err := w.call(ctx, "edit_plan", arguments, &again); err != nil {
		return err
	}
	if first != again || !first.Applied {
		return fmt.Errorf("operation %d was answered with %+v, and again with %+v", n, first, again)
	}
	return nil
}

const (
	tryTime = 10 * time.Second // for a call to be answered, or an agent to connect
	tryWait = 50 * time.Millisecond
)

// worker is an agent that does what its host would have it do: it connects anew when something breaks, and says the same again. One
// goroutine uses it.
type worker struct {
	*client.Client

	era   client.Era
	name  string
	agent *client.Agent // nil while it is not connected
}

// newWorker returns a worker of one of the eras, in turn.
func newWorker(t *testing.T, url string, era int, name string) *worker {
	t.Helper()
	w := &worker{Client: client.New(url), era: client.Eras[era%len(client.Eras)], name: name}
	t.Cleanup(func() { w.disconnect(); w.Close() })
	return w
}

func (w *worker) disconnect() {
	if w.agent != nil {
		w.agent.Close()
	}
	w.agent = nil
}

// call returns when the tool has succeeded. The error says why it cannot, or that ctx has ended.
func (w *worker) call(ctx context.Context, tool string, arguments map[string]any, into any) error {
	for {
		err := w.try(ctx, tool, arguments, into)
		refused := new(client.Refusal)
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &refused):
			w.disconnect()
		case !refused.Temporary():
			return fmt.Errorf("%s: %s %v: %w", w.name, tool, arguments, err)
		}
		if bench.Wait(ctx, tryWait) != nil {
			return fmt.Errorf("%s: %s %v: %w, at last %w", w.name, tool, arguments, context.Cause(ctx), err)
		}
	}
}

func (w *worker) try(ctx context.Context, tool string, arguments map[string]any, into any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	if w.agent == nil {
		if w.agent, err = w.Agent(ctx, w.name, w.era, nil); err != nil {
			return err
		}
	}
	return w.agent.Call(ctx, tool, arguments, into)
}

// reader follows the changes of a plan by their cursors.
type reader struct {
	worker *worker
	cursor string
	all    int64 // changes to see

	seen       atomic.Int64 // version of the last one
	operations map[string]bool
}

// follow waits for one change after the other until it has seen all.
func (r *reader) follow(ctx context.Context) error {
	for r.seen.Load() < r.all {
		if _, err := r.read(ctx, 5); err != nil {
			return err
		}
	}
	return nil
}

// read reads a page of what follows the cursor, and fails when that is not what comes next.
func (r *reader) read(ctx context.Context, waitSeconds int) (more bool, err error) {
	var page struct {
		Changes []struct {
			Version int64
			OpID    string `json:"op_id"`
		}
		Cursor       string
		More, Missed bool
	}
	arguments := map[string]any{"project_id": 1, "after": r.cursor, "limit": 50, "wait_seconds": waitSeconds}
	if err := r.worker.call(ctx, "list_changes", arguments, &page); err != nil {
		return false, err
	}
	if page.Missed {
		return false, fmt.Errorf("%s missed changes after %d", r.worker.name, r.seen.Load())
	}
	if r.operations == nil {
		r.operations = map[string]bool{}
	}
	for _, c := range page.Changes {
		if c.Version != r.seen.Load()+1 || r.operations[c.OpID] {
			return false, fmt.Errorf("%s was told of %q in version %d after version %d", r.worker.name, c.OpID, c.Version, r.seen.Load())
		}
		r.operations[c.OpID] = true
		r.seen.Store(c.Version)
	}
	r.cursor = page.Cursor
	return page.More, nil
}

// listener is a reader that reads only when its stream says that there is something.
type listener struct {
	reader

	connections *http.Transport

	session string       // id of its session, if it has one
	ready   func()       // is called when a stream is open
	opened  atomic.Int64 // streams that were
	ends    []string     // when and how each ended, and what could not be opened; for people, when run has returned
}

// errSeenAll ends a stream.
var errSeenAll = errors.New("all changes were seen")

// run opens one stream after the other until all changes were seen.
func (l *listener) run(ctx context.Context, open func(*listener, context.Context) error) error {
	for {
		err := open(l, ctx)
		l.ends = append(l.ends, fmt.Sprintf("%s after %d changes: %v", time.Now().Format(time.TimeOnly), l.seen.Load(), err))
		switch {
		case errors.Is(err, errSeenAll):
			return nil
		case errors.Is(err, errWrong):
			return err
		}
		if bench.Wait(ctx, tryWait) != nil {
			return fmt.Errorf("%s: %w", l.worker.name, context.Cause(ctx))
		}
	}
}

// errWrong is what no repetition mends.
var errWrong = errors.New("wrong")

// told reads what there is, because the stream said so.
func (l *listener) told(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = l.read(ctx, 0); err != nil {
			return fmt.Errorf("%w: %w", errWrong, err)
		}
	}
	if l.seen.Load() == l.all {
		return errSeenAll
	}
	return nil
}

const planURI = "layercake://projects/1/plan"

// listen opens a stream of 2026.
func (l *listener) listen(ctx context.Context) error {
	const body = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["` + planURI + `"]},
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"l","version":"1"},
		"io.modelcontextprotocol/clientCapabilities":{}}}}`
	return l.open(ctx, http.MethodPost, "/mcp", body, func(string) error {
		return l.told(ctx) // after the acknowledgement, too: what came before it is not told
	}, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
}

// The messages with which older clients begin.
const (
	helloBody     = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"%s","capabilities":{},"clientInfo":{"name":"l","version":"1"}}}`
	subscribeBody = `{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"` + planURI + `"}}`
)

// hearSession opens the stream of a session, which outlives the replicas that serve it.
func (l *listener) hearSession(ctx context.Context) error {
	if l.session == "" {
		header, err := l.post(ctx, "/mcp", fmt.Sprintf(helloBody, "2025-11-25"))
		if err != nil {
			return err
		}
		l.session = header.Get("Mcp-Session-Id")
		if _, err := l.post(ctx, "/mcp", subscribeBody, "Mcp-Session-Id", l.session); err != nil {
			return err
		}
	}
	return l.open(ctx, http.MethodGet, "/mcp", "", func(string) error { return l.told(ctx) }, "Mcp-Session-Id", l.session)
}

// hearSSE opens a stream of 2024, which is a new session each time.
func (l *listener) hearSSE(ctx context.Context) error {
	return l.open(ctx, http.MethodGet, "/mcp/sse", "", func(message string) error {
		if !strings.HasPrefix(message, "/mcp/sse?") {
			if strings.Contains(message, "resources/updated") {
				return l.told(ctx)
			}
			return nil
		}
		for _, body := range []string{fmt.Sprintf(helloBody, "2024-11-05"), subscribeBody} {
			if _, err := l.post(ctx, message, body); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *listener) post(ctx context.Context, path, body string, headers ...string) (http.Header, error) {
	response, err := l.send(ctx, http.MethodPost, path, body, headers...)
	if err != nil {
		return nil, err
	}
	return response.Header, response.Body.Close()
}

// open opens a stream and hands each message to each, until the stream ends or each fails.
func (l *listener) open(ctx context.Context, method, path, body string, each func(message string) error, headers ...string) error {
	response, err := l.send(ctx, method, path, body, headers...)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	first := true
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		message, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		if err := each(message); err != nil {
			return err
		}
		if first {
			first = false
			l.opened.Add(1)
			l.ready()
		}
	}
	return nil
}

func (l *listener) send(ctx context.Context, method, path, body string, headers ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.worker.URL()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := l.connections.RoundTrip(request)
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		_ = response.Body.Close()
		err = fmt.Errorf("%s %s was answered with %s", method, path, response.Status)
	}
	return response, err
}
