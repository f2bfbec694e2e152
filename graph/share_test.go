package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// question is what a subscriber asks.
type question struct {
	Query         string `json:"query"`
	OperationName string `json:"operationName,omitempty"`
	Variables     vars   `json:"variables,omitempty"`
}

// cursor is where a project's history stands.
func (s *site) cursor(t *testing.T, project int) string {
	t.Helper()
	var out struct{ GetPlanDag struct{ Cursor string } }
	s.must(t, &out, `query ($p: Int!) { getPlanDag(projectId: $p) { cursor } }`, vars{"p": project})
	return out.GetPlanDag.Cursor
}

func subscribe(t *testing.T, c client.GraphQLSocket, id string, q question) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": q})
	if err != nil {
		t.Fatal(err)
	}
	say(t, c, string(b))
}

// results reads a number of results of each of the operations of a socket, by id.
func results(t *testing.T, c client.GraphQLSocket, operations, each int) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	got := map[string][]string{}
	for range operations * each {
		b, err := c.Receive(ctx)
		if err != nil {
			t.Fatalf("%v after %d", err, len(got))
		}
		var f client.Message
		if err := json.Unmarshal(b, &f); err != nil || f.Type != "next" {
			t.Fatalf("%v in %s", err, b)
		}
		got[f.ID] = append(got[f.ID], string(f.Payload))
	}
	return got
}

// However many follow a plan with one document, each event is executed once, wherever they resume and whatever they call it.
func TestSubscribersShareExecutions(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	const (
		sockets    = 5
		operations = 3 // on each
		events     = 4
	)
	q := question{
		Query:     `subscription ($p: Int!, $after: String) { planEvents(projectId: $p, after: $after) { version cursor operations { id after } } }`,
		Variables: vars{"p": p, "after": s.cursor(t, p)},
	}
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("1", "GraphNode")}, new(any))
	var conns []client.GraphQLSocket
	for range sockets {
		c := s.dial(t, nil)
		for i := range operations {
			subscribe(t, c, fmt.Sprint("operation ", i), q)
		}
		conns = append(conns, c)
	}
	for i := range events - 1 {
		s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput(fmt.Sprint(i+2), "GraphNode")}, new(any))
	}
	var first []string
	for _, c := range conns {
		for id, got := range results(t, c, operations, events) {
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	}
	late := s.dial(t, nil)
	q.Variables["after"] = s.cursorAfter(t, first[1])
	subscribe(t, late, "late", q)
	if diff := cmp.Diff(first[2:], results(t, late, 1, events-2)["late"]); diff != "" {
		t.Errorf("resumed in the middle: %s", diff)
	}
	if got := s.value(t, "layercake_graphql_shared_total", "miss"); got != events {
		t.Errorf("%v executions, want %d", got, events)
	}
	if got, want := s.value(t, "layercake_graphql_shared_total", "hit"), float64((sockets*operations-1)*events+events-2); got != want {
		t.Errorf("%v shared, want %v", got, want)
	}
	// Each subscriber is measured for itself all the same.
	s.until(t, "layercake_graphql_commit_to_delivery_seconds", "", sockets*operations*events+events-2)
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", sockets*operations+1)
	s.until(t, "layercake_graphql_operation_seconds", "subscription"+"ok", sockets*operations+1)
}

// cursorAfter is the cursor that a result of planEvents holds.
func (s *site) cursorAfter(t *testing.T, payload string) string {
	t.Helper()
	var out struct {
		Data struct{ PlanEvents struct{ Cursor string } }
	}
	if err := json.Unmarshal([]byte(payload), &out); err != nil {
		t.Fatal(err)
	}
	return out.Data.PlanEvents.Cursor
}

// What subscribers share is what they would have made for themselves, byte by byte, and those who ask differently get their own.
func TestSharedBytesAreThoseOfAnUnsharedExecution(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, unshared := onlineAt(t, url, url), onlineAt(t, url, url)
	unshared.Unshare()
	p := s.newProject(t)
	v := func(more vars) vars {
		all := vars{"p": p, "after": s.cursor(t, p)}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	const (
		deltas   = `planDagDeltaChanged(projectId: $p, after: $after)`
		events   = `planEvents(projectId: $p, after: $after)`
		variable = `subscription ($p: Int!, $after: String, $yes: Boolean = true, $no: Boolean!) { ` + events +
			` { version operations { id @include(if: $yes) before @skip(if: $no) after } } }`
		two = `subscription A($p: Int!, $after: String) { ` + deltas + ` { ...f } } subscription B($p: Int!, $after: String) { x: ` +
			deltas + ` { ...f operations { op } } } fragment f on PlanDagDeltaEvent { version projectId }`
	)
	head := func(body string) question {
		return question{Query: `subscription ($p: Int!, $after: String) { ` + body + ` }`, Variables: v(nil)}
	}
	// Those in one list ask the same.
	asked := [][]question{
		{head(deltas + ` { projectId version userId timestamp operations { op path value from } }`)},
		{head(deltas + ` { projectId version userId timestamp operations { op path value from } __typename }`)},
		{head(deltas + ` { planId cursor snapshot clientId opId version }`)},
		{head(`changed: ` + deltas + ` { v: version }`)},
		{head(deltas + ` { v: version }`)},
		{head(deltas + ` { v: version version }`)},
		{head(events + ` { projectId version cursor snapshot plan { version } opId clientId actorId actorName actorKind via note timestamp
			operations { kind id index before after } }`)},
		{head(events + ` { ... on PlanEvent { version } ... @include(if: false) { via } }`)},
		{{variable, "", v(vars{"no": false})}, {variable, "", v(vars{"no": false, "yes": true})}},
		{{variable, "", v(vars{"no": true})}},
		{{variable, "", v(vars{"no": false, "yes": false})}},
		{{variable, "", v(vars{"no": true, "yes": false})}},
		{{two, "A", v(nil)}},
		{{two, "B", v(nil)}},
	}
	ours, again, theirs := s.dial(t, nil), s.dial(t, nil), unshared.dial(t, nil)
	operations := 0
	for i, same := range asked {
		for j, q := range same {
			for _, c := range []client.GraphQLSocket{ours, again, theirs} {
				subscribe(t, c, fmt.Sprintf("%d.%d", i, j), q)
			}
			operations++
		}
	}
	odd := nodeInput("odd", "DataSourceNode")
	odd["metadata"] = vars{"label": "<a href=\"x\">\u200b&é\t\\</a>", "description": nil}
	odd["config"] = `{"large":"` + strings.Repeat("<x>", 1500) + `"}` // more than one frame takes
	changes := []func(){
		func() { s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": odd}, new(any)) },
		func() {
			s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("b", "GraphNode")}, new(any))
		},
		func() {
			s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("e", "odd", "b")}, new(any))
		},
		func() {
			s.call(t, "MovePlanDagNode", vars{"projectId": p, "nodeId": "odd", "position": vars{"x": 99999.125, "y": -0.1}}, new(any))
		},
		func() { s.call(t, "DeletePlanDagNode", vars{"projectId": p, "nodeId": "odd"}, new(any)) },
	}
	for _, change := range changes {
		change()
	}
	got, others, want := results(t, ours, operations, len(changes)), results(t, again, operations, len(changes)), results(t, theirs, operations, len(changes))
	seen := map[string]int{}
	for i, same := range asked {
		for j := range same {
			id := fmt.Sprintf("%d.%d", i, j)
			for k, payload := range got[id] {
				// The library writes some characters of texts as escapes, since browsers may take its answers for scripts.
				var escaped bytes.Buffer
				json.HTMLEscape(&escaped, []byte(payload))
				if escaped.String() != want[id][k] {
					t.Errorf("%s: shared %s, alone %s", id, payload, want[id][k])
				}
			}
			if diff := cmp.Diff(got[id], others[id]); diff != "" {
				t.Errorf("%s: the other socket got something else: %s", id, diff)
			}
			if of, ok := seen[got[id][0]]; ok && of != i {
				t.Errorf("%s has the bytes of %d: the test does not tell them apart", id, of)
			}
			seen[got[id][0]] = i
		}
	}
	if misses := s.value(t, "layercake_graphql_shared_total", "miss"); misses != float64(len(asked)*len(changes)) {
		t.Errorf("%v executions, want %d for each of %d events", misses, len(asked), len(changes))
	}
	if hits := unshared.value(t, "layercake_graphql_shared_total", "hit"); hits != 0 {
		t.Errorf("alone shared %v", hits)
	}
}

// Many come back at once with cursors that the log does not reach. They share the plan as they share events.
func TestSubscribersShareSnapshots(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, unshared := onlineAt(t, url, url), onlineAt(t, url, url)
	unshared.Unshare()
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	q := question{
		Query: `subscription ($p: Int!, $after: String) { planEvents(projectId: $p, after: $after) { version cursor snapshot actorId timestamp
			plan { version cursor nodes { id nodeType position { x y } metadata { label } config createdAt } edges { id } metadata { name lastModified } }
			operations { id } } }`,
	}
	snapshotOf := func(s *site, after string) string {
		c := s.dial(t, nil)
		q.Variables = vars{"p": p, "after": after}
		subscribe(t, c, "1", q)
		return results(t, c, 1, 1)["1"][0]
	}
	want := snapshotOf(unshared, "AAAA.9")
	for _, after := range []string{"AAAA.9", "AAAA.9", "BBBB.1"} {
		if got := snapshotOf(s, after); got != want {
			t.Errorf("shared %s, alone %s", got, want)
		}
	}
	if got := s.value(t, "layercake_graphql_shared_total", "miss"); got != 1 {
		t.Errorf("%v executions, want 1", got)
	}
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("b", "GraphNode")}, new(any))
	if got := snapshotOf(s, "AAAA.9"); got == want {
		t.Error("a later snapshot shows the plan as it was")
	}
}

// An event that cannot be shown ends the subscriptions that would show it, each with an error of its own, and no others.
func TestEventThatCannotBeShownEndsSubscriptions(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := onlineAt(t, url, url)
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	after := s.cursor(t, p)
	storeEvent(t, url, p, `[{"kind": "NODE_UPDATED", "id": "a", "index": 0, "before": 1, "after": 2}]`)
	for range 2 {
		c := s.dial(t, nil)
		subscribe(t, c, "deltas", question{
			Query:     `subscription ($p: Int!, $after: String) { planDagDeltaChanged(projectId: $p, after: $after) { version } }`,
			Variables: vars{"p": p, "after": after},
		})
		if frame := hear(t, c); !strings.Contains(frame, `"type":"error"`) || !strings.Contains(frame, "INTERNAL") ||
			!strings.Contains(frame, `"path":["planDagDeltaChanged"]`) {
			t.Errorf("got %s", frame)
		}
		subscribe(t, c, "events", question{
			Query:     `subscription ($p: Int!, $after: String) { planEvents(projectId: $p, after: $after) { version operations { after } } }`,
			Variables: vars{"p": p, "after": after},
		})
		if frame := hear(t, c); !strings.Contains(frame, `"version":2,"operations":[{"after":2}]`) {
			t.Errorf("got %s", frame)
		}
	}
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", 2)
}
