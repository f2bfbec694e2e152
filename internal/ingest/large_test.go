package ingest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// table is a CSV file that is made while it is read.
type table struct {
	rows   int
	row    func(b *bytes.Buffer, i int)
	next   int
	buffer bytes.Buffer
}

func (t *table) Read(p []byte) (int, error) {
	for t.buffer.Len() < len(p) && t.next < t.rows {
		t.row(&t.buffer, t.next)
		t.next++
	}
	return t.buffer.Read(p)
}

func edgeTable(rows int) io.Reader {
	t := &table{rows: rows, row: func(b *bytes.Buffer, i int) {
		fmt.Fprintf(b, "e%d,n%d,n%d,calls the other,layer_%d,%d,a remark that many edges share\n", i, i%1000, i*7%1000, i%10, i%5)
	}}
	t.buffer.WriteString("id,source,target,label,layer,weight,comment\n")
	return t
}

func nodeTable(rows int) io.Reader {
	t := &table{rows: rows, row: func(b *bytes.Buffer, i int) {
		fmt.Fprintf(b, "n%d,Node number %d,layer_%d,%t,p%d,%d,\"a remark, quoted\"\n", i, i, i%10, i%50 == 0, i, i%5)
	}}
	t.buffer.WriteString("id,label,layer,is_partition,belongs_to,weight,comment\n")
	return t
}

// TestMemoryFollowsTheGraph reads many rows that are never in memory together, and compares what is retained with the size
// of the graph: the elements and one copy of each different text. A quarter more is left for slices that grow and for sizes that
// the allocator rounds up. An upload is as long as one may be; for a table of a plan, which is read the same way, fewer rows show as
// much. It is not parallel, so that it measures nothing else.
func TestMemoryFollowsTheGraph(t *testing.T) { //nolint:paralleltest // see above
	const allowed = 1.35
	million, many := 1_000_000, 200_000
	if testing.Short() {
		million, many = 100_000, 100_000
	}
	upload := func(r io.Reader, k ingest.Kind) (layered.Graph, error) {
		got, err := ingest.Read(r, ingest.CSV, k, ingest.DefaultLimits())
		return got.Graph, err
	}
	planTable := func(r io.Reader, k ingest.Kind) (g layered.Graph, err error) {
		_, err = ingest.ReadPlanTable(r, ingest.CSV, k, &g)
		return g, err
	}
	for _, c := range []struct {
		name string
		read func(io.Reader, ingest.Kind) (layered.Graph, error)
		kind ingest.Kind
		rows int
		file io.Reader
	}{
		{"upload", upload, ingest.Edges, million, edgeTable(million)},
		{"upload", upload, ingest.Nodes, 100_000, nodeTable(100_000)},
		{"plan table", planTable, ingest.Edges, many, edgeTable(many)},
		{"plan table", planTable, ingest.Nodes, 100_000, nodeTable(100_000)},
	} {
		counted := &counter{r: c.file}
		before := heap()
		g, err := c.read(counted, c.kind)
		if err != nil {
			t.Fatal(err)
		}
		retained := float64(heap() - before)
		if n := len(g.Nodes) + len(g.Edges); n != c.rows {
			t.Fatalf("%d %s, want %d", n, c.kind, c.rows)
		}
		size := float64(sizeOf(g))
		t.Logf("%s of %s: %.0f MB of text, graph %.0f MB, retained %.0f MB: %.2f times the graph", c.name, c.kind,
			float64(counted.n)/1e6, size/1e6, retained/1e6, retained/size)
		if retained > allowed*size {
			t.Errorf("%s of %s: %.0f bytes retained for a graph of %.0f, more than %v times as much",
				c.name, c.kind, retained, size, allowed)
		}
		runtime.KeepAlive(g)
	}
}

// attributedNodes is a table with two attributes, as the promised sizes have them: 72 bytes a row.
func attributedNodes(rows int) io.Reader {
	t := &table{rows: rows, row: func(b *bytes.Buffer, i int) {
		fmt.Fprintf(b, "node_%07d,Label of node %d,layer_%d,false,part_%d,%d,team %d,%d\n", i, i, i%10, i%1000, i%5, i%977, i*7919%65536)
	}}
	t.buffer.WriteString("id,label,layer,is_partition,belongs_to,weight,owner,port\n")
	return t
}

// TestElementsAreSmall: a node with two attributes takes at most 250 bytes, and an edge 200. Few of these attributes are equal to others.
func TestElementsAreSmall(t *testing.T) { //nolint:paralleltest // it measures the heap
	const rows = 200_000
	if n := bytesPerRow(t, attributedNodes(rows), ingest.Nodes, rows); n > 250 {
		t.Errorf("%.0f bytes a node, want at most 250", n)
	}
	if n := bytesPerRow(t, edgeTable(rows), ingest.Edges, rows); n > 200 {
		t.Errorf("%.0f bytes an edge, want at most 200", n)
	}
}

func BenchmarkBytesPerElement(b *testing.B) {
	const rows = 1_000_000
	nodes, edges := 0.0, 0.0
	for b.Loop() {
		nodes = bytesPerRow(b, attributedNodes(rows), ingest.Nodes, rows)
		edges = bytesPerRow(b, edgeTable(rows), ingest.Edges, rows)
	}
	b.ReportMetric(nodes, "B/node")
	b.ReportMetric(edges, "B/edge")
}

func bytesPerRow(t testing.TB, file io.Reader, kind ingest.Kind, rows int) float64 {
	t.Helper()
	before := heap()
	got, err := ingest.Read(file, ingest.CSV, kind, ingest.DefaultLimits())
	if err != nil || len(got.Graph.Nodes)+len(got.Graph.Edges) != rows {
		t.Fatalf("%d nodes, %d edges, %v", len(got.Graph.Nodes), len(got.Graph.Edges), err)
	}
	size := float64(heap()-before) / float64(rows)
	runtime.KeepAlive(got)
	return size
}

// TestWriteJSONStreams: what is written is never in memory as a whole.
func TestWriteJSONStreams(t *testing.T) {
	t.Parallel()
	got, err := ingest.Read(attributedNodes(20_000), ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	w := &largestWrite{}
	if err := ingest.WriteJSON(w, got.Graph); err != nil {
		t.Fatal(err)
	}
	if w.total < 1<<20 || w.largest > 1<<17 {
		t.Errorf("%d bytes, up to %d at once", w.total, w.largest)
	}
	full := errors.New("disk full")
	if err := ingest.WriteJSON(&failingWriter{full}, got.Graph); !errors.Is(err, full) {
		t.Errorf("error is %v", err)
	}
}

type largestWrite struct{ total, largest int }

func (w *largestWrite) Write(p []byte) (int, error) {
	w.total, w.largest = w.total+len(p), max(w.largest, len(p))
	return len(p), nil
}

type failingWriter struct{ err error }

func (w *failingWriter) Write([]byte) (int, error) { return 0, w.err }

func BenchmarkWriteJSON(b *testing.B) {
	got, err := ingest.Read(attributedNodes(100_000), ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := ingest.WriteJSON(io.Discard, got.Graph); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(100_000*b.N)/b.Elapsed().Seconds(), "nodes/s")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// sizeOf counts IDs, which are all different, one by one, and of the other texts one copy each.
func sizeOf(g layered.Graph) int {
	size := len(g.Nodes)*int(unsafe.Sizeof(layered.Node{})) + len(g.Edges)*int(unsafe.Sizeof(layered.Edge{}))
	texts := make(map[string]bool)
	for _, n := range g.Nodes {
		size += len(n.ID)
		for _, s := range []string{n.Label, n.Layer, n.BelongsTo, n.Comment} {
			texts[s] = true
		}
	}
	for _, e := range g.Edges {
		size += len(e.ID)
		for _, s := range []string{e.Source, e.Target, e.Label, e.Layer, e.Comment} {
			texts[s] = true
		}
	}
	for s := range texts {
		size += len(s)
	}
	return size
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestRowLimitEndsTheReading(t *testing.T) {
	t.Parallel()
	counted := &counter{r: edgeTable(1_000_000)}
	_, err := ingest.Read(counted, ingest.CSV, ingest.Edges, ingest.Limits{Rows: 1000})
	if err == nil || !strings.Contains(err.Error(), "1000") {
		t.Errorf("error is %v", err)
	}
	if counted.n > 1<<20 {
		t.Errorf("%d bytes were read for 1000 rows", counted.n)
	}
}

func BenchmarkRead(b *testing.B) {
	const rows = 100_000
	graph := func() []byte {
		var g layered.Graph
		for kind, file := range map[ingest.Kind]io.Reader{ingest.Nodes: nodeTable(rows / 2), ingest.Edges: edgeTable(rows / 2)} {
			r, err := ingest.Read(file, ingest.CSV, kind, ingest.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			g.Nodes, g.Edges = append(g.Nodes, r.Graph.Nodes...), append(g.Edges, r.Graph.Edges...)
		}
		var out bytes.Buffer
		if err := ingest.WriteJSON(&out, g); err != nil {
			b.Fatal(err)
		}
		return out.Bytes()
	}
	text := func(r io.Reader) []byte {
		body, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		return body
	}
	for _, c := range []struct {
		name   string
		format ingest.Format
		kind   ingest.Kind
		body   []byte
	}{
		{"nodes", ingest.CSV, ingest.Nodes, text(nodeTable(rows))},
		{"edges", ingest.CSV, ingest.Edges, text(edgeTable(rows))},
		{"graph", ingest.JSON, ingest.Graph, graph()},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				if _, err := ingest.Read(bytes.NewReader(c.body), c.format, c.kind, ingest.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
		if c.format == ingest.JSON {
			continue
		}
		b.Run("plan table of "+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				var g layered.Graph
				if _, err := ingest.ReadPlanTable(bytes.NewReader(c.body), c.format, c.kind, &g); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
