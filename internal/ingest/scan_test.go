package ingest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// TestPagesAreSlicesOfTheTable: whatever the line ends, blank lines and quoted line breaks, a page that is read from a mark is what Read
// has at these rows.
func TestPagesAreSlicesOfTheTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		format := rapid.SampledFrom([]ingest.Format{ingest.CSV, ingest.TSV}).Draw(t, "format")
		kind := rapid.SampledFrom([]ingest.Kind{ingest.Nodes, ingest.Edges, ingest.Layers}).Draw(t, "kind")
		rows := rapid.SampledFrom([]int{0, 1, 5, 999, 1000, 1001, 2000, 3210}).Draw(t, "rows")
		file := wildTable(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), format, kind, rows)
		whole, err := ingest.Read(bytes.NewReader(file), format, kind, ingest.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		all := elements(whole.Graph, kind)
		s, err := ingest.Scan(iotest.HalfReader(bytes.NewReader(file)), format, kind, ingest.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if s.Rows != rows || len(all) != rows || len(s.Marks) != (rows+ingest.RowsPerMark-1)/ingest.RowsPerMark {
			t.Fatalf("%d rows and %d marks, want %d rows; Read has %d", s.Rows, len(s.Marks), rows, len(all))
		}
		if diff := cmp.Diff(whole.Warnings, s.Warnings); diff != "" {
			t.Errorf("warnings: -Read +Scan\n%s", diff)
		}
		for i, mark := range s.Marks {
			if i > 0 && mark > 0 && file[mark-1] != '\n' && file[mark-1] != '\r' {
				t.Errorf("mark %d is at byte %d, in the middle of a line", i, mark)
			}
		}
		for range 30 {
			i, limit := 0, rapid.IntRange(0, 40).Draw(t, "limit")
			if rows > 0 {
				i = rapid.IntRange(0, rows-1).Draw(t, "row")
			}
			from := io.Reader(strings.NewReader(""))
			if mark := i / ingest.RowsPerMark; mark < len(s.Marks) {
				from = bytes.NewReader(file[s.Marks[mark]:])
			}
			page, err := ingest.ReadPage(bytes.NewReader(file), from, format, kind, i%ingest.RowsPerMark, limit)
			if err != nil {
				t.Fatal(err)
			}
			want := all[i:min(i+limit, rows)]
			if len(want) != len(page) {
				t.Fatalf("%d rows from row %d, want %d", len(page), i, len(want))
			}
			for k := range want {
				if string(want[k]) != string(page[k]) {
					t.Fatalf("row %d is %s, want %s", i+k, page[k], want[k])
				}
			}
		}
		var converted, written bytes.Buffer
		if err := ingest.Convert(&converted, bytes.NewReader(file), format, kind, ingest.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := ingest.WriteJSON(&written, whole.Graph); err != nil {
			t.Fatal(err)
		}
		again, err := ingest.Read(&converted, ingest.JSON, ingest.Graph, ingest.Limits{})
		if err != nil || layered.Hash(again.Graph) != layered.Hash(whole.Graph) {
			t.Fatalf("the converted file reads as another graph, %v", err)
		}
	})
}

// wildTable is a table with everything in it that moves rows from where one would count them.
func wildTable(r *rand.Rand, format ingest.Format, kind ingest.Kind, rows int) []byte {
	comma := map[ingest.Format]string{ingest.CSV: ",", ingest.TSV: "\t"}[format]
	header := map[ingest.Kind][]string{
		ingest.Nodes:  {"id", "label", "weight", "Owner", "belongs_to"},
		ingest.Edges:  {"id", "source", "target", "label", "port"},
		ingest.Layers: {"id", "label", "background", "text", "note"},
	}[kind]
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	ends := pick("\n", "\r\n", "\r", "mixed")
	end := func() string {
		if ends == "mixed" {
			return pick("\n", "\r\n", "\r")
		}
		return ends
	}
	var b bytes.Buffer
	b.WriteString(pick("", "\xEF\xBB\xBF"))
	line := func(cells []string) {
		b.WriteString(strings.Join(cells, comma) + end())
		for r.IntN(5) == 0 { // what does not count
			b.WriteString(pick("", "", " ", strings.Repeat(comma, len(header)-1)) + end())
		}
	}
	line(header)
	for i := range rows {
		cells := []string{fmt.Sprint("x", i)}
		if r.IntN(50) == 0 {
			cells[0] = "x1" // occurs twice
		}
		for range len(header) - 1 {
			cells = append(cells, pick("", "a", " b ", "日本語", "5\" disk", `"a ""quoted"" text"`, `"two`+end()+`lines" `, `"`+comma+`"`, "7",
				"\xEF\xBB\xBF", `"`+end()+end()+`"`))
		}
		line(cells)
	}
	if r.IntN(2) == 0 {
		return bytes.TrimRight(b.Bytes(), "\r\n")
	}
	return b.Bytes()
}

func elements(g layered.Graph, k ingest.Kind) []json.RawMessage {
	var all []json.RawMessage
	switch k {
	case ingest.Nodes:
		for _, n := range g.Nodes {
			all = append(all, ingest.NodeJSON(n))
		}
	case ingest.Edges:
		for _, e := range g.Edges {
			all = append(all, ingest.EdgeJSON(e))
		}
	default:
		for _, l := range g.Layers {
			all = append(all, ingest.LayerJSON(l))
		}
	}
	return all
}

func TestColumnsAreKeysOfElements(t *testing.T) {
	t.Parallel()
	header := "ID, Name ,isPartition,belongs to,Owner,,x\n"
	want := []string{"id", "label", "is_partition", "belongs_to", "Owner", "column_6", "x"}
	got, err := ingest.Columns(strings.NewReader(header+"a,"), ingest.CSV, ingest.Nodes)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	s, err := ingest.Scan(strings.NewReader(header), ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
	if diff := cmp.Diff(want, s.Columns); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"The table has no rows"}, texts(s.Warnings.Listed)); diff != "" {
		t.Error(diff)
	}
}

func TestScanOfAGraph(t *testing.T) {
	t.Parallel()
	body := `{"layers":[{"id":"l","color":"x"}],"more":[[]],"nodes":[{"id":"a"},{"id":"a","weight":"w"}],"edges":[{"id":"e","source":"a","target":"a"}]}`
	s, err := ingest.Scan(strings.NewReader(body), ingest.JSON, ingest.Graph, ingest.DefaultLimits())
	if err != nil || s.Rows != 4 || s.Marks != nil || s.Columns != nil || s.Warnings.Total != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	var converted bytes.Buffer
	if err := ingest.Convert(&converted, strings.NewReader(body), ingest.JSON, ingest.Graph, ingest.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	want := `{"layers":[{"background_color":"x","id":"l","label":"l"}],"nodes":[{"id":"a","is_partition":false,"label":"","weight":1},` +
		`{"id":"a","is_partition":false,"label":"","weight":"w"}],"edges":[{"id":"e","source":"a","target":"a","weight":1}]}` + "\n"
	if converted.String() != want {
		t.Errorf("%s\nwant %s", converted.String(), want)
	}
}

// TestBadFiles are refused with what is wrong and what to do, by Read and by Scan alike, without much memory. Detect says something of each.
func TestBadFiles(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	repeat := func(parts ...any) io.Reader { // text, and counts of the text that follows
		var list []io.Reader
		for i := 0; i < len(parts); i++ {
			if n, ok := parts[i].(int); ok {
				i++
				list = append(list, &repeated{text: parts[i].(string), left: n * len(parts[i].(string))})
				continue
			}
			list = append(list, strings.NewReader(parts[i].(string)))
		}
		return io.MultiReader(list...)
	}
	utf16 := func(s string) string {
		var b strings.Builder
		for _, c := range s {
			b.WriteRune(c)
			b.WriteByte(0)
		}
		return b.String()
	}
	for _, c := range []struct {
		name   string
		file   func() io.Reader
		format ingest.Format
		want   string // "" when it is accepted
	}{
		{"empty", func() io.Reader { return repeat("") }, ingest.CSV, `The file is empty; the nodes table needs the columns "id", "label"`},
		{"empty lines", func() io.Reader { return repeat(2<<20, "\r\n") }, ingest.CSV, `The file is empty`},
		{"no rows", func() io.Reader { return repeat("id,label\n") }, ingest.CSV, ""},
		{"no rows but empty lines", func() io.Reader { return repeat("id,label\n", 2<<20, "\n") }, ingest.CSV, ""},
		{"columns", func() io.Reader { return repeat("id,label", 9_998, ",c", "\n") }, ingest.CSV, "The table has 10000 columns, the limit is 1000"},
		{"a long header", func() io.Reader { return repeat("id,label,", 64<<20, "x", "\n") }, ingest.CSV, "row 1: has more than 4194304 bytes, which is the limit"},
		{"a long field", func() io.Reader { return repeat("id,label\na,", 64<<20, "x", "\n") }, ingest.CSV, "row 2: has more than 4194304 bytes, which is the limit; field 2"},
		{
			"a quote that does not end", func() io.Reader { return repeat("id,label\na,\"", 8<<20, "x,y\n") }, ingest.CSV,
			"row 2: field 2 begins with a quote that does not end within the 4194304 bytes that a row may have",
		},
		{"a long row", func() io.Reader { return repeat("id,label\na", 2<<20, ",") }, ingest.CSV, "row 2: has more than 100000 fields"},
		{"NUL", func() io.Reader { return repeat("id,label\na,\x00\n") }, ingest.CSV, "The file has a NUL at byte 11; it is not a text file"},
		{"UTF-16", func() io.Reader { return repeat("\xFF\xFE", utf16("id,label\n")) }, ingest.CSV, "The file is UTF-16; save it as UTF-8"},
		{"UTF-16 without a mark", func() io.Reader { return repeat(utf16("id,label\n")) }, ingest.CSV, "The file is UTF-16; save it as UTF-8"},
		{"UTF-16, big-endian", func() io.Reader { return repeat("\x00", utf16("id,label\n")) }, ingest.CSV, "The file is UTF-16; save it as UTF-8"},
		{"empty JSON", func() io.Reader { return repeat("") }, ingest.JSON, "The file ends in the middle of its JSON"},
		{"JSON without elements", func() io.Reader { return repeat(`{"nodes":[],"edges":[],"layers":[]}`) }, ingest.JSON, ""},
		{
			"JSON 5,000 deep", func() io.Reader {
				return repeat(`{"nodes":[{"id":"a","x":`, 5_000, "[", 5_000, "]", `}],"edges":[],"layers":[]}`)
			}, ingest.JSON,
			`row 1, column "nodes": is more than 100 levels deep`,
		},
		{"JSON 10,000 deep", func() io.Reader { return repeat(`{"nodes":[{"id":`, 10_000, "[", 10_000, "]") }, ingest.JSON, "exceeded max depth"},
		{"JSON 64 million deep", func() io.Reader { return repeat(`{"nodes":[`, 64<<20, "[") }, ingest.JSON, "exceeded max depth"},
		{"JSON 64 million deep, beside", func() io.Reader { return repeat(`{"x":`, 64<<20, "[") }, ingest.JSON, "The file's JSON is more than 10000 levels deep"},
		{"a JSON field", func() io.Reader { return repeat(`{"nodes":[{"id":"`, 64<<20, "x") }, ingest.JSON, `Element 1 of "nodes" has more than 4194304 bytes, which is the limit`},
		{"a JSON field beside", func() io.Reader { return repeat(`{"x":"`, 64<<20, "x") }, ingest.JSON, "The file has a value that is longer than an element may be"},
		{"JSON of blanks", func() io.Reader { return repeat(`{"nodes":[`, 64<<20, " ") }, ingest.JSON, "The file has a value that is longer"},
		{
			"JSON keys", func() io.Reader {
				keys := make([]string, 10_000)
				for i := range keys {
					keys[i] = fmt.Sprintf(`"k%d":1`, i)
				}
				return repeat(`{"nodes":[{` + strings.Join(keys, ",") + `}],"edges":[],"layers":[]}`)
			}, ingest.JSON, `row 1, column "nodes": has 10000 keys, the limit is 1000`,
		},
		{"JSON, UTF-16", func() io.Reader { return repeat(utf16(`{"nodes":[]}`)) }, ingest.JSON, "The file is UTF-16; save it as UTF-8"},
		{"JSON, NUL", func() io.Reader { return repeat(`{"nodes":[{"id":"\u0000"}],"edges":[],"layers":[]}`) }, ingest.JSON, `row 1, column "id": has a NUL character`},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind := ingest.Nodes
			if c.format == ingest.JSON {
				kind = ingest.Graph
			}
			check := func(what string, err error) {
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s: %v, want %q", what, err, c.want)
				}
				if err != nil {
					checkError(t, err)
				}
			}
			allocated := func(what string, do func()) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				do()
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
					t.Errorf("%s: %d MB were allocated", what, n>>20)
				}
			}
			allocated("Read", func() {
				_, err := ingest.Read(c.file(), c.format, kind, ingest.DefaultLimits())
				check("Read", err)
			})
			allocated("Scan", func() {
				_, err := ingest.Scan(c.file(), c.format, kind, ingest.DefaultLimits())
				check("Scan", err)
			})
			allocated("Detect", func() {
				if _, k, err := ingest.Detect(c.file(), "x."+string(c.format)); err != nil || k == "" {
					t.Errorf("Detect: %q, %v", k, err)
				}
			})
		})
	}
}

// repeated is a text many times over.
type repeated struct {
	text string
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), r.left)]
	for i := range p {
		p[i] = r.text[(len(r.text)-r.left%len(r.text)+i)%len(r.text)]
	}
	r.left -= len(p)
	return len(p), nil
}

// TestScanKeepsNothing: live memory while a table is scanned is that of the hashes of its ids.
func TestScanKeepsNothing(t *testing.T) { //nolint:paralleltest // it measures the heap
	const rows = 200_000
	if live := scanMemory(t, rows); live > 6<<20 {
		t.Errorf("%d kB are live for %d rows", live>>10, rows)
	}
}

// BenchmarkScan reports what is live at most.
func BenchmarkScan(b *testing.B) {
	const rows = 1_000_000
	body, err := io.ReadAll(attributedNodes(rows))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("speed", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ingest.Scan(bytes.NewReader(body), ingest.CSV, ingest.Nodes, ingest.DefaultLimits()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("memory", func(b *testing.B) {
		live := uint64(0)
		for b.Loop() {
			live = max(live, scanMemory(b, rows))
		}
		b.ReportMetric(float64(live)/1e6, "MB-live")
	})
}

func scanMemory(t testing.TB, rows int) uint64 {
	t.Helper()
	before := heap()
	most := uint64(0)
	file := &sampled{r: attributedNodes(rows), each: 4 << 20, sample: func() { most = max(most, heap()) }}
	s, err := ingest.Scan(file, ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
	if err != nil || s.Rows != rows || len(s.Marks) != rows/ingest.RowsPerMark || s.Warnings.Total != 0 {
		t.Fatalf("%d rows, %d marks, %d warnings, %v", s.Rows, len(s.Marks), s.Warnings.Total, err)
	}
	if most == 0 {
		t.Fatal("nothing was measured")
	}
	return most - min(most, before)
}

// sampled calls sample each time that many bytes were read.
type sampled struct {
	r      io.Reader
	each   int
	n      int
	sample func()
}

func (s *sampled) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.n += n; s.n >= s.each {
		s.n = 0
		s.sample()
	}
	return n, err
}
