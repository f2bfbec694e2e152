// Package exporttest reads back what package export writes, for tests: strict little parsers that know the grammars of the
// tools, not the code of the writers.
package exporttest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Digest is what a drawing says, without boilerplate.
type Digest struct {
	Title       string
	Orientation string
	Styles      []Style // in order of emission
	Clusters    []*Box  // nested containment
	Nodes       []Box   // drawn outside every container, in order of emission
	Edges       []Edge  // in order of emission
}

// Style is a layer's look; colours begin with "#".
type Style struct {
	Layer                    string // "" where the format does not name it
	Background, Text, Border string
	Members                  []string // ids
}

// Box is a node, or a container if it has children.
type Box struct {
	ID, Label, Layer         string
	Background, Text, Border string // of containers in DOT, which does not name layers
	Children                 []*Box
}

// Edge is a drawn edge.
type Edge struct{ Source, Target, Label string }

// tree builds nested boxes from lines.
type tree struct {
	digest *Digest
	stack  []*Box
}

func (t *tree) add(b *Box) {
	if len(t.stack) == 0 {
		t.digest.Clusters = append(t.digest.Clusters, b)
		return
	}
	top := t.stack[len(t.stack)-1]
	top.Children = append(top.Children, b)
}

func (t *tree) open(b *Box) {
	t.add(b)
	t.stack = append(t.stack, b)
}

func (t *tree) close() error {
	if len(t.stack) == 0 {
		return fmt.Errorf("a container ends that never began")
	}
	t.stack = t.stack[:len(t.stack)-1]
	return nil
}

var (
	entity        = regexp.MustCompile(`&(?:#[0-9]+|[a-z]+);`)
	mermaidNumber = regexp.MustCompile(`#[0-9]+;`)
)

var entities = map[string]string{
	"amp": "&", "quot": `"`,
}

// unescapeEntities decodes the references that the writers use, once.
func unescapeEntities(s string) string { return unescape(entity, s) }

func unescapeMermaid(s string) string { return unescape(mermaidNumber, s) }

func unescape(entity *regexp.Regexp, s string) string {
	return entity.ReplaceAllStringFunc(s, func(ref string) string {
		name := strings.Trim(ref, "&;")
		if c, ok := entities[name]; ok {
			return c
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "#")); err == nil && name[0] == '#' {
			return string(rune(n))
		}
		return ref
	})
}
