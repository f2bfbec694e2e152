// Package export writes a layered graph in the formats of other tools: Graphviz, PlantUML, Mermaid, GML, JSON, CSV,
// JavaScript and Handlebars templates. It is pure: a graph goes in, text comes out, nothing else is read.
//
// Every format escapes what it is given, so that any label is shown as it is and can never become syntax. Ids are written
// as they are where the format allows them bare, and quoted or renamed where it does not. For plain labels and ids the
// output is what the published tool writes.
package export

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

// Format names an output, spelled as in plan files.
type Format string

// The formats that Write knows.
const (
	DOT             Format = "DOT"
	DOTHierarchy    Format = "DOTHierarchy"
	GML             Format = "GML"
	JSON            Format = "JSON"
	PlantUML        Format = "PlantUML"
	PlantUMLMindmap Format = "PlantUmlMindmap"
	PlantUMLWBS     Format = "PlantUmlWbs"
	Mermaid         Format = "Mermaid"
	MermaidMindmap  Format = "MermaidMindmap"
	MermaidTreemap  Format = "MermaidTreemap"
	CSVNodes        Format = "CSVNodes"
	CSVEdges        Format = "CSVEdges"
	CSVMatrix       Format = "CSVMatrix"
	JSGraph         Format = "JSGraph"
	Custom          Format = "Custom"
)

type formatInfo struct {
	format    Format
	extension string
	mime      string
	write     func(p *printer, v *view, opt Options) error
}

var formats = []formatInfo{
	{DOT, "dot", "text/vnd.graphviz", writeDOT},
	{DOTHierarchy, "dot", "text/vnd.graphviz", writeDOTHierarchy},
	{GML, "gml", "text/plain", writeGML},
	{JSON, "json", "application/json", writeJSON},
	{PlantUML, "puml", "text/plain", writePlantUML},
	{PlantUMLMindmap, "puml", "text/plain", writePlantUMLMindmap},
	{PlantUMLWBS, "puml", "text/plain", writePlantUMLWBS},
	{Mermaid, "mermaid", "text/plain", writeMermaid},
	{MermaidMindmap, "mermaid", "text/plain", writeMermaidMindmap},
	{MermaidTreemap, "mermaid", "text/plain", writeMermaidTreemap},
	{CSVNodes, "csv", "text/csv", writeCSVNodes},
	{CSVEdges, "csv", "text/csv", writeCSVEdges},
	{CSVMatrix, "csv", "text/csv", writeCSVMatrix},
	{JSGraph, "js", "text/javascript", writeJSGraph},
	{Custom, "txt", "text/plain", writeCustom},
}

// Formats lists all formats in the order of the documentation.
func Formats() []Format {
	all := make([]Format, len(formats))
	for i, info := range formats {
		all[i] = info.format
	}
	return all
}

// ParseFormat finds the format of a name in any case; "CSV" means CSVNodes. An unknown name is a BAD_REQUEST fault.
func ParseFormat(name string) (Format, error) {
	if strings.EqualFold(name, "CSV") {
		return CSVNodes, nil
	}
	for _, info := range formats {
		if strings.EqualFold(name, string(info.format)) {
			return info.format, nil
		}
	}
	return "", refuse("Unknown export format", "%q is none of %s", name, strings.Join(formatNames(), ", "))
}

// refuse makes the fault of an input that cannot be exported.
func refuse(message, detail string, args ...any) error {
	return fault.New(fault.BadRequest, message).With("detail", fmt.Sprintf(detail, args...))
}

func formatNames() []string {
	names := make([]string, len(formats))
	for i, info := range formats {
		names[i] = string(info.format)
	}
	return names
}

func (f Format) info() (formatInfo, bool) {
	i := slices.IndexFunc(formats, func(info formatInfo) bool { return info.format == f })
	if i < 0 {
		return formatInfo{}, false
	}
	return formats[i], true
}

// Extension is the usual file name extension, without a dot; "txt" for an unknown format.
func (f Format) Extension() string {
	if info, ok := f.info(); ok {
		return info.extension
	}
	return "txt"
}

// MIME is the media type to serve the output with; "text/plain" for an unknown format.
func (f Format) MIME() string {
	if info, ok := f.info(); ok {
		return info.mime
	}
	return "text/plain"
}

// NeedsNodes reports whether an output depends on nodes: it is the same without any for a table of edges.
func (f Format) NeedsNodes() bool { return f != CSVEdges }

// NeedsEdges reports whether an output depends on edges: it is the same without any for a table of nodes.
func (f Format) NeedsEdges() bool { return f != CSVNodes }

// Orientation is the main direction of a drawing.
type Orientation string

// The orientations. The zero value means TopToBottom.
const (
	TopToBottom Orientation = "TB"
	LeftToRight Orientation = "LR"
)

// Style chooses the colours of what layers do not colour.
type Style string

// The styles. The zero value is the published look, which suits a light page.
const (
	StyleDefault Style = ""
	StyleNone    Style = "none" // nothing but what layers say
	StyleLight   Style = "light"
	StyleDark    Style = "dark"
)

// Options say how to draw. The zero value gives the published look. Each format uses what it has words for.
type Options struct {
	Flat            bool        // do not draw partitions as containers
	Orientation     Orientation // "" is TopToBottom
	NoLayers        bool        // do not apply the palette
	Style           Style
	EdgeWidths      bool // line width from 1 to 6 by edge weight
	UnitNodeWeights bool // every node weighs 1
	Notes           bool // show nodes' comments
	NotePosition    string
	CSVWeight       bool // add a weight column to CSVNodes and CSVEdges
	GMLIntegerIDs   bool // number the nodes, as strict GML readers demand; the id is kept as "name"

	CSVGuardFormulas bool // put an apostrophe before texts in CSV that spreadsheets would take for formulas
	Graphviz         GraphvizOptions
	Mermaid          MermaidOptions
	Template         Template // for Custom
	Limits           Limits   // for Custom

	// Warn, if set, is called with what is written although readers of the format refuse it as they are set up by default.
	Warn func(text string)
}

// GraphvizOptions are graph attributes of DOT outputs.
type GraphvizOptions struct {
	Layout       string // dot, neato, fdp, circo, ...; "" is not said
	Overlap      bool
	NoSplines    bool
	NodeSep      float64 // inches; 0 is 0.3
	RankSep      float64 // inches; 0 is 1.3
	CommentStyle string  // where Notes go: "label" (default) or "tooltip"
}

// MermaidOptions go to the front matter of Mermaid outputs.
type MermaidOptions struct {
	Look       string // default, handDrawn
	Display    string // full, compact
	Theme      string // default, dark, neutral, base, forest
	EdgeLabels bool   // write edge labels, which the published output leaves out
}

// Template is the source of a Custom output.
type Template struct {
	Source   string
	Partials map[string]string // by name
}

// Limits bound a Custom output.
type Limits struct {
	Time  time.Duration // of parsing and rendering; 0 is 10 s
	Bytes int64         // of output; 0 is 256 MB
}

// Write writes g to w in the given format, as a stream: on an error w holds a beginning. It stops with the cause of ctx
// when ctx ends. An unknown format or option, a graph that the format cannot hold, and a faulty template are BAD_REQUEST
// faults; other errors are those of w.
func Write(ctx context.Context, w io.Writer, g layered.Graph, f Format, opt Options) error {
	info, ok := f.info()
	if !ok {
		_, err := ParseFormat(string(f))
		return err
	}
	if err := opt.check(); err != nil {
		return err
	}
	if err := checkWeights(g); err != nil {
		return err
	}
	p := &printer{ctx: ctx, w: w}
	v := &view{graph: g} // all that a table is written of
	if f.NeedsNodes() && f.NeedsEdges() {
		v = newView(g, opt)
	}
	if err := info.write(p, v, opt); err != nil {
		return err
	}
	return p.flush()
}

func (o Options) check() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"orientation", string(o.Orientation), []string{"TB", "LR"}},
		{"style", string(o.Style), []string{"none", "light", "dark"}},
		{"note position", o.NotePosition, []string{"left", "right", "top", "bottom"}},
		{"Graphviz layout", o.Graphviz.Layout, []string{"dot", "neato", "fdp", "sfdp", "circo", "twopi"}},
		{"Graphviz comment style", o.Graphviz.CommentStyle, []string{"label", "tooltip"}},
		{"Mermaid look", o.Mermaid.Look, []string{"default", "classic", "handDrawn"}},
		{"Mermaid display", o.Mermaid.Display, []string{"full", "compact"}},
		{"Mermaid theme", o.Mermaid.Theme, []string{"default", "dark", "neutral", "base", "forest"}},
	} {
		if c.value != "" && !slices.Contains(c.allowed, c.value) {
			return refuse("Unknown "+c.name, "%q is none of %s", c.value, strings.Join(c.allowed, ", "))
		}
	}
	for _, sep := range []float64{o.Graphviz.NodeSep, o.Graphviz.RankSep} {
		if !(sep >= 0 && sep <= 100) {
			return refuse("Graphviz separation out of range", "%v is not between 0 and 100 inches", sep)
		}
	}
	return nil
}

// checkWeights refuses what no format can say.
func checkWeights(g layered.Graph) error {
	for i := range g.Nodes {
		if n := &g.Nodes[i]; math.IsNaN(n.Weight) || math.IsInf(n.Weight, 0) {
			return refuse("Weight is not a number", "node %q", n.ID)
		}
	}
	for i := range g.Edges {
		if e := &g.Edges[i]; math.IsNaN(e.Weight) || math.IsInf(e.Weight, 0) {
			return refuse("Weight is not a number", "edge %q", e.ID)
		}
	}
	return nil
}
