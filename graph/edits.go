package graph

import (
	"context"
	"fmt"

	"layercake/internal/fault"
	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
)

// edit makes a change of many edits, or in a dry run says what it would be.
func (r *Resolver) edit(ctx context.Context, projectID int32, edits []PlanEdit, c plan.Change, dryRun bool) (*EditPlanResult, error) {
	shown := loadersOf(ctx).shown
	if err := shown.checkOnce(ctx); err != nil {
		return nil, err
	}
	for i, in := range edits {
		edit, err := in.edit()
		if err != nil {
			return nil, err.With("edit", i)
		}
		c.Edits = append(c.Edits, edit)
	}
	access, err := r.access(ctx, projectID, c.ClientID)
	if err != nil {
		return nil, err
	}
	result, err := r.plans.Edit(ctx, access, c, dryRun)
	if err != nil {
		return nil, err
	}
	if c.ClientID != "" && !dryRun {
		r.presence.RenewGuest(projectID, c.ClientID)
	}
	out := &EditPlanResult{Version: result.At.Version, Cursor: result.At.String()}
	if result.Event != nil {
		out.Change = planEvent(&plan.Update{ProjectID: projectID, At: result.At, Event: result.Event})
		shown.bytes.Add(int64(bytesOfChange(result.Event)))
	}
	return out, nil
}

// edit returns what an edit asks for, or a fault unless it has exactly one member.
func (in PlanEdit) edit() (plan.Edit, *fault.Error) {
	members := 0
	for _, given := range []bool{
		in.AddNode.IsSet(), in.UpdateNode.IsSet(), in.MoveNodes.IsSet(), in.DeleteNode.IsSet(),
		in.AddEdge.IsSet(), in.UpdateEdge.IsSet(), in.DeleteEdge.IsSet(), in.Describe.IsSet(),
	} {
		if given {
			members++
		}
	}
	switch {
	case members != 1:
	case in.AddNode.Value() != nil:
		return plan.AddNode{Node: in.AddNode.Value().node()}, nil
	case in.UpdateNode.Value() != nil:
		return in.UpdateNode.Value().edit(), nil
	case in.MoveNodes.Value() != nil:
		return plan.MoveNodes{Moves: convert(in.MoveNodes.Value(), NodePositionInput.move)}, nil
	case in.DeleteNode.Value() != nil:
		return plan.DeleteNode{ID: *in.DeleteNode.Value()}, nil
	case in.AddEdge.Value() != nil:
		return plan.AddEdge{Edge: in.AddEdge.Value().edge()}, nil
	case in.UpdateEdge.Value() != nil:
		return in.UpdateEdge.Value().edit(), nil
	case in.DeleteEdge.Value() != nil:
		return plan.DeleteEdge{ID: *in.DeleteEdge.Value()}, nil
	case in.Describe.Value() != nil:
		d := in.Describe.Value()
		return plan.PatchPlan{Name: d.Name.Value(), YAMLContent: d.YamlContent.Value(), Dependencies: d.Dependencies.Value()}, nil
	}
	return nil, fault.New(fault.BadRequest, fmt.Sprintf("An edit has exactly one member that is not null, this one has %d members", members))
}

func (in NodeEdit) edit() plan.Edit {
	edit := in.Updates.edit(in.ID)
	if expected := in.Expected.Value(); expected != nil {
		edit.Expected = &plan.NodeParts{
			Position: expected.Position.Value(), Metadata: expected.Metadata.Value(), Config: expected.Config.Value(),
		}
	}
	return edit
}

func (in EdgeEdit) edit() plan.Edit {
	edit := in.Updates.edit(in.ID)
	if expected := in.Expected.Value(); expected != nil {
		edit.Expected = &plan.EdgeParts{
			SourceHandle: orNone(expected.SourceHandle), TargetHandle: orNone(expected.TargetHandle), Metadata: expected.Metadata.Value(),
		}
	}
	return edit
}

// orNone returns nil for an absent text, and a pointer to nil for one that is null.
func orNone(text graphql.Omittable[*string]) **string {
	if !text.IsSet() {
		return nil
	}
	return new(text.Value())
}

// edit returns the edit that changes what is given of a node.
func (in PlanDagNodeUpdateInput) edit(id string) plan.UpdateNode {
	return plan.UpdateNode{ID: id, Position: in.Position.Value(), Metadata: in.Metadata.Value(), Config: in.Config.Value()}
}

// edit returns the edit that changes what is given of an edge.
func (in PlanDagEdgeUpdateInput) edit(id string) plan.UpdateEdge {
	return plan.UpdateEdge{
		ID: id, SourceHandle: in.SourceHandle.Value(), TargetHandle: in.TargetHandle.Value(), Metadata: in.Metadata.Value(),
	}
}
