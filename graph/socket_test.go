package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"layercake/graph"
	"layercake/internal/client"
	"layercake/internal/npmtest"

	"github.com/coder/websocket"
)

func TestSocketWithTheClientOfOthers(t *testing.T) {
	t.Parallel()
	s := online(t, hurry(deadline, 30*time.Second, 90*time.Second, 10*time.Second))
	impatient := offline(t, hurry(50*time.Millisecond, deadline, deadline, deadline))
	out := npmtest.Run(t, "graphql-ws.mjs", "URL="+s.url, "IMPATIENT="+impatient.url, "PROJECT="+strconv.Itoa(s.newProject(t)))
	if !strings.HasSuffix(out, "passed\n") {
		t.Errorf("the script said %q", out)
	}
}

// dial opens a socket and initialises it.
func (s *site) dial(t testing.TB, header http.Header) client.GraphQLSocket {
	t.Helper()
	c, err := client.Dialer{Timeout: deadline, Header: header}.GraphQL(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseNow)
	return c
}

func say(t *testing.T, c client.GraphQLSocket, message string) {
	t.Helper()
	if err := c.Send(t.Context(), []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// follow subscribes to a document.
func follow(t testing.TB, c client.GraphQLSocket, id, document string) {
	t.Helper()
	if err := c.Subscribe(t.Context(), id, client.Request{Query: document}); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, c client.GraphQLSocket) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	frame, err := c.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

// value reads a gauge, a counter, or how often a histogram was told something.
func (s *site) value(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "transport" {
					labels += l.GetValue()
				}
			}
			if family.GetName() == name && labels == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("no metric %s{%s}", name, label)
	return 0
}

// until waits until a gauge or a counter has a value.
func (s *site) until(t *testing.T, name, label string, want float64) {
	t.Helper()
	changed := s.Measured()
	if strings.HasPrefix(name, "layercake_sockets_") {
		changed = &s.Changed
	}
	changed.Await(t, fmt.Sprintf("%s{%s} to be %v", name, label, want), func() bool { return s.value(t, name, label) == want })
}

// closes waits until a socket was closed for a reason.
func (s *site) closes(t *testing.T, reason string) {
	t.Helper()
	s.until(t, "layercake_sockets_closed_total", reason, 1)
}

func TestServerPingsAndGivesUpOnSilence(t *testing.T) {
	t.Parallel()
	s := offline(t, hurry(deadline, 20*time.Millisecond, 5*time.Second, deadline))
	c := s.dial(t, nil)
	for range 3 {
		if got := hear(t, c); got != `{"type":"ping"}` {
			t.Fatalf("got %s", got)
		}
		say(t, c, `{"type":"pong"}`)
	}
	if open := s.value(t, "layercake_sockets_open", ""); open != 1 {
		t.Errorf("%v sockets open", open)
	}
	s.closes(t, "silent") // it is read no more
	if open := s.value(t, "layercake_sockets_open", ""); open != 0 {
		t.Errorf("%v sockets open", open)
	}
}

// A client that sends and does not read fills every buffer on the way. It must not keep the server's goroutines.
func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	s := offline(t, hurry(deadline, deadline, deadline, 2*time.Second)) // also for the first frames, which it reads
	c := s.dial(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	flood := []byte(`{"type":"ping","payload":"` + strings.Repeat("x", 60_000) + `"}`)
	for c.Send(ctx, flood) == nil {
	}
	if ctx.Err() != nil {
		t.Fatal("the server never stopped reading")
	}
	s.closes(t, "slow")
}

const (
	refusedFrames = "layercake_graphql_refused_messages_total"
	ping          = `{"type":"ping"}`
)

// burst asks 60 questions without waiting, then says something, and reads the answers. It reports whether a question was refused by the
// rate.
func burst(t *testing.T, c client.GraphQLSocket, then string) (refused bool) {
	t.Helper()
	const questions = 60
	for n := range questions {
		follow(t, c, fmt.Sprint("q", n), `{ __typename }`)
	}
	say(t, c, then)
	for answers := 0; answers < questions; {
		frame := hear(t, c)
		switch {
		case !strings.Contains(frame, `"id":"q`):
		case strings.Contains(frame, `"type":"error"`):
			answers, refused = answers+1, refused || strings.Contains(frame, "50 a second")
		case strings.Contains(frame, `"type":"complete"`):
			answers++
		}
	}
	return refused
}

// A client that sends without end is told so for each operation, and then sent away.
func TestFloodOfASocketEndsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		frame    string
		answered float64 // frames beyond the rate that were answered
	}{
		"operations": {`{"id":"%d","type":"subscribe","payload":{"query":"{ __typename }"}}`, 500},
		"pings":      {`{"type":"ping","payload":"%d"}`, 0},
		"pongs":      {`{"type":"pong","payload":"%d"}`, 0},
		"ends":       {`{"id":"%d","type":"complete"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := offline(t)
			socket := s.dial(t, nil)
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				for n := 0; socket.Send(t.Context(), fmt.Appendf(nil, c.frame, n)) == nil; n++ {
				}
			}()
			answered := 0.0
			for {
				frame, err := socket.Receive(t.Context())
				if err != nil {
					var closed *client.Closed
					if !errors.As(err, &closed) || closed.Code != 1013 || closed.Reason == "" {
						t.Errorf("it ended by %v, want 1013", err)
					}
					break
				}
				if strings.Contains(string(frame), `"type":"error"`) && strings.Contains(string(frame), "50 a second") {
					answered++
					if !strings.Contains(string(frame), `"code":"RATE_LIMITED"`) || !strings.Contains(string(frame), `"retryAfterMs":1000`) {
						t.Errorf("got %s", frame)
					}
				}
			}
			<-flooded
			if answered != c.answered {
				t.Errorf("%v were answered that they are too many, want %v", answered, c.answered)
			}
			if refused := s.value(t, refusedFrames, ""); refused != 501 {
				t.Errorf("%v were refused, want 500 and the one that ended it", refused)
			}
			s.closes(t, "flood")
		})
	}
}

// An id of an operation stands in each of its frames, so a client that chooses a long one is sent away.
func TestIDsOfOperationsAreShort(t *testing.T) {
	t.Parallel()
	s := offline(t)
	for _, id := range []string{strings.Repeat("i", 1024), strings.Repeat(`\u0000`, 1024)} {
		c := s.dial(t, nil)
		say(t, c, `{"id":"`+id+`","type":"subscribe","payload":{"query":"{ __typename }"}}`)
		if got := hear(t, c); got != `{"id":"`+id+`","type":"next","payload":{"data":{"__typename":"Query"}}}` {
			t.Errorf("got %.200s", got)
		}
	}
	for _, frame := range []string{
		`{"id":"` + strings.Repeat("i", 1025) + `","type":"subscribe","payload":{"query":"{ __typename }"}}`,
		`{"id":"` + strings.Repeat("ä", 513) + `","type":"complete"}`,
	} {
		c := s.dial(t, nil)
		say(t, c, frame)
		_, err := c.Receive(t.Context())
		if closed := new(client.Closed); !errors.As(err, &closed) || closed.Code != 4400 || closed.Reason != "Invalid message: its id has more than 1024 bytes" {
			t.Errorf("%.40s... ends the socket by %v", frame, err)
		}
	}
}

// Whoever has not even said hello has the same limit.
func TestFloodBeforeTheInitialisationEndsTheSocket(t *testing.T) {
	t.Parallel()
	s := offline(t)
	socket, err := client.Dialer{Timeout: deadline}.Open(t.Context(), s.url, client.GraphQLPath, client.Subprotocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(socket.CloseNow)
	go func() {
		for socket.Send(t.Context(), []byte(ping)) == nil {
		}
	}()
	for err == nil {
		_, err = socket.Receive(t.Context())
	}
	var closed *client.Closed
	if !errors.As(err, &closed) || closed.Code != 1013 {
		t.Errorf("it ended by %v, want 1013", err)
	}
}

// A client that came upon the limit can still end what it began, and cannot harm it otherwise.
func TestWhatIsRefusedHarmsNoOperation(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	c := s.dial(t, nil)
	follow(t, c, "a", fmt.Sprintf(`subscription { planEvents(projectId: %d) { version } }`, p))
	follow(t, c, "b", fmt.Sprintf(`subscription { planEvents(projectId: %d) { version } }`, p))
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", 2)
	for !burst(t, c, ping) {
	}
	burst(t, c, `{"id":"a","type":"complete"}`)
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", 1)
	for n := range 60 {
		say(t, c, fmt.Sprintf(`{"id":"q%d","type":"complete"}`, n))
	}
	say(t, c, `{"id":"b","type":"subscribe","payload":{"query":"{ __typename }"}}`)
	for {
		_, err := c.Receive(t.Context())
		var closed *client.Closed
		switch {
		case err == nil:
			continue
		case !errors.As(err, &closed) || closed.Code != 4409:
			t.Errorf("an id that is in use ends the socket by %v, want 4409", err)
		}
		return
	}
}

// What a client does at its start is no flood: all operations that a socket takes, ended and begun again.
func TestStartOfAClientIsNoFlood(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	c := s.dial(t, nil)
	for round := range 2 {
		for n := range 64 {
			follow(t, c, fmt.Sprint(n), fmt.Sprintf(`subscription { planEvents(projectId: %d) { version } }`, p))
		}
		s.until(t, "layercake_graphql_operations_in_flight", "subscription", 64)
		if round == 1 {
			break
		}
		for n := range 64 {
			say(t, c, fmt.Sprintf(`{"id":"%d","type":"complete"}`, n))
		}
		s.until(t, "layercake_graphql_operations_in_flight", "subscription", 0)
	}
	if refused := s.value(t, refusedFrames, ""); refused != 0 {
		t.Errorf("%v messages were refused", refused)
	}
}

func TestQueriesOverASocket(t *testing.T) {
	t.Parallel()
	s := offline(t)
	c := s.dial(t, nil)
	say(t, c, `{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","variables":null}}`)
	want := map[string]bool{`{"id":"1","type":"next","payload":{"data":{"__typename":"Query"}}}`: true, `{"id":"1","type":"complete"}`: true}
	for range 2 {
		if got := hear(t, c); !want[got] {
			t.Errorf("got %s", got)
		}
	}
}

// A panic that the library does not catch ends one operation, and its client is not told what broke.
func TestPanicOfAnOperation(t *testing.T) {
	t.Parallel()
	s := offline(t)
	s.Break()
	c := s.dial(t, nil)
	for range 2 {
		say(t, c, `{"id":"1","type":"subscribe","payload":{"query":"{ __typename }"}}`)
		if got := hear(t, c); !strings.HasPrefix(got, `{"id":"1","type":"error","payload":[{"message":"Internal server error",`) {
			t.Errorf("got %s", got)
		}
	}
	if !strings.Contains(s.log.String(), "panic: broken") {
		t.Error("it is not in the log")
	}
	s.until(t, "layercake_graphql_operations_in_flight", "query", 0)
}

// The events of a subscription are produced in goroutines that the library knows nothing of. A panic there ends the subscription as well,
// and it is not counted as running any more.
func TestPanicOfASubscription(t *testing.T) {
	t.Parallel()
	s := offline(t) // what asks the core panics
	c := s.dial(t, nil)
	fields := []string{
		`planEvents(projectId: 1) { version }`, `planDagDeltaChanged(projectId: 1) { version }`,
		`collaborationEvents(planId: "project_1") { eventId }`, `planDagUpdated(planId: "project_1") { timestamp }`,
	}
	for i, field := range fields {
		subscribe(t, c, strconv.Itoa(i), question{Query: `subscription { ` + field + ` }`})
		if got := hear(t, c); !strings.HasPrefix(got, fmt.Sprintf(`{"id":"%d","type":"error","payload":[{"message":"Internal server error",`, i)) {
			t.Errorf("%s: got %s", field, got)
		}
	}
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", 0)
	if n := s.value(t, "layercake_panics_total", "graphql"); n < float64(len(fields)) {
		t.Errorf("%v panics were counted", n)
	}
	if text := s.log.String(); strings.Count(text, `"stack":`) < len(fields) || !strings.Contains(text, "share.go") {
		t.Errorf("logged %s", text)
	}
	say(t, c, `{"type":"ping"}`)
	if got := hear(t, c); got != `{"type":"pong"}` {
		t.Errorf("got %s", got)
	}
}

// A panic that cannot be told as an error of an operation ends its socket, and no other.
func TestPanicOfASocket(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*graph.Handler){"reading": (*graph.Handler).BreakReaders, "writing": (*graph.Handler).BreakWriters} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := offline(t)
			breaks(s.Handler)
			c, other := s.dial(t, nil), s.dial(t, nil)
			subscribe(t, c, "1", question{Query: `{ __typename }`})
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			var closed *client.Closed
			if b, err := c.Receive(ctx); !errors.As(err, &closed) || closed.Code != websocket.StatusInternalError {
				t.Errorf("got %s, %v", b, err)
			}
			s.closes(t, "internal")
			if n := s.value(t, "layercake_panics_total", "socket"); n != 1 {
				t.Errorf("%v panics were counted", n)
			}
			if text := s.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "a panic was caught") {
				t.Errorf("logged %s", text)
			}
			say(t, other, `{"type":"ping"}`)
			if got := hear(t, other); got != `{"type":"pong"}` {
				t.Errorf("the other got %s", got)
			}
		})
	}
}

// A hash alone is refused as an operation; the socket lives.
func TestPersistedQueryOverASocket(t *testing.T) {
	t.Parallel()
	c := offline(t).dial(t, nil)
	say(t, c, `{"id":"1","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}}`)
	if got := hear(t, c); !strings.HasPrefix(got, `{"id":"1","type":"error","payload":[{"message":"PersistedQueryNotSupported",`) ||
		!strings.Contains(got, `"code":"PERSISTED_QUERY_NOT_SUPPORTED"`) {
		t.Errorf("a hash alone: %s", got)
	}
	say(t, c, `{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}}`)
	if got := hear(t, c); got != `{"id":"1","type":"next","payload":{"data":{"__typename":"Query"}}}` {
		t.Errorf("with its query: %s", got)
	}
}

func TestNobodyMayOpenASocketUnlessOpen(t *testing.T) {
	t.Parallel()
	s := offline(t, func(o *setting) { o.callers.Open = false })
	_, err := client.Dialer{}.GraphQL(t.Context(), s.url)
	var closed *client.Closed
	if !errors.As(err, &closed) || closed.Code != 4401 {
		t.Errorf("closed with %v", err)
	}
	s.closes(t, "auth")
}

// Draining does not wait for a client that never says goodbye.
func TestDrainCutsOffWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := offline(t)
	s.dial(t, nil) // and is not read again
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	s.Drain(ctx, 0)
	if took := time.Since(start); took > 4500*time.Millisecond { // a goodbye is waited for 5 s
		t.Errorf("took %v", took)
	}
	s.closes(t, "drain")
}

// The subscriber is told at once, again when its own fetch has surely come, and after each change.
func TestChecksOfADeltaSubscription(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	c := s.dial(t, nil)
	follow(t, c, "1", fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d)
		{ version operations { op path value } } }`, p))
	labels := []any{s.dag(t, p).Metadata["version"]} // by version
	check := func(version int) string {
		return fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"planDagDeltaChanged":{"version":%d,`+
			`"operations":[{"op":"TEST","path":"/metadata/version","value":"%v"}]}}}}`, version, labels[version])
	}
	if got := hear(t, c); got != check(0) {
		t.Errorf("at first: %s", got)
	}
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	got := hear(t, c)
	for got == check(0) { // the change took longer than the plan may
		got = hear(t, c)
	}
	labels = append(labels, s.dag(t, p).Metadata["version"])
	if !strings.Contains(got, `"version":1,`) ||
		!strings.Contains(got, fmt.Sprintf(`{"op":"TEST","path":"/metadata/version","value":"%v"}`, labels[0])) ||
		!strings.Contains(got, fmt.Sprintf(`{"op":"REPLACE","path":"/metadata/version","value":"%v"}`, labels[1])) {
		t.Errorf("then: %s", got)
	}
	if got := hear(t, c); got != check(1) {
		t.Errorf("when the plan has surely come: %s", got)
	}
	s.call(t, "DeleteProject", vars{"id": p}, new(any))
	got = hear(t, c)
	for got == check(1) {
		got = hear(t, c)
	}
	if !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, `"NOT_FOUND"`) {
		t.Errorf("after deletion: %s", got)
	}
}

// A cursor that the log does not reach gives the whole plan first, and nothing twice.
func TestPlanEventsBeginWithASnapshotWhenTheLogDoesNotReach(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	c := s.dial(t, nil)
	follow(t, c, "1", fmt.Sprintf(`subscription { planEvents(projectId: %d, after: "AAAA.9")
		{ version snapshot via plan { version nodes { id } } operations { id } } }`, p))
	if got := hear(t, c); !strings.Contains(got, `{"version":1,"snapshot":true,"via":"system","plan":{"version":"1","nodes":[{"id":"a"}]},"operations":[]}`) {
		t.Errorf("at first: %s", got)
	}
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("b", "GraphNode")}, new(any))
	if got := hear(t, c); !strings.Contains(got, `{"version":2,"snapshot":false,"via":"graphql","plan":null,"operations":[{"id":"b"}]}`) {
		t.Errorf("then: %s", got)
	}
	follow(t, c, "2", fmt.Sprintf(`subscription { planEvents(projectId: %d, after: "x") { version } }`, p))
	if got := hear(t, c); !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, `"BAD_REQUEST"`) {
		t.Errorf("a cursor of nobody: %s", got)
	}
}

// An event that is too large to send is shown by the whole plan, which shows what came after it, too: no version comes twice.
func TestSnapshotsOfLargeEventsComeOnce(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	cursor := s.cursor(t, p)
	change := func(document string, v vars) {
		t.Helper()
		s.call(t, document, v, new(any))
	}
	metadata := vars{"version": "1"}
	write := func(version int) { // the whole plan, with 15 configs of 80 kB, of which later versions change 7: before and after
		nodes := []any{}
		for i := range 15 {
			n := nodeInput(fmt.Sprint("n", i), "GraphNode")
			changed := version
			if i >= 7 {
				changed = 0
			}
			n["config"] = fmt.Sprintf(`{"%d":"%s"}`, changed, strings.Repeat("x", 80_000))
			nodes = append(nodes, n)
		}
		change("UpdatePlanDag", vars{"projectId": p, "planDag": vars{
			"version": fmt.Sprint(version), "nodes": nodes, "edges": []any{}, "metadata": metadata,
		}})
	}
	for version := range 3 {
		write(version)
	}
	change("MovePlanDagNode", vars{"projectId": p, "nodeId": "n0", "position": vars{"x": 1, "y": 0}})
	change("UpdatePlanDagNode", vars{ // before and after have 160 kB
		"projectId": p, "nodeId": "n0", "updates": vars{"config": `{"a":"` + strings.Repeat("y", 80_000) + `"}`},
	})

	c := s.dial(t, nil)
	follow(t, c, "1", fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { version snapshot operations { id } } }`, p, cursor))
	follow(t, c, "2", fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d, after: %q) { version snapshot } }`, p, cursor))
	var events, deltas []string
	for len(events) < 1 || len(deltas) < 5 {
		f := hear(t, c)
		if strings.HasPrefix(f, `{"id":"1"`) {
			events = append(events, f)
		} else {
			deltas = append(deltas, f)
		}
	}
	change("MovePlanDagNode", vars{"projectId": p, "nodeId": "n0", "position": vars{"x": 2, "y": 0}})
	for f := ""; !strings.HasPrefix(f, `{"id":"1"`); {
		f = hear(t, c)
		events = append(events, f)
	}
	if !strings.Contains(events[0], `"version":5,"snapshot":true`) || !strings.Contains(strings.Join(events[1:], ""), `"version":6,"snapshot":false`) ||
		strings.Count(strings.Join(events, ""), `"planEvents"`) != 2 {
		t.Errorf("events: %s", events)
	}
	for i, f := range deltas[:5] {
		if want := fmt.Sprintf(`"version":%d,"snapshot":%t`, i+1, i < 3); !strings.Contains(f, want) {
			t.Errorf("delta %d: %s, want %s", i, f, want)
		}
	}
}
