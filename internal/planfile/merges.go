package planfile

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// maxMerged is how many nodes merge keys may bring into a plan file together. The decoder decodes what they merge again in each place,
// with what is merged into that, so that a few lines could keep it busy for ever.
const maxMerged = 50_000

// checkMerges refuses a file whose merge keys bring too much.
func (s *shaper) checkMerges(root ast.Node) error {
	m := merges{targets: s.targets, nodes: make(map[ast.Node]int)}
	if _, merged := m.count(root); merged > maxMerged {
		return fmt.Errorf("its merge keys (<<) stand for more than %d values", maxMerged)
	}
	return nil
}

// merges counts what merge keys merge. Each target is counted once, whatever merges it.
type merges struct {
	targets map[*ast.AliasNode]ast.Node
	nodes   map[ast.Node]int // nodes that decoding a target visits; more than maxMerged while it is counted, as it may merge itself
}

// count returns how many nodes decoding a node visits, and how many of them are there by merge keys. It stops counting at some more than
// maxMerged.
func (m merges) count(node ast.Node) (nodes, merged int) {
	ast.Walk(counter(func(n ast.Node) {
		nodes++
		pair, ok := n.(*ast.MappingValueNode)
		if !ok || !pair.Key.IsMergeKey() {
			return
		}
		ast.Walk(counter(func(n ast.Node) {
			if alias, ok := n.(*ast.AliasNode); ok {
				merged = min(merged+m.of(m.targets[alias]), 2*maxMerged)
			}
		}), pair.Value)
	}), node)
	return nodes + merged, merged
}

func (m merges) of(target ast.Node) int {
	if target == nil {
		return 0 // the decoder says that it is missing
	}
	if _, known := m.nodes[target]; !known {
		m.nodes[target] = maxMerged + 1
		m.nodes[target], _ = m.count(target)
	}
	return m.nodes[target]
}

// counter calls a function for each node.
type counter func(ast.Node)

// Visit calls it.
func (c counter) Visit(node ast.Node) ast.Visitor {
	c(node)
	return c
}
