package ingest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/layered"
)

func TestReadPlanTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		format ingest.Format
		kind   ingest.Kind
		text   string
		want   layered.Graph
	}{
		{
			"nodes, with quirks", ingest.CSV, ingest.Nodes,
			"id,label,layer,is_partition,belongs_to,weight,comment\r\n" +
				"root, 'Root' ,base,Y,,2.5,\r\nñ_1,\" \"\"Two\"\" words \",base,no,NULL,x,  kept as is \r\n",
			layered.Graph{Nodes: []layered.Node{
				{ID: "root", Label: "Root", Layer: "base", IsPartition: true, Weight: 2.5, Comment: "null"},
				{ID: "ñ_1", Label: `"Two" words`, Layer: "base", Weight: 1, Comment: "  kept as is "},
			}},
		},
		{
			"nodes without weight, comment last", ingest.TSV, ingest.Nodes,
			"comment\tid\tlabel\tlayer\tis_partition\tbelongs_to\nnote\ta\tA\tl\tyes\tb\n",
			layered.Graph{Nodes: []layered.Node{
				{ID: "a", Label: "A", Layer: "l", IsPartition: true, BelongsTo: "b", Weight: 1, Comment: "note"},
			}},
		},
		{
			"edges", ingest.CSV, ingest.Edges,
			"id,source,target,label,layer,weight,comment\ne,a,b,'x',l,3,cron\nf,b,a,,,,\n",
			layered.Graph{Edges: []layered.Edge{
				{ID: "e", Source: "a", Target: "b", Label: "x", Layer: "l", Weight: 3, Comment: `"cron"`},
				{ID: "f", Source: "b", Target: "a", Weight: 1, Comment: "null"},
			}},
		},
		{
			"edges by position, without the last columns", ingest.CSV, ingest.Edges, "a,b,c\ne,x,y\n",
			layered.Graph{Edges: []layered.Edge{{ID: "e", Source: "x", Target: "y", Weight: 1, Comment: "null"}}},
		},
		{
			"edges by name, whatever the positions", ingest.TSV, ingest.Edges,
			"kind\tTarget\t Source \tid\tteam\t\tx\nlabel?\tb\ta\te\tlayer?\t7\tcomment?\n",
			layered.Graph{Edges: []layered.Edge{{ID: "e", Source: "a", Target: "b", Weight: 1, Comment: "null"}}},
		},
		{
			"edges without ids", ingest.CSV, ingest.Edges, "source,target,weight\na,b,5\n",
			layered.Graph{Edges: []layered.Edge{{Source: "a", Target: "b", Weight: 5, Comment: "null"}}},
		},
		{
			"ids in any script, with marks", ingest.CSV, ingest.Nodes,
			"id,label,layer,is_partition,belongs_to\nहिन्दी,,,,\nनाम,,,,\nภาษาไทย_ที่,,,,\nΑβγ,,,,\nⅫ,,,,\nⓐ,,,,\n½,,,,\nעִבְרִית,,,,\ne\u0301,,,,\n١٢,,,,\n",
			layered.Graph{Nodes: []layered.Node{
				named("हिन्दी"), named("नाम"), named("ภาษาไทย_ที่"), named("Αβγ"), named("Ⅻ"), named("ⓐ"), named("½"), named("עִבְרִית"),
				named("e\u0301"), named("١٢"),
			}},
		},
		{
			"layers by position, whatever the header says", ingest.CSV, ingest.Layers,
			"id,label,background_color,text_color,border_color,\nl,L,#111111,222222,333333,\n,,,,,\n",
			layered.Graph{Layers: []layered.Layer{
				{ID: "l", Label: "L", Background: "111111", Border: "222222", Text: "333333"}, {},
			}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first := layered.Graph{
				Name:  "kept",
				Nodes: []layered.Node{{ID: "first"}}, Edges: []layered.Edge{{ID: "first"}}, Layers: []layered.Layer{{ID: "first"}},
			}
			g := first
			got, err := ingest.ReadPlanTable(strings.NewReader(c.text), c.format, c.kind, &g)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(c.want.Nodes) + len(c.want.Edges) + len(c.want.Layers); len(got.Rows) != n {
				t.Errorf("rows %v of %d elements", got.Rows, n)
			}
			c.want.Nodes = append(first.Nodes, c.want.Nodes...)
			c.want.Edges = append(first.Edges, c.want.Edges...)
			c.want.Layers = append(first.Layers, c.want.Layers...)
			equalGraphs(t, c.want, g)
			if g.Name != "kept" {
				t.Errorf("name = %q", g.Name)
			}
		})
	}
}

func named(id string) layered.Node { return layered.Node{ID: id, Weight: 1, Comment: "null"} }

// Values that cannot be read are told. What stands where a weight would by convention, under a name of its own, need not be one.
func TestReadPlanTableWarns(t *testing.T) {
	t.Parallel()
	const header = "id,label,layer,is_partition,belongs_to,"
	long := strings.Repeat("9", 5000) + "%"
	for _, c := range []struct {
		name string
		kind ingest.Kind
		text string
		want []string
	}{
		{
			"weights and truth of nodes", ingest.Nodes,
			header + "Weight\na,,,,,\"1,234\"\nb,,,,,\"3,5\"\nc,,,,,50%\nd,,,,,1e999\ne,,,,,NaN\nf,,,maybe,,0x10\n" +
				"g,,,null,,null\nh,,,no,,-1.5e3\ni,,,yes,,'4'\nj,,,2,," + long + "\n",
			[]string{
				`row 2, column "Weight": "1,234" is not a number; the weight is 1`,
				`row 3, column "Weight": "3,5" is not a number; the weight is 1`,
				`row 4, column "Weight": "50%" is not a number; the weight is 1`,
				`row 5, column "Weight": "1e999" is not a number; the weight is 1`,
				`row 6, column "Weight": "NaN" is not a number; the weight is 1`,
				`row 7, column "Weight": "0x10" is not a number; the weight is 1`,
				`row 7, column "is_partition": "maybe" is neither true nor false; it counts as false`,
				`row 11, column "Weight": "` + long[:100] + `" is not a number; the weight is 1`,
				`row 11, column "is_partition": "2" is neither true nor false; it counts as false`,
			},
		},
		{"a comment in the place of weights", ingest.Nodes, header + "comment\na,,,,,note\n", nil},
		{"weights of edges", ingest.Edges, "id,source,target,weight\ne,a,b,7 kg\n", []string{
			`row 2, column "weight": "7 kg" is not a number; the weight is 1`,
		}},
		{"weights by position", ingest.Edges, "id,from,to,text,kind,cost\ne,a,b,,,7 kg\n", []string{
			`row 2, column "cost": "7 kg" is not a number; the weight is 1`,
		}},
		{"a comment by position", ingest.Edges, "id,from,to,text,kind,comment\ne,a,b,,,note\n", nil},
		{"edges without a header", ingest.Edges, "e1,a,b,x\ne2,b,a,y\n", []string{
			`row 1: the header has no column "source" or "target", so columns are read by position: id, source, target, label, layer; ` +
				`the columns are "e1", "a", "b", "x"`,
		}},
		{"colours", ingest.Layers, "id,label,background,border,text\nl,L,red,#12345,\nm,M,abc,#aabbccdd,null\n", []string{
			`row 2, column "background": "red" is not a colour of 3, 4, 6 or 8 hex digits`,
			`row 2, column "border": "12345" is not a colour of 3, 4, 6 or 8 hex digits`,
		}},
		{
			"rows that two quotes swallowed", ingest.Edges,
			"id,source,target,label\ne,a,b,\"5 inch\nf,b,a,12\"\ng,a,b,\"one, two\nthree, four, five, six\"\n",
			[]string{"row 2: line 2 of field 4 looks like a row of its own: perhaps a quote is missing"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var g layered.Graph
			got, err := ingest.ReadPlanTable(strings.NewReader(c.text), ingest.CSV, c.kind, &g)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(got.Warnings.Listed)); diff != "" || got.Warnings.Total != len(c.want) {
				t.Errorf("%d warnings (-want +got):\n%s", got.Warnings.Total, diff)
			}
		})
	}
}

// A row is the line where it begins.
func TestReadPlanTableSaysWhereElementsStand(t *testing.T) {
	t.Parallel()
	var g layered.Graph
	got, err := ingest.ReadPlanTable(strings.NewReader("id,source,target\n\ne,a,\"b\n\"\nf,a,b\n"), ingest.CSV, ingest.Edges, &g)
	if err != nil || !slices.Equal(got.Rows, []int{3, 5}) {
		t.Errorf("rows %v, %v", got.Rows, err)
	}
}

func TestReadPlanTableRefuses(t *testing.T) {
	t.Parallel()
	const header = "id,label,layer,is_partition,belongs_to\n"
	for _, c := range []struct {
		name   string
		format ingest.Format
		kind   ingest.Kind
		text   string
		want   string
	}{
		{"an empty file", ingest.CSV, ingest.Edges, "", "The file is empty"},
		{
			"a node header without a column", ingest.CSV, ingest.Nodes, "id,label,layer,belongs_to\n",
			`The nodes table has no column "is_partition"; its columns are "id", "label", "layer", "belongs_to"`,
		},
		{
			"every bad node", ingest.CSV, ingest.Nodes, header + ",,,,\nnull,,,,\na-b,,,,\nok,,,,\nok,,,,\nNaN,,,,\nshort\n",
			"row 2, column \"id\": \"\" is not an id\n" +
				"row 3, column \"id\": \"null\" is not an id\n" +
				"row 4, column \"id\": \"a-b\" has characters other than letters, digits and _\n" +
				"row 6, column \"id\": \"ok\" occurs more than once\n" +
				"row 7, column \"id\": \"NaN\" is not an id\n" +
				"row 8: has 1 fields, the header has 5",
		},
		{
			"a quote that does not end", ingest.CSV, ingest.Nodes, header + "a,\"A,,,\nb,B,,,\nc,C,,,\n",
			`row 2: field 2 begins with a quote that is never closed: "A,,,\nb,B,,,\nc,C,,,\n"; a quote inside a quoted value is written twice`,
		},
		{"edges without ends", ingest.CSV, ingest.Edges, "a,b\ne,a\n", "row 2: has 2 fields; an edge needs id, source and target"},
		{
			"edges by name without targets", ingest.CSV, ingest.Edges, "id,source,to\ne,a,b\n",
			`The edges table has no column "target"; its columns are "id", "source", "to"`,
		},
		{
			"layers without colours", ingest.CSV, ingest.Layers, "id,label\nl,L\n",
			"row 2: has 2 fields; a layer needs id, label, background, border and text",
		},
		{
			"equal columns", ingest.CSV, ingest.Nodes, "id,Label ,layer,is_partition,belongs_to,label,,\n",
			`The table has two columns called "label"; rename or remove one`,
		},
		{
			"equal columns of layers", ingest.TSV, ingest.Layers, "layer\tlabel\tcolor\tcolor\ttext\n",
			`The table has two columns called "color"; rename or remove one`,
		},
		{
			"marks that are no letters", ingest.CSV, ingest.Nodes, header + "a\u200db,,,,\nक-ख,,,,\n😀,,,,\n",
			"row 2, column \"id\": \"a\\u200db\" has characters other than letters, digits and _\n" +
				"row 3, column \"id\": \"क-ख\" has characters other than letters, digits and _\n" +
				"row 4, column \"id\": \"😀\" has characters other than letters, digits and _",
		},
		{"Latin-1", ingest.CSV, ingest.Layers, "id\n\xe9\n", "The file is not UTF-8: byte 3 is 0xE9; save it as UTF-8"},
		{"JSON", ingest.JSON, ingest.Graph, "{}", "The tables of plan files are .csv or .tsv files"},
		{"graphs", ingest.CSV, ingest.Graph, "id\n", "csv files cannot hold graph data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var g layered.Graph
			_, err := ingest.ReadPlanTable(strings.NewReader(c.text), c.format, c.kind, &g)
			if err == nil || err.Error() != c.want || !fault.Is(err, fault.BadRequest) {
				t.Errorf("error:\n%v\nwant:\n%s", err, c.want)
			}
			equalGraphs(t, layered.Graph{}, g)
		})
	}
	broken := errors.New("disk on fire")
	_, err := ingest.ReadPlanTable(&failing{start: strings.NewReader(header), err: broken}, ingest.CSV, ingest.Nodes, &layered.Graph{})
	if !errors.Is(err, broken) || fault.From(err) != nil {
		t.Errorf("error is %v", err)
	}
}
