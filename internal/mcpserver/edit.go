package mcpserver

import (
	"context"
	"encoding/json"

	"layercake/internal/caller"
	"layercake/internal/plan"
)

// mode is what becomes of an edit.
type mode string

const (
	apply   mode = "apply"
	dryRun  mode = "dry_run"
	propose mode = "propose"
)

// operations are the edits of a plan. The core parses them.
type operations json.RawMessage

// UnmarshalJSON keeps the text.
func (o *operations) UnmarshalJSON(text []byte) error {
	return (*json.RawMessage)(o).UnmarshalJSON(text)
}

// step is one of them, for the schema: flat, so that every model's dialect takes it.
type step struct {
	Op          stepKind `json:"op"`
	ID          string   `json:"id,omitempty" jsonschema:"absent on adding: the server makes one; edges may be named by their ends"`
	NodeType    nodeType `json:"node_type,omitempty"`
	Label       string   `json:"label,omitempty"`
	Description string   `json:"description,omitempty"`
	Config      object   `json:"config,omitempty" jsonschema:"update_node merges it; null removes a member"`
	X           float64  `json:"x,omitempty" jsonschema:"absent on adding: placed beside its inputs"`
	Y           float64  `json:"y,omitempty"`
	Source      string   `json:"source,omitempty" jsonschema:"node id"`
	Target      string   `json:"target,omitempty" jsonschema:"node id"`
	DataType    dataType `json:"data_type,omitempty"`
}

type (
	stepKind string
	nodeType string
	dataType string
)

var stepKinds = []string{"add_node", "update_node", "move_node", "delete_node", "add_edge", "update_edge", "delete_edge"}

type editPlan struct {
	ofProject
	Operations      operations `json:"operations" jsonschema:"1 to 500, all or none"`
	Mode            mode       `json:"mode,omitempty" jsonschema:"default apply"`
	OpID            string     `json:"op_id,omitempty"`
	ExpectedVersion *int64     `json:"expected_version,omitempty" jsonschema:"refuse when the plan is at another version"`
	Note            string     `json:"note,omitempty" jsonschema:"why, for people"`
}

func (h *Handler) editPlan(ctx context.Context, c call, in editPlan) (edited, error) {
	if in.Mode == propose {
		return h.proposeEdit(ctx, c, in)
	}
	edits, err := plan.ParseOperations(json.RawMessage(in.Operations))
	if err != nil {
		return edited{}, err
	}
	change := plan.Change{
		OpID: in.OpID, Expected: in.ExpectedVersion, Via: caller.MCP, Note: in.Note, Edits: edits, Warnings: true,
	}
	result, err := h.plans.Edit(ctx, c.access, change, in.Mode == dryRun)
	if err != nil {
		return edited{}, err
	}
	applied := result.Event != nil && in.Mode != dryRun
	if applied {
		h.point(c, in.project(), result)
	}
	return editedBy(result, applied)
}

// editedBy says what a change did, or would do.
func editedBy(result plan.Result, applied bool) (edited, error) {
	out := edited{Applied: applied, Version: result.At.Version, Cursor: result.At.String(), Changes: []operation{}}
	out.Warnings = problemsOf(result.Warnings)
	if result.Event == nil {
		return out, nil
	}
	var err error
	out.Changes, err = operationsOf(result.Event)
	return out, err
}
