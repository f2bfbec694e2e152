package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Decision is what somebody decides about a proposal.
type Decision string

// The decisions, spelled as on the wire.
const (
	Accept   Decision = "ACCEPT"
	Reject   Decision = "REJECT"
	Withdraw Decision = "WITHDRAW" // the proposer's, and the only one that they can make
)

// decided is the status after each decision.
var decided = map[Decision]ProposalStatus{Accept: Accepted, Reject: Rejected, Withdraw: Withdrawn}

// DecideInput is what a caller decides.
type DecideInput struct {
	ID       int32
	Decision Decision
	Reason   string // for people; may be ""
	OpID     string // id that makes repeats safe, also that of the change; "" for a fresh one
	ClientID string // shown to watchers of the plan; may be ""
	Via      string // transport that the decision came by
}

func (in DecideInput) check() error {
	if decided[in.Decision] == "" {
		return fault.New(fault.BadRequest, "Unknown decision").With("detail", string(in.Decision))
	}
	c := Change{OpID: in.OpID, ClientID: in.ClientID}
	return errors.Join(c.check(), fault.CheckText("Reason", in.Reason, maxNote), fault.CheckLabel("Reason", in.Reason))
}

// Decide accepts, rejects or withdraws a proposal, and returns what it became. Accepting applies the operations to the plan as it is, by
// a change of the caller's in whose transaction the proposal is closed: there is never one without the other, and never twice. The same
// decision by the same actor, or under the same operation id, gets the same answer.
//
// Faults: NotFound for the project and for the proposal; Forbidden for a proposer who does more than withdraw, and for others who do
// withdraw; Conflict for a proposal that was decided, and for one whose operations the rules refuse by now, with the details of their
// fault: that one stays open; BadRequest for the input; those of Change.
func (p *Proposals) Decide(ctx context.Context, access auth.Access, in DecideInput) (Proposal, error) {
	if err := access.May(auth.Edit); err != nil {
		return Proposal{}, err
	}
	actor, projectID := access.Actor(), access.Project()
	if err := in.check(); err != nil {
		return Proposal{}, err
	}
	in.OpID = cmp.Or(in.OpID, uuid.NewString())
	ctx, cancel := context.WithTimeout(ctx, p.plans.timing.Answer)
	defer cancel()
	before, again, err := p.undecided(ctx, actor, projectID, in)
	if err != nil || again {
		return before, err
	}
	if in.Decision == Accept {
		err = p.accept(ctx, access, before, in)
	} else {
		err = p.close(ctx, actor, projectID, in)
	}
	if err != nil {
		// Perhaps it was decided meanwhile, by whomever. Then that is what there is to say.
		if after, again, err := p.undecided(ctx, actor, projectID, in); again || errors.Is(err, errDecided) {
			return after, err
		}
		return Proposal{}, err
	}
	after, err := p.Get(ctx, access, in.ID)
	if err != nil {
		return Proposal{}, err
	}
	p.announce(after)
	return after, nil
}

// undecided reads the proposal that a decision is about, or returns the fault that it may not be made. Again says that it was made before,
// by the same request or one like it.
func (p *Proposals) undecided(ctx context.Context, actor auth.Actor, projectID int32, in DecideInput) (_ Proposal, again bool, err error) {
	row, err := p.row(ctx, projectID, in.ID)
	if err != nil {
		return Proposal{}, false, err
	}
	one := proposalOf(row)
	if one.Status == Open {
		return one, false, one.mayDecide(actor, in.Decision)
	}
	same := one.DecidedBy.ID == actor.ID || one.DecidedBy.OpActor() == actor.OpActor() && *row.DecidedOpID == in.OpID
	if same && one.Status == decided[in.Decision] {
		return one, true, nil
	}
	return Proposal{}, false, fault.New(fault.Conflict, fmt.Sprintf("%s %s the proposal already", one.DecidedBy.Name, verbs[one.Status])).
		With("status", string(one.Status)).With("decidedByName", one.DecidedBy.Name).Because(errDecided)
}

// errDecided is the cause of the fault for a proposal that was decided before.
var errDecided = errors.New("the proposal is decided")

// verbs say what somebody did who decided.
var verbs = map[ProposalStatus]string{Accepted: "accepted", Rejected: "rejected", Withdrawn: "withdrew"}

// mayDecide refuses decisions that are not the actor's. An agent does not become somebody else by beginning another session. Two agents of
// one name at one client address count as one: they cannot be told apart, and a person, or an agent of another name, can decide.
func (one Proposal) mayDecide(actor auth.Actor, d Decision) error {
	switch own := one.By.Is(actor); {
	case own && d != Withdraw:
		return fault.New(fault.Forbidden, "Somebody else has to decide about your proposal: you can only withdraw it")
	case !own && d == Withdraw:
		return fault.New(fault.Forbidden, "Only the proposer can withdraw a proposal")
	}
	return nil
}

// accept makes the change that a proposal asks for. Where nothing is left to change, no change carries the decision.
func (p *Proposals) accept(ctx context.Context, access auth.Access, one Proposal, in DecideInput) error {
	edits, err := ParseOperations(one.Operations)
	if err != nil {
		return err
	}
	result, err := p.plans.Change(ctx, access, Change{
		OpID: in.OpID, ClientID: in.ClientID, Via: in.Via, Note: one.changeNote(),
		Edits: append(edits, acceptance{ID: one.ID, Reason: in.Reason}),
	})
	if f := fault.From(err); f != nil {
		if _, refused := f.Details["operation"]; refused {
			misfit := fault.New(fault.Conflict, fmt.Sprintf("Proposal %d does not fit the plan any more: %s", one.ID, f.Message)).Because(f)
			for name, value := range f.Details {
				misfit = misfit.With(name, value)
			}
			return misfit
		}
	}
	if err != nil || result.Event != nil {
		return err
	}
	return p.close(ctx, access.Actor(), one.ProjectID, in)
}

// changeNote is the note of the change that accepting makes: whose proposal it was, and what they said of it.
func (one Proposal) changeNote() string {
	note := fmt.Sprintf("Proposal %d by %s", one.ID, one.By.Name)
	if one.Note != "" {
		note += ": " + one.Note
	}
	if runes := []rune(note); len(runes) > maxNote {
		note = string(runes[:maxNote-1]) + "…"
	}
	return note
}

// close decides a proposal without a change of the plan.
func (p *Proposals) close(ctx context.Context, actor auth.Actor, projectID int32, in DecideInput) error {
	err := p.db.Requests.InTx(ctx, func(q *db.Queries) error {
		head, err := step(ctx, q, db.StepProposalsParams{ProjectID: projectID})
		if err != nil {
			return err
		}
		closed, err := q.CloseProposal(ctx, db.CloseProposalParams{
			Revision: head.Revision, Status: string(decided[in.Decision]), Reason: optional(in.Reason), ProjectID: projectID, ID: in.ID,
			DecidedByID: actor.ID, DecidedByKind: string(actor.Kind), DecidedByName: actor.Name, DecidedOpID: in.OpID,
		})
		if err == nil && closed == 0 {
			err = errDecided
		}
		return err
	})
	if err != nil {
		return asBusy(fmt.Errorf("decide: %w", err), in.OpID)
	}
	return nil
}

// acceptance is the edit that accepts a proposal, in the transaction of the change that applies it. The proposal's head is locked with the
// first round trip, after the plan's, so nobody decides in between; the second one closes the proposal and commits.
type acceptance struct {
	ID     int32
	Reason string
}

func (e acceptance) reads(r *reads) { r.proposal = &e.ID }

func (e acceptance) apply(d *draft) error {
	if d.proposal.status != string(Open) {
		return fault.New(fault.Conflict, "The proposal is decided already").Because(errDecided)
	}
	d.accepts = &e
	return nil
}

// proposalHead is what a draft knows of the proposal that it accepts.
type proposalHead struct {
	revision int64  // the stepped revision of the project's proposals
	status   string // empty for a proposal that is not there any more
}

// queueProposal locks the head of a project's proposals, and reads one of them.
func (d *draft) queueProposal(b *pgx.Batch, project, id int32) {
	b.Queue(db.StepProposals, 0, project).QueryRow(func(row pgx.Row) error { return row.Scan(&d.proposal.revision, nil) })
	b.Queue(db.GetProposalStatus, project, id).Query(func(rows pgx.Rows) error {
		status, err := first(rows, pgx.RowToAddrOf[string])
		d.proposal.status = value(status)
		return err
	})
}

// queueAcceptance closes the proposal that a request accepts, at the version that its change made.
func (d *draft) queueAcceptance(b *pgx.Batch, r request, version int64) {
	b.Queue(db.CloseProposal, d.proposal.revision, string(Accepted), r.actor.ID, string(r.actor.Kind), r.actor.Name, r.OpID,
		optional(d.accepts.Reason), version, r.project, d.accepts.ID)
}
