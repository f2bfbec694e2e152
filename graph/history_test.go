package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// twoReplicas serves handlers of two replicas over one database.
func twoReplicas(t *testing.T) (one, two *site) {
	t.Helper()
	url := pgtest.New(t)
	return onlineAt(t, url, url), onlineAt(t, url, url)
}

const (
	everythingOfAPlan = ` version cursor metadata { version name created lastModified }
		nodes { id nodeType position { x y } sourcePosition targetPosition metadata { label description } config createdAt updatedAt
			datasourceExecution { filename } graphExecution { graphId } }
		edges { id source target sourceHandle targetHandle metadata { label dataType } createdAt updatedAt } `
	everythingOfAChange = ` version cursor timestamp actorId actorName actorKind via note opId clientId summary undoes undoneBy
		operations { kind id index before after } `
	everythingOfAConflict = ` kind id part reason expected current versions actorNames `
)

// undone is the answer to an undo, a redo or a restore.
type undone struct {
	Version   int64
	Cursor    string
	Change    *client.Change
	Conflicts []client.Conflict
	Notes     []string
}

// takeBack sends undoChange, redoChange or restorePlan with arguments as they stand in a document.
func (s *site) takeBack(t *testing.T, field string, project int, args string) (undone, *client.Answer) {
	t.Helper()
	a := s.ask(t, fmt.Sprintf(`mutation { undone: %s(projectId: %d, %s) { version cursor notes change { %s } conflicts { %s } } }`,
		field, project, args, everythingOfAChange, everythingOfAConflict), nil)
	var data struct{ Undone undone }
	if a.Code() == "" {
		if err := json.Unmarshal(a.Data, &data); err != nil {
			t.Fatal(err)
		}
	}
	return data.Undone, a
}

// mustTakeBack is takeBack for what has to succeed.
func (s *site) mustTakeBack(t *testing.T, field string, project int, args string) undone {
	t.Helper()
	u, a := s.takeBack(t, field, project, args)
	if a.Code() != "" {
		t.Fatalf("%s(%s): %s", field, args, a.Text)
	}
	return u
}

type historyPage struct {
	Changes []client.Change
	More    bool
	Oldest  int64
	Version int64
}

func (s *site) history(t *testing.T, project int, args string) (page historyPage) {
	t.Helper()
	var data struct{ PlanHistory *historyPage }
	data.PlanHistory = &page
	s.must(t, &data, fmt.Sprintf(`{ planHistory(projectId: %d%s) { more oldest version changes { %s } } }`, project, args, everythingOfAChange), nil)
	return page
}

// story makes a plan of two nodes and an edge through two replicas, with Ann moving and Bob renaming a node. It returns what getPlanDag
// answered after each version.
func story(t *testing.T, one, two *site, project int) (plans []string) {
	t.Helper()
	look := func() {
		var data struct{ GetPlanDag json.RawMessage }
		one.must(t, &data, fmt.Sprintf(`{ getPlanDag(projectId: %d) { %s } }`, project, everythingOfAPlan), nil)
		plans = append(plans, string(data.GetPlanDag))
	}
	look()
	for i, step := range []string{
		`addPlanDagNode(projectId: %d, clientId: "ann", node: {id: "a", nodeType: DataSourceNode, position: {x: 1, y: 1},
			metadata: {label: "A"}, config: "{}"}) { id }`,
		`addPlanDagNode(projectId: %d, clientId: "bob", node: {id: "b", nodeType: GraphNode, position: {x: 2, y: 2}, metadata: {label: "B"},
			config: "{}"}) { id }`,
		`addPlanDagEdge(projectId: %d, clientId: "ann", edge: {id: "e", source: "a", target: "b", metadata: {dataType: GRAPH_DATA}}) { id }`,
		`movePlanDagNode(projectId: %d, clientId: "ann", nodeId: "a", position: {x: 5, y: 5}) { id }`,
		`updatePlanDagNode(projectId: %d, clientId: "bob", nodeId: "a", updates: {metadata: {label: "Bob's"}}) { id }`,
	} {
		[]*site{one, two}[i%2].must(t, nil, "mutation { "+fmt.Sprintf(step, project)+" }", nil)
		look()
	}
	return plans
}

func TestHistoryIsShownByPages(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	story(t, one, two, p)
	page := two.history(t, p, `, limit: 2`)
	if len(page.Changes) != 2 || !page.More || page.Oldest != 0 || page.Version != 5 {
		t.Fatalf("the first page: %+v", page)
	}
	c := page.Changes[1]
	if c.Version != 4 || c.ActorKind != "anonymous" || c.Via != "graphql" || c.ClientID == nil || *c.ClientID != "ann" || c.OpID == nil ||
		c.Note != nil || c.Undoes != nil || c.UndoneBy != nil || c.Summary == "" || !strings.HasSuffix(c.Cursor, ".4") {
		t.Errorf("the move: %+v", c)
	}
	var ops []struct {
		Kind, ID      string
		Before, After map[string]any
	}
	if err := json.Unmarshal(c.Operations, &ops); err != nil || len(ops) != 1 || ops[0].Kind != "NODE_UPDATED" || ops[0].ID != "a" ||
		!cmp.Equal(ops[0].Before["position"], any(map[string]any{"x": 1.0, "y": 1.0})) ||
		!cmp.Equal(ops[0].After["position"], any(map[string]any{"x": 5.0, "y": 5.0})) {
		t.Errorf("what the move did: %s, %v", c.Operations, err)
	}
	rest := two.history(t, p, `, before: 4`)
	if versionsOf(rest) != "[3 2 1]" || rest.More {
		t.Errorf("the rest: %+v", rest)
	}
	if got := versionsOf(two.history(t, p, `, elementId: "a", limit: null`)); got != "[5 4 1]" {
		t.Errorf("of a node: %s", got)
	}
	if got := versionsOf(two.history(t, p, `, actorId: "nobody"`)); got != "[]" {
		t.Errorf("of nobody: %s", got)
	}
	// The longest page, without what the changes did, and one that the command line asks for.
	one.must(t, nil, fmt.Sprintf(`{ planHistory(projectId: %d, limit: 500) { more changes { version timestamp actorName summary undoneBy } } }`, p), nil)
	if _, err := one.client.History(t.Context(), client.HistoryQuery{Project: p, Limit: 1000, Operations: true}, func(client.Change) error { return nil }); err != nil {
		t.Error(err)
	}
}

func versionsOf(page historyPage) string {
	versions := []int64{}
	for _, c := range page.Changes {
		versions = append(versions, c.Version)
	}
	return fmt.Sprint(versions)
}

func TestPlanAtIsWhatGetPlanDagWas(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	plans := story(t, one, two, p)
	changes := one.history(t, p, "").Changes
	slices.Reverse(changes)
	for version, want := range plans {
		args := []string{fmt.Sprintf("version: %d", version)}
		if version > 0 {
			at, err := json.Marshal(changes[version-1].Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, "at: "+string(at))
		}
		for _, arg := range args {
			var data struct{ PlanAt json.RawMessage }
			two.must(t, &data, fmt.Sprintf(`{ planAt(projectId: %d, %s) { %s } }`, p, arg, everythingOfAPlan), nil)
			if diff := cmp.Diff(want, string(data.PlanAt)); diff != "" {
				t.Errorf("%s: %s", arg, diff)
			}
		}
	}
}

func TestPlanDiffTellsEachElementOnce(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	story(t, one, two, p)
	var data struct {
		PlanDiff struct {
			From, To    int64
			Differences []struct {
				Kind, ID          string
				Parts, ActorNames []string
				Before, After     map[string]any
				Versions          []int64
			}
		}
	}
	two.must(t, &data, fmt.Sprintf(`{ planDiff(projectId: %d, from: 2) { from to differences { kind id parts before after versions actorNames } } }`, p), nil)
	d := data.PlanDiff
	if d.From != 2 || d.To != 5 || len(d.Differences) != 2 {
		t.Fatalf("%+v", d)
	}
	node, edge := d.Differences[0], d.Differences[1]
	if node.Kind != "NODE_UPDATED" || node.ID != "a" || !slices.Equal(node.Parts, []string{"position", "metadata"}) ||
		!slices.Equal(node.Versions, []int64{4, 5}) || len(node.ActorNames) != 1 || node.Before == nil || node.After == nil {
		t.Errorf("the node: %+v", node)
	}
	if edge.Kind != "EDGE_ADDED" || edge.ID != "e" || edge.Before != nil || edge.After["source"] != "a" || len(edge.Parts) != 0 {
		t.Errorf("the edge: %+v", edge)
	}
	two.must(t, &data, fmt.Sprintf(`{ planDiff(projectId: %d, from: 3, to: 3) { from to differences { id } } }`, p), nil)
	if d := data.PlanDiff; d.From != 3 || d.To != 3 || len(d.Differences) != 0 {
		t.Errorf("of a version and itself: %+v", d)
	}
}

// Ann moves and Bob renames a node, on two replicas: each takes back what is theirs, and leaves the other's alone.
func TestUndoAndRedoOnTwoReplicas(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	story(t, one, two, p)
	node := func(s *site) string {
		t.Helper()
		n := s.dag(t, p).Nodes[0]
		return fmt.Sprintf("%v %v", n["position"].(map[string]any)["x"], n["metadata"].(map[string]any)["label"])
	}
	would := two.mustTakeBack(t, "undoChange", p, `clientId: "ann", dryRun: true`)
	if would.Version != 5 || would.Change == nil || would.Change.Undoes == nil || *would.Change.Undoes != 4 {
		t.Errorf("it would be %+v", would)
	}
	u := two.mustTakeBack(t, "undoChange", p, `clientId: "ann", note: "Too far", opId: "op-1"`)
	if u.Version != 6 || u.Change == nil || *u.Change.Undoes != 4 || *u.Change.Note != "Too far" || *u.Change.OpID != "op-1" ||
		len(u.Conflicts)+len(u.Notes) != 0 || u.Change.Cursor != u.Cursor {
		t.Errorf("the undo is %+v", u)
	}
	if got := node(one); got != "1 Bob's" {
		t.Errorf("after Ann's undo: %s", got)
	}
	if again := one.mustTakeBack(t, "undoChange", p, `clientId: "ann", note: "Too far", opId: "op-1"`); again.Version != 6 || again.Cursor != u.Cursor {
		t.Errorf("again by the same id: %+v", again)
	}
	_, a := one.takeBack(t, "undoChange", p, `version: 4`)
	if a.Code() != "CONFLICT" || a.Errors[0].Extensions["undoneBy"] != 6.0 {
		t.Errorf("twice: %s", a.Text)
	}
	if u := one.mustTakeBack(t, "redoChange", p, `clientId: "ann"`); u.Version != 7 || *u.Change.Undoes != 6 || node(two) != "5 Bob's" {
		t.Errorf("redone: %+v, %s", u, node(two))
	}
	for _, c := range one.history(t, p, "").Changes {
		if c.Version == 6 && (c.UndoneBy == nil || *c.UndoneBy != 7) || c.Version == 4 && c.UndoneBy != nil {
			t.Errorf("in the history: %+v", c)
		}
	}
}

func TestConflictsAreNamed(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	story(t, one, two, p)
	two.must(t, nil, fmt.Sprintf(`mutation { movePlanDagNode(projectId: %d, clientId: "bob", nodeId: "a", position: {x: 9, y: 9}) { id } }`, p), nil)
	check := func(what string, conflicts []client.Conflict) {
		t.Helper()
		if len(conflicts) != 1 {
			t.Fatalf("%s: %+v", what, conflicts)
		}
		c := conflicts[0]
		if c.Kind != "NODE_UPDATED" || c.ID != "a" || c.Part != "position" || c.Reason == "" || !slices.Equal(c.Versions, []int64{6}) ||
			len(c.ActorNames) != 1 || string(c.Expected) != `{"x":5,"y":5}` || string(c.Current) != `{"x":9,"y":9}` {
			t.Errorf("%s: %+v, %s, %s", what, c, c.Expected, c.Current)
		}
	}
	_, a := one.takeBack(t, "undoChange", p, `version: 4`)
	if a.Code() != "CONFLICT" {
		t.Fatalf("%s", a.Text)
	}
	check("refused", a.Errors[0].Conflicts())
	skipped := one.mustTakeBack(t, "undoChange", p, `version: 4, onConflict: SKIP`)
	check("skipped", skipped.Conflicts)
	if skipped.Change != nil || skipped.Version != 6 {
		t.Errorf("skipped: %+v", skipped)
	}
	overwritten := one.mustTakeBack(t, "undoChange", p, `version: 4, onConflict: OVERWRITE`)
	check("overwritten", overwritten.Conflicts)
	if overwritten.Version != 7 || fmt.Sprint(two.dag(t, p).Nodes[0]["position"]) != "map[__typename:Position x:1 y:1]" {
		t.Errorf("overwritten: %+v, %v", overwritten, two.dag(t, p).Nodes[0]["position"])
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	story(t, one, two, p)
	if _, a := one.takeBack(t, "restorePlan", p, `version: 1, expectedVersion: 4`); a.Code() != "CONFLICT" || a.Errors[0].Extensions["currentVersion"] != 5.0 {
		t.Errorf("at another version: %s", a.Text)
	}
	if u := one.mustTakeBack(t, "restorePlan", p, `version: 0, expectedVersion: 5, dryRun: true`); u.Version != 5 || u.Change == nil {
		t.Errorf("it would be %+v", u)
	}
	if u := one.mustTakeBack(t, "restorePlan", p, `version: 1, expectedVersion: 5, note: "Back"`); u.Version != 6 || *u.Change.Note != "Back" {
		t.Errorf("restored: %+v", u)
	}
	if d := two.dag(t, p); len(d.Nodes) != 1 || len(d.Edges) != 0 || fmt.Sprint(d.Nodes[0]["metadata"].(map[string]any)["label"]) != "A" {
		t.Errorf("it is %+v", d)
	}
	if two.mustTakeBack(t, "undoChange", p, `version: 6`); len(one.dag(t, p).Edges) != 1 {
		t.Error("restoring was not undone")
	}
}

// What was trimmed is not found, and callers are told where the log begins.
func TestPastThatIsNotKept(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := onlineAt(t, url, url)
	p := s.newProject(t)
	plans := story(t, s, s, p)
	pgtest.Exec(t, pgtest.Connect(t, url), fmt.Sprintf(`UPDATE heads SET log_floor = 3, floor_hash = (SELECT hash FROM events
		WHERE project_id = %[1]d AND version = 3) WHERE project_id = %[1]d; DELETE FROM events WHERE project_id = %[1]d AND version <= 3`, p))
	for _, document := range []string{
		`{ planAt(projectId: %d, version: 3) { version } }`, `{ planAt(projectId: %d, at: "2026-01-01T00:00:00Z") { version } }`,
		`{ planDiff(projectId: %d, from: 2) { to } }`, `mutation { undoChange(projectId: %d, version: 3) { version } }`,
		`mutation { restorePlan(projectId: %d, version: 3, expectedVersion: 5) { version } }`,
	} {
		if a := s.ask(t, fmt.Sprintf(document, p), nil); a.Code() != "NOT_FOUND" || a.Errors[0].Extensions["oldest"] != 4.0 {
			t.Errorf("%s: %s", document, a.Text)
		}
	}
	if page := s.history(t, p, ""); page.Oldest != 4 || page.More || versionsOf(page) != "[5 4]" {
		t.Errorf("the page is %+v", page)
	}
	var data struct{ PlanAt json.RawMessage }
	s.must(t, &data, fmt.Sprintf(`{ planAt(projectId: %d, version: 4) { %s } }`, p, everythingOfAPlan), nil)
	if diff := cmp.Diff(plans[4], string(data.PlanAt)); diff != "" {
		t.Error(diff)
	}
}

// Subscribers are told which events take others back, and the existing client gets a patch that guards itself.
func TestSubscribersSeeUndos(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	story(t, one, two, p)
	c := two.dial(t, nil)
	from := two.cursor(t, p)
	subscribe(t, c, "events", question{
		Query:     `subscription ($p: Int!, $after: String) { planEvents(projectId: $p, after: $after) { version undoes operations { kind } } }`,
		Variables: vars{"p": p, "after": from},
	})
	subscribe(t, c, "deltas", question{
		Query: `subscription ($p: Int!, $after: String) { planDagDeltaChanged(projectId: $p, after: $after) {
			version operations { op path value } } }`,
		Variables: vars{"p": p, "after": from},
	})
	one.mustTakeBack(t, "undoChange", p, `version: 4`)
	one.must(t, nil, fmt.Sprintf(`mutation { movePlanDagNode(projectId: %d, nodeId: "b", position: {x: 0, y: 0}) { id } }`, p), nil)
	got := results(t, c, 2, 2)
	want := []string{
		`{"data":{"planEvents":{"version":6,"undoes":4,"operations":[{"kind":"NODE_UPDATED"}]}}}`,
		`{"data":{"planEvents":{"version":7,"undoes":null,"operations":[{"kind":"NODE_UPDATED"}]}}}`,
	}
	if diff := cmp.Diff(want, got["events"]); diff != "" {
		t.Error(diff)
	}
	if first := got["deltas"][0]; !strings.Contains(first, `{"op":"TEST","path":"/metadata/version"`) ||
		!strings.Contains(first, `{"op":"REPLACE","path":"/nodes/0/position/x","value":1}`) {
		t.Errorf("the delta is %s", first)
	}
}

func TestPastThatIsRefused(t *testing.T) {
	t.Parallel()
	s := online(t)
	p, other := s.newProject(t), s.newProject(t)
	story(t, s, s, p)
	for document, want := range map[string]string{
		`{ planAt(projectId: %d) { version } }`:                                                          "BAD_REQUEST",
		`{ planAt(projectId: %d, version: null, at: null) { version } }`:                                 "BAD_REQUEST",
		`{ planAt(projectId: %d, version: 1, at: "2026-01-01T00:00:00Z") { version } }`:                  "BAD_REQUEST",
		`{ planAt(projectId: %d, version: -1) { version } }`:                                             "BAD_REQUEST",
		`{ planAt(projectId: %d, version: 6) { version } }`:                                              "BAD_REQUEST",
		`{ planAt(projectId: %d, at: "2926-01-01T00:00:00Z") { version } }`:                              "BAD_REQUEST",
		`{ planAt(projectId: %d, at: "2026-01-01T00:00:00") { version } }`:                               "BAD_REQUEST",
		`{ planAt(projectId: %d, at: "2026-01-01T00:00:00.1234567Z") { version } }`:                      "BAD_REQUEST",
		`{ planAt(projectId: %d, at: 5) { version } }`:                                                   "BAD_REQUEST",
		`{ planAt(projectId: 4711%d, version: 1) { version } }`:                                          "NOT_FOUND",
		`{ planDiff(projectId: %d, from: -1) { from } }`:                                                 "BAD_REQUEST",
		`{ planDiff(projectId: %d, from: 3, to: 2) { from } }`:                                           "BAD_REQUEST",
		`{ planDiff(projectId: %d, from: 3, to: 9) { from } }`:                                           "BAD_REQUEST",
		`{ planHistory(projectId: %d, limit: 0) { more } }`:                                              "BAD_REQUEST",
		`{ planHistory(projectId: %d, limit: 501) { more } }`:                                            "BAD_REQUEST",
		`{ planHistory(projectId: %d, before: 0) { more } }`:                                             "BAD_REQUEST",
		`{ planHistory(projectId: %d, before: -1) { more } }`:                                            "BAD_REQUEST",
		`{ planHistory(projectId: 4711%d) { more } }`:                                                    "NOT_FOUND",
		`{ planHistory(projectId: %d, limit: 500) { changes { operations { kind id before after } } } }`: "BAD_REQUEST",
		`mutation { undoChange(projectId: %d, version: 0) { version } }`:                                 "BAD_REQUEST",
		`mutation { undoChange(projectId: %d, version: -1) { version } }`:                                "BAD_REQUEST",
		`mutation { undoChange(projectId: %d, version: 6) { version } }`:                                 "BAD_REQUEST",
		`mutation { undoChange(projectId: %d) { version } }`:                                             "BAD_REQUEST", // an anonymous caller
		`mutation { undoChange(projectId: %d, clientId: "eve") { version } }`:                            "NOT_FOUND",
		`mutation { redoChange(projectId: %d, clientId: "ann") { version } }`:                            "NOT_FOUND",
		`mutation { redoChange(projectId: %d, version: 5) { version } }`:                                 "BAD_REQUEST",
		`mutation { undoChange(projectId: %d, version: 5, onConflict: Fail) { version } }`:               "BAD_REQUEST",
		`mutation { undoChange(projectId: %d, version: 5, expectedVersion: 4) { version } }`:             "CONFLICT",
		`mutation { undoChange(projectId: 4711%d, version: 5) { version } }`:                             "NOT_FOUND",
		`mutation { undoChange(projectId: %d, version: 5) { change { a: version b: version } } }`:        "BAD_REQUEST",
		`mutation { restorePlan(projectId: %d, version: -1, expectedVersion: 5) { version } }`:           "BAD_REQUEST",
		`mutation { restorePlan(projectId: %d, version: 6, expectedVersion: 5) { version } }`:            "BAD_REQUEST",
	} {
		if a := s.ask(t, fmt.Sprintf(document, p), nil); a.Code() != want {
			t.Errorf("%s is answered with %q, want %s: %s", document, a.Code(), want, a.Text)
		}
	}
	if got := s.dag(t, p).Version; got != "5" {
		t.Errorf("the plan is at version %s", got)
	}
	// A version of another project is none of this one.
	if a := s.ask(t, fmt.Sprintf(`mutation { undoChange(projectId: %d, version: 5) { version } }`, other), nil); a.Code() != "BAD_REQUEST" {
		t.Errorf("of another project: %s", a.Text)
	}
}
