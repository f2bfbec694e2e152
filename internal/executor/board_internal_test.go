package executor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/graphdata"
	"layercake/internal/ingest"
	"layercake/internal/plan"
	"layercake/internal/source"

	"github.com/google/uuid"
)

var one, two = uuid.UUID{1}, uuid.UUID{2}

// table is a board as the tables have it between transactions.
type table struct {
	*board
	t     testing.TB
	edges [][2]string
	last  int64 // id
	told  int   // headers that the last transaction changed
}

// letters are the types of nodes by the first letter of their ids.
var letters = map[byte]plan.NodeType{
	's': plan.DataSourceNode, 'g': plan.GraphNode, 'm': plan.MergeNode, 't': plan.TransformNode, 'c': plan.CopyNode, 'o': plan.OutputNode,
}

// plot returns a board of nodes, whose ids begin with the letter of their type, and edges such as "s1-g1". Each source has a file of its
// own.
func plot(t testing.TB, nodes, edges string) *table {
	t.Helper()
	tb := &table{t: t, board: &board{
		project: 1, version: "1", now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), retries: []time.Duration{time.Second, 5 * time.Second},
	}}
	for id := range strings.FieldsSeq(nodes) {
		s := &step{id: id, label: strings.ToUpper(id), kind: letters[id[0]], config: "{}"}
		if s.kind == plan.DataSourceNode {
			tb.last++
			s.source = &source.Source{ID: int32(tb.last), Filename: id + ".csv", Format: ingest.CSV, Kind: ingest.Nodes, Status: "active", SHA256: id}
		}
		if s.kind == plan.TransformNode {
			s.config = `{"transforms":[{"kind":"ReverseEdges"}]}`
		}
		tb.steps = append(tb.steps, s)
	}
	for e := range strings.FieldsSeq(edges) {
		from, to, _ := strings.Cut(e, "-")
		tb.edges = append(tb.edges, [2]string{from, to})
	}
	tb.load()
	return tb
}

// load begins a transaction: what is stored is linked again.
func (tb *table) load() {
	for _, s := range tb.steps {
		s.inputs, s.outputs, s.settings = nil, nil, ""
	}
	tb.link(tb.edges)
}

// in runs f in a transaction that advances and stores.
func (tb *table) in(f func()) (ready []string) {
	tb.t.Helper()
	tb.load()
	f()
	for _, s := range tb.advance() {
		ready = append(ready, s.id)
	}
	tb.told = 0
	tb.lost = nil
	for _, s := range tb.order {
		g := s.graph
		if g == nil {
			continue
		}
		if g.ID == 0 {
			tb.last++
			g.ID = int32(tb.last)
		}
		if g.changed {
			tb.told++
		}
		for _, b := range append(g.ended, g.build) {
			if b != nil && b.ID == 0 {
				tb.last++
				b.ID = tb.last
			}
			if b != nil {
				b.changed = false
			}
		}
		open := 0
		for _, b := range append(g.ended, g.build) {
			if b != nil && b.FinishedAt == nil {
				open++
			}
		}
		if open > 1 {
			tb.t.Fatalf("%s has %d open builds", s.id, open)
		}
		if (g.State == statePending || g.State == stateProcessing) != (g.build != nil) {
			tb.t.Fatalf("%s is %s, and its build is open: %t", s.id, g.State, g.build != nil)
		}
		g.changed, g.made, g.copied, g.former, g.ended, g.dropped = false, nil, nil, nil, nil, false
	}
	return ready
}

func (tb *table) ask(id string) []string {
	tb.t.Helper()
	tb.in(func() {
		targets, err := tb.targets(id)
		if err != nil {
			tb.t.Fatal(err)
		}
		tb.request(tb.ancestors(targets), "Ann")
	})
	return tb.look()
}

// look returns the ids of what can be built.
func (tb *table) look() []string { tb.t.Helper(); return tb.in(func() {}) }

func (tb *table) at(id string) *step { return tb.byID[id] }

func (tb *table) state(id string) string {
	if tb.at(id).graph == nil {
		return stateNotStarted
	}
	return tb.at(id).graph.State
}

func (tb *table) claim(id string, by uuid.UUID) *attempt {
	tb.t.Helper()
	var a *attempt
	tb.in(func() {
		tb.begin(tb.at(id), by)
		a = newAttempt(tb.board, tb.at(id), 0)
	})
	return a
}

// finish ends an attempt as change does: it is thrown away when the claim is not there.
func (tb *table) finish(a *attempt) bool {
	return tb.end(a, func(s *step) {
		tb.board.finish(s, graphdata.Result{
			Content: graphdata.Content{ID: int64(a.graph)*1000 + int64(a.number), Hash: "made by " + a.recipe}, Recipe: a.recipe, Ingredients: a.ingredients.json(),
		})
	})
}

func (tb *table) end(a *attempt, f func(*step)) bool {
	s := tb.at(a.node)
	if s == nil || !s.claimed(a) {
		return false
	}
	tb.in(func() { s.graph.claim = nil; f(s) })
	return true
}

// buildAll builds what is ready until nothing is, and returns the ids in order.
func (tb *table) buildAll() (built []string) {
	tb.t.Helper()
	for ready := tb.look(); len(ready) > 0; ready = tb.look() {
		built = append(built, ready[0])
		tb.finish(tb.claim(ready[0], one))
	}
	return built
}

func (tb *table) stale() (ids []string) {
	tb.load()
	for _, s := range tb.order {
		if len(s.because) > 0 {
			ids = append(ids, s.id)
		}
	}
	return ids
}

func same(t testing.TB, what string, got []string, want string) {
	t.Helper()
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s: %q, want %q", what, s, want)
	}
}

func TestOrderIsThatOfInputsThenOfCreation(t *testing.T) {
	t.Parallel()
	tb := plot(t, "g3 g1 s1 m1 g2 o1", "s1-g1 g1-m1 g2-m1 m1-g3 g3-o1")
	var ids []string
	for _, s := range tb.order {
		ids = append(ids, s.id)
	}
	same(t, "order", ids, "s1 g1 g2 m1 g3 o1")
	cyclic := plot(t, "g1 g2 g3", "g1-g2 g2-g1 g2-g3")
	if len(cyclic.order) != 0 {
		t.Errorf("%d steps of a cycle are in order", len(cyclic.order))
	}
}

func TestNodeIsBuiltWithItsAncestors(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 s2 g1 m1 g2 g3", "s1-g1 g1-m1 s2-m1 m1-g2 s1-g3")
	same(t, "ready", tb.ask("m1"), "g1")
	if tb.told != 0 { // the look after the request
		t.Errorf("a look told %d states", tb.told)
	}
	same(t, "built", tb.buildAll(), "g1 m1")
	for id, want := range map[string]string{"g1": stateCompleted, "m1": stateCompleted, "g2": stateNotStarted, "g3": stateNotStarted} {
		if tb.state(id) != want {
			t.Errorf("%s is %s, want %s", id, tb.state(id), want)
		}
	}
	tb.ask("m1")
	if tb.told != 0 || tb.at("m1").graph.Requested != 1 {
		t.Errorf("asking for what is current told %d states, and asked %d times", tb.told, tb.at("m1").graph.Requested)
	}
	same(t, "stale", tb.stale(), "g2 g3")
	same(t, "ready", tb.ask(""), "g3")
	same(t, "built", tb.buildAll(), "g3") // g2 is the union of one graph, and shares its content
	if a, b := tb.at("g2").graph, tb.at("m1").graph; *a.ContentID != *b.ContentID || a.State != stateCompleted {
		t.Errorf("g2 has content %d and is %s, want that of m1, %d", *a.ContentID, a.State, *b.ContentID)
	}
}

func TestOneSourceMakesItsDescendantsStale(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 s2 g1 g2 t1 m1 c1", "s1-g1 s2-g2 g1-t1 t1-m1 g2-m1 m1-c1")
	tb.ask("")
	tb.buildAll()
	same(t, "stale", tb.stale(), "")
	tb.at("s1").source.SHA256 = "new"
	same(t, "stale", tb.stale(), "g1 t1 m1 c1")
	same(t, "because", tb.at("g1").because, "s1.csv was replaced")
	same(t, "because", tb.at("t1").because, "G1 is out of date")
	tb.ask("")
	same(t, "built", tb.buildAll(), "g1 t1 m1")
	same(t, "stale", tb.stale(), "")
	if n := tb.at("g2").graph.Requested; n != 1 {
		t.Errorf("g2 was asked for %d times", n)
	}
}

// Who rebuilds to the same result does not make others stale: they are completed when their turn comes, and nobody computes.
func TestSameResultBuildsNothingAfterIt(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 g1 t1", "s1-g1 g1-t1")
	tb.ask("")
	tb.buildAll()
	before := *tb.at("t1").graph.ContentID
	tb.at("s1").source.SHA256 = "new"
	tb.ask("")
	a := tb.claim("g1", one)
	hash := *tb.at("g1").graph.ContentHash
	tb.end(a, func(s *step) {
		tb.board.finish(s, graphdata.Result{Content: graphdata.Content{ID: 9, Hash: hash}, Recipe: a.recipe, Ingredients: a.ingredients.json()})
	})
	if g := tb.at("t1").graph; g.State != stateCompleted || *g.ContentID != before || len(tb.look()) != 0 {
		t.Errorf("t1 is %s with content %d, want completed with %d", g.State, *g.ContentID, before)
	}
}

func TestFailedInputFailsWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 s2 g1 m1 t1 g2", "s1-g1 g1-m1 m1-t1 s2-g2")
	tb.ask("")
	tb.buildAll()
	former := *tb.at("t1").graph.ContentID
	tb.at("s1").source.SHA256 = "new"
	tb.ask("")
	tb.end(tb.claim("g1", one), func(s *step) { tb.fail(s, "Bad") })
	for id, want := range map[string]string{"g1": "Bad", "m1": `Its input "G1" failed`, "t1": `Its input "M1" failed`} {
		if g := tb.at(id).graph; g.State != stateError || *g.ErrorMessage != want || g.build != nil {
			t.Errorf("%s is %s: %v, want %q", id, g.State, g.ErrorMessage, want)
		}
	}
	if *tb.at("t1").graph.ContentID != former {
		t.Error("the former content is gone")
	}
	if tb.state("g2") != stateCompleted {
		t.Errorf("g2 is %s", tb.state("g2"))
	}
	// As it was before: nothing is stale, but what failed is completed again, without being built.
	tb.at("s1").source.SHA256 = "s1"
	same(t, "stale", tb.stale(), "")
	same(t, "ready", tb.ask("t1"), "")
	if tb.state("g1") != stateCompleted || tb.state("t1") != stateCompleted || tb.at("t1").graph.ErrorMessage != nil {
		t.Errorf("g1 is %s, t1 is %s", tb.state("g1"), tb.state("t1"))
	}
}

// Settings that nobody knows are refused before anything is built, also of a node that would share what its input has.
func TestSettingsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for id, c := range map[string]struct{ config, want string }{
		"m1": {`{"mergeStrategy":"Union","color":"red"}`, `The configuration of the merge is not readable: "color" is unknown: correct its name, or remove it`},
		"t1": {`{"transforms":[{"kind":"No"}]}`, `Transform step 1 has the unknown kind "No"; known are `},
		"c1": {`{"copyType":"bogus"}`, `The copy has the unknown copyType "bogus"; known are DeepCopy, ShallowCopy, Reference`},
		"c2": {`{"copyType":"DeepCopy","deep":true}`, `The configuration of the copy is not readable: "deep" is unknown: correct its name, or remove it`},
	} {
		tb := plot(t, "s1 g1 m1 t1 c1 c2", "s1-g1 g1-m1 g1-t1 g1-c1 g1-c2")
		tb.ask("")
		tb.buildAll()
		former := *tb.at(id).graph.ContentID
		tb.at(id).config, tb.at(id).settings = c.config, ""
		same(t, "ready", tb.ask(""), "")
		g := tb.at(id).graph
		if g.State != stateError || g.ErrorMessage == nil || !strings.HasPrefix(*g.ErrorMessage, c.want) || *g.ContentID != former {
			t.Errorf("%s is %s: %v, content %d", id, g.State, g.ErrorMessage, *g.ContentID)
		}
	}
}

func TestSourcesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	bad := "Row 3 is bad"
	for name, c := range map[string]struct {
		change func(*step)
		want   string
	}{
		"none chosen":     {func(s *step) { s.source = nil }, `Its input "S1" names no data source`},
		"one that went":   {func(s *step) { s.source, s.config = nil, `{"dataSourceId":7}` }, `Its input "S1" names the data source 7, which does not exist`},
		"one that is bad": {func(s *step) { s.source.Status, s.source.ErrorMessage = "error", &bad }, `Its input "S1" cannot be read: Row 3 is bad`},
	} {
		tb := plot(t, "s1 g1 t1", "s1-g1 g1-t1")
		c.change(tb.at("s1"))
		same(t, name, tb.ask(""), "")
		if g := tb.at("g1").graph; g.State != stateError || *g.ErrorMessage != c.want {
			t.Errorf("%s: g1 is %s: %v", name, g.State, *g.ErrorMessage)
		}
		if g := tb.at("t1").graph; g.State != stateError || *g.ErrorMessage != `Its input "G1" failed` {
			t.Errorf("%s: t1 is %s: %v", name, g.State, *g.ErrorMessage)
		}
	}
	tb := plot(t, "t1 c1", "")
	tb.ask("")
	if g := tb.at("t1").graph; g.State != stateError || *g.ErrorMessage != "It has no input" {
		t.Errorf("t1 is %s", g.State)
	}
}

// Whoever was stopped and comes back finds that their claim has gone, whatever others did meanwhile.
func TestResultOfALostClaimIsThrownAway(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 g1", "s1-g1")
	tb.ask("g1")
	stopped := tb.claim("g1", one)
	tb.at("g1").graph.claim = nil // with the lease
	same(t, "ready", tb.look(), "g1")
	other := tb.claim("g1", two)
	if tb.finish(stopped) {
		t.Error("the result of a lost claim was taken, while another replica builds")
	}
	if !tb.finish(other) || tb.finish(stopped) || tb.finish(other) {
		t.Error("not exactly one result was taken")
	}
	if tb.at("g1").graph.Requested != 1 {
		t.Error("it was asked for again")
	}
	// The same replica and another generation.
	tb.at("s1").source.SHA256 = "new"
	tb.ask("g1")
	first := tb.claim("g1", one)
	tb.in(func() { tb.cancel([]*step{tb.at("g1")}) })
	tb.ask("g1")
	tb.claim("g1", one)
	if tb.finish(first) {
		t.Error("the result of a former generation was taken")
	}
}

func TestRequestDuringABuild(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 g1 t1", "s1-g1 g1-t1")
	tb.ask("")
	a := tb.claim("g1", one)
	tb.at("s1").source.SHA256 = "new"
	same(t, "ready", tb.ask(""), "")
	if !tb.finish(a) {
		t.Fatal("it was thrown away")
	}
	if g := tb.at("g1").graph; g.State != statePending || g.ContentID == nil || g.Requested != 2 {
		t.Errorf("g1 is %s, asked for %d times", g.State, g.Requested)
	}
	same(t, "built", tb.buildAll(), "g1 t1")
	same(t, "stale", tb.stale(), "")
	// When nothing changed meanwhile, the second build is over at once.
	tb.at("s1").source.SHA256 = "newer"
	tb.ask("")
	a = tb.claim("g1", one)
	tb.ask("")
	tb.finish(a)
	if tb.state("g1") != stateCompleted {
		t.Errorf("g1 is %s", tb.state("g1"))
	}
	same(t, "built", tb.buildAll(), "t1")
}

// A plan that is edited while its nodes are built is built as it is at the end.
func TestEditDuringABuild(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 m1 t1", "s1-m1 m1-t1")
	tb.ask("")
	a := tb.claim("m1", one)
	tb.at("m1").config = `{"mergeStrategy":"Intersection"}`
	tb.finish(a)
	same(t, "built", tb.buildAll(), "m1 t1")
	same(t, "stale", tb.stale(), "")
	// An input that is new, and that nobody asked for.
	tb.at("s1").source.SHA256 = "new"
	tb.ask("")
	a = tb.claim("m1", one)
	tb.steps = append(tb.steps, &step{id: "g9", kind: plan.GraphNode, config: "{}"})
	tb.edges = append(tb.edges, [2]string{"g9", "m1"})
	tb.finish(a)
	same(t, "built", tb.buildAll(), "g9 m1 t1")
	same(t, "stale", tb.stale(), "")
}

// Replicas of two releases do not ask each other for ever to build what is stale for each of them.
func TestNeighboursOfTwoReleases(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 g1 m1 t1 t2", "s1-g1 g1-m1 m1-t1 t1-t2")
	tb.ask("t1")
	tb.buildAll()
	tb.version = "2"
	same(t, "stale", tb.stale(), "g1 m1 t1 t2")
	same(t, "because", tb.at("g1").because, "the engine was updated")
	tb.version = "1"
	tb.ask("t2")
	tb.version = "2"
	same(t, "ready", tb.look(), "t2")
	if n := tb.at("t1").graph.Requested; n != 1 {
		t.Errorf("t1 was asked for %d times", n)
	}
	tb.buildAll()
	tb.version = "1"
	same(t, "ready", tb.look(), "")
	tb.version = "2"
	tb.ask("")
	same(t, "built", tb.buildAll(), "g1 m1 t1 t2")
	same(t, "stale", tb.stale(), "")
}

func TestFailuresOfTheMachineAreRetried(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 g1 t1", "s1-g1 g1-t1")
	tb.ask("")
	for i, pause := range tb.retries {
		tb.end(tb.claim("g1", one), func(s *step) {
			if !tb.retry(s, "Away") {
				t.Fatalf("attempt %d was the last", i+1)
			}
		})
		tb.now = tb.now.Add(pause - time.Millisecond)
		same(t, "ready too early", tb.look(), "")
		tb.now = tb.now.Add(time.Millisecond)
		same(t, "ready", tb.look(), "g1")
	}
	tb.end(tb.claim("g1", one), func(s *step) {
		if tb.retry(s, "Away") {
			t.Error("it is tried for ever")
		}
		tb.fail(s, "Away")
	})
	if tb.state("g1") != stateError || tb.state("t1") != stateError {
		t.Errorf("g1 is %s", tb.state("g1"))
	}
	// Who asks again does not wait for the pause.
	tb.ask("g1")
	tb.end(tb.claim("g1", one), func(s *step) { tb.retry(s, "Away") })
	same(t, "ready", tb.ask("g1"), "g1")
}

// Failures of the machine are no deaths: when a replica gives the last attempt back, or somebody asks again in the pause before it, there is
// a last attempt all the same.
func TestLastAttemptAfterFailures(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(*table){
		"given back": func(tb *table) {
			tb.now = tb.now.Add(time.Minute)
			tb.end(tb.claim("g1", one), tb.giveBack)
		},
		"asked again": func(tb *table) { tb.ask("g1") },
	} {
		tb := plot(t, "s1 g1", "s1-g1")
		tb.retries = DefaultTiming.Retries[:]
		tb.ask("")
		for range tb.retries {
			tb.now = tb.now.Add(time.Minute)
			tb.end(tb.claim("g1", one), func(s *step) { tb.retry(s, "Away") })
		}
		between(tb)
		same(t, name, tb.look(), "g1")
	}
}

func TestBuildThatKillsItsReplicas(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 g1", "s1-g1")
	tb.ask("")
	for range maxDeaths {
		same(t, "ready", tb.look(), "g1")
		tb.claim("g1", one)
		tb.at("g1").graph.claim = nil
	}
	same(t, "ready", tb.look(), "")
	if g := tb.at("g1").graph; g.State != stateError || !strings.Contains(*g.ErrorMessage, "3 attempts") {
		t.Errorf("g1 is %s", g.State)
	}
	// Replicas that were stopped in order do not count.
	tb.ask("")
	for range 2 * maxDeaths {
		tb.end(tb.claim("g1", one), tb.giveBack)
	}
	same(t, "ready", tb.look(), "g1")
	if tb.state("g1") != statePending {
		t.Errorf("g1 is %s", tb.state("g1"))
	}
}

func TestCancelTakesWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	tb := plot(t, "s1 s2 g1 t1 g2", "s1-g1 g1-t1 s2-g2")
	tb.ask("")
	a := tb.claim("g1", one)
	var ended []claimed
	tb.in(func() { ended = tb.cancel(tb.descendants([]*step{tb.at("g1")})) })
	if !slices.Equal(ended, []claimed{{a.graph, a.generation}}) || tb.state("g1") != stateNotStarted || tb.state("t1") != stateNotStarted || tb.state("g2") != statePending {
		t.Errorf("ended %v, g1 is %s, t1 is %s, g2 is %s", ended, tb.state("g1"), tb.state("t1"), tb.state("g2"))
	}
	if tb.finish(a) {
		t.Error("what was cancelled was put into place")
	}
	tb.ask("")
	tb.buildAll()
	tb.at("s1").source.SHA256 = "new"
	tb.ask("")
	tb.in(func() { ended = tb.cancel(tb.steps) })
	if len(ended) != 0 || tb.state("g1") != stateCompleted || tb.state("t1") != stateCompleted {
		t.Errorf("ended %v, g1 is %s, t1 is %s", ended, tb.state("g1"), tb.state("t1"))
	}
	same(t, "stale", tb.stale(), "g1 t1")
}

// A cancellation does not end the attempt that began after it, when somebody asked again meanwhile.
func TestCancelLeavesTheNextAttemptAlone(t *testing.T) {
	t.Parallel()
	s := &Service{running: make(map[*attempt]bool)}
	begin := func(generation int32) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		s.running[&attempt{graph: 7, generation: generation, cancel: cancel}] = true
		return ctx
	}
	cancelled, next := begin(1), begin(2)
	s.stop([]claimed{{7, 1}})
	if context.Cause(cancelled) != errLost || next.Err() != nil { //nolint:errorlint // it is the cause itself
		t.Errorf("the attempts ended with %v and %v", context.Cause(cancelled), next.Err())
	}
}

// Whatever happens in whatever order, builds go on: at rest all that was asked for is current, or failed, and no build is open.
func TestEveryBuildEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var nodes, edges []string
		for i := range 1 + r.IntN(12) {
			id := fmt.Sprintf("%c%d", "sgmtc"[r.IntN(5)], i)
			for _, from := range nodes {
				single := id[0] == 't' || id[0] == 'c'
				if id[0] != 's' && r.IntN(3) == 0 && !(single && slices.ContainsFunc(edges, func(e string) bool { return strings.HasSuffix(e, "-"+id) })) {
					edges = append(edges, from+"-"+id)
				}
			}
			nodes = append(nodes, id)
		}
		tb := plot(t, strings.Join(nodes, " "), strings.Join(edges, " "))
		var attempts []*attempt
		for range 60 {
			id := nodes[r.IntN(len(nodes))]
			s := tb.at(id)
			switch r.IntN(9) {
			case 0:
				tb.ask("")
			case 1:
				tb.ask(id)
			case 2:
				if s.source != nil {
					s.source.SHA256 = fmt.Sprint(r.IntN(3))
				}
			case 3:
				if s.kind == plan.MergeNode {
					s.config = fmt.Sprintf(`{"mergeStrategy":"%d"}`, r.IntN(2))
				}
			case 4, 5:
				if ready := tb.look(); len(ready) > 0 {
					attempts = append(attempts, tb.claim(ready[0], one))
				}
			case 6:
				if len(attempts) > 0 {
					i := r.IntN(len(attempts))
					switch a := attempts[i]; r.IntN(5) {
					case 0:
						tb.end(a, func(s *step) { tb.fail(s, "Bad") })
					case 1:
						tb.end(a, func(s *step) { _ = tb.retry(s, "Away") || func() bool { tb.fail(s, "Away"); return true }() })
					case 2:
						tb.end(a, tb.giveBack)
					default:
						tb.finish(a)
					}
					attempts = slices.Delete(attempts, i, i+1)
				}
			case 7:
				if s.graph != nil {
					s.graph.claim = nil // killed
				}
			case 8:
				tb.in(func() { tb.cancel(tb.descendants([]*step{s})) })
			}
			tb.now = tb.now.Add(time.Second)
		}
		for _, s := range tb.steps {
			if s.graph != nil {
				s.graph.claim = nil
			}
		}
		tb.now = tb.now.Add(time.Minute)
		tb.ask("")
		tb.buildAll()
		for _, s := range tb.steps {
			if builds(s.kind) && (s.open() || s.graph.State != stateError && (s.graph.State != stateCompleted || len(s.because) > 0)) {
				t.Fatalf("seed %d: %s is %s, open: %t, stale: %q", seed, s.id, s.graph.State, s.open(), s.because)
			}
		}
	}
}
