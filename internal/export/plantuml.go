package export

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func writePlantUML(p *printer, v *view, opt Options) error {
	w := newPlantUML(p, v, opt)
	p.put("@startuml\nhide stereotype\n")
	w.title()
	if opt.Orientation == LeftToRight {
		p.put("left to right direction\n")
	} else {
		p.put("top to bottom direction\n")
	}
	w.styles()
	if opt.Flat {
		for _, i := range v.flow {
			w.rectangle(0, i)
			p.put("\n")
			w.note(0, i)
		}
	} else {
		w.tree(0, v.roots)
	}
	width := v.edgeWidth()
	for _, i := range v.edges {
		e := v.edge(i)
		arrow := " --> "
		if opt.EdgeWidths {
			arrow = fmt.Sprintf(" -[thickness=%.0f]-> ", width(e.Weight)) // no fractions
		}
		p.put(w.ids.of(e.Source), arrow, w.ids.of(e.Target))
		if present(e.Label) {
			p.put(" : ")
			p.quote(appendPlantUML, e.Label)
		}
		p.put("\n")
	}
	p.put("@enduml\n")
	return nil
}

func writePlantUMLMindmap(p *printer, v *view, opt Options) error {
	return writeOutline(p, v, opt, "mindmap")
}

func writePlantUMLWBS(p *printer, v *view, opt Options) error {
	return writeOutline(p, v, opt, "wbs")
}

// maxOutlineDepth bounds outlines, which repeat a mark once per level on every line.
const maxOutlineDepth = 1000

// writeOutline writes the hierarchy as a list with one star per level. There must be one root: more than one get a common
// parent that is called as the graph is. A WBS is left without title and colours, which older versions do not read there.
func writeOutline(p *printer, v *view, opt Options, kind string) error {
	w := newPlantUML(p, v, opt)
	styled := kind == "mindmap"
	p.put("@start", kind, "\n")
	if styled {
		w.title()
	}
	base := 1
	if len(v.roots) != 1 {
		base = 2
		p.put("* ")
		p.esc(appendPlantUML, orDefault(v.graph.Name, "Graph"))
		p.put("\n")
	}
	for s := range v.walk(v.roots) {
		if s.leave {
			continue
		}
		if s.depth >= maxOutlineDepth {
			return tooDeep(kind)
		}
		n := v.node(s.node)
		for range s.depth + base {
			p.put("*")
		}
		if l, ok := v.layer(n.Layer); ok && styled && !opt.NoLayers {
			if c, ok := hexColor(l.Background); ok {
				p.put("[", c, "]")
			}
			p.put(" ")
			if c, ok := hexColor(l.Text); ok {
				p.put("<color:", c, ">")
			}
		} else {
			p.put(" ")
		}
		if strings.TrimSpace(visible(n.Label)) == "" {
			p.put("<U+00A0>") // a line needs a text
		} else {
			p.esc(appendPlantUML, n.Label)
		}
		p.put("\n")
	}
	p.put("@end", kind, "\n")
	return nil
}

func tooDeep(kind string) error {
	return refuse("Hierarchy is too deep for this format", "a %s has at most %d levels", kind, maxOutlineDepth)
}

type plantUML struct {
	*printer
	v       *view
	opt     Options
	ids     *names
	classes *names
}

func newPlantUML(p *printer, v *view, opt Options) plantUML {
	ids, classes := newNames("n_", isPlantUMLName, exact, v.ids()), newNames("layer_", isWord, foldStyle, v.layerIDs())
	return plantUML{p, v, opt, ids, classes}
}

// foldStyle does to the name of a style what PlantUML does before it compares them.
func foldStyle(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func (w *plantUML) title() {
	if w.v.graph.Name != "" {
		w.put("title ")
		w.esc(appendPlantUML, w.v.graph.Name)
		w.put("\n")
	}
	if w.opt.Style == StyleDark {
		w.put("skinparam backgroundColor #1f2933\nskinparam titleFontColor #f8fafc\n",
			"skinparam ArrowColor #94a3b8\nskinparam ArrowFontColor #f8fafc\n")
	}
}

// styles declares a class per layer.
func (w *plantUML) styles() {
	if w.opt.NoLayers {
		return
	}
	w.put("<style>\n")
	for _, l := range w.v.layers {
		if l.ID == "" {
			continue
		}
		w.put("  .", w.classes.of(l.ID), " {\n")
		w.color("BackgroundColor", l.Background)
		w.color("BorderColor", l.Border)
		w.color("FontColor", l.Text)
		w.put("  }\n")
	}
	w.put("</style>\n")
}

func (w *plantUML) color(name, value string) {
	if c, ok := hexColor(value); ok {
		w.put("    ", name, " ", c, ";\n")
	}
}

func (w *plantUML) rectangle(level, i int) {
	n := w.v.node(i)
	w.indent(level)
	w.put("rectangle ")
	w.quote(appendPlantUML, orDefault(n.Label, " "))
	w.put(" as ", w.ids.of(n.ID))
	if n.Layer != "" && !w.opt.NoLayers {
		w.put(" <<", w.classes.of(n.Layer), ">>")
	}
}

// tree nests rectangles.
func (w *plantUML) tree(level int, roots []int) {
	for s := range w.v.walk(roots) {
		inner := len(w.v.children[s.node]) > 0
		switch {
		case s.leave && inner:
			w.indent(level + s.depth)
			w.put("}\n")
		case !s.leave:
			w.rectangle(level+s.depth, s.node)
			if inner {
				w.put(" {")
			}
			w.put("\n")
		}
		if s.leave {
			w.note(level+s.depth, s.node)
		}
	}
}

// note shows a node's comment, if that is wanted.
func (w *plantUML) note(level, i int) {
	n := w.v.node(i)
	if !w.opt.Notes || !present(n.Comment) {
		return
	}
	w.indent(level)
	w.put("note ", orDefault(w.opt.NotePosition, "right"), " of ", w.ids.of(n.ID), " : ")
	w.esc(appendPlantUML, n.Comment)
	w.put("\n")
}

// ids are all node ids, in the order of ids.
func (v *view) ids() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, i := range v.nodes {
			if !yield(v.node(i).ID) {
				return
			}
		}
	}
}

// layerIDs are the ids of all layers that are declared or used.
func (v *view) layerIDs() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, l := range v.layers {
			if !yield(l.ID) {
				return
			}
		}
		for _, i := range v.nodes {
			if !yield(v.node(i).Layer) {
				return
			}
		}
	}
}

// isPlantUMLName accepts words of any script that PlantUML does not take for the beginning of a statement.
func isPlantUMLName(id string) bool {
	if id == "" || !utf8.ValidString(id) || slices.Contains(plantUMLWords, strings.ToLower(id)) {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) < 0
}

var plantUMLWords = []string{
	"abstract", "actor", "agent", "allow_mixing", "allowmixing", "also", "annotation", "artifact", "as",
	"autonumber", "bottom", "boundary",
	"card", "caption", "center", "circle", "class", "cloud", "collections", "component", "control", "database",
	"down",
	"else", "end", "endfooter", "endheader", "endif", "endlegend", "endtitle", "entity", "enum", "file", "folder",
	"footer", "frame", "header", "hexagon", "hide", "if", "interface", "label", "left", "legend", "mainframe",
	"namespace", "newpage", "node", "note", "object", "of", "on", "over", "package", "page", "participant", "person",
	"port", "portin", "portout", "process", "queue", "rectangle", "remove", "restore", "right", "scale", "set",
	"show", "skin", "skinparam",
	"sprite", "stack", "state", "storage", "style", "then", "title", "to", "top", "together", "up", "url", "usecase",
}

// appendPlantUML escapes text inside quotes, titles and outlines: what would be markup, a preprocessor call or a comment is
// written by number. Line feeds become "\n", since a statement is one line.
func appendPlantUML(dst []byte, s string) []byte {
	s = visible(s)
	start := true // of a line of the label, where lists and headings begin
	var last rune
	for i, r := range s {
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		switch {
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case strings.ContainsRune(`"\<>%~`, r), isBidiControl(r),
			start && strings.ContainsRune("*#|=-._+;:! '@", r),
			strings.ContainsRune("*/_-=.[{", r) && (r == next || r == last),
			r == '\'' && last == '/', r == '/' && last == '\'', r == '&' && next == '#':
			dst = fmt.Appendf(dst, "<U+%04X>", r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
		start, last = r == '\n', r
	}
	return dst
}
