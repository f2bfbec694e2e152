package ingest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/ingest"
	"layercake/internal/layered"
)

func FuzzCSV(f *testing.F) {
	for _, body := range seeds(f, "*.csv", "*.tsv") {
		for kind := range uint8(3) {
			f.Add(body, kind, false)
			f.Add(body, kind, true)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8, tabs bool) {
		format := ingest.CSV
		if tabs {
			format = ingest.TSV
		}
		if _, _, err := ingest.Detect(bytes.NewReader(body), "x."+string(format)); err != nil {
			t.Fatalf("Detect: %v", err)
		}
		k := []ingest.Kind{ingest.Nodes, ingest.Edges, ingest.Layers}[kind%3]
		checkRead(t, body, format, k)
		var g layered.Graph
		if _, err := ingest.ReadPlanTable(bytes.NewReader(body), format, k, &g); err != nil {
			checkError(t, err)
			return
		}
		checkText(t, g)
	})
}

func FuzzJSON(f *testing.F) {
	for _, body := range seeds(f, "*.json") {
		f.Add(body)
	}
	f.Add([]byte(`{"nodes":[{"id":1e400,"weight":1E2,"Weight":"\ud800","x":{"y":[null,1.50]}}],"edges":[],"layers":[{"color":"#"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, _, err := ingest.Detect(bytes.NewReader(body), "x.json"); err != nil {
			t.Fatalf("Detect: %v", err)
		}
		checkRead(t, body, ingest.JSON, ingest.Graph)
	})
}

// checkRead reads, and when that succeeds writes the graph and reads it back.
func checkRead(t *testing.T, body []byte, format ingest.Format, kind ingest.Kind) {
	t.Helper()
	limits := ingest.Limits{Rows: 50, Row: 1000, Columns: 20, ID: 100, Label: 100, Value: 100}
	got, err := ingest.Read(bytes.NewReader(body), format, kind, limits)
	scanned, scanErr := ingest.Scan(bytes.NewReader(body), format, kind, limits)
	if err != nil {
		checkError(t, err)
		if scanErr == nil || scanErr.Error() != err.Error() {
			t.Fatalf("Scan says %v, Read says %v", scanErr, err)
		}
		return
	}
	if n := len(got.Graph.Nodes) + len(got.Graph.Edges) + len(got.Graph.Layers); scanErr != nil || scanned.Rows != n {
		t.Fatalf("Scan: %d elements, %v; Read has %d", scanned.Rows, scanErr, n)
	}
	if diff := cmp.Diff(got.Warnings, scanned.Warnings); diff != "" {
		t.Fatalf("warnings: -Read +Scan\n%s", diff)
	}
	var converted bytes.Buffer
	if err := ingest.Convert(&converted, bytes.NewReader(body), format, kind, limits); err != nil || !json.Valid(converted.Bytes()) {
		t.Fatalf("converted to %q, %v", converted.Bytes(), err)
	}
	if format != ingest.JSON && len(scanned.Marks) > 0 {
		page, err := ingest.ReadPage(bytes.NewReader(body), bytes.NewReader(body[scanned.Marks[0]:]), format, kind, 1, 1)
		want := elements(got.Graph, kind)[1:]
		if err != nil || len(page) != min(len(want), 1) || len(page) == 1 && string(page[0]) != string(want[0]) {
			t.Fatalf("the second row is %s, want the first of %d, %v", page, len(want), err)
		}
	}
	checkText(t, got.Graph)
	if n := len(got.Graph.Nodes); n > limits.Rows {
		t.Fatalf("%d nodes, the limit is %d", n, limits.Rows)
	}
	var written bytes.Buffer
	if err := ingest.WriteJSON(&written, got.Graph); err != nil {
		t.Fatal(err)
	}
	again, err := ingest.Read(&written, ingest.JSON, ingest.Graph, ingest.Limits{})
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	if layered.Hash(again.Graph) != layered.Hash(got.Graph) {
		t.Fatalf("written and read back (-want +got):\n%s", cmp.Diff(got.Graph, again.Graph))
	}
}

// checkText looks for what the database cannot keep.
func checkText(t *testing.T, g layered.Graph) {
	t.Helper()
	for _, n := range g.Nodes {
		for _, s := range []string{n.ID, n.Label, n.Layer, n.BelongsTo, n.Comment} {
			if !utf8.ValidString(s) || bytes.IndexByte([]byte(s), 0) >= 0 {
				t.Fatalf("%q is not text", s)
			}
		}
		if n.Weight-n.Weight != 0 {
			t.Fatalf("weight %v", n.Weight)
		}
	}
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var refused *ingest.Error
	if !errors.As(err, &refused) {
		t.Fatalf("%v is not an *ingest.Error", err)
	}
	if refused.Total < len(refused.Listed) || len(refused.Listed) == 0 || !utf8.ValidString(err.Error()) {
		t.Fatalf("%d problems of %d: %q", len(refused.Listed), refused.Total, err)
	}
}

func seeds(f *testing.F, patterns ...string) [][]byte {
	f.Helper()
	var bodies [][]byte
	for _, p := range patterns {
		for _, dir := range []string{"edge-cases", "tiny", filepath.Join("tiny", "expected")} {
			names, err := filepath.Glob(filepath.Join("testdata", dir, p))
			if err != nil {
				f.Fatal(err)
			}
			for _, name := range names {
				body, err := os.ReadFile(name)
				if err != nil {
					f.Fatal(err)
				}
				bodies = append(bodies, body)
			}
		}
	}
	if len(bodies) == 0 {
		f.Fatal("no seeds")
	}
	return bodies
}
