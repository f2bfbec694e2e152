package ingest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// departures are the files of testdata/edge-cases with which we deliberately do something else than the original.
var departures = map[string]struct {
	why      string
	kind     ingest.Kind    // when we detect another kind
	accepted *layered.Graph // when we accept it, or read it differently
}{
	"nodes-upper-headers.csv": {
		why:      "headers are compared in any case",
		accepted: &layered.Graph{Nodes: []layered.Node{{ID: "u1", Label: "Upper", Layer: "base", Weight: 1}}},
	},
	"layers-named-colors.csv": {
		why:  "background_color marks a table of layers like color does",
		kind: ingest.Layers,
		accepted: &layered.Graph{Layers: []layered.Layer{
			{ID: "base", Label: "Base", Background: "FFFFFF", Text: "000000", Border: "CCCCCC"},
		}},
	},
	"layers-palette.csv": {
		why:  "the header tells, the name is not needed; a row without values is no layer",
		kind: ingest.Layers,
		accepted: &layered.Graph{Layers: []layered.Layer{
			{ID: "base", Label: "Base", Background: "edffac", Text: "000000", Border: "dddddd"},
		}},
	},
	"nodes-quoted.csv": {
		why: "values are trimmed",
		accepted: &layered.Graph{Nodes: []layered.Node{
			{ID: "q1", Label: `Says "hi", twice`, Layer: "base", Weight: 1, Comment: "line one\nline two"},
			{ID: "q2", Label: "日本語 ラベル", Layer: "base", Weight: 1},
			{ID: "q3", Label: "padded", Layer: "base", Weight: 1, Comment: "'single'"},
		}},
	},
}

// expectation is one case of expected.json.
type expectation struct {
	File     string          `json:"file"`
	Detected ingest.Kind     `json:"detected_from_content"`
	Fallback ingest.Kind     `json:"fallback_type"`
	Outcome  string          `json:"outcome"` // active, error or rejected
	Graph    json.RawMessage `json:"graph_json"`
}

func TestEdgeCasesOfTheOriginal(t *testing.T) {
	t.Parallel()
	var expected struct{ Cases []expectation }
	readJSONFile(t, filepath.Join("testdata", "edge-cases", "expected.json"), &expected)
	if len(expected.Cases) < 20 {
		t.Fatalf("expected.json has %d cases", len(expected.Cases))
	}
	for _, c := range expected.Cases {
		t.Run(c.File, func(t *testing.T) {
			t.Parallel()
			departure := departures[c.File]
			body := readFile(t, filepath.Join("testdata", "edge-cases", c.File))
			format, kind, err := ingest.Detect(bytes.NewReader(body), c.File)
			if err == nil {
				if want := firstKind(departure.kind, c.Detected, c.Fallback); kind != want {
					t.Errorf("kind = %s, want %s", kind, want)
				}
				err = ingest.Allowed(format, kind)
			}
			if (err != nil) != (c.Outcome == "rejected") {
				t.Fatalf("outcome is %s, but the upload's check says %v", c.Outcome, err)
			}
			if err != nil {
				return
			}
			result, err := ingest.Read(bytes.NewReader(body), format, kind, ingest.DefaultLimits())
			if departure.accepted != nil {
				if err != nil {
					t.Fatalf("we accept this (%s): %v", departure.why, err)
				}
				equalGraphs(t, *departure.accepted, result.Graph)
				return
			}
			if (err != nil) != (c.Outcome == "error") {
				t.Fatalf("outcome is %s, but reading says %v", c.Outcome, err)
			}
			if err != nil {
				if !fault.Is(err, fault.BadRequest) {
					t.Errorf("%v is not a BAD_REQUEST", err)
				}
				return
			}
			equalGraphs(t, readGraph(t, c.Graph), result.Graph)
		})
	}
}

// TestOtherEdgeCases has the files for which no outcome of the original is listed.
func TestOtherEdgeCases(t *testing.T) {
	t.Parallel()
	others := map[string]struct {
		kind    ingest.Kind
		want    layered.Graph
		refused string
	}{
		"nodes-null-parent.csv": {kind: ingest.Nodes, want: layered.Graph{Nodes: []layered.Node{
			{ID: "root", Label: "Root", Layer: "base", IsPartition: true, Weight: 1},
			{ID: "x1", Label: "Null text", Layer: "base", Weight: 1},
			{ID: "x2", Label: "Missing parent", Layer: "base", BelongsTo: "ghost", Weight: 1},
		}}},
		"nodes-bom-crlf.csv": {kind: ingest.Nodes, want: layered.Graph{Nodes: []layered.Node{
			{ID: "b1", Label: "Bom one", Layer: "base", Weight: 1}, {ID: "b2", Label: "Bom two", Layer: "base", Weight: 1},
		}}},
		"layers-id-name-color.csv": {kind: ingest.Layers, want: layered.Graph{Layers: []layered.Layer{
			{ID: "base", Label: "Base", Background: "336699"},
		}}},
		"nodes-tabs.tsv": {kind: ingest.Nodes, want: layered.Graph{Nodes: []layered.Node{
			{
				ID: "p1", Label: "Parent", Layer: "base", IsPartition: true, Weight: 1,
				Attrs: json.RawMessage(`{"colour":"red","x":0,"y":0}`),
			},
			{
				ID: "n1", Label: "Child, one", Layer: "base", BelongsTo: "p1", Weight: 2.5,
				Attrs: json.RawMessage(`{"x":10.5,"y":-20}`),
			},
			{
				ID: "n2", Label: "Child two", BelongsTo: "p1", IsPartition: true, Weight: 1,
				Attrs: json.RawMessage(`{"colour":"blue","x":"abc","y":7}`),
			},
		}}},
		"edges-basic.csv": {kind: ingest.Edges, want: layered.Graph{Edges: []layered.Edge{
			{ID: "e1", Source: "n1", Target: "n2", Label: "one to two", Layer: "base", Weight: 2.5},
			{ID: "e2", Source: "n2", Target: "n1", Weight: 1, Attrs: json.RawMessage(`{"weight":"abc"}`)},
		}}},
		"edges-missing-target-column.csv": {kind: ingest.Nodes, want: layered.Graph{Nodes: []layered.Node{
			{ID: "e1", Label: "x", Weight: 1, Attrs: json.RawMessage(`{"source":"n1"}`)},
		}}},
		"graph-no-layers.json": {kind: ingest.Graph, refused: `The file has no "layers"`},
		"graph-broken.json":    {kind: ingest.Graph, refused: "The file ends in the middle of its JSON"},
		"nodes-latin1.csv":     {kind: ingest.Nodes, refused: "The file is not UTF-8: byte 15 is 0xE9"},
		"mystery.csv":          {kind: ingest.Nodes, refused: `lacks the columns "id", "label"`},
	}
	var expected struct{ Cases []expectation }
	readJSONFile(t, filepath.Join("testdata", "edge-cases", "expected.json"), &expected)
	known := map[string]bool{"expected.json": true}
	for _, c := range expected.Cases {
		known[c.File] = true
	}
	files, err := os.ReadDir(filepath.Join("testdata", "edge-cases"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if known[file.Name()] {
			continue
		}
		t.Run(file.Name(), func(t *testing.T) {
			t.Parallel()
			c, ok := others[file.Name()]
			if !ok {
				t.Fatal("nobody says what is expected")
			}
			body := readFile(t, filepath.Join("testdata", "edge-cases", file.Name()))
			format, kind, err := ingest.Detect(bytes.NewReader(body), file.Name())
			if err != nil || kind != c.kind {
				t.Fatalf("kind = %s, want %s, %v", kind, c.kind, err)
			}
			got, err := ingest.Read(bytes.NewReader(body), format, kind, ingest.DefaultLimits())
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("error is %v, want %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equalGraphs(t, c.want, got.Graph)
		})
	}
}

// TestPublishedImports shows that each table gives the same graph as the JSON that the original makes of it: for the set beside the
// test, and for every set of the shared data that has such JSON.
func TestPublishedImports(t *testing.T) {
	t.Parallel()
	var published []string
	for _, data := range []string{"testdata", filepath.Join("..", "..", "..", "shared", "data")} {
		found, err := filepath.Glob(filepath.Join(data, "*", "expected", "import-*.graph_json.json"))
		if err != nil {
			t.Fatal(err)
		}
		published = append(published, found...)
	}
	if len(published) < 3 {
		t.Fatalf("only %v", published)
	}
	for _, name := range published {
		kind := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "import-"), ".graph_json.json")
		body := readFile(t, filepath.Join(filepath.Dir(filepath.Dir(name)), kind+".csv"))
		format, detected, err := ingest.Detect(bytes.NewReader(body), kind+".csv")
		if err != nil || detected != ingest.Kind(kind) {
			t.Errorf("%s: kind = %s, %v", name, detected, err)
		}
		got, err := ingest.Read(bytes.NewReader(body), format, detected, ingest.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		equalGraphs(t, readGraph(t, readFile(t, name)), got.Graph)
		if got.Warnings.Total != 0 {
			t.Errorf("%s: warnings %v", name, got.Warnings.Listed)
		}
	}
}

func TestReadUnderstands(t *testing.T) {
	t.Parallel()
	nodes := func(n ...layered.Node) layered.Graph { return layered.Graph{Nodes: n} }
	edges := func(e ...layered.Edge) layered.Graph { return layered.Graph{Edges: e} }
	layers := func(l ...layered.Layer) layered.Graph { return layered.Graph{Layers: l} }
	for _, c := range []struct {
		name   string
		format ingest.Format
		kind   ingest.Kind
		text   string
		want   layered.Graph
	}{
		{
			"a byte-order mark, CRLF and empty lines", ingest.CSV, ingest.Nodes,
			"\xEF\xBB\xBFid,label\r\n\r\na,日本é😀\r\n,\r\nb,B", nodes(node("a", "日本é😀"), node("b", "B")),
		},
		{
			"all spellings of truth", ingest.TSV, ingest.Nodes,
			"id\tlabel\tisPartition\na\t\tTRUE\nb\t\tyes\nc\t\tY\nd\t\t1\ne\t\tFalse\nf\t\tno\ng\t\tn\nh\t\t0\ni\t\t\n",
			nodes(partition("a"), partition("b"), partition("c"), partition("d"),
				node("e", ""), node("f", ""), node("g", ""), node("h", ""), node("i", "")),
		},
		{
			"blanks and null as none", ingest.CSV, ingest.Nodes,
			"id,label,layer,belongs to,comment,weight,owner\na,A,null, NULL ,null,null,Null\nb,B,  , , , , \n",
			nodes(node("a", "A"), node("b", "B")),
		},
		{
			"attributes, with numbers as coordinates only", ingest.CSV, ingest.Nodes,
			"id,label,x,y,Owner,\na,A,1.5,-2,12,loose\n",
			nodes(layered.Node{ID: "a", Label: "A", Weight: 1, Attrs: json.RawMessage(`{"Owner":"12","column_6":"loose","x":1.5,"y":-2}`)}),
		},
		{
			"name as label where there is none", ingest.CSV, ingest.Nodes, "id,name\na,A\n", nodes(node("a", "A")),
		},
		{
			"name as attribute beside a label", ingest.CSV, ingest.Nodes, "id,name,label\na,N,A\n",
			nodes(layered.Node{ID: "a", Label: "A", Weight: 1, Attrs: json.RawMessage(`{"name":"N"}`)}),
		},
		{
			"stray quotes", ingest.CSV, ingest.Nodes, "id,label\na,5\" disk\n", nodes(node("a", `5" disk`)),
		},
		{
			"edges", ingest.CSV, ingest.Edges, "Target,ID,Source,weight,kind\nb,e,a,2.5,call\n",
			edges(layered.Edge{ID: "e", Source: "a", Target: "b", Weight: 2.5, Attrs: json.RawMessage(`{"kind":"call"}`)}),
		},
		{
			"layers, short names", ingest.CSV, ingest.Layers, "layer,label,background,border,text\nl,L,#aabbcc,001122,ffffff\n",
			layers(layered.Layer{ID: "l", Label: "L", Background: "aabbcc", Border: "001122", Text: "ffffff"}),
		},
		{
			"layers, long names", ingest.CSV, ingest.Layers, "id,name,Background Color,border_colour,textColor\nl,L,aabbcc,001122,ffffff\n",
			layers(layered.Layer{ID: "l", Label: "L", Background: "aabbcc", Border: "001122", Text: "ffffff"}),
		},
		{
			"layers, colour", ingest.CSV, ingest.Layers, "id,label,colour\nl,,aabbcc\n",
			layers(layered.Layer{ID: "l", Label: "l", Background: "aabbcc"}),
		},
		{
			"JSON with numbers as ids, text as numbers and null", ingest.JSON, ingest.Graph,
			`{"layers":[{"id":"l","name":"L","color":"#abc"}],"extra":{"a":[1]},"nodes":[
				{"id":1,"label":"One","weight":"2","is_partition":"yes","tags":["x",{"n":1}],"big":9007199254740993},
				{"id":"b","label":null,"belongsTo":1,"is_partition":0}],
			  "edges":[{"id":"e","source":1,"target":"b","label":"null","comment":"null"}]}`,
			layered.Graph{
				Nodes: []layered.Node{
					{ID: "1", Label: "One", Weight: 2, IsPartition: true, Attrs: json.RawMessage(`{"big":9007199254740993,"tags":["x",{"n":1}]}`)},
					{ID: "b", BelongsTo: "1", Weight: 1},
				},
				Edges:  []layered.Edge{{ID: "e", Source: "1", Target: "b", Label: "null", Weight: 1}},
				Layers: []layered.Layer{{ID: "l", Label: "L", Background: "abc"}},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// One byte at a time: nothing may depend on where a read ends.
			got, err := ingest.Read(iotest.OneByteReader(strings.NewReader(c.text)), c.format, c.kind, ingest.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			equalGraphs(t, c.want, got.Graph)
			if got.Warnings.Total != 0 {
				t.Errorf("warnings: %v", got.Warnings.Listed)
			}
		})
	}
}

// What tables hold does not depend on how their lines end, and rows are counted as an editor does.
func TestReadUnderstandsEveryLineEnd(t *testing.T) {
	t.Parallel()
	text := "id,label,weight\n\na,\"two\nlines\",1\n\nb,\"\",x\nc,C,y\n"
	mixed := strings.NewReplacer("a,", "a,", "\n\n", "\r\n\r", "\nc", "\rc").Replace(text)
	for name, text := range map[string]string{
		"LF": text, "CR": strings.ReplaceAll(text, "\n", "\r"), "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "mixed": mixed,
		"no end": strings.TrimSuffix(text, "\n"), "a CR at the end": strings.TrimSuffix(text, "\n") + "\r",
	} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			got, err := ingest.Read(r, ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			a, b, c := node("a", "two\nlines"), node("b", ""), node("c", "C")
			b.Attrs, c.Attrs = json.RawMessage(`{"weight":"x"}`), json.RawMessage(`{"weight":"y"}`)
			equalGraphs(t, layered.Graph{Nodes: []layered.Node{a, b, c}}, got.Graph)
			want := []string{
				`row 6, column "weight": "x" is not a number; the weight is 1`, `row 7, column "weight": "y" is not a number; the weight is 1`,
			}
			if diff := cmp.Diff(want, texts(got.Warnings.Listed)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// A quote that is wrong is refused with its row, by every reader of tables. Quotes inside of values are no quotes.
func TestReadRefusesWrongQuotes(t *testing.T) {
	t.Parallel()
	const rest = "; a quote inside a quoted value is written twice"
	for _, c := range []struct {
		name, text, want string
	}{
		{"never closed", "id,label\na,A\nb,\"5 inch\nc,C\n", `row 3: field 2 begins with a quote that is never closed: "5 inch\nc,C\n"` + rest},
		{"never closed, at the end", "id,label\na,\"", `row 2: field 2 begins with a quote that is never closed: ""` + rest},
		{"in the header", "id,\"label\na,A\n", `row 1: field 2 begins with a quote that is never closed: "label\na,A\n"` + rest},
		{"more text", "id,label\n\"a\nb\",\"5\" disk\nc,\"C\"\n", `row 2: field 2 begins with a quote that is followed by more text: "5"` + rest},
		{"rows swallowed", "id,label\na,\"5 inch\nb,B\nc,\"C\"\n", `row 2: field 2 begins with a quote that is followed by more text: "5 inch\nb,B\nc,"` + rest},
		{"CR", "id,label\r\ra,\"5 inch\rb,B\r", `row 3: field 2 begins with a quote that is never closed: "5 inch\nb,B\n"` + rest},
		{"long", "id,label\na,\"" + strings.Repeat("é", 5000), `row 2: field 2 begins with a quote that is never closed: "` + strings.Repeat("é", 20) + `"` + rest},
		{"after a blank", "id,label\n\"a\" \"b\",B\n", `row 2: field 1 begins with a quote that is followed by more text: "a"` + rest},
		{"accepted", "id,label\na,5\" disk\nb,\"5\"\" disk\"\n\"c\" ,\"C\" \t\n\"d\",say \"hi\"\ne,'5\" x'\n", ""},
	} {
		for _, tabs := range []bool{false, true} {
			format, text, want := ingest.CSV, c.text, c.want
			if tabs {
				swap := strings.NewReplacer(",", "\t", "\t", "")
				format, text = ingest.TSV, swap.Replace(text)
				want = strings.ReplaceAll(want, "b,B", `b\tB`)
				want = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(want, "c,C", `c\tC`), "a,A", `a\tA`), "c,", `c\t`)
			}
			got, err := ingest.Read(iotest.HalfReader(strings.NewReader(text)), format, ingest.Nodes, ingest.DefaultLimits())
			var message string
			if err != nil {
				message = err.Error()
			}
			if message != want {
				t.Errorf("%s %s:\n%s\nwant:\n%s", c.name, format, message, want)
			}
			if labels := []string{`5" disk`, `5" disk`, "C", `say "hi"`, `'5" x'`}; want == "" {
				for i, n := range got.Graph.Nodes {
					if n.Label != labels[i] {
						t.Errorf("%s %s: label %q, want %q", c.name, format, n.Label, labels[i])
					}
				}
			}
			var g layered.Graph
			if _, err := ingest.ReadPlanTable(strings.NewReader(text), format, ingest.Edges, &g); want != "" && (err == nil || err.Error() != want) {
				t.Errorf("as plan table: %v\nwant:\n%s", err, want)
			}
		}
	}
}

// Two columns that mean the same are refused, for one of them would be lost.
func TestReadRefusesEqualColumns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind         ingest.Kind
		header, want string
	}{
		{ingest.Nodes, "id,label,ID ", `two columns called "ID"`},
		{ingest.Nodes, "id,label,note,Note", `two columns called "Note"`},
		{ingest.Nodes, "id,name,Name", `two columns called "Name"`},
		{ingest.Nodes, "id,label,belongs_to,belongs to", `the columns "belongs_to" and "belongs to", which mean the same`},
		{ingest.Nodes, "id,label,isPartition,is_partition", `the columns "isPartition" and "is_partition", which mean the same`},
		{ingest.Edges, "id,source,target,source", `two columns called "source"`},
		{ingest.Layers, "layer,label,id", `the columns "layer" and "id", which mean the same`},
		{ingest.Layers, "layer,label,colour,background_color", `the columns "colour" and "background_color", which mean the same`},
		{ingest.Nodes, "id,label,column_4,", `two columns called "column_4"`},
		{ingest.Nodes, "id,label,,,", ""},
		{ingest.Nodes, "id,name,label,belongs_to,layer", ""},
		{ingest.Layers, "id,name,label,color,text,border", ""},
	} {
		_, err := ingest.Read(strings.NewReader(c.header+"\n"), ingest.CSV, c.kind, ingest.DefaultLimits())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: %v, want %q", c.kind, c.header, err, c.want)
		}
	}
}

func TestReadWarns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		kind ingest.Kind
		text string
		want []string
	}{
		{
			"numbers, truth and ids", ingest.Nodes, "id,label,weight,is_partition,x\na,A,abc,maybe,left\na,B,inf,,\n,C,,,\n",
			[]string{
				`row 2, column "weight": "abc" is not a number; the weight is 1`,
				`row 2, column "is_partition": "maybe" is neither true nor false; it counts as false`,
				`row 2, column "x": "left" is not a number`,
				`row 3, column "weight": "inf" is not a number; the weight is 1`,
				`row 3, column "id": "a" occurs more than once among the nodes`,
				`row 4, column "id": one of the nodes has no id`,
			},
		},
		{
			"colours", ingest.Layers, "id,label,color\nl,L,red\n",
			[]string{`row 2, column "color": "red" is not a colour of 3, 4, 6 or 8 hex digits`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ingest.Read(strings.NewReader(c.text), ingest.CSV, c.kind, ingest.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(got.Warnings.Listed)); diff != "" {
				t.Error(diff)
			}
			for _, n := range got.Graph.Nodes {
				if n.ID == "a" && n.Label == "A" && !strings.Contains(string(n.Attrs), `"weight":"abc"`) {
					t.Errorf("attributes = %v, want the weight's text kept", string(n.Attrs))
				}
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	limits := ingest.Limits{Rows: 4, ID: 5, Label: 4, Value: 6}
	for _, c := range []struct {
		name   string
		format ingest.Format
		kind   ingest.Kind
		text   string
		want   string
	}{
		{"an empty file", ingest.CSV, ingest.Edges, "", `The file is empty; the edges table needs the columns "id", "source", "target"`},
		{"missing columns", ingest.CSV, ingest.Edges, "id,from\n", `The edges table lacks the columns "source", "target"; it has "id", "from"`},
		{
			"every bad row", ingest.CSV, ingest.Nodes, "id,label,note\na\n\nb,B,\nabcdef,ééééé,1234567\nc,éééé,1,2\n",
			"row 2: has 1 fields, the header has 3\n" +
				"row 5, column \"id\": has 6 bytes, the limit is 5\n" +
				"row 5, column \"label\": has 5 characters, the limit is 4\n" +
				"row 5, column \"note\": has 7 bytes, the limit is 6\n" +
				"row 6: has 4 fields, the header has 3",
		},
		{
			"a quote that does not end", ingest.CSV, ingest.Nodes, "id,label\n\"a,\nb,\n",
			`row 2: field 1 begins with a quote that is never closed: "a,\nb,\n"; a quote inside a quoted value is written twice`,
		},
		{"too many rows", ingest.CSV, ingest.Nodes, "id,label\na,\nb,\nc,\nd,\ne,\n", "The file has more than 4 rows, which is the limit"},
		{"Latin-1", ingest.CSV, ingest.Nodes, "id,label\nl1,caf\xe9\n", "The file is not UTF-8: byte 15 is 0xE9; save it as UTF-8"},
		{"a character cut off", ingest.CSV, ingest.Nodes, "\xEF\xBB\xBFid,label\na,\xe6\x97", "The file is not UTF-8: byte 14 is 0xE6; save it as UTF-8"},
		{"UTF-16", ingest.CSV, ingest.Nodes, "\xFF\xFEi\x00d\x00", "The file is UTF-16; save it as UTF-8"},
		{"NUL", ingest.CSV, ingest.Nodes, "id,label\na,\x00\n", "The file has a NUL at byte 11; it is not a text file"},
		{"tables of graphs", ingest.CSV, ingest.Graph, "id,label\n", "csv files cannot hold graph data"},
		{"broken JSON", ingest.JSON, ingest.Graph, `{"nodes":[`, "The file ends in the middle of its JSON"},
		{"wrong JSON", ingest.JSON, ingest.Graph, `{"nodes":[}`, "The file is not valid JSON at byte 10: invalid character '}' looking for beginning of value"},
		{"JSON that goes on", ingest.JSON, ingest.Graph, `{"nodes":[],"edges":[],"layers":[]} x`, "The file goes on after the end of its JSON object, at byte 36"},
		{"an array missing", ingest.JSON, ingest.Graph, `{"nodes":[],"edges":[]}`, `The file has no "layers"; a graph needs the arrays nodes, edges and layers`},
		{"an object for an array", ingest.JSON, ingest.Graph, `{"nodes":{}}`, `The value of "nodes" must be an array`},
		{"a list", ingest.JSON, ingest.Graph, `[]`, "The file must be a JSON object with the arrays nodes, edges and layers"},
		{
			"elements that are no objects, and NUL", ingest.JSON, ingest.Graph,
			`{"nodes":[1,{"id":"a\u0000"},{"id":"b","label":"B"}],"edges":[null],"layers":[]}`,
			"row 1, column \"nodes\": must be an object, not 1\n" +
				"row 2, column \"id\": has a NUL character in \"a\\x00\"\n" +
				"row 1, column \"edges\": must be an object, not null",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ingest.Read(iotest.HalfReader(strings.NewReader(c.text)), c.format, c.kind, limits)
			if err == nil {
				t.Fatalf("accepted as %+v", got.Graph)
			}
			if err.Error() != c.want {
				t.Errorf("error:\n%s\nwant:\n%s", err, c.want)
			}
			if !fault.Is(err, fault.BadRequest) {
				t.Errorf("not a BAD_REQUEST: %#v", err)
			}
		})
	}
}

func TestReadListsAHundredProblemsAndCountsAll(t *testing.T) {
	t.Parallel()
	text := "id,label\n" + strings.Repeat("x\n", 250)
	_, err := ingest.Read(strings.NewReader(text), ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
	var refused *ingest.Error
	if !errors.As(err, &refused) {
		t.Fatalf("error is %v", err)
	}
	if len(refused.Listed) != ingest.MaxListed || refused.Total != 250 {
		t.Errorf("%d listed of %d, want 100 of 250", len(refused.Listed), refused.Total)
	}
	if !strings.HasSuffix(err.Error(), "\nand 150 more") {
		t.Errorf("error ends %q", err.Error()[len(err.Error())-40:])
	}
	if f := fault.From(err); f.Message != "row 2: has 1 fields, the header has 2 (and 249 more)" || f.Details["total"] != 250 {
		t.Errorf("fault is %q with total %v", f.Message, f.Details["total"])
	}
}

func TestErrorsOfTheReaderAreNotTheFilesFault(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, f := range []ingest.Format{ingest.CSV, ingest.JSON} {
		kind, start := ingest.Nodes, "id,label\na,A\n"
		if f == ingest.JSON {
			kind, start = ingest.Graph, `{"nodes":[`
		}
		r := func() *failing { return &failing{start: strings.NewReader(start), err: broken} }
		if _, err := ingest.Read(r(), f, kind, ingest.DefaultLimits()); !errors.Is(err, broken) || fault.From(err) != nil {
			t.Errorf("%s: error is %v", f, err)
		}
	}
	if _, _, err := ingest.Detect(&failing{start: strings.NewReader("id"), err: broken}, "a.csv"); !errors.Is(err, broken) {
		t.Errorf("Detect: error is %v", err)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, text string
		want       ingest.Kind
	}{
		{"a.csv", "ID, Source ,TARGET\n", ingest.Edges},
		{"a.csv", "id,label,color\n", ingest.Layers},
		{"a.csv", "layer,name,Background\n", ingest.Layers},
		{"a.CSV", "id,label,layer,colour\n", ingest.Nodes},        // the original says layers
		{"a.csv", "id,label,belongs_to,colour\n", ingest.Nodes},   // the original says layers
		{"a.tsv", "id\tlabel\tis_partition\tcolor", ingest.Nodes}, // the original says layers
		{"a.csv", "id\n", ingest.Nodes},
		{"my-Edges.csv", "foo,bar\n", ingest.Edges},
		{"layer-nodes.csv", "foo\n", ingest.Nodes},
		{"layers.csv", "\xff\xfe", ingest.Layers},
		{"mystery.csv", "", ingest.Nodes},
		{"a.json", `{"nodes":[{"a":[[]]}],"x":1,"edges":[]}`, ingest.Graph},
		{"a.json", `{"layers":[],"edges":[]}`, ingest.Edges},
		{"a.json", `[{"Source":1,"target":2}]`, ingest.Edges},
		{"a.json", `[{"name":1,"colour":2,"id":3}]`, ingest.Layers},
		{"a.json", `[{"id":3}]`, ingest.Nodes},
		{"a.json", `[3]`, ingest.Graph},
		{"a.json", `{"nodes":`, ingest.Graph},
		{"a.json", `7`, ingest.Graph},
	} {
		if _, kind, err := ingest.Detect(strings.NewReader(c.text), c.file); err != nil || kind != c.want {
			t.Errorf("%s %q: %s, %v, want %s", c.file, c.text, kind, err, c.want)
		}
	}
	if _, _, err := ingest.Detect(strings.NewReader(""), "notes.txt"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("notes.txt: %v", err)
	}
}

func node(id, label string) layered.Node { return layered.Node{ID: id, Label: label, Weight: 1} }

func partition(id string) layered.Node { return layered.Node{ID: id, IsPartition: true, Weight: 1} }

func firstKind(kinds ...ingest.Kind) ingest.Kind {
	for _, k := range kinds {
		if k != "" {
			return k
		}
	}
	return ""
}

func texts(ps []ingest.Problem) []string {
	var s []string
	for _, p := range ps {
		s = append(s, p.String())
	}
	return s
}

func readGraph(t *testing.T, body []byte) layered.Graph {
	t.Helper()
	r, err := ingest.Read(bytes.NewReader(body), ingest.JSON, ingest.Graph, ingest.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return r.Graph
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func readJSONFile(t *testing.T, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, name), into); err != nil {
		t.Fatal(err)
	}
}

// equalGraphs compares element by element; no elements are equal to an empty list.
func equalGraphs(t *testing.T, want, got layered.Graph) {
	t.Helper()
	if diff := cmp.Diff(want.Nodes, got.Nodes); len(want.Nodes)+len(got.Nodes) > 0 && diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Edges, got.Edges); len(want.Edges)+len(got.Edges) > 0 && diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Layers, got.Layers); len(want.Layers)+len(got.Layers) > 0 && diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
}

// failing gives what start has, then err.
type failing struct {
	start *strings.Reader
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.start.Len() == 0 {
		return 0, f.err
	}
	return f.start.Read(p)
}

func TestElementsAsJSON(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]json.RawMessage{
		`{"Owner":"<ann>","belongs_to":"p","id":"a","is_partition":true,"label":"日\n","port":80,"weight":"heavy","z":[1]}`: ingest.NodeJSON(
			layered.Node{
				ID: "a", Label: "日\n", BelongsTo: "p", IsPartition: true, Weight: 1,
				Attrs: json.RawMessage(`{"z":[1],"id":"other","Owner":"<ann>","port":80,"weight":"heavy"}`),
			}),
		`{"id":"","is_partition":false,"label":"","layer":{"x":1},"weight":0.5}`: ingest.NodeJSON(
			layered.Node{Weight: 0.5, Attrs: json.RawMessage(`{"layer":{"x":1}}`)}),
		`{"comment":"c","id":"e","label":"l","layer":"x","source":"a","target":"b","weight":null}`: ingest.EdgeJSON(
			layered.Edge{ID: "e", Source: "a", Target: "b", Label: "l", Layer: "x", Comment: "c", Weight: math.Inf(1)}),
		`{"background_color":"fff","id":"l","label":"L"}`: ingest.LayerJSON(layered.Layer{ID: "l", Label: "L", Background: "fff"}),
	} {
		if string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The number of rows that a table is said to have changes nothing.
func TestReadRows(t *testing.T) {
	t.Parallel()
	for kind, table := range map[ingest.Kind]string{
		ingest.Nodes: "id,label\na,A\nb,B\nc,C\n", ingest.Edges: "id,source,target\ne,a,b\nf,b,c\ng,c,a\n", ingest.Layers: "layer,label\nl,L\n",
	} {
		want, err := ingest.Read(strings.NewReader(table), ingest.CSV, kind, ingest.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1, 3, 1000} {
			got, err := ingest.ReadRows(strings.NewReader(table), ingest.CSV, kind, ingest.DefaultLimits(), rows)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(ingest.Problems{})); diff != "" || err != nil {
				t.Errorf("%s with %d rows: %v\n%s", kind, rows, err, diff)
			}
		}
	}
}
