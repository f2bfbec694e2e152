package plan

import (
	"encoding/hex"
	"testing"
)

// A sender that repeats a change may reach a replica of another release, which must know the request by its hash.
func TestRequestHashesNeverChange(t *testing.T) {
	t.Parallel()
	text, version, label := "x", int64(7), "L"
	node := Node{ID: "n", NodeType: GraphNode, Position: Position{X: 1, Y: 2}, Metadata: NodeMetadata{Label: "N"}, Config: "{}"}
	edge := Edge{ID: "e", Source: "n", Target: "m", Metadata: EdgeMetadata{Label: &label, DataType: GraphData}}
	operations, err := ParseOperations([]byte(`[
		{"op":"add_node","node_type":"GraphNode","label":"","description":"d","config":{"a": 1},"x":0,"y":2.5},
		{"op":"add_edge","id":"e","source":"n","target":"m","data_type":"GRAPH_DATA"}]`))
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Change{
		"286a41f1f8f9b87e": {Edits: operations},
		"e4f9c964e5cddd08": {Edits: []Edit{AddNode{Node: node}}},
		"ea76fc0a6bb8769c": {Edits: []Edit{UpdateNode{ID: "n", Position: &Position{X: 3}, Config: &text}}},
		"4962fdfe1d814b71": {Edits: []Edit{MoveNodes{Moves: []Move{{ID: "n", Position: Position{X: 4}}}}}},
		"8a34fb821019a3d0": {Edits: []Edit{DeleteNode{ID: "n"}}},
		"1b1f39b857b5a769": {Edits: []Edit{AddEdge{Edge: edge}}},
		"f00b97c8f4a51ad1": {Edits: []Edit{UpdateEdge{ID: "e", SourceHandle: &text}}},
		"29157719b6e62d25": {Edits: []Edit{DeleteEdge{ID: "e"}}},
		"756e92e8f3ef090b": {Edits: []Edit{UpdatePlan{Name: "P", YAMLContent: "y", Dependencies: []int32{1}, Create: true}}},
		"ddda4f67521756a0": {Edits: []Edit{UpdateNode{ID: "n", Config: &text, Expected: &NodeParts{Config: &text}}}},
		"48fba0677e356999": {Edits: []Edit{UpdateEdge{ID: "e", Expected: &EdgeParts{}}}},
		"ebb3a3958c0cc452": {Edits: []Edit{UpdateEdge{ID: "e", Expected: &EdgeParts{SourceHandle: new((*string)(nil))}}}},
		"ba6497dc8bc2c5c0": {Edits: []Edit{PatchPlan{Name: &text, Dependencies: []int32{}}}},
		"5d8adc48cf0fb706": {Edits: []Edit{RemoveAll{}}},
		"ef5e0810a4839f35": {Edits: []Edit{Replace{Base: "7", Label: "7~0a1b2c3d", Nodes: []Node{node}, Edges: []Edge{edge}}}},
		"226f63397baf619c": {OpID: "o", ClientID: "c", Via: "graphql", Note: "n", Expected: &version, Edits: []Edit{RemoveAll{}, DeleteEdge{ID: "e"}}},
	} {
		if got := hex.EncodeToString(c.hash()); got[:16] != want {
			t.Errorf("%#v: %s, want %s", c.Edits, got[:16], want)
		}
	}
}
