package plan

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/project"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// ProposalStatus is what became of a proposal.
type ProposalStatus string

// The statuses, spelled as on the wire.
const (
	Open      ProposalStatus = "OPEN"
	Accepted  ProposalStatus = "ACCEPTED"
	Rejected  ProposalStatus = "REJECTED"
	Withdrawn ProposalStatus = "WITHDRAWN"
)

// Proposal is a change that somebody proposes, for somebody else to decide.
type Proposal struct {
	ProjectID   int32
	ID          int32 // number in the project
	Revision    int64 // number, among all that happened to proposals of the project, of what last happened to this one
	Status      ProposalStatus
	Operations  json.RawMessage // what ParseOperations takes
	BaseVersion int64           // version of the plan for which it was made
	Note        string          // reason, for people; may be empty
	By          auth.Actor
	CreatedAt   time.Time

	// The rest is zero while the proposal is open.
	DecidedBy auth.Actor
	DecidedAt time.Time
	Reason    string // why, for people; may be empty
	Version   int64  // version of the change that accepting made; 0 when nothing was left to change
}

// Limits of proposals.
const (
	maxOpen          = 200      // open ones of a project
	maxOpenBytes     = 16 << 20 // their operations
	maxProposalBytes = 1 << 20  // operations of one
	// MaxProposals is how many a page has at most.
	MaxProposals     = 200
	maxProposalsPage = 1 << 20 // bytes of operations in a page, beyond the first
)

// Proposals keeps what is proposed to change plans. A proposal is no event of a plan: the plan does not change by it, and releases from
// before proposals could not read such an event. In open mode every actor may propose, and decide what others propose.
type Proposals struct {
	plans *Service
	db    *postgres.DB
	wire  *fanout.Wire
	log   *slog.Logger
	guard *task.Guard
	total *prometheus.CounterVec // proposals, by what happened to them
	pages prometheus.Counter     // reads of the table for watchers

	reads proposalReads
	wake  chan struct{} // capacity 1: a board may be behind

	mu     sync.Mutex
	boards map[int32]*board // those with watchers, by project
	doubts bool             // all boards may be behind
}

// ProposalsConfig is what Proposals needs.
type ProposalsConfig struct {
	Plans   *Service
	DB      *postgres.DB
	Wire    *fanout.Wire
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// NewProposals returns the proposals in a database, and makes them heard on the wire. Run makes watches follow.
func NewProposals(c ProposalsConfig) *Proposals {
	p := &Proposals{
		plans: c.Plans, db: c.DB, wire: c.Wire, log: c.Log, guard: task.NewGuard(c.Log, c.Metrics, "proposals"),
		wake: make(chan struct{}, 1), boards: make(map[int32]*board),
		total: promauto.With(c.Metrics).NewCounterVec(prometheus.CounterOpts{
			Namespace: "layercake", Name: "proposals_total", Help: "Proposals that this replica took or decided, by what they became.",
		}, []string{"status"}),
		pages: promauto.With(c.Metrics).NewCounter(prometheus.CounterOpts{
			Namespace: "layercake", Name: "proposal_pages_total", Help: "Reads of proposals for those who watch them.",
		}),
	}
	for _, status := range proposalStatuses {
		p.total.WithLabelValues(status) // shown as 0 before the first one
	}
	p.wire.Handle(p.topic())
	return p
}

var proposalStatuses = []string{string(Open), string(Accepted), string(Rejected), string(Withdrawn)}

// ProposeInput is what a caller proposes.
type ProposeInput struct {
	Operations json.RawMessage // what ParseOperations takes
	Note       string          // reason, for people; may be ""
	OpID       string          // id that makes repeats safe, as of changes; "" for a fresh one
	Expected   *int64          // the version that the plan must be at; nil for any
}

// Propose keeps a proposal, if the rules would accept its operations now. The result is what they would do to the plan, with the warnings
// of the rules; after a repeat it is zero when they would not accept them any more. Ids that the server makes are others when the proposal
// is accepted.
//
// Faults: those of Try; BadRequest for operations that are none, that would change nothing, or that are too large, and when the project
// has too many open proposals already.
func (p *Proposals) Propose(ctx context.Context, access auth.Access, in ProposeInput) (Proposal, Result, error) {
	if err := access.May(auth.Edit); err != nil {
		return Proposal{}, Result{}, err
	}
	actor, projectID := access.Actor(), access.Project()
	operations := new(bytes.Buffer)
	if err := json.Compact(operations, in.Operations); err == nil {
		in.Operations = operations.Bytes() // else ParseOperations says what is wrong
	}
	edits, err := ParseOperations(in.Operations)
	if err != nil {
		return Proposal{}, Result{}, err
	}
	if !utf8.Valid(in.Operations) { // the database could not keep them
		return Proposal{}, Result{}, fault.New(fault.BadRequest, "The operations are not UTF-8")
	}
	if size := len(in.Operations); size > maxProposalBytes {
		return Proposal{}, Result{}, fault.New(fault.BadRequest, "The operations are too large for a proposal").
			With("detail", map[string]any{"limit": maxProposalBytes, "bytes": size})
	}
	in.OpID = cmp.Or(in.OpID, uuid.NewString())
	c := Change{OpID: in.OpID, Expected: in.Expected, Note: in.Note, Edits: edits, Warnings: true}
	if err := c.check(); err != nil {
		return Proposal{}, Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.plans.timing.Answer)
	defer cancel()
	row := db.InsertProposalParams{
		ProjectID: projectID, Operations: in.Operations, Size: int32(len(in.Operations)), Note: optional(in.Note),
		ByID: actor.ID, ByKind: string(actor.Kind), ByName: actor.Name,
		OpActor: actor.OpActor(), OpID: in.OpID, RequestHash: in.hash(), ByLastingID: optional(actor.LastingID),
	}
	kept, found, err := p.repeated(ctx, row)
	if err != nil {
		return Proposal{}, Result{}, err
	}
	c.OpID = "" // the ids of changes are others
	would, err := p.plans.Try(ctx, access, c)
	switch {
	case found && err != nil:
		return kept, Result{}, nil
	case found || err != nil:
		return kept, would, err
	case would.Event == nil:
		return Proposal{}, Result{}, fault.New(fault.BadRequest, "The operations would change nothing")
	}
	row.BaseVersion = would.At.Version
	kept, err = p.insert(ctx, row)
	return kept, would, err
}

// hash identifies the request, as Change.hash does. What is encoded never changes, because other replicas compare it.
func (in ProposeInput) hash() []byte {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode([]any{in.Expected, in.Note, in.Operations}) // writing into a hash does not fail
	return h.Sum(nil)
}

// repeated looks for the proposal that an operation made before.
func (p *Proposals) repeated(ctx context.Context, row db.InsertProposalParams) (kept Proposal, found bool, err error) {
	err = p.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		kept, found, err = ofOperation(ctx, q, row)
		return err
	})
	return kept, found, err
}

func ofOperation(ctx context.Context, q *db.Queries, row db.InsertProposalParams) (kept Proposal, found bool, err error) {
	earlier, err := q.GetProposalOfOperation(ctx, db.GetProposalOfOperationParams{
		ProjectID: row.ProjectID, OpActor: row.OpActor, OpID: row.OpID,
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Proposal{}, false, nil
	case err != nil:
		return Proposal{}, false, fmt.Errorf("look up operation: %w", err)
	case !bytes.Equal(earlier.RequestHash, row.RequestHash):
		return Proposal{}, false, errOperationUsed.With("opId", row.OpID)
	}
	return proposalOf(earlier), true, nil
}

// errRepeated ends a transaction in which an operation turned out to be a repeat.
var errRepeated = errors.New("the operation is a repeat")

// insert writes a proposal and says so. The lock of the head is taken first, so that the proposals that are counted stay as many.
func (p *Proposals) insert(ctx context.Context, row db.InsertProposalParams) (kept Proposal, err error) {
	err = p.db.Requests.InTx(ctx, func(q *db.Queries) error {
		head, err := step(ctx, q, db.StepProposalsParams{Added: 1, ProjectID: row.ProjectID})
		if err != nil {
			return err
		}
		var found bool
		if kept, found, err = ofOperation(ctx, q, row); err != nil {
			return err
		}
		if found {
			return errRepeated
		}
		open, err := q.CountOpenProposals(ctx, row.ProjectID)
		if err != nil {
			return err
		}
		if open.Proposals >= maxOpen || open.Bytes+int64(row.Size) > maxOpenBytes {
			return fault.New(fault.BadRequest, fmt.Sprintf("The project has %d open proposals already: decide some of them first", open.Proposals)).
				With("detail", map[string]any{"limit": maxOpen, "open": open.Proposals, "limitBytes": maxOpenBytes, "openBytes": open.Bytes})
		}
		row.ID, row.Revision = head.LastID, head.Revision
		inserted, err := q.InsertProposal(ctx, row)
		kept = proposalOf(inserted)
		return err
	})
	switch {
	case errors.Is(err, errRepeated):
		return kept, nil
	case err != nil:
		return Proposal{}, asBusy(fmt.Errorf("propose: %w", err), row.OpID)
	}
	p.announce(kept)
	return kept, nil
}

// step takes the lock under which the proposals of a project are written, and steps their revision. It fails with the fault NotFound when
// the project does not exist, or is deleted at this moment.
func step(ctx context.Context, q *db.Queries, args db.StepProposalsParams) (db.StepProposalsRow, error) {
	head, err := q.StepProposals(ctx, args)
	var refused *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &refused) && refused.ConstraintName == "proposal_heads_project" {
		return head, project.ErrNotFound
	}
	return head, err
}

// asBusy names the operation in a failure after which the request may have been carried out: repeating it under that id is safe.
func asBusy(err error, opID string) error {
	if f := fault.From(err); f != nil && f.Code == fault.Unavailable {
		return f.With("opId", opID)
	}
	return err
}

// Get returns one proposal, or the fault NotFound.
func (p *Proposals) Get(ctx context.Context, access auth.Access, id int32) (Proposal, error) {
	if err := access.May(auth.View); err != nil {
		return Proposal{}, err
	}
	projectID := access.Project()
	row, err := p.row(ctx, projectID, id)
	if err != nil {
		return Proposal{}, err
	}
	return proposalOf(row), nil
}

func (p *Proposals) row(ctx context.Context, projectID, id int32) (row db.Proposal, err error) {
	err = p.db.Requests.Query(ctx, func(q *db.Queries) error {
		row, err = q.GetProposal(ctx, db.GetProposalParams{ProjectID: projectID, ID: id})
		if errors.Is(err, pgx.ErrNoRows) {
			if _, err = p.head(ctx, q, projectID); err == nil {
				err = errProposalNotFound
			}
		}
		return err
	})
	if err != nil {
		return row, fmt.Errorf("get proposal: %w", err)
	}
	return row, nil
}

var errProposalNotFound = fault.New(fault.NotFound, "Proposal not found")

// head returns the revision of a project's proposals, or the fault that there is no such project.
func (p *Proposals) head(ctx context.Context, q *db.Queries, projectID int32) (revision int64, err error) {
	heads, err := q.ListProposalHeads(ctx, []int32{projectID})
	if err == nil && len(heads) == 0 {
		err = project.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return heads[0].Revision, nil
}

// ProposalQuery says which proposals a page has.
type ProposalQuery struct {
	Status ProposalStatus // "" for any
	Limit  int            // 1 to MaxProposals; a page may be shorter, where proposals are large
	After  string         // Next of the page before; "" for the first page
}

// ProposalPage is a page of proposals, newest first.
type ProposalPage struct {
	Proposals []Proposal
	Next      string // After of the next page; "" when there is none
}

// List returns a page of proposals, newest first. Faults: NotFound for the project, BadRequest for the query.
func (p *Proposals) List(ctx context.Context, access auth.Access, query ProposalQuery) (ProposalPage, error) {
	if err := access.May(auth.View); err != nil {
		return ProposalPage{}, err
	}
	projectID := access.Project()
	below, err := query.check()
	if err != nil {
		return ProposalPage{}, err
	}
	statuses := proposalStatuses
	if query.Status != "" {
		statuses = []string{string(query.Status)}
	}
	page := ProposalPage{Proposals: []Proposal{}}
	err = p.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListProposals(ctx, db.ListProposalsParams{
			Statuses: statuses, ProjectID: projectID, Below: below, Most: int32(query.Limit), MaxBytes: maxProposalsPage,
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			page.Proposals = append(page.Proposals, proposalOf(row))
		}
		if len(rows) == 0 {
			_, err = p.head(ctx, q, projectID)
			return err
		}
		// A page that is not full may have ended for its bytes.
		last := rows[len(rows)-1].ID
		more, err := q.HasProposalsBelow(ctx, db.HasProposalsBelowParams{ProjectID: projectID, Statuses: statuses, Below: last})
		if more {
			page.Next = strconv.Itoa(int(last))
		}
		return err
	})
	if err != nil {
		return ProposalPage{}, fmt.Errorf("list proposals: %w", err)
	}
	return page, nil
}

// check returns the id below which the page begins.
func (q ProposalQuery) check() (below int32, err error) {
	if q.Status != "" && !slices.Contains(proposalStatuses, string(q.Status)) {
		return 0, fault.New(fault.BadRequest, "Unknown status of proposals").With("detail", string(q.Status))
	}
	if q.Limit < 1 || q.Limit > MaxProposals {
		return 0, fault.New(fault.BadRequest, fmt.Sprintf("A page has 1 to %d proposals", MaxProposals)).With("detail", q.Limit)
	}
	if q.After == "" {
		return 1<<31 - 1, nil
	}
	id, err := strconv.ParseInt(q.After, 10, 32)
	if err != nil || id < 1 {
		return 0, fault.New(fault.BadRequest, "The place to go on from is not one that a page of proposals named").With("detail", q.After)
	}
	return int32(id), nil
}

// trimProposals is how many proposals one statement removes.
const trimProposals = 1000

// Trim removes proposals that were decided before a time. It returns how many it removed, also when it fails half way. While another
// replica cleans up, it does nothing. Nobody is told: who watches was told of the decision long ago.
func (p *Proposals) Trim(ctx context.Context, before time.Time) (removed int64, err error) {
	for {
		var chunk int64
		err := p.db.System.InTx(ctx, func(q *db.Queries) error {
			locked, err := q.TryLockCleanUp(ctx)
			if err != nil || !locked {
				return err
			}
			chunk, err = q.DeleteOldProposals(ctx, db.DeleteOldProposalsParams{Before: before, Most: trimProposals})
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("trim proposals: %w", err)
		}
		if removed += chunk; chunk < trimProposals {
			return removed, nil
		}
	}
}

func proposalOf(row db.Proposal) Proposal {
	one := Proposal{
		ProjectID: row.ProjectID, ID: row.ID, Revision: row.Revision, Status: ProposalStatus(row.Status), Operations: row.Operations,
		BaseVersion: row.BaseVersion, Note: value(row.Note), CreatedAt: row.CreatedAt,
		By:        auth.Actor{ID: row.ByID, LastingID: value(row.ByLastingID), Kind: auth.Kind(row.ByKind), Name: row.ByName},
		DecidedBy: auth.Actor{ID: value(row.DecidedByID), Kind: auth.Kind(value(row.DecidedByKind)), Name: value(row.DecidedByName)},
		Reason:    value(row.Reason), Version: value(row.Version),
	}
	if row.DecidedAt != nil {
		one.DecidedAt = *row.DecidedAt
	}
	return one
}
