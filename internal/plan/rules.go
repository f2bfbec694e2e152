package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"layercake/internal/fault"
)

// What a plan holds at most. Lengths are in characters unless they say bytes.
const (
	MaxNodes = 1000
	MaxEdges = 5000

	maxIDBytes       = 200
	maxName          = 100
	maxLabel         = 200
	maxDescription   = 10_000
	maxConfigBytes   = 100_000
	maxYAMLBytes     = 1 << 20
	maxDependencies  = 1000
	maxHandle        = 200
	maxOperationID   = 200
	maxNote          = 1000
	maxPositionValue = 100_000
)

// Texts that the reference fixes.
var (
	errNodeNotFound = fault.New(fault.NotFound, "Node not found")
	errEdgeNotFound = fault.New(fault.NotFound, "Edge not found")
)

// targets says which node types an edge from each node type may lead to.
var targets = map[NodeType][]NodeType{
	DataSourceNode: {GraphNode, MergeNode, TransformNode, OutputNode},
	GraphNode:      {GraphNode, TransformNode, CopyNode, OutputNode},
	TransformNode:  {GraphNode, MergeNode, CopyNode, OutputNode, TransformNode},
	MergeNode:      {GraphNode, TransformNode, MergeNode, CopyNode, OutputNode},
	CopyNode:       {GraphNode, TransformNode, OutputNode},
	OutputNode:     {},
}

// maxInputs returns how many edges may enter a node.
func maxInputs(t NodeType) int {
	switch t {
	case DataSourceNode:
		return 0
	case TransformNode, CopyNode, OutputNode:
		return 1
	default:
		return MaxEdges
	}
}

// minInputs returns how many edges a node needs before it can do its work.
func minInputs(t NodeType) int {
	switch t {
	case TransformNode, CopyNode, OutputNode:
		return 1
	case MergeNode:
		return 2
	default:
		return 0
	}
}

// maxOutputs returns how many edges may leave a node.
func maxOutputs(t NodeType) int {
	switch t {
	case OutputNode:
		return 0
	case CopyNode:
		return 1
	default:
		return MaxEdges
	}
}

// refused returns the rule that forbids an edge between nodes of these types, which have so many other outputs and inputs, or "" when
// the edge is allowed.
func refused(source, target NodeType, outputs, inputs int) string {
	if !slices.Contains(targets[source], target) {
		return fmt.Sprintf("a %s cannot lead to a %s", source, target)
	}
	if most := maxInputs(target); inputs >= most {
		return fmt.Sprintf("a %s takes at most %d input", target, most)
	}
	if most := maxOutputs(source); outputs >= most {
		return fmt.Sprintf("a %s has at most %d output", source, most)
	}
	return ""
}

func notAllowed(rule string) *fault.Error {
	return fault.New(fault.BadRequest, "This connection is not allowed").With("detail", rule)
}

// checkNode refuses a node that could be stored in no plan.
func checkNode(n Node) error {
	if err := checkID("Node id", n.ID); err != nil {
		return err
	}
	if _, ok := targets[n.NodeType]; !ok {
		return fault.New(fault.BadRequest, "Unknown node type").With("detail", n.NodeType)
	}
	if err := checkPosition(n.Position); err != nil {
		return err
	}
	return errors.Join(
		fault.CheckText("Node label", n.Metadata.Label, maxLabel),
		checkOptional("Node description", n.Metadata.Description, maxDescription),
		checkOptional("Source position", n.SourcePosition, maxHandle),
		checkOptional("Target position", n.TargetPosition, maxHandle),
		checkConfig(n.Config),
	)
}

func checkPosition(p Position) error {
	for axis, v := range map[string]float64{"x": p.X, "y": p.Y} {
		if math.IsNaN(v) || math.Abs(v) > maxPositionValue {
			return fault.New(fault.BadRequest, "Node position is out of range").
				With("detail", map[string]any{"axis": axis, "value": fmt.Sprint(v), "limit": maxPositionValue})
		}
	}
	return nil
}

// checkWords refuses characters that a node's texts cannot have. Texts that are as before pass: a node that got them from an older release
// can be moved.
func (n Node) checkWords(before NodeMetadata) error {
	return errors.Join(
		checkLabel("Node label", &n.Metadata.Label, &before.Label),
		checkLabel("Node description", n.Metadata.Description, before.Description),
	)
}

// checkWords is that of nodes for edges.
func (e Edge) checkWords(before EdgeMetadata) error {
	return checkLabel("Edge label", e.Metadata.Label, before.Label)
}

func checkLabel(field string, text, before *string) error {
	if text == nil || before != nil && *text == *before {
		return nil
	}
	return fault.CheckLabel(field, *text)
}

// checkEdge refuses an edge that could be stored in no plan.
func checkEdge(e Edge) error {
	if err := checkID("Edge id", e.ID); err != nil {
		return err
	}
	if e.Source == e.Target {
		return fault.New(fault.BadRequest, "Edge must connect two different nodes").With("detail", e.Source)
	}
	if e.Metadata.DataType != GraphData && e.Metadata.DataType != GraphReference {
		return fault.New(fault.BadRequest, "Unknown data type").With("detail", e.Metadata.DataType)
	}
	return errors.Join(
		checkOptional("Edge label", e.Metadata.Label, maxLabel),
		checkOptional("Source handle", e.SourceHandle, maxHandle),
		checkOptional("Target handle", e.TargetHandle, maxHandle),
	)
}

func checkOptional(field string, text *string, most int) error {
	if text == nil {
		return nil
	}
	return fault.CheckText(field, *text, most)
}

func checkID(field, id string) error {
	switch {
	case id == "":
		return fault.New(fault.BadRequest, field+" is empty")
	case len(id) > maxIDBytes:
		return fault.New(fault.BadRequest, field+" is too long").
			With("detail", map[string]any{"limit": maxIDBytes, "length": len(id)})
	case !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fault.New(fault.BadRequest, field+" contains a character that cannot be printed").With("detail", fmt.Sprintf("%q", id))
	}
	return nil
}

// checkConfig wants the text of a JSON object. An empty text is refused here: transports turn it into {}.
func checkConfig(config string) error {
	if len(config) > maxConfigBytes {
		return fault.New(fault.BadRequest, "Node config is too long").
			With("detail", map[string]any{"limit": maxConfigBytes, "length": len(config)})
	}
	invalid := fault.New(fault.BadRequest, "Node config is not valid JSON")
	var object map[string]json.RawMessage
	decoder := json.NewDecoder(strings.NewReader(config))
	if err := decoder.Decode(&object); err != nil {
		position := decoder.InputOffset()
		if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
			position = syntax.Offset
		}
		return invalid.With("detail", map[string]any{"position": position, "reason": fault.JSONReason(err)})
	}
	end := decoder.InputOffset()
	if object == nil || strings.Trim(config[end:], " \t\r\n") != "" { // JSON knows no other blanks
		return invalid.With("detail", map[string]any{"position": end, "reason": "it must be one JSON object"})
	}
	if hasNUL(config) {
		return fault.New(fault.BadRequest, "Node config contains a NUL character")
	}
	return nil
}

// hasNUL reports whether a text in valid JSON holds a NUL: PostgreSQL stores it, but its JSON operators cannot read it back.
func hasNUL(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // one that no float64 can hold would end the look
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
			return true
		}
	}
}
