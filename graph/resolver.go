package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/collaborator"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/source"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
)

// Resolver translates between the schema and the core. It decides nothing.
type Resolver struct {
	keeper        *auth.Keeper
	accounts      *auth.Accounts
	rights        *auth.Rights
	collaborators *collaborator.Service
	plans         *plan.Service
	proposals     *plan.Proposals
	projects      *project.Service
	sources       *source.Service
	graphs        *graphdata.Service
	builds        *executor.Service
	presence      *presence.Tracker
	errors        *presenter
	metrics       *metrics
	running       *sync.WaitGroup // counts the producers of subscriptions
	patience      time.Duration   // time limit of a read for an event

	planCosts *lru.Cache[int32, int64] // memory that answers with plans took, by project
	pastReads *semaphore.Weighted      // of reads of the past
}

// changeArgs are the arguments that every mutation of a plan has.
type changeArgs struct {
	opID     *string
	expected *int32
	clientID *string
}

// change returns a change without edits.
func (args changeArgs) change() plan.Change {
	c := plan.Change{OpID: value(args.opID), ClientID: value(args.clientID), Via: caller.GraphQL}
	if args.expected != nil {
		c.Expected = new(int64(*args.expected))
	}
	return c
}

// access returns what the caller may do in a project. Without a credential the caller is the client that states an id, if it states one.
func (r *Resolver) access(ctx context.Context, projectID int32, clientID string) (auth.Access, error) {
	return r.rights.Project(ctx, caller.Principal(ctx, clientID), projectID)
}

// follow is access for what stays open: the context ends, with a fault as its cause, when the right does. The caller calls done.
func (r *Resolver) follow(ctx context.Context, projectID int32) (following context.Context, access auth.Access, done func(), err error) {
	access, err = r.access(ctx, projectID, "")
	if err != nil || r.keeper == nil {
		return ctx, access, func() {}, err
	}
	following, cancel := context.WithCancelCause(ctx)
	release := r.keeper.HoldAccess(access, cancel)
	return following, access, func() { release(); cancel(nil) }, nil
}

// endOf returns the fault for which the context of follow ended, or else err: what was under way when the right ended fails in some way,
// too.
func endOf(ctx context.Context, err error) error {
	if f := fault.From(context.Cause(ctx)); f != nil {
		return f
	}
	return err
}

func (r *Resolver) change(ctx context.Context, projectID int32, args changeArgs, edits ...plan.Edit) (plan.Result, error) {
	access, err := r.access(ctx, projectID, value(args.clientID))
	if err != nil {
		return plan.Result{}, err
	}
	return r.changeWith(ctx, access, args, edits...)
}

func (r *Resolver) changeWith(ctx context.Context, access auth.Access, args changeArgs, edits ...plan.Edit) (plan.Result, error) {
	c := args.change()
	c.Edits = edits
	return r.carryOut(ctx, access, c)
}

// carryOut makes a change, and says that its client is in the project.
func (r *Resolver) carryOut(ctx context.Context, access auth.Access, c plan.Change) (plan.Result, error) {
	result, err := r.plans.Change(ctx, access, c)
	if err == nil && c.ClientID != "" {
		r.presence.RenewGuest(access.Project(), c.ClientID)
	}
	return result, err
}

// changeNode asks for one edit that names one node, and returns that node.
func (r *Resolver) changeNode(ctx context.Context, projectID int32, args changeArgs, edit plan.Edit) (*plan.Node, error) {
	result, err := r.change(ctx, projectID, args, edit)
	return single(result.Nodes, err)
}

// changeEdge asks for one edit that names one edge, and returns that edge.
func (r *Resolver) changeEdge(ctx context.Context, projectID int32, args changeArgs, edit plan.Edit) (*plan.Edge, error) {
	result, err := r.change(ctx, projectID, args, edit)
	return single(result.Edges, err)
}

// changePlan asks for one edit of the plan's record, and returns the record.
func (r *Resolver) changePlan(ctx context.Context, access auth.Access, args changeArgs, edit plan.Edit) (*plan.Plan, error) {
	if _, err := r.changeWith(ctx, access, args, edit); err != nil {
		return nil, err
	}
	p, err := r.plans.OfProject(ctx, access)
	return &p, err
}

func single[T any](items []T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	if len(items) != 1 {
		return nil, fmt.Errorf("a change of one %T answered with %d", *new(T), len(items))
	}
	return &items[0], nil
}

// orNull returns null instead of the fault NotFound, for the queries that promise null.
func orNull[T any](item T, err error) (*T, error) {
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &item, nil
}

// The memory that an answer with a plan takes while it is made, by each element and each byte of their texts. TestCostOfPlans measures it.
const (
	elementCost = 8000
	textCost    = 8
)

// knownPlans is the number of plans whose cost is remembered.
const knownPlans = 10_000

// dag reads a plan for an answer. It takes the memory of the answer before, by what the plan cost the last time: many that read a large
// plan at once would otherwise each hold one before they wait for each other. The first who read a plan learn its cost from one read.
func (r *Resolver) dag(ctx context.Context, access auth.Access) (plan.DAG, error) {
	projectID := access.Project()
	expected, known := r.planCosts.Get(projectID)
	if !known {
		first, err := r.plans.SharedDAG(ctx, access, plan.Cursor{})
		if err != nil {
			return plan.DAG{}, err
		}
		expected = planCost(first)
	}
	held := budget.From(ctx)
	if err := held.Take(ctx, expected); err != nil {
		r.planCosts.Remove(projectID) // the plan may have become smaller since
		return plan.DAG{}, err
	}
	dag, err := r.plans.DAG(ctx, access)
	if err != nil {
		return plan.DAG{}, err
	}
	cost := planCost(dag)
	r.planCosts.Add(projectID, cost)
	return dag, held.Take(ctx, cost-expected)
}

func planCost(d plan.DAG) int64 {
	text := 0
	for _, n := range d.Nodes {
		text += len(n.Config) + len(n.Metadata.Label) + len(value(n.Metadata.Description))
	}
	return elementCost*int64(len(d.Nodes)+len(d.Edges)) + textCost*int64(text)
}

// shownDAG reads a plan for a query, unless the response shows too much of plans.
func (r *Resolver) shownDAG(ctx context.Context, projectID int32) (plan.DAG, error) {
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return plan.DAG{}, err
	}
	return show(ctx, bytesOf, func() (plan.DAG, error) { return r.dag(ctx, access) })
}

func (r *Resolver) planDag(d plan.DAG) *PlanDag {
	created, modified := plan.FormatTime(d.CreatedAt), plan.FormatTime(d.ChangedAt)
	return &PlanDag{
		Version: versionText(d.At.Version), Cursor: d.At.String(), Nodes: d.Nodes, Edges: d.Edges,
		Metadata: PlanDagMetadata{Version: r.plans.Label(d.At), Name: &d.Name, Created: &created, LastModified: &modified},
	}
}

func (r *Resolver) planDagDocument(d plan.DAG) (*PlanDagDocument, error) {
	var errs []error
	raw := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		errs = append(errs, err)
		return b
	}
	doc := &PlanDagDocument{
		Version: versionText(d.At.Version), Metadata: raw(r.planDag(d).Metadata),
		Nodes: make([]PlanDagDocumentNode, len(d.Nodes)), Edges: make([]PlanDagDocumentEdge, len(d.Edges)),
	}
	for i, n := range d.Nodes {
		doc.Nodes[i] = PlanDagDocumentNode{
			ID: n.ID, NodeType: n.NodeType, Position: raw(n.Position), SourcePosition: n.SourcePosition,
			TargetPosition: n.TargetPosition, Metadata: raw(n.Metadata), Config: n.Config,
		}
	}
	for i, e := range d.Edges {
		doc.Edges[i] = PlanDagDocumentEdge{
			ID: e.ID, Source: e.Source, Target: e.Target, SourceHandle: e.SourceHandle,
			TargetHandle: e.TargetHandle, Metadata: raw(e.Metadata),
		}
	}
	return doc, errors.Join(errs...)
}

func (in PlanDagNodeInput) node() plan.Node {
	return plan.Node{ID: in.ID, NodeType: in.NodeType, Position: in.Position, Metadata: in.Metadata, Config: in.Config}
}

func (in PlanDagEdgeInput) edge() plan.Edge {
	return plan.Edge{
		ID: in.ID, Source: in.Source, Target: in.Target, Metadata: in.Metadata,
		SourceHandle: in.SourceHandle.Value(), TargetHandle: in.TargetHandle.Value(),
	}
}

func (in PlanDagInput) nodes() []plan.Node { return convert(in.Nodes, PlanDagNodeInput.node) }

func (in PlanDagInput) edges() []plan.Edge { return convert(in.Edges, PlanDagEdgeInput.edge) }

// echo puts the metadata of a submission into the answer to it, except the version, which stays the plan's own: clients compare it with the
// deltas that follow.
func (in PlanDagInput) echo(dag *PlanDag) *PlanDag {
	m := in.Metadata
	dag.Metadata = PlanDagMetadata{
		Version: dag.Metadata.Version, Name: m.Name.Value(), Description: m.Description.Value(),
		Created: m.Created.Value(), LastModified: m.LastModified.Value(), Author: m.Author.Value(),
	}
	return dag
}

func (in NodePositionInput) move() plan.Move {
	return plan.Move{
		ID: in.NodeID, Position: in.Position,
		SourcePosition: in.SourcePosition.Value(), TargetPosition: in.TargetPosition.Value(),
	}
}

func validationResult(problems []plan.Problem) *ValidationResult {
	result := &ValidationResult{IsValid: true, Errors: []ValidationError{}, Warnings: []ValidationWarning{}}
	for _, p := range problems {
		if p.Warning {
			result.Warnings = append(result.Warnings, ValidationWarning{
				NodeID: p.NodeID, EdgeID: p.EdgeID, WarningType: ValidationWarningType(p.Kind), Message: p.Message,
			})
			continue
		}
		result.IsValid = false
		result.Errors = append(result.Errors, ValidationError{
			NodeID: p.NodeID, EdgeID: p.EdgeID, ErrorType: ValidationErrorType(p.Kind), Message: p.Message,
		})
	}
	return result
}

func versionText(version int64) string { return strconv.FormatInt(version, 10) }

func convert[A, B any](items []A, f func(A) B) []B {
	out := make([]B, len(items))
	for i, item := range items {
		out[i] = f(item)
	}
	return out
}

func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// optional returns a value, or null for the empty text and for zero.
func optional[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}
