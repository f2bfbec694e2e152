package plan

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/feed"
	"layercake/internal/postgres"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Change is what a caller asks of a plan: edits that happen together or not at all.
type Change struct {
	OpID     string // id that makes repeats safe: the same request again gets the same answer; "" for a fresh one
	Expected *int64 // a version after which nobody may have edited the plan; nil for any
	ClientID string // shown to every watcher, so that a client knows its own changes; may be ""
	Via      string // transport that the change came by
	Note     string // reason, for people; may be ""
	Edits    []Edit
	// Within runs statements of the caller in the change's transaction, once the head is locked, and returns further edits. It may run
	// again in another transaction, so it has no effects but through Tx. What it wrote is committed also when no edit changes anything:
	// then there is no version and no event. A fault refuses the change, ErrUnchanged ends it quietly, and either takes back what was
	// written. The server ends a transaction that is idle for 2 s, so Within does no long work of its own. Its change shares a
	// transaction with no other.
	Within func(context.Context, Tx) ([]Edit, error)
	// Then queues statements of the caller behind those that write the change, in its transaction. It gets the nodes that changed, and does
	// not run when nothing did. Its change shares a transaction with no other.
	Then func(b *pgx.Batch, nodes []Node)
	// Request is what Within is asked to do, as JSON: part of what a repeat must ask for again. A repeat of what is in the log does not
	// run Within.
	Request any
	// Action says what is done to what, such as "delete graph 7". With one, the operation id is remembered beside the log, unless it is "":
	// a repeat is answered also when no event was made, and Repeated knows it when nobody can tell any more which project it is of.
	Action   string
	Budget   time.Duration // time for the answer; 0 for that of all changes
	Need     auth.Need     // right that it needs; 0 for auth.Edit
	Warnings bool          // whether the result has warnings, which cost a look at each node that the change touches

	numbered bool // whether the fault of an edit says in "edit" which one it is, see Edit
}

func (c Change) need() auth.Need { return cmp.Or(c.Need, auth.Edit) }

// Tx is the transaction of a change.
type Tx struct {
	*db.Queries           // statements of the transaction
	Conn        *pgx.Conn // for batches and COPY
	At          Cursor    // place before the change
	Time        time.Time // time of the change
}

// ErrUnchanged is what Change.Within returns when there is nothing to do. The result has the place as it is, and no event.
var ErrUnchanged = errors.New("nothing to change")

// Result is the outcome of a change.
type Result struct {
	At    Cursor // place right after the change
	Event *Event // nil when nothing changed; the first one when many states are told in parts
	Nodes []Node // nodes that changed, as they are now, removed ones as they were; when none did, nodes that the edits named
	Edges []Edge // edges, by the same rule
	// Warnings say of each node that the change touched, or an edge of which it added or removed, what keeps it from working: as Validate
	// says it of the whole plan.
	Warnings []Problem
}

// Timing bounds changes, and whatever ends in one.
type Timing struct {
	Answer time.Duration // time from the arrival to the answer
	Write  time.Duration // time from the arrival to the end of the transaction; the rest is for settle, when the answer to COMMIT was lost
}

// DefaultTiming is the timing of a deployment.
var DefaultTiming = Timing{Answer: 5 * time.Second, Write: 4 * time.Second}

// of returns the timing of one change. As much is left for settle as in any other.
func (t Timing) of(c Change) Timing {
	if c.Budget == 0 {
		return t
	}
	return Timing{Answer: c.Budget, Write: c.Budget - min(t.Answer-t.Write, c.Budget/2)}
}

// Change is the only way a plan changes. All edits happen in one transaction with one event, or none does.
//
// Faults: NotFound for the project and for ids that edits need; BadRequest for what the rules refuse; Conflict when somebody edited since
// the expected version and for ids that are taken; RateLimited and Unavailable when it may succeed a little later. After Unavailable the
// change may have been committed: repeating it with the same OpID is safe and answers what happened. A change that only adds an
// edge is refused because of another edge no sooner than 300 ms later: somebody may be moving its end.
//
// The role is read again under the lock that orders changes: who loses it before that changes nothing.
func (s *Service) Change(ctx context.Context, access auth.Access, c Change) (Result, error) {
	began := time.Now()
	result, err := s.change(ctx, access, c)
	s.metrics.changed(began, result, err)
	return result, err
}

func (s *Service) change(ctx context.Context, access auth.Access, c Change) (Result, error) {
	if err := errors.Join(access.May(c.need()), c.check()); err != nil {
		return Result{}, err
	}
	r := newRequest(access, c)
	arrived, timing := time.Now(), s.timing.of(c)
	ctx, cancel := context.WithTimeout(ctx, timing.Write)
	defer cancel()
	done, err := s.queue.do(ctx, arrived, r)
	done, err = s.onceClear(ctx, arrived, r, done, err)
	if unknown := new(commitUnknown); errors.As(err, &unknown) {
		if done, err = s.settle(ctx, arrived.Add(timing.Answer), r, unknown); err == nil {
			s.announce(r.project, done)
		}
	}
	if err != nil {
		return Result{}, err
	}
	result, err := done.result()
	if err == nil && c.Warnings && done.event == nil {
		// The answer came from the log, and the plan is what it is now. What was done stands also when nobody can look.
		result.Warnings, _ = s.warningsNow(ctx, r.project, result)
	}
	return result, err
}

// Repeated reports whether a change of this actor with this operation id and action was made, whichever project it was of. No change has
// an id that is empty or refused as a text.
func (s *Service) Repeated(ctx context.Context, actor auth.Actor, opID, action string) (is bool, err error) {
	if possible := opID != "" && fault.CheckText("Operation id", opID, maxOperationID) == nil; !possible {
		return false, nil
	}
	err = s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		is, err = q.GetRememberedAction(ctx, db.GetRememberedActionParams{OpActor: actor.OpActor(), OpID: opID, Action: action})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look up an operation: %w", err)
	}
	return is, nil
}

// announce brings a change to the watchers of this replica, and to the other replicas.
func (s *Service) announce(project int32, done committed) {
	for _, e := range done.written {
		s.hub.Publish(project, e.at, e.body)
	}
}

// check refuses what is wrong whatever the plan holds.
func (c Change) check() error {
	return errors.Join(
		fault.CheckText("Operation id", c.OpID, maxOperationID),
		fault.CheckText("Client id", c.ClientID, maxOperationID),
		fault.CheckText("Note", c.Note, maxNote),
		fault.CheckLabel("Note", c.Note),
	)
}

// hash identifies the request: what it asks for, not who sends it by which way. Replicas of other releases compute the same hash for a
// repeat, so the names that it is made of never change.
func (c Change) hash() []byte {
	h := sha256.New()
	encoder := json.NewEncoder(h)
	_ = encoder.Encode(c.Expected) // writing into a hash does not fail
	for _, e := range c.Edits {
		_, _ = fmt.Fprint(h, requestName(e), " ")
		_ = encoder.Encode(e)
	}
	if c.Request != nil {
		_ = encoder.Encode(c.Request)
	}
	return h.Sum(nil)
}

// requestName returns the name by which an edit is hashed: the name that its type had when requests were first hashed.
func requestName(e Edit) string {
	switch e.(type) {
	case UpdatePlan:
		return "plan.Describe"
	case RemoveAll:
		return "plan.Clear"
	case *takeBack:
		return "plan.Undo"
	case *restore:
		return "plan.Restore"
	case operationEdit:
		return "plan.Operation"
	case acceptance:
		return "plan.Accept"
	}
	return fmt.Sprintf("%T", e)
}

// request is a change on its way through the database.
type request struct {
	Change
	access  auth.Access
	actor   auth.Actor // of access
	project int32      // of access
	hash    []byte
}

// newRequest returns the request of a change, under a fresh operation id unless it has one.
func newRequest(access auth.Access, c Change) request {
	if c.OpID == "" {
		c.OpID, c.Action = uuid.NewString(), "" // nobody can repeat it
	}
	r := request{Change: c, access: access, actor: access.Actor(), project: access.Project(), hash: c.hash()}
	r.Edits = bindOperations(c.Edits, r.operationKey())
	return r
}

// operationKey is of the operation id and whose it is.
func (r request) operationKey() string { return r.actor.OpActor() + " " + r.OpID }

// reads names what the edits of a request look at.
func (r request) reads() *reads {
	looks := newReads()
	for _, e := range r.Edits {
		e.reads(looks)
	}
	return looks
}

func (r request) sameOperation(o request) bool {
	return r.OpID == o.OpID && r.actor.OpActor() == o.actor.OpActor()
}

// committed is what the database holds after a change.
type committed struct {
	at    Cursor // place right after the change; when it was refused, the place at which it was
	event *Event // nil when nothing changed, and after a repeat until result decodes it
	// written are the events as the log has them: none when nothing changed, and several when states of executions are told in parts.
	// Then event is the first.
	written []written
	nodes   []Node // nodes that changed; when none did, nodes that the edits named
	edges   []Edge

	warnings []Problem
}

// settle finds out whether a commit whose answer was lost took effect. The lost transaction holds the head's lock until it has ended
// one way or the other, so settle takes that lock first: what the log says after that is final.
func (s *Service) settle(ctx context.Context, deadline time.Time, r request, unknown *commitUnknown) (committed, error) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	var done committed
	err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			q := db.New(tx)
			if _, err := q.LockHead(ctx, r.project); err != nil {
				return err
			}
			row, err := q.GetOperation(ctx, db.GetOperationParams{ProjectID: r.project, OpActor: r.actor.OpActor(), OpID: r.OpID})
			if err == nil {
				done = earlierEvent(postgres.EpochOfConn(conn), row)
			}
			return err
		})
	})
	if err != nil {
		// The operation was not committed, or nobody can look now. The sender may repeat it under the same operation id: that is safe.
		return done, postgres.Busy(errors.Join(unknown, err)).With("opId", r.OpID)
	}
	return done, nil
}

// written is an event of the log.
type written struct {
	at   Cursor // place right after it
	opID string
	body []byte // encoded
}

// earlierEvent returns what was committed under an operation id that is in the log. Of states that were told in parts it is the first part.
func earlierEvent(epoch postgres.Epoch, row db.GetOperationRow) committed {
	at := Cursor{Epoch: epoch, Version: row.Version, Hash: feed.Hash(row.Body)}
	return committed{at: at, written: []written{{at: at, body: row.Body}}}
}

// result answers with what was committed. A repeat finds in the event what the first answer had at hand.
func (c committed) result() (Result, error) {
	r := Result{At: c.at, Event: c.event, Nodes: c.nodes, Edges: c.edges, Warnings: c.warnings}
	if len(c.written) == 0 || c.event != nil {
		return r, nil
	}
	event, err := decodeEvent(c.written[0].body)
	if err != nil {
		return Result{}, err
	}
	r.Event = event
	for _, op := range event.Operations {
		node, edge, err := op.Element()
		switch {
		case err != nil:
			return Result{}, err
		case node != nil:
			r.Nodes = append(r.Nodes, *node)
		case edge != nil:
			r.Edges = append(r.Edges, *edge)
		case op.Kind == ExecutionChanged:
			for i, n := range r.Nodes {
				if n.ID == op.ID {
					r.Nodes[i] = n.withExecution(storedExecution(op.After))
				}
			}
		}
	}
	return r, nil
}
