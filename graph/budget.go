package graph

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"layercake/internal/fault"
	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Limits of what one response shows of plans.
const (
	maxPlanBytes = 1 << 20 // bytes of all plans together, when they are several, or one is shown several times
	maxNames     = 10      // names that one field has below a root field: each shows the same again
)

// planBudget counts the bytes of the plans in one response. Its plans are read one at a time, so that no more of them are in memory than
// it allows, and one that comes too late is not read at all.
type planBudget struct {
	turn  chan struct{} // holds the one whose turn it is
	bytes atomic.Int64
}

func newPlanBudget() *planBudget { return &planBudget{turn: make(chan struct{}, 1)} }

// show reads what a query shows of plans, unless the response shows too much with it. What is shown alone and once is never too much. Bytes
// returns about how long it is in a response.
func show[T any](ctx context.Context, bytes func(T) int, read func() (T, error)) (T, error) {
	b := loadersOf(ctx).shown
	var none T
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if err := b.check(); err != nil {
		return none, err
	}
	alone := b.bytes.Load() == 0
	v, err := read()
	if err != nil {
		return none, err
	}
	shown := timesShown(ctx)
	b.bytes.Add(int64(shown * bytes(v)))
	if alone && shown == 1 {
		return v, nil
	}
	return v, b.check()
}

// text returns a fault when the response shows too much with the text of a plan. One text is never too much.
func (b *planBudget) text(text string) error {
	length := int64(len(text))
	if bytes := b.bytes.Add(length); bytes > length && bytes > maxPlanBytes {
		return tooManyPlans(bytes)
	}
	return nil
}

// check returns a fault when plans have used up the budget.
func (b *planBudget) check() error {
	if bytes := b.bytes.Load(); bytes > maxPlanBytes {
		return tooManyPlans(bytes)
	}
	return nil
}

// checkOnce returns a fault when the response shows too much of plans already, or when the field of ctx shows a part of what it does more
// than once. What a change did may be as large as a plan, and is known only when it is done.
func (b *planBudget) checkOnce(ctx context.Context) error {
	if timesShown(ctx) > 1 {
		return fault.New(fault.BadRequest, "The operation asks for a field of what was done more than once")
	}
	return b.check()
}

// checkShown returns a fault when the field of ctx shows too much of one plan.
func checkShown(ctx context.Context, dag plan.DAG) error {
	if shown := timesShown(ctx); shown > 1 && shown*bytesOf(dag) > maxPlanBytes {
		return tooManyPlans(int64(shown * bytesOf(dag)))
	}
	return nil
}

func tooManyPlans(bytes int64) error {
	return fault.New(fault.BadRequest, "The operation shows too much of plans: ask for them one by one, and for each field once").
		With("detail", map[string]any{"bytes": bytes, "limit": maxPlanBytes})
}

// bytesOf returns about how long a plan is in a response with all of its fields.
func bytesOf(dag plan.DAG) int {
	const node, edge = 300, 200 // names of fields, numbers, times and punctuation
	bytes := len(dag.Nodes)*node + len(dag.Edges)*edge
	for _, n := range dag.Nodes {
		bytes += len(n.ID) + len(n.Metadata.Label) + len(value(n.Metadata.Description)) + len(n.Config)
	}
	for _, e := range dag.Edges {
		bytes += len(e.ID) + len(e.Source) + len(e.Target) + len(value(e.Metadata.Label)) +
			len(value(e.SourceHandle)) + len(value(e.TargetHandle))
	}
	return bytes
}

// timesShown returns how often the field of ctx, which is a root field, shows what it shows most often.
func timesShown(ctx context.Context) int {
	field := graphql.GetFieldContext(ctx).Field
	n := names{counts: map[shownField]int{}}
	n.selections(field.Selections, &place{}, field.Alias)
	return max(n.most, 1)
}

// refuseManyNames refuses an operation that has too many names for a field below a root field. None of those fields depends on arguments,
// so each shows the same again, in each item of a list.
func refuseManyNames(set ast.SelectionSet) *gqlerror.Error {
	n := names{counts: map[shownField]int{}}
	n.selections(set, &place{}, "")
	if n.most <= maxNames {
		return nil
	}
	return tooMuch(fmt.Sprintf("The operation is too complex: it shows %s.%s at %d places below one field, of at most %d",
		n.field.object, n.field.name, n.most, maxNames))
}

// names counts the places in a response where fields are shown. Places of introspection do not count.
type names struct {
	counts map[shownField]int
	most   int
	field  shownField // the one that is shown most often
}

// shownField is a field of a type, below a root field.
type shownField struct{ root, object, name string }

// place is a place in the response, with those below it.
type place struct{ fields map[string]*place }

func (n *names) selections(set ast.SelectionSet, at *place, root string) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			if !strings.HasPrefix(selection.ObjectDefinition.Name, "__") {
				n.add(selection, at, root)
			}
		case *ast.InlineFragment:
			n.selections(selection.SelectionSet, at, root)
		case *ast.FragmentSpread:
			n.selections(selection.Definition.SelectionSet, at, root)
		}
	}
}

func (n *names) add(f *ast.Field, at *place, root string) {
	below := at.fields[f.Alias]
	if below == nil {
		below = &place{}
		if at.fields == nil {
			at.fields = map[string]*place{}
		}
		at.fields[f.Alias] = below
		if key := (shownField{root, f.ObjectDefinition.Name, f.Name}); root != "" {
			n.counts[key]++
			if n.counts[key] > n.most {
				n.most, n.field = n.counts[key], key
			}
		}
	}
	n.selections(f.SelectionSet, below, cmp.Or(root, f.Alias))
}
