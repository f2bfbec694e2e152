package mcpserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
)

// events is a stream of events that a test reads.
type events struct {
	status int
	header http.Header
	cancel context.CancelFunc
	lines  chan string // data of events; closed at the end
}

// listenTo opens a stream. It ends with the test, or when the test closes it.
func listenTo(t *testing.T, method, url, body string, headers ...string) *events {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{}
	response, err := transport.RoundTrip(request) //nolint:bodyclose // the goroutine below does
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	e := &events{response.StatusCode, response.Header, cancel, make(chan string, 1000)}
	go func() {
		defer close(e.lines)
		defer response.Body.Close()
		in := bufio.NewScanner(response.Body)
		in.Buffer(nil, 8<<20)
		for in.Scan() {
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				e.lines <- data
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range e.lines { // what is left
		}
		transport.CloseIdleConnections()
	})
	return e
}

// rpc is a message of JSON-RPC.
type rpc struct {
	ID     json.RawMessage
	Method string
	Params struct {
		URI           string
		Meta          map[string]any `json:"_meta"`
		Notifications struct {
			Resources []string `json:"resourceSubscriptions"`
		}
	}
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

// next returns the next message, and fails the test when there is none.
func (e *events) next(t *testing.T) rpc {
	t.Helper()
	m, ok := e.read(t)
	if !ok {
		t.Fatal("the stream has ended")
	}
	return m
}

// read returns the next message. It reports false when the stream has ended.
func (e *events) read(t *testing.T) (m rpc, ok bool) {
	t.Helper()
	select {
	case text, ok := <-e.lines:
		if !ok {
			return rpc{}, false
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return m, true
	case <-time.After(pgtest.Patience):
		t.Fatal("nothing came")
	}
	return rpc{}, false
}

// ask sends a document of GraphQL, as a browser would.
func ask(t *testing.T, url, document string) {
	t.Helper()
	c := client.New(url)
	defer c.Close()
	answer, err := c.Ask(t.Context(), client.Request{Query: document})
	if err != nil || answer.Code() != "" {
		t.Fatalf("%s: %v %s", document, err, answer.Text)
	}
}

const newProject = `mutation { createProject(input: {name: "P"}) { id } }`

func addNode(id string) string {
	return `mutation { addPlanDagNode(projectId: 1, node: {id: "` + id + `", nodeType: GraphNode, position: {x: 1, y: 2},
		metadata: {label: "` + id + `"}, config: "{}"}) { id } }`
}

// eventually asks again until done, as long as a test is patient.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(pgtest.Patience); !done(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited too long for %s", what)
		}
	}
}
