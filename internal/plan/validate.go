package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"layercake/internal/fault"
)

// Problem is a mistake in a submitted plan, or something that people should look at.
type Problem struct {
	NodeID  *string
	EdgeID  *string
	Kind    ProblemKind
	Warning bool // whether a change would accept it
	Message string
}

// ProblemKind says what sort of problem it is, spelled as on the wire.
type ProblemKind string

// The kinds of errors, then of warnings.
const (
	InvalidConnection ProblemKind = "INVALID_CONNECTION"
	CyclicDependency  ProblemKind = "CYCLIC_DEPENDENCY"
	InvalidConfig     ProblemKind = "INVALID_CONFIG"

	UnusedOutput            ProblemKind = "UNUSED_OUTPUT"
	ConfigurationSuggestion ProblemKind = "CONFIGURATION_SUGGESTION"
)

// Validate reports every rule that a change would refuse this plan for, and as warnings what keeps nodes from working. It looks
// at nothing but the submission.
func Validate(nodes []Node, edges []Edge) []Problem {
	v := validation{types: make(map[string]NodeType, len(nodes))}
	v.checkNodes(nodes)
	v.checkEdges(edges)
	if cycle := v.links.cycle(); cycle != nil {
		v.add(Problem{NodeID: &cycle[0], Kind: CyclicDependency, Message: "Edge would create a cycle: " + strings.Join(cycle, " -> ")})
	}
	v.checkInputs(nodes)
	return v.problems
}

type validation struct {
	types    map[string]NodeType
	links    links
	problems []Problem
}

func (v *validation) add(p Problem) { v.problems = append(v.problems, p) }

func (v *validation) checkNodes(nodes []Node) {
	if len(nodes) > MaxNodes {
		v.add(Problem{Kind: InvalidConfig, Message: fmt.Sprintf("The plan has too many nodes: %d of at most %d", len(nodes), MaxNodes)})
	}
	for _, n := range nodes {
		n.Config = configText(n.Config)
		if err := errors.Join(checkNode(n), n.checkWords(NodeMetadata{})); err != nil {
			v.add(Problem{NodeID: &n.ID, Kind: InvalidConfig, Message: sentence(err)})
		}
		if _, twice := v.types[n.ID]; twice {
			v.add(Problem{NodeID: &n.ID, Kind: InvalidConfig, Message: "A node with this id already exists"})
		}
		v.types[n.ID] = n.NodeType
	}
}

func (v *validation) checkEdges(edges []Edge) {
	if len(edges) > MaxEdges {
		v.add(Problem{Kind: InvalidConnection, Message: fmt.Sprintf("The plan has too many edges: %d of at most %d", len(edges), MaxEdges)})
	}
	ids := make(map[string]bool, len(edges))
	pairs := make(map[[2]string]bool, len(edges))
	for _, e := range edges {
		invalid := func(message string) { v.add(Problem{EdgeID: &e.ID, Kind: InvalidConnection, Message: message}) }
		if err := errors.Join(checkEdge(e), e.checkWords(EdgeMetadata{})); err != nil {
			invalid(sentence(err))
		}
		if ids[e.ID] {
			invalid("An edge with this id already exists")
		}
		ids[e.ID] = true
		source, sourceExists := v.types[e.Source]
		target, targetExists := v.types[e.Target]
		if !sourceExists {
			invalid("Edge refers to a node that does not exist: " + fault.Clip(e.Source))
		}
		if !targetExists {
			invalid("Edge refers to a node that does not exist: " + fault.Clip(e.Target))
		}
		if !sourceExists || !targetExists || e.Source == e.Target {
			continue
		}
		pair := [2]string{e.Source, e.Target}
		if pairs[pair] {
			invalid("This connection is not allowed: another edge already connects these nodes")
			continue
		}
		pairs[pair] = true
		if rule := refused(source, target, len(v.links.out[e.Source]), len(v.links.in[e.Target])); rule != "" {
			invalid("This connection is not allowed: " + rule)
		}
		v.links.add(e.ID, e.Source, e.Target)
	}
}

// checkInputs warns of nodes that cannot work yet.
func (v *validation) checkInputs(nodes []Node) {
	for _, n := range nodes {
		for _, p := range warningsOf(n.ID, n.NodeType, len(v.links.in[n.ID]), len(v.links.out[n.ID]), len(nodes) < 2) {
			v.add(p)
		}
	}
}

// sentence returns the message of a fault with its detail.
func sentence(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	switch detail := f.Details["detail"].(type) {
	case nil:
		return f.Message
	case map[string]any:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(detail)) {
			members = append(members, fmt.Sprintf("%s %v", name, detail[name]))
		}
		return f.Message + ": " + strings.Join(members, ", ")
	default:
		return fmt.Sprintf("%s: %v", f.Message, detail)
	}
}
