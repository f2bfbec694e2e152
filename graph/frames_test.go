package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"layercake/internal/caller"
	"layercake/internal/golden"

	"github.com/coder/websocket"
)

// script is what a client says on one socket. It hears what it must after each turn before it goes on, so that the order of all frames
// is certain.
type script struct {
	name     string
	protocol string // "" for graphql-transport-ws
	turns    []turn
}

type turn struct {
	say  []string // binary after a leading NUL
	hear int      // frames that come then
	act  func()   // something else that happens between
	any  bool     // they come in any order: they are noted in that of their text
}

const (
	allOfIt    = -1 // hear until the server closes the socket
	noProtocol = "none"
)

func saying(hear int, messages ...string) turn { return turn{say: messages, hear: hear} }

const initialise = `{"type":"connection_init"}`

// initialised begins with connection_init and its answer.
func initialised(name string, turns ...turn) script {
	return script{name: name, turns: append([]turn{saying(1, initialise)}, turns...)}
}

// subscription is the frame that asks for a document. Values are for %d in it.
func subscription(id, document string, values ...any) string {
	return fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%q}}`, id, fmt.Sprintf(document, values...))
}

var retryAfter = regexp.MustCompile(`"retryAfterMs":\d+}`) // of a close, where each socket is told another time

// perform plays a script and returns everything that was said: what the client says after >, what it hears after <, and how the server
// closed the socket after x. A script whose socket is open at its end closes with a ping, whose answer shows that nothing came before it.
func (s *site) perform(t *testing.T, c script) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	options := &websocket.DialOptions{HTTPHeader: http.Header{caller.RequestIDHeader: {"script"}}}
	switch c.protocol {
	case "":
		options.Subprotocols = []string{"graphql-transport-ws"}
	case noProtocol:
	default:
		options.HTTPHeader.Set("Sec-WebSocket-Protocol", c.protocol)
	}
	conn, _, err := websocket.Dial(ctx, s.url+"/graphql/ws", options) //nolint:bodyclose // there is none
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20)
	out := "== " + c.name + "\n"
	note := func(mark, text string) {
		if len(text) > 1000 {
			text = fmt.Sprintf("%s ... %d bytes", text[:400], len(text))
		}
		out += mark + " " + text + "\n"
	}
	open := true
	play := func(part turn) {
		for n, message := range part.say {
			kind, text := websocket.MessageText, message
			if strings.HasPrefix(message, "\x00") {
				kind, text = websocket.MessageBinary, message[1:]
			}
			if err := conn.Write(ctx, kind, []byte(text)); err != nil && part.hear != allOfIt {
				t.Fatalf("%s: %v", c.name, err)
			}
			switch most := 4; {
			case n < most || n == len(part.say)-1:
				note(">", text)
			case n == most:
				note(">", "...")
			}
		}
		if part.act != nil {
			part.act()
		}
		var heard []string
		for n := 0; open && n != part.hear; n++ {
			_, b, err := conn.Read(ctx)
			var closed websocket.CloseError
			switch {
			case err == nil && part.any:
				heard = append(heard, string(b))
			case err == nil:
				note("<", string(b))
			case errors.As(err, &closed):
				note("x", strings.TrimSpace(strconv.Itoa(int(closed.Code))+" "+retryAfter.ReplaceAllString(closed.Reason, `"retryAfterMs":N}`)))
				open = false
			default:
				t.Fatalf("%s: %v after\n%s", c.name, err, out)
			}
		}
		slices.Sort(heard)
		for _, text := range heard {
			note("<", text)
		}
	}
	for _, part := range c.turns {
		play(part)
	}
	if open {
		play(saying(1, `{"type":"ping","payload":"the end"}`))
	}
	return out
}

// All that clients may rely on, frame by frame: the protocol is a contract.
func TestFrames(t *testing.T) {
	t.Parallel()
	const (
		typename = `{ __typename }`
		events   = `subscription { planEvents(projectId: %d, after: "AAAA.9") { version snapshot operations { kind id } } }`
	)
	plain := offline(t)
	var got string
	for _, c := range []script{
		{name: "initialisation", turns: []turn{saying(1, initialise)}},
		{name: "initialisation with a payload", turns: []turn{saying(1, `{"type":"connection_init","payload":{"a":1}}`)}},
		{name: "initialisation with null", turns: []turn{saying(1, `{"type":"connection_init","payload":null}`)}},
		{name: "initialisation with a text", turns: []turn{saying(allOfIt, `{"type":"connection_init","payload":"text"}`)}},
		{name: "initialisation with a name", turns: []turn{saying(1, `{"type":"connection_init","payload":{"name":"Zoë"}}`)}},
		{name: "initialisation with no name", turns: []turn{saying(1, `{"type":"connection_init","payload":{"name":null}}`)}},
		{name: "initialisation with a number as name", turns: []turn{saying(allOfIt, `{"type":"connection_init","payload":{"name":1}}`)}},
		{name: "initialisation with a name that nobody can have", turns: []turn{
			saying(allOfIt, `{"type":"connection_init","payload":{"name":"A\u202eB"}}`),
		}},
		{name: "two initialisations", turns: []turn{saying(allOfIt, initialise, initialise)}},
		{name: "subscribe before the initialisation", turns: []turn{saying(allOfIt, subscription("1", typename))}},
		{name: "complete before the initialisation", turns: []turn{saying(0, `{"id":"1","type":"complete"}`)}},
		{name: "ping before the initialisation", turns: []turn{saying(1, `{"type":"ping","payload":{"n": 1.50, "t":"<&>"}}`)}},
		{name: "ping without a payload", turns: []turn{saying(1, `{"type":"ping"}`)}},
		{name: "ping with null", turns: []turn{saying(1, `{"type":"ping","payload":null}`)}},
		{name: "ping with an id", turns: []turn{saying(1, `{"id":"1","type":"ping","payload":[]}`)}},
		{name: "pong", turns: []turn{saying(0, `{"type":"pong"}`, `{"type":"pong","payload":{"a":1}}`)}},
		{name: "no JSON", turns: []turn{saying(allOfIt, `hello`)}},
		{name: "nothing", turns: []turn{saying(allOfIt, ``)}},
		{name: "a list", turns: []turn{saying(allOfIt, `[]`)}},
		{name: "null", turns: []turn{saying(allOfIt, `null`)}},
		{name: "two objects", turns: []turn{saying(allOfIt, `{"type":"ping"}{"type":"ping"}`)}},
		{name: "an unknown type", turns: []turn{saying(allOfIt, `{"type":"hello"}`)}},
		{name: "a type of the server", turns: []turn{saying(allOfIt, `{"type":"connection_ack"}`)}},
		{name: "no type", turns: []turn{saying(allOfIt, `{}`)}},
		{name: "binary", turns: []turn{saying(allOfIt, "\x00"+`{"type":"ping"}`)}},
		{name: "a large frame", turns: []turn{saying(allOfIt, `{"type":"ping","payload":"`+strings.Repeat("x", 70_000)+`"}`)}},
		{name: "no subprotocol", protocol: noProtocol, turns: []turn{saying(allOfIt)}},
		{name: "another subprotocol", protocol: "graphql-ws", turns: []turn{saying(allOfIt)}},
		initialised("subscribe without an id", saying(allOfIt, `{"type":"subscribe","payload":{"query":"{ __typename }"}}`)),
		initialised("subscribe with a number as id", saying(allOfIt, `{"id":1,"type":"subscribe","payload":{"query":"{ __typename }"}}`)),
		initialised("subscribe without a payload", saying(allOfIt, `{"id":"1","type":"subscribe"}`)),
		initialised("subscribe with a text", saying(allOfIt, `{"id":"1","type":"subscribe","payload":"text"}`)),
		initialised("subscribe without a query", saying(allOfIt, `{"id":"1","type":"subscribe","payload":{}}`)),
		initialised("subscribe with a number as query", saying(allOfIt, `{"id":"1","type":"subscribe","payload":{"query":1}}`)),
		initialised("subscribe with variables in a list", saying(allOfIt, `{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","variables":[]}}`)),
		initialised("complete without an id", saying(allOfIt, `{"type":"complete"}`)),
		initialised("complete of nothing", saying(0, `{"id":"1","type":"complete"}`)),
		initialised("a query", saying(2, subscription("1", typename)), saying(2, subscription("1", typename)), saying(0, `{"id":"1","type":"complete"}`)),
		initialised("a query with an odd id", saying(2, subscription("<\"ü\u2028\\>", typename))),
		initialised("a query by name with variables", saying(2, `{"id":"1","type":"subscribe","payload":{"operationName":"b",`+
			`"query":"query a { __typename } query b($v: Boolean!) { x: __typename @include(if: $v) y: __typename }","variables":{"v":false},"extensions":{"x":1}}}`)),
		initialised("an unknown name", saying(1, `{"id":"1","type":"subscribe","payload":{"operationName":"c","query":"query a { __typename }"}}`)),
		initialised("an empty query", saying(1, `{"id":"1","type":"subscribe","payload":{"query":""}}`)),
		initialised("a document that cannot be parsed", saying(1, subscription("1", `{ <b>`)), saying(2, subscription("1", typename))),
		initialised("a document that is not valid", saying(1, subscription("1", `{ nothing other }`))),
		initialised("a hash alone", saying(1, `{"id":"1","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}}`)),
		initialised("a variable that is missing", saying(1, subscription("1", `query ($v: Boolean!) { __typename @include(if: $v) }`))),
		initialised("a variable of another type", saying(1, `{"id":"1","type":"subscribe","payload":{`+
			`"query":"query ($v: Boolean!) { __typename @include(if: $v) }","variables":{"v":"<&>"}}}`)),
		initialised("too deep", saying(1, subscription("1", `{ getPlanDag(projectId: 1) %s{ id }%s`, strings.Repeat(`{ nodes `, 30), strings.Repeat(` }`, 31)))),
		initialised("too complex", saying(1, subscription("1", `{ %s} fragment f on Query { %s}`,
			strings.Repeat(`...f `, 90), strings.Repeat(`projects { id name } `, 90)))),
		initialised("a resolver that fails", saying(2, subscription("1", `{ projects { id } }`)), saying(2, subscription("1", `mutation { deleteProject(id: 1) }`))),
	} {
		got += plain.perform(t, c)
	}

	closed := offline(t, func(o *setting) { o.callers.Open = false })
	got += closed.perform(t, script{name: "nobody is let in", turns: []turn{saying(allOfIt, initialise)}})
	got += closed.perform(t, script{name: "ping of somebody who will not be let in", turns: []turn{saying(1, `{"type":"ping"}`)}})
	impatient := offline(t, hurry(50*time.Millisecond, deadline, deadline, deadline))
	got += impatient.perform(t, script{name: "no initialisation", turns: []turn{saying(allOfIt)}})
	draining := offline(t)
	got += draining.perform(t, initialised("a drain", turn{hear: allOfIt, act: func() {
		go draining.Drain(t.Context(), 0)
	}}))

	s := online(t)
	p := s.newProject(t)
	var many []string
	for n := range 65 {
		many = append(many, subscription(strconv.Itoa(n), `subscription { planEvents(projectId: %d) { version } }`, p))
	}
	long := strings.Repeat("ü", 100)
	var again []string
	for range 20 {
		again = append(again, subscription("1", `subscription { planEvents(projectId: %d) { version } }`, p), `{"id":"1","type":"complete"}`)
	}
	add := `mutation { addPlanDagNode(projectId: %d, node: {id: %q, nodeType: GraphNode, position: {x: 0, y: 0}, metadata: {label: %q}, config: "{}"}) { id } }`
	for _, c := range []script{
		initialised("a project that is not there", saying(1, subscription("1", `subscription { planEvents(projectId: 4711) { version } }`)), saying(1, `{"type":"ping"}`)),
		initialised("a cursor of nobody", saying(1, subscription("1", `subscription { planEvents(projectId: %d, after: "<&>") { version } }`, p))),
		initialised("an argument that is too large", saying(1, subscription("1", `subscription { planEvents(projectId: 2147483648) { version } }`))),
		initialised("an id that is taken", saying(1, subscription("1", events, p)), saying(allOfIt, subscription("1", typename))),
		initialised("a long id that is taken", saying(1, subscription(long, events, p)), saying(allOfIt, subscription(long, typename))),
		initialised("operations without number", saying(1, many...), saying(1, `{"type":"ping"}`)),
		initialised("an id again and again", saying(2, append(again, subscription("1", `{ a: __typename }`))...)),
		initialised("events",
			saying(1, subscription("e", events, p)),
			saying(1, subscription("c", `subscription { planDagDeltaChanged(projectId: %d) { version snapshot operations { op path } } }`, p)),
			saying(0, `{"id":"c","type":"complete"}`),
			turn{say: []string{subscription("m", add, p, "a", "<&>\u200b")}, hear: 3, any: true},
		),
		initialised("an event with more", saying(1, subscription("e", `subscription { planEvents(projectId: %d, after: "AAAA.9") { version plan { nodes { id metadata { label } } } } }`, p))),
		initialised("a large event", turn{act: func() {
			node := nodeInput("large", "GraphNode")
			node["config"] = `{"a":"` + strings.Repeat("<>", 20_000) + `"}`
			s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": node}, new(any))
		}}, saying(1, subscription("e", `subscription { planEvents(projectId: %d, after: "AAAA.9") { version plan { nodes { id config } } } }`, p))),
		initialised("a project that goes",
			saying(1, subscription("e", events, p)),
			turn{say: []string{subscription("m", `mutation { deleteProject(id: %d) }`, p)}, hear: 3, any: true},
		),
	} {
		got += s.perform(t, c)
	}
	got = strings.ReplaceAll(got, fmt.Sprintf("projectId: %d", p), "projectId: P")

	golden.Compare(t, "testdata/frames.txt", got)
}
