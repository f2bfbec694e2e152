package source_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"layercake/internal/server/servertest"
	"layercake/internal/source"
)

// table makes rows of 72 bytes, one after the other, so that it takes no memory itself.
type table struct {
	rows, row int
	rest      []byte
}

func (g *table) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(g.rest) == 0 {
			switch {
			case g.row > g.rows:
				return n, io.EOF
			case g.row == 0:
				g.rest = []byte("id,label,team,note\n")
			default:
				g.rest = fmt.Appendf(nil, "node-%08d,Label of the node %08d,team-%03d,note on it %09d\n", g.row, g.row, g.row%100, g.row)
			}
			g.row++
		}
		c := copy(p[n:], g.rest)
		n, g.rest = n+c, g.rest[c:]
	}
	return n, nil
}

// peak runs f and returns how much the heap and the stacks grew meanwhile, in bytes, at most.
func peak(f func()) int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := int64(m.HeapInuse+m.StackInuse), int64(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return most
		case <-tick.C:
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapInuse+m.StackInuse)-before)
		}
	}
}

// BenchmarkUpload stores and parses a million rows. The promise is 8 s and 100 MB.
func BenchmarkUpload(b *testing.B) {
	core := servertest.StartCore(b, nil)
	for b.Loop() {
		id := newProject(b, core)
		var src source.Source
		grown := peak(func() {
			src = create(b, core, id, source.Upload{Filename: "nodes.csv", Content: &table{rows: 1_000_000}})[0]
		})
		b.ReportMetric(float64(grown)/(1<<20), "MB")
		b.ReportMetric(float64(src.Size)/(1<<20), "file-MB")
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
}

// BenchmarkPage reads 500 rows at row 900,000 of a million. The promise is 40 ms and 4 MB, of which B/op says what is allocated in all.
func BenchmarkPage(b *testing.B) {
	core := servertest.StartCore(b, nil)
	src := create(b, core, newProject(b, core), source.Upload{Filename: "nodes.csv", Content: &table{rows: 1_000_000}})[0]
	b.ReportAllocs()
	for b.Loop() {
		page, err := core.Sources.Page(b.Context(), src, 900_999, 500)
		if err != nil || len(page.Rows) != 500 || !strings.Contains(string(page.Rows[0].Data), "node-00901000") {
			b.Fatal(len(page.Rows), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms")
}

// BenchmarkWriteJSON writes a million rows as graphJson shows them.
func BenchmarkWriteJSON(b *testing.B) {
	core := servertest.StartCore(b, nil)
	src := create(b, core, newProject(b, core), source.Upload{Filename: "nodes.csv", Content: &table{rows: 1_000_000}})[0]
	for b.Loop() {
		grown := peak(func() {
			if err := core.Sources.WriteJSON(b.Context(), io.Discard, src); err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(float64(grown)/(1<<20), "MB")
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
}
