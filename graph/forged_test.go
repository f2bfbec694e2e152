package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fanout"
	"layercake/internal/feed"
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
	} {
		subscribe(t, c, fmt.Sprint(i), question{Query: `subscription { ` + fmt.Sprintf(field, p) + ` }`})
	}
	s.until(t, "layercake_graphql_operations_in_flight", "subscription", 2)
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
	if _, err := forger.Plans.Change(t.Context(), auth.Unchecked(auth.Anonymous(""), int32(p)), change); err != nil {
		t.Fatal(err)
	}
	for id, got := range results(t, c, 2, 1) {
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

// A lie that was shown, and whose answers are kept, is not shown again once the feed has found it, even if it has the cursor of the truth:
// the hash in it has only 4 bytes.
func TestLieIsForgottenWithItsFeed(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	core := servertest.StartCoreOn(t, url, nil)
	s := offline(t, func(o *setting) {
		o.Rights, o.Plans, o.Projects, o.Presence = core.Rights, core.Plans, core.Projects, core.Presence
	})
	p := s.newProject(t)
	q := question{
		Query:     `subscription ($p: Int!, $after: String) { planEvents(projectId: $p, after: $after) { snapshot operations { id } } }`,
		Variables: vars{"p": p, "after": s.cursor(t, p)},
	}
	deceived := s.dial(t, nil)
	subscribe(t, deceived, "1", q)
	next := func() string { return results(t, deceived, 1, 1)["1"][0] }
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("first", "GraphNode")}, new(any))
	if got := next(); !strings.Contains(got, `"first"`) {
		t.Fatalf("got %s", got)
	}
	q.Variables["after"] = s.cursor(t, p)
	at, err := plan.ParseCursor(s.cursor(t, p))
	if err != nil {
		t.Fatal(err)
	}
	body := func(id string) []byte {
		return fmt.Appendf(nil, `{"prev":"%s","projectId":%d,"version":2,"at":"2026-01-02T03:04:05Z","actorId":"x","operations":[`+
			`{"kind":"NODE_ADDED","id":"%s","index":1,"after":{"id":"%s","nodeType":"GraphNode"}}]}`, at.Hash, p, id, id)
	}
	lie, truth := body("lie"), body("truth")
	at.Version, at.Hash = 2, feed.Hash(truth)
	core.Hub.Publish(int32(p), at, lie)
	if got := next(); !strings.Contains(got, `"lie"`) {
		t.Fatalf("the lie was not believed: %s", got)
	}
	if got := next(); !strings.Contains(got, `"snapshot":true`) { // the sweep found that the head is not so far
		t.Fatalf("the feed did not begin anew: %s", got)
	}
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body, hash)
		VALUES ($1, 2, now(), '', 'truth', '', $2, $3)`, p, json.RawMessage(truth), at.Hash)
	pgtest.Exec(t, conn, "UPDATE heads SET version = 2, hash = $2 WHERE project_id = $1", p, at.Hash)
	pgtest.Exec(t, conn, "COMMIT")
	for _, id := range []string{"the first", "the second"} {
		c := s.dial(t, nil)
		subscribe(t, c, id, q)
		if got := results(t, c, 1, 1)[id][0]; !strings.Contains(got, `"truth"`) {
			t.Errorf("%s who resumes got %s", id, got)
		}
	}
}
