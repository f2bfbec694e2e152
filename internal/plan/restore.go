package plan

import (
	"cmp"
	"context"
	"errors"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Restore makes the plan what it was after a version, by one change, which can be undone. Elements that come back do so at the end of the
// order. Expected must be set; OnConflict is ignored. Faults are those of At, and of Change; Conflict with the "rule" that the plan would
// break.
func (s *Service) Restore(ctx context.Context, access auth.Access, in UndoInput) (UndoResult, error) {
	if err := access.May(auth.Edit); err != nil {
		return UndoResult{}, err
	}
	projectID := access.Project()
	in.OnConflict = ""
	if err := in.check(); err != nil {
		return UndoResult{}, err
	}
	if in.Expected == nil {
		return UndoResult{}, fault.New(fault.BadRequest, "A restore must say which version it expects")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.Answer)
	defer cancel()
	in.OpID = cmp.Or(in.OpID, uuid.NewString())
	edit := &restore{Version: in.Version}
	var err error
	if edit.past, err = s.past(ctx, projectID, in.Version); err != nil {
		r := request{Change: in.change(edit), access: access, actor: access.Actor(), project: projectID}
		// The version may have been trimmed since the operation was made, which then answers from the log.
		if repeated, lookErr := s.look(ctx, r, func(*pgx.Batch) {}); lookErr != nil || !repeated {
			return UndoResult{}, err
		}
	}
	release, err := s.takeRoom(ctx, edit.past.bytes())
	if err != nil {
		return UndoResult{}, err
	}
	defer release()
	done, err := s.carryOut(ctx, access, in, edit)
	if err != nil {
		return UndoResult{}, err
	}
	return resultOf(done, nil, nil), nil
}

// errLogMoved is why an edit was not prepared: the operation was in the log before, and is not any more.
var errLogMoved = errors.New("the operation left the log meanwhile")

// restore makes the plan what it was.
type restore struct {
	Version int64

	past *pastPlan // nil when the operation is in the log already
}

func (e *restore) reads(r *reads) {
	r.all, r.plan = true, true
	if e.past == nil {
		return
	}
	for _, n := range e.past.nodes {
		r.source([]byte(n.Config))
	}
}

func (e *restore) apply(d *draft) error {
	if e.past == nil {
		return postgres.Busy(errLogMoved)
	}
	d.lenient = true
	var w work
	nodes, edges := make(map[string]bool, len(e.past.nodes)), make(map[string]bool, len(e.past.edges))
	for _, n := range e.past.nodes {
		nodes[n.ID] = true
		if d.nodes.get(n.ID) == nil {
			w.nodesNew = append(w.nodesNew, n)
		} else {
			w.nodesChanged = append(w.nodesChanged, n)
		}
	}
	for _, old := range e.past.edges {
		edges[old.ID] = true
		if d.edges.get(old.ID) == nil {
			w.edgesNew = append(w.edgesNew, old)
		} else {
			w.changeEdge(d, old)
		}
	}
	for _, id := range d.nodes.inOrder() {
		if !nodes[id] {
			w.nodesGone = append(w.nodesGone, id)
		}
	}
	for _, id := range d.edges.inOrder() {
		if !edges[id] {
			w.edgesGone = append(w.edgesGone, id)
		}
	}
	if err := d.carryOut(w, true); err != nil {
		return broken(err)
	}
	return broken(d.setRecord(e.past.record))
}

// bytes returns about how long the event is that brings a plan back; 0 of no plan.
func (p *pastPlan) bytes() (n int64) {
	if p == nil {
		return 0
	}
	const element = 300 // names of members, ids, numbers and times
	n = int64(len(p.record.YAMLContent) + element*(len(p.nodes)+len(p.edges)))
	for _, node := range p.nodes {
		n += int64(len(node.Config) + len(node.Metadata.Label))
	}
	return n
}

// draft returns a draft of the plan as it was.
func (p *pastPlan) draft() *draft {
	d := &draft{at: p.at, time: p.changedAt, plan: &Plan{
		Name: p.record.Name, YAMLContent: p.record.YAMLContent, Dependencies: p.record.Dependencies, Status: p.record.Status,
	}}
	for i, n := range p.nodes {
		d.nodes.load(n.ID, int64(i), n)
	}
	for i, e := range p.edges {
		d.edges.load(e.ID, int64(i), e)
		d.links.add(e.ID, e.Source, e.Target)
	}
	d.nodes.shape(int64(len(p.nodes))-1, nil)
	d.edges.shape(int64(len(p.edges))-1, nil)
	return d
}
