package graph

import (
	"context"
	"fmt"

	"layercake/internal/plan"
)

// pageOfProposals is how many proposals a page has unless the caller says another number.
const pageOfProposals = 50

// listProposals reads a page of proposals, unless the response shows too much of plans.
func (r *Resolver) listProposals(ctx context.Context, projectID int32, q plan.ProposalQuery) (*ProposalPage, error) {
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return nil, err
	}
	page, err := showPast(ctx, r, past[plan.ProposalPage]{
		read: func() (plan.ProposalPage, error) { return r.proposals.List(ctx, access, q) },
		bytes: func(page plan.ProposalPage) (bytes int) {
			const proposal = 500 // names of fields, numbers, times and punctuation
			for _, p := range page.Proposals {
				bytes += proposal + len(p.Operations) + len(p.Note) + len(p.Reason)
			}
			return bytes
		},
	})
	if err != nil {
		return nil, err
	}
	return &ProposalPage{
		Proposals: convert(page.Proposals, func(p plan.Proposal) Proposal { return *proposal(&p) }), Next: optional(page.Next),
	}, nil
}

// decide has a proposal decided.
func (r *Resolver) decide(ctx context.Context, projectID int32, in plan.DecideInput) (*Proposal, error) {
	access, err := r.access(ctx, projectID, in.ClientID)
	if err != nil {
		return nil, err
	}
	p, err := r.proposals.Decide(ctx, access, in)
	if err != nil {
		return nil, err
	}
	if in.ClientID != "" {
		r.presence.RenewGuest(projectID, in.ClientID)
	}
	return proposal(&p), nil
}

// watchProposals sends the proposals of a project to out. It returns when ctx ends, or with the error that ended the watch.
func (r *Resolver) watchProposals(ctx context.Context, projectID int32, out chan<- delivery[*Proposal]) error {
	ctx, access, done, err := r.follow(ctx, projectID)
	if err != nil {
		return err
	}
	defer done()
	for p, err := range r.proposals.Watch(ctx, access) {
		if err != nil {
			return endOf(ctx, err)
		}
		if !offer(ctx, out, delivery[*Proposal]{
			event: event{key: eventKey{project: projectID, proposal: stateOf(p)}},
			build: func() (*Proposal, error) { return proposal(p), nil },
		}) {
			break
		}
	}
	return endOf(ctx, nil)
}

// stateOf names one state of a proposal. Its times are part of it because after a restore the same numbers come again.
func stateOf(p *plan.Proposal) string {
	return fmt.Sprintf("%d.%d.%d.%d", p.ID, p.Revision, p.CreatedAt.UnixMicro(), p.DecidedAt.UnixMicro())
}

func proposal(p *plan.Proposal) *Proposal {
	shown := &Proposal{
		ID: p.ID, ProjectID: p.ProjectID, Status: p.Status, ByID: p.By.ID, ByName: p.By.Name, Note: optional(p.Note),
		BaseVersion: p.BaseVersion, CreatedAt: p.CreatedAt, Operations: p.Operations, Reason: optional(p.Reason),
		Version: optional(p.Version), Revision: p.Revision,
	}
	if p.Status != plan.Open {
		shown.DecidedByName, shown.DecidedAt = &p.DecidedBy.Name, &p.DecidedAt
	}
	return shown
}
