package graph

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"layercake/internal/fault"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// maxSteps is the budget of a document: the steps that its validation takes, which are about 0.4 µs each for selections and less for
// comparisons. A document of ordinary clients takes some hundreds.
const maxSteps = 100_000

// stepBytes is the length of text that counts as one step: messages repeat names and values.
const stepBytes = 128

// refuseLongChecks refuses a document that would take long to validate. Validation takes exponential time when fragments spread each other
// in circles, walks each fragment again for each operation and for each fragment that leads to it, and compares fields of the same name
// pair by pair: one field 15,000 times takes 40 s. So all operations and fragments are measured here, while only the complexity of the
// operation that is named matters.
func refuseLongChecks(ctx context.Context, document *ast.QueryDocument) *gqlerror.Error {
	fragments := map[string]*ast.FragmentDefinition{}
	for _, f := range document.Fragments {
		if fragments[f.Name] == nil { // validation takes the first of duplicates, too, and refuses them in the end
			fragments[f.Name] = f
		}
	}
	e := expansion{fragments: fragments, counts: map[string]int{}}
	for _, f := range document.Fragments {
		e.fragment(f.Name)
	}
	for _, op := range document.Operations {
		if n := e.count(op.SelectionSet); n > maxComplexity && e.refusal == nil {
			e.refusal = tooMuch(fmt.Sprintf("The operation is too complex: it has more than %d fields", maxComplexity))
		}
	}
	if e.refusal != nil {
		return e.refusal
	}
	c := stepCount{ctx: ctx, fragments: fragments}
	for _, op := range document.Operations {
		for _, v := range op.VariableDefinitions {
			c.add(1)
			c.directives(v.Directives)
			c.value(v.DefaultValue, 1)
		}
		c.directives(op.Directives)
		c.selections(op.SelectionSet, &merged{}, 1)
	}
	for _, f := range document.Fragments {
		c.directives(f.Directives)
		c.selections(f.SelectionSet, &merged{}, 1)
	}
	return c.refusal
}

// stepCount counts the steps of validation. It stops at the first refusal.
type stepCount struct {
	ctx       context.Context
	fragments map[string]*ast.FragmentDefinition
	steps     int
	refusal   *gqlerror.Error
}

// merged is a field of the response.
type merged struct {
	times   int // selections of the field
	spreads int // fragments spread in the field
	fields  map[string]*merged
}

// add counts steps.
func (c *stepCount) add(steps int) {
	before := c.steps
	c.steps += steps
	switch {
	case c.refusal != nil:
	case c.steps > maxSteps:
		c.refusal = tooMuch(fmt.Sprintf("The document takes too long to check: more than %d steps", maxSteps))
	case c.steps>>10 != before>>10 && c.ctx.Err() != nil:
		c.refusal = asInvalid(fault.New(fault.Unavailable, fault.Busy)) // the client went away, so nobody reads this
	}
}

// selections counts selections and adds them to a field of the response. Each is looked at once for each inline fragment around it.
func (c *stepCount) selections(set ast.SelectionSet, into *merged, around int) {
	for _, selection := range set {
		c.add(around)
		if c.refusal != nil {
			return
		}
		switch selection := selection.(type) {
		case *ast.Field:
			c.field(selection, into, around)
		case *ast.InlineFragment:
			c.directives(selection.Directives)
			c.text(selection.TypeCondition)
			c.selections(selection.SelectionSet, into, around+1)
		case *ast.FragmentSpread:
			c.directives(selection.Directives)
			c.spread(selection, into, around)
		}
	}
}

// field counts a field, and its comparisons with all that has its name in the response: fields before it, and fragments.
func (c *stepCount) field(f *ast.Field, into *merged, around int) {
	name := cmp.Or(f.Alias, f.Name)
	field := into.fields[name]
	if field == nil {
		field = &merged{}
		if into.fields == nil {
			into.fields = map[string]*merged{}
		}
		into.fields[name] = field
	}
	before := c.steps
	c.text(f.Alias)
	c.text(f.Name)
	c.arguments(f.Arguments)
	arguments := c.steps - before
	c.directives(f.Directives)
	c.add((field.times*(1+arguments) + into.spreads) * around)
	field.times++
	c.repeats(field.times)
	c.selections(f.SelectionSet, field, 1)
}

// spread counts a fragment that is spread, and its comparisons with the fields and fragments beside it.
func (c *stepCount) spread(s *ast.FragmentSpread, into *merged, around int) {
	c.text(s.Name)
	c.add((into.spreads + len(into.fields)) * around)
	into.spreads++
	c.repeats(into.spreads)
	if f := c.fragments[s.Name]; f != nil && c.refusal == nil { // nil: validation refuses it
		c.text(f.TypeCondition)
		c.directives(f.Directives)
		c.selections(f.SelectionSet, into, 1)
	}
}

func (c *stepCount) repeats(times int) {
	if times > maxRepeats && c.refusal == nil {
		c.refusal = tooMuch(fmt.Sprintf("The operation repeats a field, or spreads fragments in one place, more than %d times", maxRepeats))
	}
}

func (c *stepCount) directives(list ast.DirectiveList) {
	for _, d := range list {
		c.add(1)
		c.text(d.Name)
		c.arguments(d.Arguments)
	}
}

func (c *stepCount) arguments(list ast.ArgumentList) {
	for _, a := range list {
		c.add(1)
		c.text(a.Name)
		c.value(a.Value, 1)
	}
}

// value counts a value once for each value around it, since validation evaluates each of them with all that is inside.
func (c *stepCount) value(v *ast.Value, depth int) {
	if v == nil || c.refusal != nil {
		return
	}
	c.add(depth)
	c.text(v.Raw)
	for _, child := range v.Children {
		c.text(child.Name)
		c.value(child.Value, depth+1)
	}
}

func (c *stepCount) text(s string) { c.add(len(s) / stepBytes) }

// expansion counts the selections of a document with all fragments written out, and looks for fragments that contain themselves. It
// looks at each selection once.
type expansion struct {
	fragments map[string]*ast.FragmentDefinition
	counts    map[string]int // numbers of selections, by fragment; entered for those that are being visited
	path      []string       // fragments that are being visited
	refusal   *gqlerror.Error
}

const entered = -1

// count returns the number of selections, or any number over the limit.
func (e *expansion) count(set ast.SelectionSet) int {
	total := 0
	for _, selection := range set {
		total++
		switch selection := selection.(type) {
		case *ast.Field:
			total += e.count(selection.SelectionSet)
		case *ast.InlineFragment:
			total += e.count(selection.SelectionSet)
		case *ast.FragmentSpread:
			if e.counts[selection.Name] == entered && e.refusal == nil {
				e.refusal = e.circle(selection)
			}
			total += e.fragment(selection.Name)
		}
		total = min(total, maxComplexity+1)
	}
	return total
}

func (e *expansion) fragment(name string) int {
	f := e.fragments[name]
	n, known := e.counts[name]
	if known || f == nil || e.refusal != nil {
		return max(n, 0)
	}
	e.counts[name] = entered
	e.path = append(e.path, name)
	n = e.count(f.SelectionSet)
	e.path = e.path[:len(e.path)-1]
	e.counts[name] = n
	return n
}

// circle says that a fragment contains itself, in the words of the library.
func (e *expansion) circle(spread *ast.FragmentSpread) *gqlerror.Error {
	via := e.path[slices.Index(e.path, spread.Name)+1:]
	message := fmt.Sprintf("Cannot spread fragment %q within itself", spread.Name)
	if len(via) > 0 {
		message += ` via "` + strings.Join(via, `", "`) + `"`
	}
	refusal := tooMuch(shorten(message, maxMessage-1) + ".")
	refusal.Locations = []gqlerror.Location{{Line: spread.Position.Line, Column: spread.Position.Column}}
	return refusal
}
