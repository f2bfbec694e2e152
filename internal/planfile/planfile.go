// Package planfile runs plan files: YAML that names the tables to read and the files to write. It needs no database and no server.
package planfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"layercake/internal/export"
	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// Plan is a plan file. Unknown keys are ignored.
type Plan struct {
	Meta   *Meta    `yaml:"meta"`
	Import *Imports `yaml:"import"`
	Export *Exports `yaml:"export"`
}

// Meta names the graph.
type Meta struct {
	Name string `yaml:"name"`
}

// Imports are the tables to read, in order.
type Imports struct {
	Profiles []Import `yaml:"profiles"`
}

// Import is one table.
type Import struct {
	Filename string `yaml:"filename"` // relative to the plan file's folder
	Filetype string `yaml:"filetype"` // Nodes, Edges, Layers
}

// Exports are the files to write, in order.
type Exports struct {
	Profiles []Export `yaml:"profiles"`
}

// Export is one output: the graph is transformed by Graph, then written with Render.
type Export struct {
	Filename string           `yaml:"filename"` // relative to the working directory; its folders are created
	Exporter Exporter         `yaml:"exporter"`
	Render   Render           `yaml:"render_config"`
	Graph    layered.Settings `yaml:"graph_config"`
}

// Exporter is the format of an output: a name, or the tag !Custom with the files of a template.
type Exporter struct {
	Format   export.Format
	Template string            // file; relative to the plan file's folder, or else to the working directory
	Partials map[string]string // files by name, as Template
}

// UnmarshalYAML reads "DOT" as well as "!Custom {template: ..., partials: ...}".
func (e *Exporter) UnmarshalYAML(node ast.Node) error {
	tag := ""
	if t, ok := node.(*ast.TagNode); ok {
		tag, node = strings.TrimPrefix(t.Start.Value, "!"), t.Value
	}
	if tag == "" {
		var name string
		if err := yaml.NodeToValue(node, &name); err != nil {
			return errors.New("exporter is neither a name nor a !Custom template")
		}
		f, err := export.ParseFormat(name)
		if err != nil {
			return plain(err)
		}
		if f == export.Custom {
			return errors.New("a Custom exporter is written as !Custom with a template")
		}
		e.Format = f
		return nil
	}
	f, err := export.ParseFormat(tag)
	if err != nil {
		return plain(err)
	}
	e.Format = f
	if f != export.Custom {
		return nil
	}
	var custom customExporter
	if err := yaml.NodeToValue(node, &custom); err != nil {
		return fmt.Errorf("the !Custom exporter needs a template: %w", err)
	}
	if custom.Template == "" {
		return errors.New("the !Custom exporter needs a template")
	}
	e.Template, e.Partials = custom.Template, custom.Partials
	return nil
}

// customExporter is what stands behind the tag !Custom.
type customExporter struct {
	Template string            `yaml:"template"`
	Partials map[string]string `yaml:"partials"`
}

// Render is a render_config. Its JSON has the same keys.
type Render struct {
	ContainNodes  *bool  `json:"contain_nodes,omitzero" yaml:"contain_nodes"` // nil is true
	Orientation   string `json:"orientation,omitzero" yaml:"orientation"`
	ApplyLayers   *bool  `json:"apply_layers,omitzero" yaml:"apply_layers"` // nil is true
	Styles        string `json:"built_in_styles,omitzero" yaml:"built_in_styles"`
	Notes         bool   `json:"add_node_comments_as_notes,omitzero" yaml:"add_node_comments_as_notes"`
	NotePosition  string `json:"note_position,omitzero" yaml:"note_position"`
	UseNodeWeight *bool  `json:"use_node_weight,omitzero" yaml:"use_node_weight"` // nil is true
	UseEdgeWeight bool   `json:"use_edge_weight,omitzero" yaml:"use_edge_weight"`
	TargetOptions Target `json:"target_options,omitzero" yaml:"target_options"`
	CSVWeight     bool   `json:"csv_weight,omitzero" yaml:"csv_weight"`
	CSVGuard      bool   `json:"csv_guard_formulas,omitzero" yaml:"csv_guard_formulas"`
	GMLIntegerIDs bool   `json:"gml_integer_ids,omitzero" yaml:"gml_integer_ids"`
	// TimeoutSeconds is for Custom, at most maxTimeout; 0 is the exporter's default.
	TimeoutSeconds int `json:"template_timeout_seconds,omitzero" yaml:"template_timeout_seconds"`
}

// Target has the options of single tools.
type Target struct {
	Graphviz struct {
		Layout       string  `json:"layout,omitzero" yaml:"layout"`
		Overlap      bool    `json:"overlap,omitzero" yaml:"overlap"`
		Splines      *bool   `json:"splines,omitzero" yaml:"splines"` // nil is true
		NodeSep      float64 `json:"nodesep,omitzero" yaml:"nodesep"`
		RankSep      float64 `json:"ranksep,omitzero" yaml:"ranksep"`
		CommentStyle string  `json:"comment_style,omitzero" yaml:"comment_style"`
	} `json:"graphviz,omitzero" yaml:"graphviz"`
	Mermaid struct {
		Look       string `json:"look,omitzero" yaml:"look"`
		Display    string `json:"display,omitzero" yaml:"display"`
		Theme      string `json:"theme,omitzero" yaml:"theme"`
		EdgeLabels bool   `json:"edge_labels,omitzero" yaml:"edge_labels"`
	} `json:"mermaid,omitzero" yaml:"mermaid"`
}

// Options translates a render_config. Templates are not read yet.
func (r Render) Options() export.Options {
	isFalse := func(b *bool) bool { return b != nil && !*b }
	gv, mm := r.TargetOptions.Graphviz, r.TargetOptions.Mermaid
	return export.Options{
		Flat:            isFalse(r.ContainNodes),
		Orientation:     export.Orientation(r.Orientation),
		NoLayers:        isFalse(r.ApplyLayers),
		Style:           export.Style(r.Styles),
		EdgeWidths:      r.UseEdgeWeight,
		UnitNodeWeights: isFalse(r.UseNodeWeight),
		Notes:           r.Notes,
		NotePosition:    r.NotePosition,
		CSVWeight:       r.CSVWeight,
		GMLIntegerIDs:   r.GMLIntegerIDs,

		CSVGuardFormulas: r.CSVGuard,
		Graphviz: export.GraphvizOptions{
			Layout: gv.Layout, Overlap: gv.Overlap, NoSplines: isFalse(gv.Splines), NodeSep: gv.NodeSep, RankSep: gv.RankSep,
			CommentStyle: gv.CommentStyle,
		},
		Mermaid: export.MermaidOptions{Look: mm.Look, Display: mm.Display, Theme: mm.Theme, EdgeLabels: mm.EdgeLabels},
	}
}

const (
	maxPlanSize  = 256 << 10 // bytes of a plan file
	maxDocuments = 100       // documents in it, of which the first counts; the parser takes time in their square
	maxTimeout   = 60        // seconds for a template
)

// Parse reads a plan file and checks what can be checked without its tables. An error says line and column where it can.
func Parse(data []byte) (Plan, error) {
	var p Plan
	if len(data) > maxPlanSize {
		return p, fmt.Errorf("plan file has %d bytes, at most %d are read", len(data), maxPlanSize)
	}
	data, err := ingest.Text(data)
	if err != nil {
		return p, fmt.Errorf("plan file is not valid: %w", err)
	}
	if err := decode(data, &p); err != nil {
		return Plan{}, fmt.Errorf("plan file is not valid: %s", strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	var problems []error
	if p.Import == nil || p.Import.Profiles == nil {
		problems = append(problems, errors.New("the plan has no import profiles: list its tables under import, profiles"))
	} else {
		for i, in := range p.Import.Profiles {
			problems = append(problems, in.check(i))
		}
	}
	if p.Export == nil || p.Export.Profiles == nil {
		problems = append(problems, errors.New("the plan has no export profiles: list its outputs under export, profiles"))
	} else {
		for i, out := range p.Export.Profiles {
			problems = append(problems, out.check(i))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// decode decodes YAML. The decoder panics on some odd inputs, such as a scalar where a tagged list is expected, and needs
// memory in the square of the nesting.
func decode(data []byte, p *Plan) (err error) {
	if err := checkNesting(data); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this YAML cannot be read: %v", r)
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return err
	}
	for _, doc := range file.Docs {
		switch doc.Body.(type) {
		case nil, *ast.DirectiveNode, *ast.CommentGroupNode:
			continue
		}
		s := newShaper(doc.Body)
		if err := s.checkMerges(doc.Body); err != nil {
			return err
		}
		body, err := s.shape(doc.Body, reflect.TypeFor[Plan](), "plan")
		if err != nil {
			return err
		}
		return yaml.NodeToValue(body, p)
	}
	return nil
}

// checkNesting refuses what is nested deeper than any plan: brackets, and marks such as "- - -" in a row. Nesting by
// indentation is bounded by the size. The lexer is slow on long lines of marks, so that lines are bounded first.
func checkNesting(data []byte) error {
	const most, longest = 100, 16 << 10
	number := 0
	for line := range bytes.Lines(data) {
		if number++; len(line) > longest {
			return fmt.Errorf("[%d:1] the line has more than %d bytes", number, longest)
		}
	}
	depth, row, documents := 0, 0, 0
	for _, t := range lexer.Tokenize(string(data)) {
		row++
		switch t.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			if documents++; documents > maxDocuments {
				return fmt.Errorf("[%d:1] the file has more than %d documents", t.Position.Line, maxDocuments)
			}
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
			row = 0
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType, token.MappingValueType:
		default:
			row = 0
		}
		if depth > most || row > most {
			return fmt.Errorf("[%d:%d] nested more than %d deep", t.Position.Line, t.Position.Column, most)
		}
	}
	return nil
}

func (in Import) check(i int) error {
	if in.Filename == "" {
		return fmt.Errorf("import profile %d has no filename", i+1)
	}
	if _, err := in.kind(); err != nil {
		return fmt.Errorf("import profile %d (%s): %w", i+1, in.Filename, err)
	}
	return nil
}

func (in Import) kind() (ingest.Kind, error) {
	switch k := ingest.Kind(strings.ToLower(in.Filetype)); k {
	case ingest.Nodes, ingest.Edges, ingest.Layers:
		return k, nil
	}
	return "", fmt.Errorf("filetype %q is none of Nodes, Edges, Layers", in.Filetype)
}

func (out Export) check(i int) error {
	if out.Filename == "" {
		return fmt.Errorf("export profile %d has no filename", i+1)
	}
	if out.Exporter.Format == "" {
		return fmt.Errorf("export profile %d (%s) has no exporter", i+1, out.Filename)
	}
	if t := out.Render.TimeoutSeconds; t > maxTimeout {
		return fmt.Errorf("export profile %d (%s): template_timeout_seconds is %d; it must be at most %d", i+1, out.Filename, t, maxTimeout)
	}
	return nil
}

// Empty is what "layercake init" writes.
const Empty = "meta: null\nimport:\n  profiles: []\nexport:\n  profiles: []\n"

func (p Plan) name() string {
	if p.Meta == nil {
		return "Unnamed Graph"
	}
	return cmp.Or(p.Meta.Name, "Unnamed Graph")
}
