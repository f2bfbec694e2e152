package executor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/source"

	"github.com/google/uuid"
)

// board is a project as builds see it: its plan, data sources, graphs, open builds and claims, all of one moment. It decides, in memory,
// what is stale, what is built next, and what becomes of builds. Whoever writes what it decided holds the lock of the project's head.
type board struct {
	project int32
	version string          // of the engine
	now     time.Time       // by the clock of the database
	retries []time.Duration // pauses after attempts that failed for reasons of database or machine; the next failure is final
	steps   []*step         // by creation
	order   []*step         // inputs before what they go into, ties by creation; without those on cycles, which the plan's rules refuse
	byID    map[string]*step
	lost    []*build // open builds whose graph has gone
}

// step is a node of the plan.
type step struct {
	id, label string
	kind      plan.NodeType
	config    string
	sourceID  int32   // of the data source that a DataSourceNode names; 0 for none
	inputs    []*step // in the order of their edges
	outputs   []*step
	source    *source.Source // data source that a DataSourceNode names; nil when it names none that is there
	graph     *header        // graph of the node; nil until one is asked for

	// What assess finds out.
	settings string // hash of those that matter; "" before
	refused  error  // why the settings cannot be used; nil when they can
	from     ingredients
	recipe   string   // "" while an input has no output
	because  []string // why the graph is stale; empty when it is current
	// edited says that the graph, or one before it, is stale for other reasons than a new version of the engine: replicas of two releases
	// would ask each other for ever to build what is stale for that.
	edited bool
}

// header is a graph with its open build and claim.
type header struct {
	ID           int32 // 0 until it is stored
	Name         string
	State        string
	ContentID    *int64
	ContentHash  *string
	Bytes        int64 // of the content
	Recipe       *string
	Ingredients  json.RawMessage
	Requested    int32
	NodeCount    int32
	EdgeCount    int32
	ErrorMessage *string
	Metadata     json.RawMessage
	ComputedAt   *time.Time

	build *build // open; nil when nothing is asked for
	claim *claim // nil while nobody builds

	// What store has to write.
	changed bool
	made    *graphdata.Result // what a build made; nil for nothing
	copied  *header           // graph whose content and layers it takes over; nil for none
	former  *int64            // content that it had before; nil for none
	ended   []*build          // builds that are not open any more
	dropped bool              // whether the claim of somebody is to be deleted
}

// build is a row of builds.
type build struct {
	ID           int64 // 0 until it is stored
	NodeID       string
	Label        string
	GraphID      int32
	Generation   int32
	State        string
	Attempt      int32
	Replica      *uuid.UUID
	Reason       string
	Error        *string
	RequestedBy  string
	RequestedAt  time.Time
	RetryAt      *time.Time
	StartedAt    *time.Time
	FinishedAt   *time.Time
	Nodes, Edges *int32

	changed bool
}

// claim is a row of claims.
type claim struct {
	Incarnation uuid.UUID
	Generation  int32
	New         bool
}

// The states of graphs and builds.
const (
	stateNotStarted = "not_started"
	statePending    = "pending"
	stateProcessing = "processing"
	stateCompleted  = "completed"
	stateError      = "error"
	stateCancelled  = "cancelled" // of builds only

	sourceActive = "active"
)

// maxDeaths is the attempt whose replica's death is the last: a build that kills replicas is not given to every one.
const maxDeaths = 3

// link connects the steps, puts them in order, and finds out what is stale.
func (b *board) link(edges [][2]string) {
	b.byID = make(map[string]*step, len(b.steps))
	for _, s := range b.steps {
		b.byID[s.id] = s
	}
	for _, e := range edges {
		from, to := b.byID[e[0]], b.byID[e[1]]
		if from != nil && to != nil {
			to.inputs = append(to.inputs, from)
			from.outputs = append(from.outputs, to)
		}
	}
	b.order = inOrder(b.steps)
	for _, s := range b.order {
		s.assess(b.version)
	}
}

// inOrder returns steps after all their inputs, and otherwise by creation. Steps on cycles, and behind them, are left out.
func inOrder(steps []*step) []*step {
	at := make(map[*step]int, len(steps))
	missing := make([]int, len(steps))
	var ready []int // ascending
	for i, s := range steps {
		at[s] = i
		if missing[i] = len(s.inputs); missing[i] == 0 {
			ready = append(ready, i)
		}
	}
	order := make([]*step, 0, len(steps))
	for len(ready) > 0 {
		s := steps[ready[0]]
		ready = ready[1:]
		order = append(order, s)
		for _, out := range s.outputs {
			i := at[out]
			if missing[i]--; missing[i] == 0 {
				place, _ := slices.BinarySearch(ready, i)
				ready = slices.Insert(ready, place, i)
			}
		}
	}
	return order
}

// input returns the step as an ingredient of others.
func (s *step) input() ingredient {
	in := ingredient{Node: s.id, Label: s.label}
	switch {
	case s.source != nil:
		in.Source, in.Filename = s.source.ID, s.source.Filename
		if s.source.Status == sourceActive {
			in.Hash = s.source.Hash()
		}
	case s.graph != nil && s.graph.ContentHash != nil:
		in.Hash = *s.graph.ContentHash
	}
	return in
}

// assess finds out what the step is made of now, and whether its graph is stale. Its inputs were assessed before.
func (s *step) assess(version string) {
	if !builds(s.kind) {
		return
	}
	if s.settings == "" {
		s.settings, s.refused = hashSettings(s.kind, s.config)
	}
	from := ingredients{Version: version, Kind: s.kind, Settings: s.settings, Inputs: make([]ingredient, len(s.inputs))}
	for i, in := range s.inputs {
		from.Inputs[i] = in.input()
	}
	// Most are assessed several times and look the same each time. Hashing takes longest.
	if s.from.Version != version || s.from.Kind != s.kind || s.from.Settings != s.settings || !slices.Equal(s.from.Inputs, from.Inputs) {
		s.from, s.recipe = from, from.recipe()
	}
	s.because, s.edited = nil, false
	if s.graph == nil || s.graph.ContentID == nil || s.graph.Recipe == nil {
		s.because, s.edited = []string{"it was never built"}, true
		return
	}
	if *s.graph.Recipe != s.recipe {
		since := s.graph.ingredients()
		s.because, s.edited = s.from.changes(since), since.Version == version
	}
	for _, in := range s.inputs {
		if len(in.because) > 0 {
			s.because = append(s.because, in.name()+" is out of date")
		}
		s.edited = s.edited || in.edited
	}
}

func (h *header) ingredients() (i ingredients) {
	_ = json.Unmarshal(h.Ingredients, &i) // then everything is different
	return i
}

// name is what people call the step.
func (s *step) name() string { return cmp.Or(s.label, s.id) }

// open reports whether a build of the step is asked for, or under way.
func (s *step) open() bool { return s.graph != nil && s.graph.build != nil }

// ancestors returns the steps and all that lead to them, in order.
func (b *board) ancestors(of []*step) []*step {
	return b.reach(of, func(s *step) []*step { return s.inputs })
}

// descendants returns the steps and all that they lead to, in order.
func (b *board) descendants(of []*step) []*step {
	return b.reach(of, func(s *step) []*step { return s.outputs })
}

func (b *board) reach(from []*step, next func(*step) []*step) []*step {
	seen := make(map[*step]bool)
	todo := slices.Clone(from)
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[s] {
			seen[s] = true
			todo = append(todo, next(s)...)
		}
	}
	var found []*step
	for _, s := range b.order {
		if seen[s] {
			found = append(found, s)
		}
	}
	return found
}

// request asks for what is stale among some steps, which come with their ancestors, and for what did not succeed. It returns how many these
// are.
func (b *board) request(asked []*step, by string) (count int) {
	for _, s := range asked {
		if builds(s.kind) && (len(s.because) > 0 || s.open() || s.graph.State != stateCompleted) {
			b.ask(s, by)
			count++
		}
	}
	return count
}

// ask asks for a build of one step. One build answers all that ask before it begins.
func (b *board) ask(s *step, by string) {
	if s.graph == nil {
		s.graph = &header{Name: s.label, State: stateNotStarted}
	}
	g := s.graph
	g.Requested++
	g.changed = true
	switch {
	case g.build == nil:
		b.reopen(s, by)
	case g.claim == nil:
		g.build.Generation, g.build.changed = g.Requested, true
		if g.build.RetryAt != nil {
			g.build.RetryAt = &b.now // who asks does not wait for the pause, which says that no death came before it
		}
	}
}

// reopen begins a build that answers the newest request.
func (b *board) reopen(s *step, by string) {
	g := s.graph
	g.build = &build{
		NodeID: s.id, Label: s.label, GraphID: g.ID, Generation: g.Requested, State: statePending, Reason: sentence(s.because), RequestedBy: by,
		changed: true,
	}
	g.State, g.ErrorMessage, g.changed = statePending, nil, true
}

// advance carries open builds on, inputs first, as far as that goes without computing: a build whose input failed fails, one that would
// make what is there is completed, and one that would copy an input shares its content. It returns the steps that can be built now, those
// that were asked for first at first.
func (b *board) advance() []*step {
	for _, lost := range b.lost {
		lost.end(b.now, stateCancelled, nil)
	}
	for b.pass() { // each pass asks for at least one input that nobody has asked for, or is the last
	}
	var ready []*step
	for _, s := range b.order {
		if s.open() && s.graph.claim == nil && b.ready(s) {
			ready = append(ready, s)
		}
	}
	slices.SortStableFunc(ready, func(x, y *step) int { return cmp.Compare(x.graph.build.ID, y.graph.build.ID) })
	return ready
}

// ready reports whether a step that is open can be built now. A build that was just asked for has no row yet, so it waits for the next
// look.
func (b *board) ready(s *step) bool {
	retry := s.graph.build.RetryAt
	return s.graph.build.ID != 0 && s.recipe != "" && (retry == nil || !retry.After(b.now)) && !slices.ContainsFunc(s.inputs, (*step).open)
}

// pass carries each open build on once. It reports whether it asked for an input, which may be carried on in turn.
func (b *board) pass() (asked bool) {
	for _, s := range b.order {
		s.assess(b.version)
		if !s.open() || s.graph.claim != nil {
			continue
		}
		if problem := s.problem(); problem != "" {
			b.fail(s, problem)
			continue
		}
		for _, in := range s.inputs {
			if in.edited && !in.open() {
				b.ask(in, s.graph.build.RequestedBy)
				asked = true
			}
		}
		g := s.graph
		switch {
		case slices.ContainsFunc(s.inputs, (*step).open):
		case g.Recipe != nil && *g.Recipe == s.recipe && g.ContentID != nil:
			b.complete(s)
		case s.copies():
			b.share(s, s.inputs[0].graph)
		case g.build.Attempt >= maxDeaths && g.build.RetryAt == nil:
			b.fail(s, fmt.Sprintf("The build was given up: its replica stopped in each of %d attempts", g.build.Attempt))
		}
		s.assess(b.version)
	}
	return asked
}

// problem returns why the step cannot be built, whatever becomes of its other inputs, or "".
func (s *step) problem() string {
	if !builds(s.kind) {
		return "It builds no graph any more"
	}
	if len(s.inputs) == 0 && (s.kind == plan.TransformNode || s.kind == plan.CopyNode) {
		return "It has no input"
	}
	if f := fault.From(s.refused); f != nil {
		return f.Message
	}
	for _, in := range s.inputs {
		switch {
		case in.kind == plan.DataSourceNode:
			if reason := in.sourceProblem(); reason != "" {
				return fmt.Sprintf("Its input %q %s", in.name(), reason)
			}
		case !builds(in.kind):
			return fmt.Sprintf("Its input %q builds no graph", in.name())
		case in.graph != nil && in.graph.State == stateError:
			return fmt.Sprintf("Its input %q failed", in.name())
		}
	}
	return ""
}

func (s *step) sourceProblem() string {
	switch {
	case s.source != nil && s.source.Status == sourceActive:
		return ""
	case s.source != nil && s.source.ErrorMessage != nil:
		return "cannot be read: " + *s.source.ErrorMessage
	case s.source != nil:
		return "cannot be read"
	case sourceOf(s.config) != 0:
		return fmt.Sprintf("names the data source %d, which does not exist", sourceOf(s.config))
	}
	return "names no data source"
}

// copies reports whether the step's graph has the same content as its one input: a copy, or the union of one graph that keeps the rules of
// built graphs already.
func (s *step) copies() bool {
	if len(s.inputs) != 1 || s.inputs[0].graph == nil {
		return false
	}
	from := s.inputs[0].kind
	return s.kind == plan.CopyNode || s.kind == plan.GraphNode && (from == plan.GraphNode || from == plan.MergeNode)
}

// finish puts what a build made into place. The claim was deleted before.
func (b *board) finish(s *step, made graphdata.Result) {
	g := s.graph
	g.ContentID, g.ContentHash, g.NodeCount, g.EdgeCount = &made.Content.ID, &made.Content.Hash, made.Content.Nodes, made.Content.Edges
	g.Recipe, g.Ingredients, g.Metadata, g.made = &made.Recipe, made.Ingredients, made.Metadata, &made
	g.ComputedAt = &b.now
	b.complete(s)
}

// share puts the content of another graph into place.
func (b *board) share(s *step, from *header) {
	g := s.graph
	if g.made == nil && g.copied == nil {
		g.former = g.ContentID
	}
	g.ContentID, g.ContentHash, g.NodeCount, g.EdgeCount = from.ContentID, from.ContentHash, from.NodeCount, from.EdgeCount
	g.Recipe, g.Ingredients, g.Metadata, g.copied, g.Bytes = new(s.recipe), s.from.json(), nil, from, from.Bytes
	g.ComputedAt = &b.now
	b.complete(s)
}

// complete ends the build of a step whose content is in place.
func (b *board) complete(s *step) {
	g := s.graph
	g.build.Nodes, g.build.Edges = &g.NodeCount, &g.EdgeCount
	b.close(s, stateCompleted, nil)
}

// fail ends the build of a step for good. What was built before stays.
func (b *board) fail(s *step, why string) { b.close(s, stateError, &why) }

// close ends the build of a step. When it was asked for again since the build began, another one is due.
func (b *board) close(s *step, state string, why *string) {
	g := s.graph
	done := g.build
	done.end(b.now, state, why)
	g.ended = append(g.ended, done)
	g.build, g.claim = nil, nil
	g.State, g.ErrorMessage, g.changed = state, why, true
	if g.Requested > done.Generation {
		s.assess(b.version)
		b.reopen(s, done.RequestedBy)
	}
}

// claimed names a claim of any replica: the build of a graph for a generation.
type claimed struct{ graph, generation int32 }

// cancel ends the open builds of steps, and gives the graphs the state of what is there. It returns the claims that end with them.
func (b *board) cancel(steps []*step) (ended []claimed) {
	for _, s := range steps {
		if !s.open() {
			continue
		}
		g := s.graph
		g.build.Generation = g.Requested // newer requests end with it
		if g.dropped = g.claim != nil; g.dropped {
			ended = append(ended, claimed{g.ID, g.claim.Generation})
		}
		state := stateNotStarted
		if g.ContentID != nil {
			state = stateCompleted
		}
		b.close(s, state, nil)
		g.ended[len(g.ended)-1].State = stateCancelled
	}
	return ended
}

// begin claims a step for a replica, unless somebody has.
func (b *board) begin(s *step, incarnation uuid.UUID) {
	build := s.graph.build
	build.Attempt++
	build.State, build.Replica, build.Generation = stateProcessing, &incarnation, s.graph.Requested
	build.StartedAt, build.RetryAt, build.changed = &b.now, nil, true
	s.graph.claim = &claim{Incarnation: incarnation, Generation: s.graph.Requested, New: true}
}

// retry ends an attempt that failed for no fault of the build. It reports whether there is another one.
func (b *board) retry(s *step, why string) bool {
	build := s.graph.build
	if int(build.Attempt) > len(b.retries) {
		return false
	}
	at := b.now.Add(b.retries[build.Attempt-1])
	build.RetryAt, build.Error, build.changed = &at, &why, true
	s.graph.wait()
	return true
}

// giveBack ends an attempt as if it had not begun. The time of the next one says that none died.
func (b *board) giveBack(s *step) {
	build := s.graph.build
	build.Attempt--
	build.RetryAt, build.changed = &b.now, true
	s.graph.wait()
}

// wait leaves the open build without a claim.
func (h *header) wait() {
	h.claim = nil
	if h.State == stateProcessing {
		h.State, h.changed = statePending, true
	}
}

func (b *build) end(now time.Time, state string, why *string) {
	b.State, b.Error, b.FinishedAt, b.changed = state, why, &now, true
}

// execution is what events show of the graph.
func (h *header) execution() *plan.GraphExecution {
	e := &plan.GraphExecution{
		GraphID: h.ID, NodeCount: h.NodeCount, EdgeCount: h.EdgeCount, ExecutionState: h.State, ErrorMessage: h.ErrorMessage,
	}
	if h.ComputedAt != nil {
		at := plan.FormatTime(*h.ComputedAt)
		e.ComputedDate = &at
	}
	return e
}
