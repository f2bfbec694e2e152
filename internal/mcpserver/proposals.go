package mcpserver

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"layercake/internal/caller"
	"layercake/internal/plan"
)

// The limits of list_proposals.
const usualProposals = 20

type (
	proposalStatus string
	decision       string
)

type listProposals struct {
	ofProject
	Status proposalStatus `json:"status,omitempty" jsonschema:"default open"`
	Limit  count          `json:"limit,omitempty" jsonschema:"default 20, at most 200"`
	Cursor string         `json:"cursor,omitempty"`
}

type proposalList struct {
	Proposals  []proposalInfo `json:"proposals"`
	NextCursor string         `json:"next_cursor,omitempty"`
}

type proposalInfo struct {
	ID          int32    `json:"id"`
	Status      string   `json:"status"`
	By          string   `json:"by"`
	Note        string   `json:"note,omitempty"`
	BaseVersion int64    `json:"base_version"`
	CreatedAt   string   `json:"created_at"`
	Operations  []object `json:"operations"`
	Reason      string   `json:"reason,omitempty"`
}

type decideProposal struct {
	ofProject
	ProposalID id       `json:"proposal_id"`
	Decision   decision `json:"decision"`
	Reason     string   `json:"reason,omitempty"`
	OpID       string   `json:"op_id,omitempty"`
}

type decided struct {
	ProposalID int32  `json:"proposal_id"`
	Status     string `json:"status"`
	Version    int64  `json:"version,omitempty"`
}

func (h *Handler) addProposalTools() {
	add(h, definition{
		name: "list_proposals", title: "List proposals", set: planTools, effect: reads,
		does: "Edits that were proposed and wait for a decision, newest first.",
	}, h.listProposals)
	add(h, definition{
		name: "decide_proposal", title: "Decide a proposal", set: planTools, effect: destroys, repeatable: true,
		does: "Accepts or rejects what others proposed, or withdraws your own.",
	}, h.decideProposal)
}

func (h *Handler) listProposals(ctx context.Context, c call, in listProposals) (proposalList, error) {
	limit := int(in.Limit)
	switch {
	case limit == 0:
		limit = usualProposals
	case limit > plan.MaxProposals:
		return proposalList{}, tooHigh("limit", limit, plan.MaxProposals)
	}
	status := plan.Open
	if in.Status != "" {
		status = plan.ProposalStatus(strings.ToUpper(string(in.Status)))
	}
	page, err := h.proposals.List(ctx, c.access, plan.ProposalQuery{Status: status, Limit: limit, After: in.Cursor})
	if err != nil {
		return proposalList{}, err
	}
	out := proposalList{Proposals: []proposalInfo{}, NextCursor: page.Next}
	size := 0
	for i, one := range page.Proposals {
		info, err := proposalOf(one)
		if err != nil {
			return proposalList{}, err
		}
		if size += len(compact(info)); size > maxPage && i > 0 {
			out.NextCursor = strconv.Itoa(int(page.Proposals[i-1].ID)) // the core's pages go on below an id
			break
		}
		out.Proposals = append(out.Proposals, info)
	}
	return out, nil
}

func proposalOf(p plan.Proposal) (proposalInfo, error) {
	info := proposalInfo{
		ID: p.ID, Status: strings.ToLower(string(p.Status)), By: p.By.Name, Note: p.Note, BaseVersion: p.BaseVersion,
		CreatedAt: stamp(p.CreatedAt), Reason: p.Reason,
	}
	return info, json.Unmarshal(p.Operations, &info.Operations)
}

func (h *Handler) decideProposal(ctx context.Context, c call, in decideProposal) (decided, error) {
	p, err := h.proposals.Decide(ctx, c.access, plan.DecideInput{
		ID: int32(in.ProposalID), Decision: plan.Decision(strings.ToUpper(string(in.Decision))), Reason: in.Reason,
		OpID: in.OpID, Via: caller.MCP,
	})
	return decided{p.ID, strings.ToLower(string(p.Status)), p.Version}, err
}

// proposeEdit keeps an edit for a person to decide.
func (h *Handler) proposeEdit(ctx context.Context, c call, in editPlan) (edited, error) {
	p, result, err := h.proposals.Propose(ctx, c.access, plan.ProposeInput{
		Operations: json.RawMessage(in.Operations), Note: in.Note, OpID: in.OpID, Expected: in.ExpectedVersion,
	})
	if err != nil {
		return edited{}, err
	}
	out, err := editedBy(result, false)
	out.ProposalID = p.ID
	return out, err
}
