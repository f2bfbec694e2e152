// Package executor builds the graphs of plans.
package executor

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fanout"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/project"
	"layercake/internal/source"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Timing sets the clocks of builds.
type Timing struct {
	Look     time.Duration // pause between looks for work that nobody told of
	Progress time.Duration // pause between reports of how far builds are, which also find out that a claim has gone
	Shown    time.Duration // time after which a build is shown as under way: most end before
	Settle   time.Duration // time for writing what became of a build; then its claim is left to the clean-up
	// Retries are the pauses after attempts that failed for reasons of the database or the machine. The next failure is final.
	Retries [3]time.Duration
}

// DefaultTiming is the timing of a deployment.
var DefaultTiming = Timing{
	Look: time.Second, Progress: time.Second, Shown: 250 * time.Millisecond, Settle: 30 * time.Second,
	Retries: [3]time.Duration{time.Second, 5 * time.Second, 25 * time.Second},
}

// Point is a place in a build at which faults are tested.
type Point string

// The points.
const (
	Computed Point = "computed" // the graph is computed, and nothing of it is written
	Written  Point = "written"  // the content is written, and not in place
)

// Config is what a Service needs.
type Config struct {
	DB       *postgres.DB
	Wire     *fanout.Wire // wire to the other replicas; it runs as long as the service does
	Plans    *plan.Service
	Projects *project.Service
	Sources  *source.Service
	Graphs   *graphdata.Service

	Incarnation func() uuid.UUID // current incarnation of the replica; Nil before its first lease
	Lost        func(uuid.UUID)  // called when the lease of an incarnation is found to be gone

	Builds int           // builds under way at once; 0 for none
	Memory int64         // bytes that they may need together
	Limit  time.Duration // time that one may take

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
	Timing  Timing                // zero for DefaultTiming

	// Reached is called when a build comes to a point. Fault tests stop in it; nil does nothing.
	Reached func(ctx context.Context, p Point, projectID int32, nodeID string)
}

// Service asks for builds, and builds. Make it with NewService, then Run it once.
type Service struct {
	// Ended is said when an attempt of a build has ended on this replica, whatever became of it.
	Ended testsignal.Signal

	cfg     Config
	timing  Timing
	metrics *metrics
	guard   *task.Guard
	looks   chan struct{} // signal, capacity 1: there may be work

	mu sync.Mutex
	// running are the builds that this replica has claimed, until it is written what became of them. Of one graph there are two while one
	// that has lost its claim goes on computing.
	running   map[*attempt]bool
	queue     []*attempt          // those that are not begun, in order; there are none unless as many are under way as may be
	working   int                 // those that are under way
	endings   map[int32][]*ending // what is to be written of those that have ended, by project; present while somebody writes
	contended bool                // whether several projects had work when that was last known
	reserved  int64               // bytes that they, and outputs, are estimated to need
	outputs   int64               // bytes of these that outputs need
	room      chan struct{}       // closed when some of them are given back; then there is another
	draining  bool                // whether nothing more is claimed
	asked     bool                // whether this replica made the work that it is about to look for
	watched   map[int32]map[*progress]bool

	builds sync.WaitGroup // all that Run waits for before it returns
}

// NewService returns a Service that hears of the others on the wire. It starts nothing.
func NewService(cfg Config) *Service {
	s := &Service{
		cfg: cfg, timing: cmp.Or(cfg.Timing, DefaultTiming), guard: task.NewGuard(cfg.Log, cfg.Metrics, "builds"),
		looks: make(chan struct{}, 1), room: make(chan struct{}), running: make(map[*attempt]bool), endings: make(map[int32][]*ending),
		watched: make(map[int32]map[*progress]bool),
	}
	s.metrics = newMetrics(cfg.Metrics, s)
	cfg.Wire.Handle(s.topic())
	return s
}

// Request says how a build was asked for, as in plan.Change.
type Request struct {
	OpID, ClientID, Via, Note string
	Wait                      time.Duration // how long to wait for the states; at most 25 s
}

// Outcome is what became of a request.
type Outcome struct {
	At      plan.Cursor // place right after the change that asked; the present one when nothing was stale
	Current bool        // whether nothing was stale, so that nothing was asked for
	Done    bool        // whether all that was asked for has ended; false when it goes on
	Nodes   []NodeState // nodes that were asked for and build graphs, inputs first
}

// NodeState is the state of one node.
type NodeState struct {
	ID, State string  // not_started, pending, processing, completed or error
	Error     *string // why it failed
}

// Failed returns the first node that failed, or nil.
func (o Outcome) Failed() *NodeState {
	for i := range o.Nodes {
		if o.Nodes[i].State == stateError {
			return &o.Nodes[i]
		}
	}
	return nil
}

// maxWait is how long a request waits for its builds at most.
const maxWait = 25 * time.Second

// Execute asks for what is stale among a node and its ancestors, or in the whole plan when nodeID is "", in one change, and waits for it.
// Who hangs up cancels nothing. Faults: NotFound for the project, and with the id as detail for the node, also when they are deleted
// meanwhile; those of plan.Service.Change.
func (s *Service) Execute(ctx context.Context, access auth.Access, nodeID string, r Request) (Outcome, error) {
	if err := access.May(auth.Run); err != nil {
		return Outcome{}, err
	}
	c := r.change()
	c.Request = map[string]string{"execute": nodeID}
	current := false // a repeat asked for something
	done, err := s.change(ctx, access, c, func(b *board) error {
		targets, err := b.targets(nodeID)
		if err != nil {
			return err
		}
		current = b.request(b.ancestors(targets), access.Actor().Name) == 0
		b.advance()
		return nil
	})
	if err != nil {
		return Outcome{}, err
	}
	s.look(true)
	o, err := s.wait(ctx, access, nodeID, done.At, min(r.Wait, maxWait))
	o.Current = current && o.Done && o.Failed() == nil
	return o, err
}

// Cancel ends the build of a node and of what depends on it, or all of a project when nodeID is "". It reports whether there was one.
func (s *Service) Cancel(ctx context.Context, access auth.Access, nodeID string, r Request) (bool, error) {
	if err := access.May(auth.Run); err != nil {
		return false, err
	}
	c := r.change()
	c.Request = map[string]string{"cancel": nodeID}
	var cancelled []claimed
	done, err := s.change(ctx, access, c, func(b *board) error {
		targets, err := b.targets(nodeID)
		if err != nil {
			return err
		}
		cancelled = b.cancel(b.descendants(targets))
		b.advance()
		return nil
	})
	if err != nil {
		return false, err
	}
	s.stop(cancelled) // those of other replicas find out when they report
	return done.Event != nil, nil
}

func (r Request) change() plan.Change {
	return plan.Change{OpID: r.OpID, ClientID: r.ClientID, Via: r.Via, Note: r.Note, Need: auth.Run}
}

// targets returns a node, or all nodes for "".
func (b *board) targets(nodeID string) ([]*step, error) {
	if nodeID == "" {
		return b.steps, nil
	}
	s := b.byID[nodeID]
	if s == nil {
		return nil, fault.New(fault.NotFound, "Node not found").With("detail", nodeID)
	}
	return []*step{s}, nil
}

// change lets f decide about a project under the lock of its head, and writes what it decided, in one change.
func (s *Service) change(ctx context.Context, access auth.Access, c plan.Change, f func(*board) error) (plan.Result, error) {
	c.Within = func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		return s.within(ctx, tx, access.Project(), f)
	}
	return s.cfg.Plans.Change(ctx, access, c)
}

func (s *Service) within(ctx context.Context, tx plan.Tx, projectID int32, f func(*board) error) ([]plan.Edit, error) {
	b, err := s.loadBoard(ctx, tx.Conn, projectID)
	if err != nil {
		return nil, err
	}
	b.now = tx.Time
	if err := f(b); err != nil {
		return nil, err
	}
	return b.store(ctx, tx.Conn)
}

func (s *Service) loadBoard(ctx context.Context, conn *pgx.Conn, projectID int32) (*board, error) {
	boards, err := loadBoards(ctx, conn, []int32{projectID}, engineVersion)
	if err != nil {
		return nil, err
	}
	b := boards[projectID]
	b.retries = s.timing.Retries[:]
	return b, nil
}

// snapshot reads projects as builds see them.
func (s *Service) snapshot(ctx context.Context, projectIDs []int32) (boards map[int32]*board, err error) {
	err = s.cfg.DB.Requests.Do(ctx, func(conn *pgx.Conn) error {
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
			boards, err = loadBoards(ctx, tx.Conn(), projectIDs, engineVersion)
			return err
		})
	})
	return boards, err
}

// wait returns the states of what was asked for, when all of it has ended, and at the latest after some time.
func (s *Service) wait(ctx context.Context, access auth.Access, nodeID string, at plan.Cursor, most time.Duration,
) (Outcome, error) {
	o := Outcome{At: at}
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	look := func(ctx context.Context) error {
		nodes, done, err := s.states(ctx, access.Project(), nodeID)
		if err == nil {
			o.Nodes, o.Done = nodes, done
		}
		return err
	}
	if err := look(ctx); err != nil || o.Done || most <= 0 {
		return o, err
	}
	open := make(map[string]bool) // as events say
	for _, n := range o.Nodes {
		open[n.ID] = n.State == statePending || n.State == stateProcessing
	}
	for u, err := range s.cfg.Plans.Watch(waiting, access, at) {
		if err != nil {
			return o, err
		}
		if !ends(open, u) {
			continue
		}
		if err := look(ctx); err != nil || o.Done {
			return o, err
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return o, nil // nobody waits any more
	}
	// Some time is left to answer also when that of the caller has ended: what was true when the wait began is old by now.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer stop()
	err := look(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = nil
	}
	return o, err
}

// lastLook is the time for reading the states once more when the wait for them has ended.
const lastLook = time.Second

// ends notes in open what an update says of nodes, and reports whether none of them seems to be open any more.
func ends(open map[string]bool, u *plan.Update) bool {
	if u.Missed {
		return true
	}
	if u.Event == nil {
		return false
	}
	told := false
	for _, op := range u.Event.Operations {
		if _, asked := open[op.ID]; !asked {
			continue
		}
		switch op.Kind {
		case plan.ExecutionChanged:
			e := graphExecution(op.After)
			open[op.ID] = e != nil && (e.ExecutionState == statePending || e.ExecutionState == stateProcessing)
			told = true
		case plan.NodeRemoved:
			open[op.ID] = false
			told = true
		}
	}
	if !told {
		return false
	}
	for _, is := range open {
		if is {
			return false
		}
	}
	return true
}

// states returns the states of a node and its ancestors, or of all nodes, and whether none of them is open.
func (s *Service) states(ctx context.Context, projectID int32, nodeID string) (nodes []NodeState, done bool, err error) {
	boards, err := s.snapshot(ctx, []int32{projectID})
	if err != nil {
		return nil, false, err
	}
	b := boards[projectID]
	targets, err := b.targets(nodeID)
	if err != nil {
		return nil, false, err // the node went meanwhile, and its builds with it
	}
	done = true
	for _, st := range b.ancestors(targets) {
		if !builds(st.kind) {
			continue
		}
		n := NodeState{ID: st.id, State: stateNotStarted}
		if st.graph != nil {
			n.State, n.Error = st.graph.State, st.graph.ErrorMessage
		}
		nodes = append(nodes, n)
		done = done && !st.open()
	}
	return nodes, done, nil
}

// Staleness is whether a graph is what it would be built as now.
type Staleness struct {
	Stale   bool
	Because []string // sentences for people; empty when it is not stale
}

// Stale returns the staleness of all graphs of projects, by graph id, with as many statements for many as for one.
func (s *Service) Stale(ctx context.Context, projectIDs []int32) (map[int32]Staleness, error) {
	boards, err := s.snapshot(ctx, projectIDs)
	if err != nil {
		return nil, err
	}
	found := make(map[int32]Staleness)
	for _, b := range boards {
		for _, st := range b.order {
			if st.graph != nil {
				found[st.graph.ID] = Staleness{Stale: len(st.because) > 0, Because: append([]string{}, st.because...)}
			}
		}
	}
	return found, nil
}
