package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/layered"
	"layercake/internal/outage"
	"layercake/internal/plan"
	"layercake/internal/source"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Why the context of an attempt ends.
var (
	errLost     = errors.New("the claim has gone")
	errDraining = errors.New("the replica stops")
	errTooLong  = errors.New("the build took too long")
)

// errNotItsTurn says that another project comes before the one of which builds were to be claimed.
var errNotItsTurn = errors.New("it is the turn of another project")

// builder is who claims and finishes: the server itself, which may do so in every project.
func builder(projectID int32) auth.Access {
	return auth.Unchecked(auth.Actor{ID: "builds", Kind: auth.KindSystem, Name: "Layercake"}, projectID)
}

const via = "builds"

// attempt is a build that this replica has claimed.
type attempt struct {
	project     int32
	node        string
	graph       int32
	generation  int32
	incarnation uuid.UUID
	number      int32

	kind        plan.NodeType
	config      string
	inputs      []input
	recipe      string
	ingredients ingredients

	needs    int64         // bytes that it reserves, guarded by Service.mu
	waited   time.Duration // time from the request to the claim
	takeover bool          // whether another replica had claimed it, and lost the claim
	follows  bool          // whether it was claimed for later: others may have come meanwhile whose turn it is

	cancel  context.CancelCauseFunc // ends the work
	stopped <-chan struct{}         // closed when the work is to end
	build   func() *ending          // carries it out

	mu    sync.Mutex
	phase string
	done  int64
	total *int64 // nil when unknown
	began time.Time
}

// input is what an attempt reads, as it was when it was claimed.
type input struct {
	source   *source.Source // nil for a graph
	content  int64
	elements int64
}

// The phases of a build.
const (
	phaseReading   = "reading"
	phaseComputing = "computing"
	phaseWriting   = "writing"
)

// Run looks for work and builds until ctx ends. Then it gives back what it has claimed, and waits until all of it has ended.
func (s *Service) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	reporting, stopReports := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReports()
	loops.Go(func() { s.report(reporting) })
	s.lookForWork(ctx)
	s.stopAll()
	s.builds.Wait()
	stopReports()
	loops.Wait()
	return nil
}

// Drain stops claiming, and gives back what is claimed.
func (s *Service) Drain() { s.stopAll() }

// Admit takes up claiming again after Drain.
func (s *Service) Admit() {
	s.mu.Lock()
	s.draining = false
	s.mu.Unlock()
	s.look(false)
}

func (s *Service) stopAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for a := range s.running {
		a.cancel(errDraining)
	}
}

// stop ends the attempts whose claims have gone. One of a later generation is another one, which began meanwhile.
func (s *Service) stop(gone []claimed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range s.running {
		if slices.Contains(gone, claimed{a.graph, a.generation}) {
			a.cancel(errLost)
		}
	}
}

// load returns how many builds are under way, and the bytes that they reserve.
func (s *Service) load() (running int, reserved int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running), s.reserved
}

// look makes the service look for work. When asked, this replica made the work, and tells the others of what it does not take.
func (s *Service) look(asked bool) {
	s.mu.Lock()
	s.asked = s.asked || asked
	s.mu.Unlock()
	task.Wake(s.looks)
}

func (s *Service) lookForWork(ctx context.Context) {
	looking := outage.New(s.cfg.Log, "cannot look for builds, trying again", "")
	tick := time.NewTicker(s.timing.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.looks:
		}
		s.mu.Lock()
		asked := s.asked
		s.asked = false
		s.mu.Unlock()
		var left bool
		err := s.guard.Do(func() (err error) {
			left, err = s.takeWork(ctx)
			return err
		})
		looking.Note(ctx, err)
		if asked && left {
			s.tell()
		}
	}
}

// mostListed is how many projects ListWork returns at most.
const mostListed = 100

// takeWork claims what this replica has room for, and begins to build it. It reports whether there may be more work. While several projects
// have work they take turns, a build each.
func (s *Service) takeWork(ctx context.Context) (left bool, err error) {
	tried := []int32{} // projects of which nothing could be claimed, since something was
	var failed error
	for s.free() {
		var projects []int32
		err := s.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
			projects, err = q.ListWork(ctx, tried)
			return err
		})
		if err != nil {
			return true, fmt.Errorf("list work: %w", err)
		}
		most := maxTogether
		if len(projects) > 1 {
			most = 1
		}
		s.setContended(len(projects) > 1)
		var found []*attempt
		for _, project := range projects {
			var full bool
			found, full, err = s.claim(ctx, project, tried, most)
			if full {
				return true, failed
			}
			if len(found) > 0 || errors.Is(err, errNotItsTurn) {
				break // the turns of projects are other ones now
			}
			if err != nil { // others have work that can be claimed
				failed = errors.Join(failed, fmt.Errorf("claim a build of project %d: %w", project, err))
			}
			tried = append(tried, project)
		}
		switch {
		case len(found) > 0:
			s.start(ctx, found)
			tried, failed = tried[:0], nil
		case !errors.Is(err, errNotItsTurn) && len(projects) < mostListed:
			return false, failed
		}
	}
	return true, nil
}

// free reports whether this replica may claim something.
func (s *Service) free() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.draining && s.working < s.cfg.Builds && len(s.running) < s.cfg.Builds+2*maxTogether
}

// claim claims builds of a project that are ready, at most so many, and carries on what needs no builder. It returns none when nothing is
// ready, and full when there is not enough memory left for what is first: it waits for its turn, or small builds would keep it waiting for
// ever. Replicas that want the same project wait for each other, so it looks once more whose turn it is: it fails with errNotItsTurn when
// another project, which was not tried, comes first by now.
func (s *Service) claim(ctx context.Context, project int32, tried []int32, most int) (found []*attempt, full bool, err error) {
	incarnation := s.cfg.Incarnation()
	if incarnation == uuid.Nil {
		return nil, true, nil
	}
	turn := plan.Change{Via: via, Within: func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		turn, err := tx.GetTurn(ctx, db.GetTurnParams{ProjectID: int64(project), Tried: tried})
		if err != nil {
			return nil, err
		}
		if turn.Passed {
			return nil, errNotItsTurn
		}
		return s.within(ctx, tx, project, func(b *board) error {
			found, full = s.take(b, b.advance(), incarnation, most, turn.Largest)
			return nil
		})
	}}
	_, err = s.cfg.Plans.Change(ctx, builder(project), turn)
	s.noteRefusal(err, incarnation)
	if err != nil {
		return nil, false, err
	}
	return found, full, nil
}

// noteRefusal tells that the lease of an incarnation has gone when a claim was refused for that.
func (s *Service) noteRefusal(err error, incarnation uuid.UUID) {
	if refused := new(pgconn.PgError); errors.As(err, &refused) && refused.ConstraintName == "claims_replica" {
		s.cfg.Lost(incarnation) // the claim refers to the lease, and it is not there
	}
}

// What one change claims and ends. A claim of a small build costs more than the build: the change reads the whole board. So small builds
// are claimed together. They are not begun while another project waits.
const (
	maxTogether = 16
	smallBytes  = 4 << 20 // that a small build needs at most
)

// small reports whether a step may be claimed together with others. One whose build was attempted before may not: a replica that dies
// counts as an attempt of everything that it had claimed, and what kills it must not take others with it three times.
func small(st *step) bool { return estimate(st.size()) <= smallBytes && st.graph.build.Attempt == 0 }

// take claims what advance returned: one build, or at most so many small ones. What is too large for this replica it leaves to others; what
// is too large for each of them fails.
func (s *Service) take(b *board, ready []*step, incarnation uuid.UUID, most int, largest int64) (found []*attempt, full bool) {
	largest = max(largest, s.cfg.Memory) // its lease may have gone, but it is here
	_, reserved := s.load()              // an output may take some meanwhile: it has its own estimate
	var left []*step
	for len(ready) > 0 && len(found) < most {
		st := ready[0]
		needs := estimate(st.size())
		if needs > largest {
			b.fail(st, tooLarge(needs, largest).Message)
			ready = slices.DeleteFunc(b.advance(), func(st *step) bool { return slices.Contains(left, st) })
			continue
		}
		if needs > s.cfg.Memory {
			left, ready = append(left, st), ready[1:]
			continue
		}
		together := small(st)
		if len(found) > 0 && !together {
			break
		}
		if reserved += needs; reserved > s.cfg.Memory {
			return found, len(found) == 0
		}
		takeover := st.graph.build.Attempt > 0 && st.graph.build.RetryAt == nil && st.graph.build.Replica != nil
		b.begin(st, incarnation)
		a := newAttempt(b, st, needs)
		a.waited, a.takeover, a.follows = b.now.Sub(st.graph.build.RequestedAt), takeover, len(found) > 0
		found = append(found, a)
		if !together {
			break
		}
		ready = ready[1:]
	}
	return found, false
}

func newAttempt(b *board, st *step, needs int64) *attempt {
	g := st.graph
	a := &attempt{
		project: b.project, node: st.id, graph: g.ID, generation: g.claim.Generation, incarnation: g.claim.Incarnation, number: g.build.Attempt,
		kind: st.kind, config: st.config, recipe: st.recipe, ingredients: st.from, needs: needs,
		phase: phaseReading, began: time.Now(),
	}
	for _, in := range st.inputs {
		if in.source != nil {
			a.inputs = append(a.inputs, input{source: in.source, elements: int64(in.source.Rows)})
			continue
		}
		elements := int64(in.graph.NodeCount) + int64(in.graph.EdgeCount)
		a.inputs = append(a.inputs, input{content: *in.graph.ContentID, elements: elements})
	}
	return a
}

// claim names the row of the attempt.
func (a *attempt) claim() db.DeleteClaimParams {
	return db.DeleteClaimParams{GraphID: a.graph, Incarnation: a.incarnation, Generation: a.generation}
}

// compare is the order in which claims are locked, so that whoever locks several waits for no one who waits for them.
func (a *attempt) compare(other *attempt) int { return cmp.Compare(a.graph, other.graph) }

// start builds beside the caller, in order. What is under way does not end with ctx: it is given back.
func (s *Service) start(ctx context.Context, claimed []*attempt) {
	ctx = context.WithoutCancel(ctx)
	for _, a := range claimed {
		s.metrics.wait.Observe(a.waited.Seconds())
		if a.takeover {
			s.metrics.takeovers.Inc()
		}
		working, cancel := context.WithCancelCause(ctx)
		a.cancel, a.stopped = cancel, working.Done()
		a.build = func() *ending { return s.build(working, a) }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range claimed {
		s.running[a] = true
		s.reserved += a.needs
		if s.draining { // since it was claimed
			a.cancel(errDraining)
		}
	}
	s.queue = append(s.queue, claimed...)
	for range min(len(s.queue), s.cfg.Builds-s.working) {
		s.working++
		s.builds.Go(func() { s.work(ctx) })
	}
}

// work builds what is claimed until nothing is left. What becomes of a build is written beside it.
func (s *Service) work(ctx context.Context) {
	for a := s.next(ctx); a != nil; a = s.next(ctx) {
		e := &ending{a: a, outcome: outcomeAbandoned}
		_ = s.guard.Do(func() error {
			e = a.build()
			return nil
		})
		s.settle(ctx, e)
	}
	s.look(false) // for what this one may build now
}

// next returns what was claimed first, or nil when nothing is left: then the caller works no more. When another project has work, what was
// claimed for later is given back.
func (s *Service) next(ctx context.Context) *attempt {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.working--
			s.mu.Unlock()
			return nil
		}
		a := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if !a.follows || !s.othersWait(ctx, a.project) {
			return a
		}
		s.giveLaterBack(ctx, a.project, a)
	}
}

// giveLaterBack gives back what was claimed of a project for later, and some attempts besides that are not in the queue any more.
func (s *Service) giveLaterBack(ctx context.Context, project int32, back ...*attempt) {
	s.mu.Lock()
	s.queue = slices.DeleteFunc(s.queue, func(a *attempt) bool {
		goes := a.follows && a.project == project
		if goes {
			back = append(back, a)
		}
		return goes
	})
	s.mu.Unlock()
	for _, a := range back {
		s.settle(ctx, &ending{a: a, outcome: outcomeReturned, decide: (*board).giveBack})
	}
}

// othersWait reports whether another project has work. When that cannot be found out it has none: turns are a matter of fairness only.
func (s *Service) othersWait(ctx context.Context, project int32) (wait bool) {
	err := s.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		others, err := q.ListWork(ctx, []int32{project})
		wait = len(others) > 0
		return err
	})
	wait = wait && err == nil
	s.setContended(wait)
	return wait
}

func (s *Service) setContended(contended bool) {
	s.mu.Lock()
	s.contended = contended
	s.mu.Unlock()
}

// build carries out an attempt, and returns what becomes of it.
func (s *Service) build(ctx context.Context, a *attempt) *ending {
	working, cancel := context.WithTimeoutCause(ctx, s.cfg.Limit, errTooLong)
	defer cancel()
	shown := task.Go(working, func(ctx context.Context) error { s.show(ctx, a); return nil })
	var made graphdata.Result
	err := s.guard.Do(func() (err error) {
		made, err = s.make(working, a)
		return err
	})
	_ = shown.Stop()
	if cause := context.Cause(working); err != nil && cause != nil {
		err = cause // what failed did so because of that
	}
	e := &ending{a: a}
	switch why := final(err, s.cfg.Limit); {
	case err == nil:
		e.outcome, e.decide = outcomeCompleted, func(b *board, st *step) { b.finish(st, made) }
	case errors.Is(err, errLost):
		e.outcome = outcomeLost
	case errors.Is(err, errDraining):
		e.outcome, e.decide = outcomeReturned, (*board).giveBack
	case why != "":
		problems := problemsJSON(err)
		e.outcome, e.decide = outcomeFailed, func(b *board, st *step) {
			st.graph.Metadata = problems
			b.fail(st, why)
		}
	default:
		s.cfg.Log.WarnContext(ctx, "an attempt of a build failed", "project", a.project, "node", a.node, "attempt", a.number,
			"error", outage.Logged(err))
		e.outcome, e.decide = outcomeRetried, s.retried(err)
	}
	return e
}

// retried ends an attempt that failed for no fault of the build: it is tried again, if not too often.
func (s *Service) retried(err error) func(*board, *step) {
	return func(b *board, st *step) {
		if !b.retry(st, fmt.Sprintf("Attempt %d failed: %s", st.graph.build.Attempt, publicText(err))) {
			b.fail(st, fmt.Sprintf("The build was given up after %d attempts: %s", st.graph.build.Attempt, publicText(err)))
		}
	}
}

// publicText is what people may see of a failure.
func publicText(err error) string {
	if f := fault.From(err); f != nil {
		return f.Message
	}
	return "the server or its database failed; its log says how"
}

// final returns why a build that failed is not tried again, or "" when it is: the input, the settings, its size or its time were at fault,
// or the code.
func final(err error, limit time.Duration) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, errTooLong) {
		return fmt.Sprintf("The build took longer than %v", limit)
	}
	if errors.As(err, new(*task.Panic)) {
		return "The build failed by a mistake of the server; its log says which"
	}
	f := fault.From(err)
	if f == nil {
		return ""
	}
	switch f.Code {
	case fault.Unavailable, fault.RateLimited, fault.NotFound: // not found: an input was replaced, and what was there before is gone
		return ""
	}
	return f.Message
}

// make reads the inputs, computes, and writes the content.
func (s *Service) make(ctx context.Context, a *attempt) (made graphdata.Result, err error) {
	var total int64
	for _, in := range a.inputs {
		total += in.elements
	}
	s.enter(a, phaseReading, total)
	graphs := make([]layered.Graph, len(a.inputs))
	var read int64
	for i, in := range a.inputs {
		before := read
		if in.source != nil {
			graphs[i], err = s.cfg.Sources.Read(ctx, *in.source)
		} else {
			graphs[i], err = s.cfg.Graphs.Load(ctx, in.content, func(done int64) { a.progress(before + done) })
		}
		if err != nil {
			return made, fmt.Errorf("read input %d: %w", i+1, err)
		}
		read += in.elements
		a.progress(read)
	}
	if err := s.reserve(a, graphs...); err != nil {
		return made, err
	}
	s.enter(a, phaseComputing, total)
	g, notes, err := compute(ctx, a.kind, a.config, graphs)
	if err != nil {
		return made, err
	}
	if err := s.reserve(a, append(graphs, g)...); err != nil {
		return made, err
	}
	s.reach(ctx, Computed, a)
	s.enter(a, phaseWriting, int64(len(g.Nodes)+len(g.Edges)))
	content, err := s.cfg.Graphs.Write(ctx, a.project, g, func(ctx context.Context, id int64) error { return s.name(ctx, a, id) }, a.progress)
	if err != nil {
		return made, err
	}
	s.enter(a, "", 0)
	s.reach(ctx, Written, a)
	return graphdata.Result{
		Content: content, Layers: g.Layers, Recipe: a.recipe, Ingredients: a.ingredients.json(), Metadata: notesJSON(notes),
	}, nil
}

func (s *Service) reach(ctx context.Context, p Point, a *attempt) {
	if s.cfg.Reached != nil {
		s.cfg.Reached(ctx, p, a.project, a.node)
	}
}

// enter begins a phase.
func (s *Service) enter(a *attempt, phase string, total int64) {
	a.mu.Lock()
	former, began := a.phase, a.began
	if phase != "" {
		a.phase, a.done, a.total = phase, 0, &total
	}
	a.began = time.Now()
	a.mu.Unlock()
	if former != phase {
		s.metrics.phases.WithLabelValues(former).Observe(time.Since(began).Seconds())
	}
}

func (a *attempt) progress(done int64) {
	a.mu.Lock()
	a.done = done
	a.mu.Unlock()
}

// reserve corrects what an attempt reserves, once it is known what it holds. It may be more than there is left: then nothing else begins.
// It fails when it is more than there is at all.
func (s *Service) reserve(a *attempt, holds ...layered.Graph) error {
	needs := measure(holds)
	s.mu.Lock()
	defer s.mu.Unlock()
	if needs > s.cfg.Memory {
		return tooLarge(needs, s.cfg.Memory)
	}
	if needs > a.needs {
		s.reserved += needs - a.needs
		a.needs = needs
	}
	return nil
}

// name names the content that an attempt writes, in its claim.
func (s *Service) name(ctx context.Context, a *attempt, content int64) error {
	var n int64
	err := s.cfg.DB.Builds.Query(ctx, func(q *db.Queries) (err error) {
		n, err = q.UpdateClaimContent(ctx, db.UpdateClaimContentParams{
			GraphID: a.graph, Incarnation: a.incarnation, Generation: a.generation, ContentID: content,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("name a content in a claim: %w", err)
	}
	if n == 0 {
		a.cancel(errLost)
		return errLost
	}
	return nil
}

// show shows that a build is under way, once it lasts, and makes room beside it until the context ends.
func (s *Service) show(ctx context.Context, a *attempt) {
	if !task.Pause(ctx, s.timing.Shown) {
		return
	}
	defer addProcessors()()
	_, err := s.change(ctx, builder(a.project), plan.Change{Via: via}, func(b *board) error {
		st := b.byID[a.node]
		if st == nil || !st.claimed(a) {
			return plan.ErrUnchanged
		}
		st.graph.State, st.graph.changed = stateProcessing, true
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.DebugContext(ctx, "cannot show that a build is under way", "project", a.project, "node", a.node, "error", outage.Logged(err))
	}
	<-ctx.Done()
}

// claimed reports whether the claim of the step is that of an attempt.
func (s *step) claimed(a *attempt) bool {
	return s.graph != nil && s.graph.claim != nil && s.graph.ID == a.graph && s.graph.claim.Incarnation == a.incarnation &&
		s.graph.claim.Generation == a.generation
}

// report writes how far builds are, again and again, and ends those whose claim has gone.
func (s *Service) report(ctx context.Context) {
	reporting := outage.New(s.cfg.Log, "cannot report how far builds are, trying again", "")
	tick := time.NewTicker(s.timing.Progress)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reporting.Note(ctx, s.guard.Do(func() error { return errors.Join(s.reportClaims(ctx), s.pollProgress(ctx)) }))
	}
}

func (s *Service) reportClaims(ctx context.Context) error {
	s.mu.Lock()
	attempts := slices.SortedFunc(maps.Keys(s.running), (*attempt).compare)
	s.mu.Unlock()
	b := &pgx.Batch{}
	ids := make([]int32, len(attempts))
	for i, a := range attempts {
		ids[i] = a.graph
		a.mu.Lock()
		phase, done, total := a.phase, a.done, a.total
		a.mu.Unlock()
		b.Queue(db.UpdateClaim, phase, done, total, a.graph, a.incarnation, a.generation).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				a.cancel(errLost)
			}
			return nil
		})
	}
	b.Queue(db.DeleteLeftClaims, s.cfg.Incarnation(), ids)
	err := s.cfg.DB.System.Do(ctx, func(conn *pgx.Conn) error { return conn.SendBatch(ctx, b).Close() })
	if err != nil {
		return fmt.Errorf("report progress: %w", err)
	}
	return nil
}
