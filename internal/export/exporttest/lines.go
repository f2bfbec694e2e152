package exporttest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	pumlRectangle = regexp.MustCompile(`^rectangle "([^"]*)" as ([\p{L}\p{N}_]+)(?: <<(\w+)>>)?( \{)?$`)
	pumlEdge      = regexp.MustCompile(`^([\p{L}\p{N}_]+) (?:-->|-\[thickness=[0-9.]+\]->) ([\p{L}\p{N}_]+)(?: : "([^"]*)")?$`)
	pumlNumber    = regexp.MustCompile(`<U\+([0-9A-F]{4,6})>`)
	pumlProperty  = regexp.MustCompile(`^(\w+) (#[0-9a-fA-F]+);$`)
)

func unescapePlantUML(s string) string {
	s = strings.ReplaceAll(s, `\n`, "\n")
	return pumlNumber.ReplaceAllStringFunc(s, func(ref string) string {
		n, _ := strconv.ParseInt(ref[3:len(ref)-1], 16, 32)
		return string(rune(n))
	})
}

// ParsePlantUML reads a deployment diagram. Every line must be one that it knows.
func ParsePlantUML(source string) (*Digest, error) {
	d := &Digest{}
	t := tree{digest: d}
	var style *Style
	lines := strings.Split(strings.TrimSuffix(source, "\n"), "\n")
	if len(lines) < 2 || lines[0] != "@startuml" || lines[len(lines)-1] != "@enduml" {
		return nil, fmt.Errorf("PlantUML: no @startuml or @enduml")
	}
	for _, line := range lines[1 : len(lines)-1] {
		line = strings.TrimLeft(line, " ")
		switch {
		case line == "hide stereotype", line == "<style>", line == "</style>":
		case line == "top to bottom direction":
			d.Orientation = "TB"
		case line == "left to right direction":
			d.Orientation = "LR"
		case strings.HasPrefix(line, "title "):
			d.Title = unescapePlantUML(line[len("title "):])
		case strings.HasPrefix(line, "."):
			style = &Style{Layer: strings.TrimSuffix(line[1:], " {")}
		case line == "}" && style != nil:
			d.Styles = append(d.Styles, *style)
			style = nil
		case style != nil:
			m := pumlProperty.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("PlantUML: no property: %q", line)
			}
			*map[string]*string{
				"BackgroundColor": &style.Background, "BorderColor": &style.Border, "FontColor": &style.Text,
			}[m[1]] = m[2]
		case line == "}":
			if err := t.close(); err != nil {
				return nil, err
			}
		case pumlRectangle.MatchString(line):
			m := pumlRectangle.FindStringSubmatch(line)
			b := &Box{ID: m[2], Label: unescapePlantUML(m[1]), Layer: m[3]}
			if m[4] != "" {
				t.open(b)
			} else {
				t.add(b)
			}
		case pumlEdge.MatchString(line):
			m := pumlEdge.FindStringSubmatch(line)
			d.Edges = append(d.Edges, Edge{m[1], m[2], unescapePlantUML(m[3])})
		default:
			return nil, fmt.Errorf("PlantUML: unknown line %q", line)
		}
	}
	if len(t.stack) > 0 {
		return nil, fmt.Errorf("PlantUML: %q is not closed", t.stack[0].ID)
	}
	return d, nil
}

var (
	mermaidGroup = regexp.MustCompile(`(?s)^subgraph (\w+)\["([^"]*)"\]$`)
	mermaidNode  = regexp.MustCompile(`(?s)^(\w+)\["([^"]*)"\]$`)
	mermaidEdge  = regexp.MustCompile(`(?s)^(\w+) (?:\w+@)?-->(?:\|"([^"]*)"\|)? (\w+)$`)
	mermaidDef   = regexp.MustCompile(`^classDef (\w+) [a-z]+:#[0-9a-fA-F]+(,[a-z]+:#[0-9a-fA-F]+)*;$`)
	mermaidClass = regexp.MustCompile(`^class (\w+) (\w+);$`)
	mermaidWidth = regexp.MustCompile(`^linkStyle \d+ stroke-width:[0-9.]+px$`)
)

// ParseMermaid reads a flowchart. Every line must be one that it knows.
func ParseMermaid(source string) (*Digest, error) {
	d := &Digest{}
	t := tree{digest: d}
	for _, bad := range []string{"%%", "<"} {
		if strings.Contains(source, bad) {
			return nil, fmt.Errorf("Mermaid: %q occurs", bad)
		}
	}
	if rest, ok := strings.CutPrefix(source, "---\n"); ok {
		front, body, ok := strings.Cut(rest, "\n---\n")
		if !ok {
			return nil, fmt.Errorf("Mermaid: the front matter does not end")
		}
		source = body
		for line := range strings.SplitSeq(front, "\n") {
			if title, ok := strings.CutPrefix(line, " title: "); ok {
				d.Title = title
				if strings.HasPrefix(title, `"`) {
					if err := json.Unmarshal([]byte(title), &d.Title); err != nil {
						return nil, err
					}
				}
				d.Title = strings.ReplaceAll(d.Title, "ﬂ°°60¶ß", "<") // as Mermaid writes it inside
			}
		}
	}
	for line := range quotedLines(source) {
		line = strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(line, "flowchart "):
			d.Orientation = line[len("flowchart "):]
		case line == "end":
			if err := t.close(); err != nil {
				return nil, err
			}
		case mermaidGroup.MatchString(line):
			m := mermaidGroup.FindStringSubmatch(line)
			t.open(&Box{ID: m[1], Label: unescapeMermaid(m[2])})
		case mermaidNode.MatchString(line):
			m := mermaidNode.FindStringSubmatch(line)
			t.add(&Box{ID: m[1], Label: unescapeMermaid(m[2])})
		case mermaidEdge.MatchString(line):
			m := mermaidEdge.FindStringSubmatch(line)
			d.Edges = append(d.Edges, Edge{m[1], m[3], unescapeMermaid(m[2])})
		case mermaidDef.MatchString(line), mermaidClass.MatchString(line), mermaidWidth.MatchString(line):
		default:
			return nil, fmt.Errorf("Mermaid: unknown line %q", line)
		}
	}
	if len(t.stack) > 0 {
		return nil, fmt.Errorf("Mermaid: %q is not closed", t.stack[0].ID)
	}
	return d, nil
}

// quotedLines splits at line feeds outside of double quotes.
func quotedLines(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := range len(s) {
			switch {
			case s[i] == '"':
				quoted = !quoted
			case s[i] == '\n' && !quoted:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		if start < len(s) {
			yield(s[start:])
		}
	}
}
