package export

import (
	"bytes"
	"embed"
	"errors"
	"slices"
	"strings"
	"time"

	"layercake/internal/export/handlebars"
	"layercake/internal/layered"
)

//go:embed templates/*.hbs
var templates embed.FS

// TemplateNames lists what BuiltinTemplate knows.
func TemplateNames() []string {
	return []string{"dot", "dothierarchy", "gml", "jsgraph", "mermaid", "plantuml"}
}

// BuiltinTemplate returns a Handlebars template that writes through Custom what the format of that name (in any case) writes
// by itself: a beginning for one's own. An unknown name is a BAD_REQUEST fault.
func BuiltinTemplate(name string) (string, error) {
	name = strings.ToLower(name)
	if !slices.Contains(TemplateNames(), name) {
		return "", refuse("Unknown template", "%q is none of %s", name, strings.Join(TemplateNames(), ", "))
	}
	text, err := templates.ReadFile("templates/" + name + ".hbs")
	return string(text), err
}

const (
	defaultTemplateTime  = 10 * time.Second
	defaultTemplateBytes = 256 << 20
)

// writeCustom renders the caller's template.
func writeCustom(p *printer, v *view, opt Options) error {
	began := time.Now()
	t, err := handlebars.Parse(opt.Template.Source, opt.Template.Partials)
	if err != nil {
		return refuse("Template is not valid", "%v", err)
	}
	limits := handlebars.Limits{
		Since: began,
		Time:  orDefault(opt.Limits.Time, defaultTemplateTime),
		Bytes: orDefault(opt.Limits.Bytes, defaultTemplateBytes),
	}
	if err := t.Render(p.ctx, p, templateData(v, opt), helpers(p, v, opt), limits); err != nil {
		if p.err != nil || p.ctx.Err() != nil {
			return err // the output failed, or the caller gave up: not the template's fault
		}
		return refuse("Template cannot be rendered", "%v", err)
	}
	return nil
}

// templateData is what a template sees.
func templateData(v *view, opt Options) handlebars.Map {
	layers := handlebars.Map{}
	for _, l := range v.layers {
		layers[l.ID] = layerValue{l}
	}
	var links []layered.Edge
	for e := range v.hierarchyEdges() {
		links = append(links, e)
	}
	return handlebars.Map{
		"graph_name": v.graph.Name,
		"config": handlebars.Map{
			"contain_nodes": !opt.Flat,
			"orientation":   string(orDefault(opt.Orientation, TopToBottom)),
		},
		"flow_nodes":      listOf(v.flow, func(i int) any { return nodeValue{v.node(i), false} }),
		"flow_edges":      listOf(v.edges, func(i int) any { return edgeValue{v.edge(i)} }),
		"hierarchy_nodes": listOf(v.nodes, func(i int) any { return nodeValue{v.node(i), true} }),
		"hierarchy_edges": listOf(links, func(e layered.Edge) any { return edgeValue{&e} }),
		"hierarchy_tree":  listOf(v.roots, func(i int) any { return treeValue{v, i, 0} }),
		"layers":          layers,
	}
}

// mapped is a List whose values are made when a template asks for them.
type mapped[T any] struct {
	items []T
	value func(T) any
}

func listOf[T any](items []T, value func(T) any) handlebars.List { return mapped[T]{items, value} }

func (m mapped[T]) Len() int     { return len(m.items) }
func (m mapped[T]) At(i int) any { return m.value(m.items[i]) }

// nullable is nil for a text that is none.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

type nodeValue struct {
	n      *layered.Node
	orNull bool // a missing comment is the text "null", as published
}

func (v nodeValue) Keys() []string {
	return []string{"belongs_to", "comment", "id", "is_partition", "label", "layer", "weight"}
}

func (v nodeValue) Field(name string) any {
	switch name {
	case "id":
		return v.n.ID
	case "label":
		return v.n.Label
	case "layer":
		return v.n.Layer
	case "is_partition":
		return v.n.IsPartition
	case "belongs_to":
		return nullable(v.n.BelongsTo)
	case "weight":
		return v.n.Weight
	case "comment":
		if v.orNull {
			return orNull(v.n.Comment)
		}
		return nullable(v.n.Comment)
	}
	return nil
}

type treeValue struct {
	v     *view
	node  int
	depth int
}

func (t treeValue) Keys() []string {
	return []string{"belongs_to", "children", "comment", "depth", "id", "is_partition", "label", "layer", "weight"}
}

func (t treeValue) Field(name string) any {
	switch name {
	case "depth":
		return t.depth
	case "children":
		return listOf(t.v.children[t.node], func(i int32) any { return treeValue{t.v, int(i), t.depth + 1} })
	}
	return nodeValue{t.v.node(t.node), true}.Field(name)
}

type edgeValue struct{ e *layered.Edge }

func (v edgeValue) Keys() []string {
	return []string{"comment", "id", "label", "layer", "source", "target", "weight"}
}

func (v edgeValue) Field(name string) any {
	switch name {
	case "id":
		return v.e.ID
	case "source":
		return v.e.Source
	case "target":
		return v.e.Target
	case "label":
		return v.e.Label
	case "layer":
		return v.e.Layer
	case "weight":
		return v.e.Weight
	case "comment":
		return nullable(v.e.Comment)
	}
	return nil
}

type layerValue struct{ l layered.Layer }

func (v layerValue) Keys() []string {
	return []string{"background_color", "border_color", "id", "label", "text_color"}
}

func (v layerValue) Field(name string) any {
	switch name {
	case "id":
		return v.l.ID
	case "label":
		return v.l.Label
	case "background_color":
		return v.l.Background
	case "border_color":
		return v.l.Border
	case "text_color":
		return v.l.Text
	}
	return nil
}

var errArguments = errors.New("wrong number of arguments")

// helpers are the published ones, and for each format the escapers that the built-in writers use.
func helpers(p *printer, v *view, opt Options) map[string]handlebars.Helper {
	one := func(f func(value any) any) handlebars.Helper {
		return func(args []any) (any, error) {
			if len(args) != 1 {
				return nil, errArguments
			}
			return f(args[0]), nil
		}
	}
	escape := func(escape func([]byte, string) []byte) handlebars.Helper {
		return one(func(value any) any { return handlebars.Safe(escape(nil, handlebars.Text(value))) })
	}
	tree := func(draw func(p *printer, roots []int)) handlebars.Helper {
		return func(args []any) (any, error) {
			if len(args) == 0 {
				return nil, errArguments
			}
			t, ok := args[0].(treeValue)
			if !ok {
				return nil, errors.New("takes an element of hierarchy_tree")
			}
			var b bytes.Buffer
			inner := &printer{ctx: p.ctx, w: &b}
			draw(inner, []int{t.node})
			err := inner.flush()
			return handlebars.Safe(strings.TrimSuffix(b.String(), "\n")), err
		}
	}
	uml, flow := newPlantUML(p, v, opt), newMermaid(p, v, opt)
	renamed := func(n *names) handlebars.Helper {
		return one(func(value any) any { return handlebars.Safe(n.of(handlebars.Text(value))) })
	}
	return map[string]handlebars.Helper{
		"exists":   one(func(value any) any { return value != nil && present(handlebars.Text(value)) }),
		"isnull":   one(func(value any) any { return value == nil }),
		"is_empty": one(func(value any) any { list, ok := value.(handlebars.List); return ok && list.Len() == 0 }),
		"stringeq": func(args []any) (any, error) {
			if len(args) != 2 {
				return nil, errArguments
			}
			return handlebars.Text(args[0]) == handlebars.Text(args[1]), nil
		},
		"puml_render_tree": tree(func(p *printer, roots []int) {
			w := uml
			w.printer = p
			w.tree(0, roots)
		}),
		"mermaid_render_tree": tree(func(p *printer, roots []int) {
			m := flow
			m.printer = p
			m.tree(0, roots)
		}),
		"dot_render_tree": tree(func(p *printer, roots []int) { (&dotWriter{p, v, opt}).tree(1, roots) }),

		"color": one(func(value any) any {
			c, _ := hexColor(handlebars.Text(value))
			return handlebars.Safe(c)
		}),
		"csv_text": escape(appendCSV),
		"dot_id":   escape(appendDOTID),
		"dot_text": escape(appendDOT),
		"gml_id":   escape(appendGMLID),
		"gml_number": one(func(value any) any {
			f, ok := value.(float64)
			if !ok {
				return value
			}
			return handlebars.Safe(appendGMLNumber(nil, f))
		}),
		"gml_text":      escape(appendGML),
		"json_text":     escape(appendJSONForHTML),
		"mermaid_class": renamed(flow.classes),
		"mermaid_id":    renamed(flow.ids),
		"mermaid_text":  escape(appendMermaid),
		"puml_class":    renamed(uml.classes),
		"puml_id":       renamed(uml.ids),
		"puml_text":     escape(appendPlantUML),
		"yaml_text":     escape(func(dst []byte, s string) []byte { return appendYAML(dst, visible(s)) }),
	}
}
