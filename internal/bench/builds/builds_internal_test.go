package builds

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"layercake/internal/export"
)

// Tables are the same for the same seed, have the rows that they say, and the pure engine takes them.
func TestTables(t *testing.T) {
	t.Parallel()
	const rows = 2500
	read := func(tb table) string {
		t.Helper()
		text, err := os.ReadFile(tb.path)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines != tb.rows+1 || int64(len(text)) != tb.size {
			t.Errorf("%s has %d lines and %d bytes, want %d and %d", tb.name, lines, len(text), tb.rows+1, tb.size)
		}
		return string(text)
	}
	tables := func(seed uint64) (all []table) {
		t.Helper()
		folder := t.TempDir()
		overlaid, overlay := overlayTable(rows, 3, dice(seed, 0, 3))
		for _, made := range []struct {
			kind string
			rows int
			each rowsOf
		}{
			{"nodes", rows, nodeTable(rows, dice(seed, 0, 0))},
			{"edges", 2 * rows, edgeTable(2*rows, rows, "e", dice(seed, 0, 1))},
			{"layers", layerCount, layerTable},
			{"nodes", overlaid, overlay},
		} {
			tb, err := writeTable(folder, made.kind+string(rune('a'+len(all)))+".csv", made.kind, made.rows, made.each)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, tb)
		}
		return all
	}
	one, same, other := tables(1), tables(1), tables(2)
	for i := range one {
		if read(one[i]) != read(same[i]) {
			t.Errorf("table %d differs for the same seed", i)
		}
	}
	if read(one[0]) == read(other[0]) {
		t.Error("nodes are the same for another seed")
	}
	p := &built{tables: one}
	w, err := compute(t.Context(), t.TempDir(), p.inputs())
	if err != nil {
		t.Fatal(err)
	}
	if w.nodes != rows || w.edges != 2*rows {
		t.Errorf("%d nodes and %d edges, want %d and %d", w.nodes, w.edges, rows, 2*rows)
	}
	text, err := os.ReadFile(w.paths[export.CSVNodes])
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), " of round 3"); n != one[3].rows || n == 0 {
		t.Errorf("%d labels are of the overlay, want %d", n, one[3].rows)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<19)
	for name, c := range map[string]struct{ got, want, difference string }{
		"equal":         {"a\nb\n", "a\nb\n", ""},
		"empty":         {"", "", ""},
		"long line":     {long + "\n", long + "\n", ""},
		"another line":  {"a\nb\n", "a\nc\n", `line 2 is "b\n", want "c\n"`},
		"a line less":   {"a\n", "a\nb\n", `line 2 is "", want "b\n"`},
		"a line more":   {"a\nb\n", "a\n", `line 2 is "b\n", want ""`},
		"no end":        {"a", "a\n", `line 1 is "a", want "a\n"`},
		"nothing came":  {"", "a\n", `line 1 is "", want "a\n"`},
		"nothing to be": {"a\n", "", `line 1 is "a\n", want ""`},
	} {
		got, err := compare(strings.NewReader(c.got), strings.NewReader(c.want))
		if err != nil || got != c.difference {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.difference)
		}
	}
	broken := io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := compare(broken, strings.NewReader("a\n")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a text that breaks off: error %v", err)
	}
}

func TestCompletes(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]bool{
		`{"operations": [{"kind": "EXECUTION_CHANGED", "id": "graph", "after": {"graphId": 1, "executionState": "completed"}}]}`:  true,
		`{"operations": [{"kind": "EXECUTION_CHANGED", "id": "graph", "after": {"graphId": 1, "executionState": "processing"}}]}`: false,
		`{"operations": [{"kind": "EXECUTION_CHANGED", "id": "merge", "after": {"graphId": 1, "executionState": "completed"}}]}`:  false,
		`{"operations": [{"kind": "NODE_MOVED", "id": "graph", "after": {"executionState": "completed"}}]}`:                       false,
		`{"operations": null}`: false,
	} {
		if got := completes(json.RawMessage(event), "graph"); got != want {
			t.Errorf("%s: %v", event, got)
		}
	}
}

func TestLatencyOf(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(100-i)*time.Millisecond)
	}
	if got := latencyOf(times); got.Count != 100 || got.P50 != 51 || got.P99 != 100 || got.Max != 100 {
		t.Errorf("%+v", got)
	}
	if got := latencyOf(nil); got.Count != 0 || got.Max != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}
