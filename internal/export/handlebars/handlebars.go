// Package handlebars renders templates that strangers wrote. The grammar is raymond's; rendering is done here, because a
// template must not be able to run for ever, to fill the memory or to overflow the stack, and raymond's own evaluation can be
// stopped by nothing. A template sees the values that it is given and calls the functions that it is given. It reads no files.
package handlebars

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailgun/raymond/v2/ast"
)

// A value is nil, bool, string, Safe, float64, int, Object or List.
type (
	// Safe is text that {{ }} does not escape.
	Safe string
	// Object has fields.
	Object interface {
		// Field returns nil for a field that the object does not have.
		Field(name string) any
		// Keys lists the fields in the order in which {{#each}} visits them.
		Keys() []string
	}
	// List is a sequence of values.
	List interface {
		Len() int
		At(i int) any
	}
	// Helper computes a value from arguments.
	Helper func(args []any) (any, error)
)

// Values is a List of values.
type Values []any

// Len returns the number of values.
func (v Values) Len() int { return len(v) }

// At returns one value.
func (v Values) At(i int) any { return v[i] }

// Map is an Object that visits its fields in the order of their names.
type Map map[string]any

// Field returns a field, or nil.
func (m Map) Field(name string) any { return m[name] }

// Keys lists the names, sorted.
func (m Map) Keys() []string { return slices.Sorted(maps.Keys(m)) }

// Limits bound a rendering.
type Limits struct {
	Since time.Time // when Time began, so that parsing counts; zero for the beginning of Render
	Time  time.Duration
	Bytes int64
}

func (l Limits) deadline() time.Time {
	if l.Since.IsZero() {
		l.Since = time.Now()
	}
	return l.Since.Add(l.Time)
}

// Template is a parsed template with its partials. It may be rendered many times, also at once.
type Template struct {
	program  *ast.Program
	partials map[string]*ast.Program
}

// Parse reads a template and its partials. An error names the partial, if it is in one, and the line.
func Parse(source string, partials map[string]string) (*Template, error) {
	size := len(source)
	for _, partial := range partials {
		size += len(partial)
	}
	if size > maxSource {
		return nil, fmt.Errorf("template and partials have %d bytes, at most %d are read", size, maxSource)
	}
	program, err := parse(source)
	if err != nil {
		return nil, err
	}
	t := &Template{program: program, partials: make(map[string]*ast.Program, len(partials))}
	for _, name := range slices.Sorted(maps.Keys(partials)) {
		if t.partials[name], err = parse(partials[name]); err != nil {
			return nil, fmt.Errorf("partial %q: %w", name, err)
		}
	}
	return t, nil
}

// Render writes the template with data to w. It fails when it exceeds the limits, when ctx ends, when w fails, when a partial
// or a function is missing, or when a helper fails.
func (t *Template) Render(ctx context.Context, w io.Writer, data any, helpers map[string]Helper, limits Limits) error {
	r := &renderer{ctx: ctx, template: t, helpers: helpers, limits: limits, deadline: limits.deadline()}
	return r.program(&limited{renderer: r, w: w, left: limits.Bytes}, t.program, &frame{value: data, root: data})
}

// limited refuses to write more than the limit. A write is a step.
type limited struct {
	*renderer
	w    io.Writer
	left int64
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= int64(len(b)); l.left < 0 {
		return 0, fmt.Errorf("template writes more than %d bytes", l.limits.Bytes)
	}
	if err := l.step(); err != nil {
		return 0, err
	}
	return l.w.Write(b)
}

// indented puts blanks before every line that is not empty: a partial that stands alone on its line keeps its indentation.
type indented struct {
	w      io.Writer
	indent string
	inLine bool
}

func (n *indented) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if !n.inLine {
			if _, err := io.WriteString(n.w, n.indent); err != nil {
				return 0, err
			}
		}
		if _, err := io.WriteString(n.w, line); err != nil {
			return 0, err
		}
		n.inLine = !strings.HasSuffix(line, "\n")
	}
	return len(b), nil
}

// A frame is what names mean at a place.
type frame struct {
	parent *frame
	root   any
	value  any            // what "this" is
	names  map[string]any // block parameters
	loop   *loop          // nil outside of {{#each}}
}

type loop struct {
	index, last int
	key         any
}

func (f *frame) inner(value any) *frame {
	return &frame{parent: f, root: f.root, value: value, loop: f.loop}
}

type renderer struct {
	ctx      context.Context
	template *Template
	helpers  map[string]Helper
	limits   Limits
	deadline time.Time
	steps    int
	depth    int // of partials
}

const maxPartialDepth = 500

// step counts work, and looks at the clock from time to time.
func (r *renderer) step() error {
	if r.steps++; r.steps&0xff != 0 {
		return nil
	}
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	if time.Now().After(r.deadline) {
		return fmt.Errorf("template needs more than %v", r.limits.Time)
	}
	return nil
}

func (r *renderer) program(w io.Writer, p *ast.Program, f *frame) error {
	if p == nil {
		return nil
	}
	for _, statement := range p.Body {
		if err := r.step(); err != nil {
			return err
		}
		if err := r.statement(w, statement, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) statement(w io.Writer, node ast.Node, f *frame) error {
	switch n := node.(type) {
	case *ast.ContentStatement:
		_, err := io.WriteString(w, n.Value)
		return err
	case *ast.CommentStatement:
		return nil
	case *ast.MustacheStatement:
		value, err := r.expression(n.Expression, f)
		if err != nil {
			return at(n, err)
		}
		return write(w, value, !n.Unescaped)
	case *ast.BlockStatement:
		return r.block(w, n, f)
	case *ast.PartialStatement:
		return r.partial(w, n, f)
	}
	return at(node, fmt.Errorf("unknown statement"))
}

// at adds the line to an error of an expression.
func at(node ast.Node, err error) error {
	return fmt.Errorf("template line %d: %w", node.Location().Line, err)
}

func (r *renderer) block(w io.Writer, n *ast.BlockStatement, f *frame) error {
	name := n.Expression.HelperName()
	var subject any
	var err error
	switch name {
	case "if", "unless", "each", "with":
		if len(n.Expression.Params) != 1 {
			return at(n, fmt.Errorf("{{#%s}} takes one argument", name))
		}
		subject, err = r.value(n.Expression.Params[0], f)
	default:
		subject, err = r.expression(n.Expression, f)
	}
	if err != nil {
		return at(n, err)
	}
	yes := truthy(subject)
	if name == "unless" {
		yes = !yes
	}
	if !yes {
		return r.program(w, n.Inverse, f)
	}
	if n.Program == nil {
		return nil
	}
	_, isObject := subject.(Object)
	list, isList := subject.(List)
	switch {
	case name == "if", name == "unless":
		return r.program(w, n.Program, f)
	case name == "each" && isObject:
		return r.eachField(w, n.Program, subject.(Object), f)
	case isList && name != "with":
		return r.each(w, n.Program, list, f)
	case name == "each":
		return r.program(w, n.Inverse, f)
	case subject == true:
		return r.program(w, n.Program, f)
	}
	return r.program(w, n.Program, named(f.inner(subject), n.Program, subject, nil))
}

// named adds the block parameters of p: the value, and its index or key.
func named(f *frame, p *ast.Program, value, key any) *frame {
	if len(p.BlockParams) == 0 {
		return f
	}
	f.names = map[string]any{p.BlockParams[0]: value}
	if len(p.BlockParams) > 1 {
		f.names[p.BlockParams[1]] = key
	}
	return f
}

func (r *renderer) each(w io.Writer, p *ast.Program, list List, f *frame) error {
	for i := range list.Len() {
		if err := r.step(); err != nil {
			return err
		}
		value := list.At(i)
		inner := named(f.inner(value), p, value, i)
		inner.loop = &loop{index: i, last: list.Len() - 1, key: i}
		if err := r.program(w, p, inner); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) eachField(w io.Writer, p *ast.Program, object Object, f *frame) error {
	keys := object.Keys()
	for i, key := range keys {
		if err := r.step(); err != nil {
			return err
		}
		value := object.Field(key)
		inner := named(f.inner(value), p, value, key)
		inner.loop = &loop{index: i, last: len(keys) - 1, key: key}
		if err := r.program(w, p, inner); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) partial(w io.Writer, n *ast.PartialStatement, f *frame) error {
	name, ok := ast.HelperNameStr(n.Name)
	if !ok {
		value, err := r.value(n.Name, f)
		if err != nil {
			return at(n, err)
		}
		name = Text(value)
	}
	p, ok := r.template.partials[name]
	if !ok {
		return at(n, fmt.Errorf("there is no partial %q", name))
	}
	if r.depth++; r.depth > maxPartialDepth {
		return at(n, fmt.Errorf("partials call each other more than %d deep", maxPartialDepth))
	}
	defer func() { r.depth-- }()
	inner := f
	if len(n.Params) > 0 {
		value, err := r.value(n.Params[0], f)
		if err != nil {
			return at(n, err)
		}
		inner = f.inner(value)
	}
	if n.Hash != nil {
		inner = inner.inner(inner.value)
		inner.names = make(map[string]any, len(n.Hash.Pairs))
		for _, pair := range n.Hash.Pairs {
			value, err := r.value(pair.Val, f)
			if err != nil {
				return at(n, err)
			}
			inner.names[pair.Key] = value
		}
	}
	if n.Indent != "" {
		w = &indented{w: w, indent: n.Indent}
	}
	return r.program(w, p, inner)
}

// expression evaluates what stands between braces or parentheses: a call, or a value.
func (r *renderer) expression(e *ast.Expression, f *frame) (any, error) {
	name := e.HelperName()
	helper, ok := r.helper(name)
	if !ok {
		if len(e.Params) > 0 || e.Hash != nil {
			return nil, fmt.Errorf("there is no helper %q", e.Canonical())
		}
		return r.value(e.Path, f)
	}
	if e.Hash != nil {
		return nil, fmt.Errorf("helper %q takes no named arguments", name)
	}
	args := make([]any, len(e.Params))
	for i, param := range e.Params {
		var err error
		if args[i], err = r.value(param, f); err != nil {
			return nil, err
		}
	}
	value, err := helper(args)
	if err != nil {
		return nil, fmt.Errorf("helper %q: %w", name, err)
	}
	return value, nil
}

func (r *renderer) helper(name string) (Helper, bool) {
	if h, ok := r.helpers[name]; ok {
		return h, true
	}
	h, ok := builtin[name]
	return h, ok
}

func (r *renderer) value(node ast.Node, f *frame) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	switch n := node.(type) {
	case *ast.StringLiteral:
		return n.Value, nil
	case *ast.BooleanLiteral:
		return n.Value, nil
	case *ast.NumberLiteral:
		return n.Value, nil
	case *ast.SubExpression:
		return r.expression(n.Expression, f)
	case *ast.PathExpression:
		return lookup(n, f), nil
	}
	return nil, fmt.Errorf("unknown expression")
}

// lookup follows a path; what does not exist is nil.
func lookup(path *ast.PathExpression, f *frame) any {
	for range path.Depth {
		if f = f.parent; f == nil {
			return nil
		}
	}
	parts := path.Parts
	if path.Data {
		if len(parts) == 0 {
			return nil
		}
		value := f.data(parts[0])
		return follow(value, parts[1:])
	}
	if len(parts) > 0 && !path.Scoped {
		for at := f; at != nil; at = at.parent {
			if value, ok := at.names[parts[0]]; ok {
				return follow(value, parts[1:])
			}
		}
	}
	return follow(f.value, parts)
}

func (f *frame) data(name string) any {
	if name == "root" {
		return f.root
	}
	if f.loop == nil {
		return nil
	}
	switch name {
	case "index":
		return f.loop.index
	case "key":
		return f.loop.key
	case "first":
		return f.loop.index == 0
	case "last":
		return f.loop.index == f.loop.last
	}
	return nil
}

func follow(value any, parts []string) any {
	for _, part := range parts {
		value = member(value, strings.TrimSuffix(strings.TrimPrefix(part, "["), "]"))
	}
	return value
}

func member(value any, name string) any {
	switch v := value.(type) {
	case Object:
		return v.Field(name)
	case List:
		if name == "length" {
			return v.Len()
		}
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < v.Len() {
			return v.At(i)
		}
	}
	return nil
}

// builtin are the helpers of the language that are no blocks.
var builtin = map[string]Helper{
	"lookup": func(args []any) (any, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("takes two arguments")
		}
		return member(args[0], Text(args[1])), nil
	},
	"log": func([]any) (any, error) { return nil, nil }, // templates have no log
	"eq":  compare(func(a, b any) bool { return Text(a) == Text(b) }),
	"ne":  compare(func(a, b any) bool { return Text(a) != Text(b) }),
	"gt":  compare(func(a, b any) bool { return numeric(a) > numeric(b) }),
	"gte": compare(func(a, b any) bool { return numeric(a) >= numeric(b) }),
	"lt":  compare(func(a, b any) bool { return numeric(a) < numeric(b) }),
	"lte": compare(func(a, b any) bool { return numeric(a) <= numeric(b) }),
	"and": compare(func(a, b any) bool { return truthy(a) && truthy(b) }),
	"or":  compare(func(a, b any) bool { return truthy(a) || truthy(b) }),
	"not": func(args []any) (any, error) {
		if len(args) != 1 {
			return nil, fmt.Errorf("takes one argument")
		}
		return !truthy(args[0]), nil
	},
	"len": func(args []any) (any, error) {
		if len(args) != 1 {
			return nil, fmt.Errorf("takes one argument")
		}
		switch v := args[0].(type) {
		case List:
			return v.Len(), nil
		case Object:
			return len(v.Keys()), nil
		}
		return len(Text(args[0])), nil
	},
}

func compare(test func(a, b any) bool) Helper {
	return func(args []any) (any, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("takes two arguments")
		}
		return test(args[0], args[1]), nil
	}
}

func numeric(value any) float64 {
	switch v := value.(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	n, err := strconv.ParseFloat(Text(value), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

func truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case Safe:
		return v != ""
	case float64:
		return v != 0
	case int:
		return v != 0
	case List:
		return v.Len() > 0
	}
	return true
}

// Text is a scalar as it is printed; "" for anything else.
func Text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case Safe:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case Object:
		return "[object]"
	}
	return ""
}

var escaper = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "`", "&#x60;", "=", "&#x3D;",
)

// write prints a value; of a list its elements, separated by commas.
func write(w io.Writer, value any, escape bool) error {
	list, ok := value.(List)
	if !ok {
		s := Text(value)
		if _, safe := value.(Safe); escape && !safe {
			s = escaper.Replace(s)
		}
		_, err := io.WriteString(w, s)
		return err
	}
	for i := range list.Len() {
		if i > 0 {
			if _, err := io.WriteString(w, ","); err != nil {
				return err
			}
		}
		s := Text(list.At(i)) // of nested lists nothing: they could nest without end
		if escape {
			s = escaper.Replace(s)
		}
		if _, err := io.WriteString(w, s); err != nil {
			return err
		}
	}
	return nil
}
