package layered_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/layered"
)

// edit reads an edit from "target id operation field", and its values from JSON texts; "" is nothing.
func edit(sequence int, what, before, after string) layered.Edit {
	w := append(strings.Fields(what), "")
	e := layered.Edit{
		Sequence: sequence, Target: layered.EditTarget(w[0]), ID: w[1], Operation: layered.EditOperation(w[2]), Field: w[3],
	}
	if before != "" {
		e.Old = json.RawMessage(before)
	}
	if after != "" {
		e.New = json.RawMessage(after)
	}
	return e
}

func TestOverlay(t *testing.T) {
	t.Parallel()
	base := "L l Name\nP r\nN a < r / l w2 Old\nN b < a\nE e a b x\nE f b b"
	for _, c := range []struct {
		name  string
		edits []layered.Edit
		want  string // the graph
		ends  string // the results, in order
	}{
		{"the published example", []layered.Edit{
			edit(5, "edge y create", "", `{"source":"a","target":"nowhere"}`),
			edit(1, "node a update label", `"Old"`, `"New"`),
			edit(2, "node n9 create", "", `{"label":"Nine"}`),
			edit(3, "edge x create", "", `{"source":"n9","target":"a"}`),
			edit(4, "node ghost update label", "", `"G"`),
		}, "L l Name\nP r\nN a < r / l w2 New\nN b < a\nN n9 Nine\nE e a b x\nE f b b\nE x n9 a", "applied applied applied skipped skipped"},
		{"every field of a node", []layered.Edit{
			edit(1, "node b update layer", `null`, `"l"`), edit(2, "node b update belongsTo", `"a"`, `"r"`),
			edit(3, "node b update isPartition", `false`, `true`), edit(4, "node b update weight", `1.0`, `7`),
			edit(5, "node b update label", `""`, `"B"`), edit(6, "node a update layer", `"l"`, `""`),
			edit(7, "node a update label", `"Old"`, `null`), edit(8, "node b update isPartition", `true`, `"text"`),
		}, "L l Name\nP r\nN a < r w2\nP b < r / l w7 B\nE e a b x\nE f b b", "applied applied applied applied applied applied applied applied"},
		{"edges", []layered.Edit{
			edit(1, "edge e update label", `"x"`, `"y"`), edit(2, "edge e update layer", ``, `"l"`), edit(3, "edge f delete", "", ""),
			edit(4, "edge e update source", ``, `"b"`), edit(5, "edge f delete", "", ""),
		}, "L l Name\nP r\nN a < r / l w2 Old\nN b < a\nE e a b y / l", "applied applied applied skipped skipped"},
		{"a conflict keeps the newer value, and what builds on it too", []layered.Edit{
			edit(1, "node a update label", `"Older"`, `"New"`), edit(2, "node a update label", `"New"`, `"Newer"`),
		}, base, "conflict conflict"},
		{"no conflict when the graph has the wanted value already", []layered.Edit{
			edit(1, "node a update label", `"Older"`, `"Old"`), edit(2, "node a update label", `"Old"`, `"Newer"`),
		}, "L l Name\nP r\nN a < r / l w2 Newer\nN b < a\nE e a b x\nE f b b", "applied applied"},
		{"deleting a node takes edges and lifts children", []layered.Edit{
			edit(1, "node c create", "", `{"belongsTo":"a"}`), edit(2, "edge g create", "", `{"source":"c","target":"a","weight":3}`),
			edit(3, "node a delete", "", ""), edit(4, "edge h create", "", `{"source":"c","target":"b"}`),
			edit(5, "node b delete", "", ""), edit(6, "node b create", "", `{"label":"back"}`),
		}, "L l Name\nP r\nN c < r\nN b back", "applied applied applied applied applied applied"},
		{"a node created after a deletion is lifted too", []layered.Edit{
			edit(1, "node b delete", "", ""), edit(2, "node c create", "", `{"belongsTo":"a"}`), edit(3, "node a delete", "", ""),
		}, "L l Name\nP r\nN c < r", "applied applied applied"},
		{"layers", []layered.Edit{
			edit(1, "layer l update name", `"Name"`, `"Other"`), edit(2, "layer m create", "", `{}`),
			edit(3, "layer m delete", "", ""), edit(4, "layer l update name", `"Other"`, `7`),
		}, "L l Other\nP r\nN a < r / l w2 Old\nN b < a\nE e a b x\nE f b b", "applied applied applied applied"},
		{"what makes no sense", []layered.Edit{
			edit(1, "graph a update label", "", `"x"`), edit(2, "node a rename", "", ""), edit(3, "node a create", "", `{}`),
			edit(4, "node z create", "", ``), edit(5, "node z create", "", `[]`), edit(6, "edge z create", "", `{"source":"a"}`),
			edit(7, "node a update colour", "", `"x"`), edit(8, "node a update", "", `"x"`), edit(9, "node a update label", "", ""),
			edit(10, "node a update weight", "", `"x"`), edit(11, "node a update attrs", "", `"x"`),
			edit(12, "node a update label", "", `{`), edit(13, "node a update belongsTo", "", `"nobody"`),
			edit(14, "layer l update properties", "", `"x"`), edit(15, "node a update label", `{`, `"x"`),
			edit(16, "node z create", "", `{"weight":"x"}`),
			{Sequence: 17, Target: layered.EditNode, Operation: layered.EditDelete},
			edit(18, "edge z create", "", `{"source":"a","target":"b","attrs":7}`), edit(19, "layer z create", "", `{"properties":7}`),
			edit(20, "node a update weight", "", `1e999`),
		}, base, "failed failed skipped failed failed failed skipped applied applied failed failed failed skipped failed failed failed failed failed failed failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := sketch(t, base)
			before := layered.Hash(g)
			got, outcomes := layered.Overlay(g, c.edits)
			same(t, sketch(t, c.want), got)
			if layered.Hash(g) != before {
				t.Error("the input was changed")
			}
			var ends []string
			for i, o := range outcomes {
				ends = append(ends, string(o.Result))
				if o.Sequence != i+1 || (o.Message == "") != (o.Result == layered.EditApplied) {
					t.Errorf("outcome %d is %+v", i+1, o)
				}
			}
			if diff := cmp.Diff(c.ends, strings.Join(ends, " ")); diff != "" {
				t.Errorf("%s\n%+v", diff, outcomes)
			}
		})
	}
}

func TestOverlayOfStructuredFields(t *testing.T) {
	t.Parallel()
	g := layered.Graph{
		Nodes:  []layered.Node{{ID: "a", Attrs: json.RawMessage(`{"port":80}`)}},
		Layers: []layered.Layer{{ID: "l", Background: "ffffff", Text: "000000"}},
	}
	got, outcomes := layered.Overlay(g, []layered.Edit{
		edit(1, "node a update attrs", `{"port":80}`, `{"port":9007199254740993}`),
		edit(2, "node a update attrs", `{"port":80}`, `{}`),
		edit(3, "layer l update properties", `{"text_color":"000000","background_color":"ffffff"}`, `{"border_color":"#abc"}`),
		edit(4, "layer l update color", `null`, `"#123456"`),
	})
	want := layered.Graph{
		Nodes:  []layered.Node{{ID: "a", Attrs: json.RawMessage(`{"port":9007199254740993}`)}},
		Layers: []layered.Layer{{ID: "l", Background: "123456", Border: "abc"}},
	}
	same(t, want, got)
	if outcomes[1].Result != layered.EditConflict ||
		outcomes[1].Message != `The field attrs of node "a" was {"port":80} when it was edited and is {"port":9007199254740993} now` {
		t.Errorf("outcome: %+v", outcomes[1])
	}
	for _, i := range []int{0, 2, 3} {
		if outcomes[i].Result != layered.EditApplied {
			t.Errorf("outcome: %+v", outcomes[i])
		}
	}
}

// TestOverlayTouchesWhatEditsName: edits of a few elements neither index the others nor copy what they leave alone.
func TestOverlayTouchesWhatEditsName(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of everybody
	g := layered.Graph{Nodes: make([]layered.Node, 50_000), Edges: make([]layered.Edge, 50_000)}
	for i := range g.Nodes {
		g.Nodes[i] = layered.Node{ID: name(i), BelongsTo: "n7"}
		g.Edges[i] = layered.Edge{ID: "e" + name(i), Source: name(i), Target: "n0"}
	}
	edits := []layered.Edit{edit(1, "node n9 update label", "", `"New"`), edit(2, "node n8 delete", "", "")}
	got, _ := layered.Overlay(g, edits[:1])
	if got.Nodes[9].Label != "New" || g.Nodes[9].Label != "" || &got.Edges[0] != &g.Edges[0] {
		t.Error("the edit went wrong, or edges were copied for an edit of a node")
	}
	if got, _ = layered.Overlay(g, edits[1:]); len(got.Nodes) != len(g.Nodes)-1 || len(got.Edges) != len(g.Edges)-1 {
		t.Errorf("%d nodes and %d edges", len(got.Nodes), len(got.Edges))
	}
	if n := testing.AllocsPerRun(1, func() { layered.Overlay(g, edits) }); n > 200 {
		t.Errorf("%.0f allocations for two edits", n)
	}
}
