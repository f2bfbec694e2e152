package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fanout"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/google/uuid"
)

// Events that cannot be, said by something that is heard like a replica, are shown to nobody and end nothing.
func TestForgedEventsAreRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, forger := onlineAt(t, url, url), servertest.StartCoreOn(t, url, nil)
	p := s.newProject(t)
	after := s.cursor(t, p)
	c := s.dial(t, nil)
	for i, field := range []string{
		`planEvents(projectId: %d, after: "` + after + `") { version actorId operations { kind id index before after } }`,
		`planDagDeltaChanged(projectId: %d, after: "` + after + `") { version operations { op path value } }`,
		`planDagUpdated(planId: "project_%d") { updateType data { node { id nodeType position { x } } } }`,
		`collaborationEvents(planId: "project_%d") { eventType data { nodeEvent { node { id } } } }`,
	} {
		subscribe(t, c, fmt.Sprint(i), question{Query: `subscription { ` + fmt.Sprintf(field, p) + ` }`})
	}
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", 4)
	epoch := postgres.Epoch(after[:strings.IndexAny(after, "~.")])
	whole := `{"id":"lie","nodeType":"GraphNode"}`
	for _, operation := range []string{
		`{"kind":"NODE_ADDED","id":"lie","after":` + whole + `}`, // no index
		`{"kind":"NODE_ADDED","id":"lie","index":0}`,             // no value
		`{"kind":"EDGE_REMOVED","id":"lie"}`, `{"kind":"NODE_ADDED","id":"lie","index":0,"after":{}}`,
	} {
		forger.Wire.Publish(fanout.Line{
			Letter: 'e', Text: fmt.Sprintf(`%d 1 {"projectId":%d,"version":1,"operations":[%s]}`, p, p, operation),
			Epoch: epoch, Project: int32(p), Version: 1,
		})
	}
	// The truth comes on the same channel, and so after the lies.
	n := plan.Node{ID: "truth", NodeType: plan.GraphNode, Metadata: plan.NodeMetadata{Label: "Truth"}, Config: "{}"}
	change := plan.Change{OpID: uuid.NewString(), Via: "test", Edits: []plan.Edit{plan.AddNode{Node: n}}}
	if _, err := forger.Plans.Change(t.Context(), auth.Anonymous(""), int32(p), change); err != nil {
		t.Fatal(err)
	}
	for id, got := range results(t, c, 4, 1) {
		if text := strings.Join(got, " "); strings.Contains(text, "lie") || !strings.Contains(text, "truth") {
			t.Errorf("subscription %s got %s", id, text)
		}
	}
	for _, part := range []string{"graphql", "socket"} {
		if n := s.value(t, "layercake_panics_total", part); n != 0 {
			t.Errorf("%v panics of %s", n, part)
		}
	}
}
