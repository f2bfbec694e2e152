package convergence_test

import (
	"slices"
	"testing"

	"layercake/internal/bench/convergence"
)

// pagesOf returns the changes of a history, so many on each page.
func pagesOf(h *history, each int) (pages []convergence.Page) {
	for events := range slices.Chunk(h.events, each) {
		p := convergence.Page{Cursor: events[len(events)-1].Cursor}
		for _, e := range events {
			p.Changes = append(p.Changes, convergence.Change{Version: e.Version})
		}
		pages = append(pages, p)
	}
	return pages
}

func readPages(pages []convergence.Page) *convergence.Pages {
	w := convergence.NewPages(cursor("a-1", 0))
	for _, p := range pages {
		w.See(p)
	}
	return w
}

func TestAgentsThatReadEveryPageConverge(t *testing.T) {
	t.Parallel()
	h := newHistory()
	for each := range len(h.events) {
		// A call that waited in vain answers the cursor that it was asked with.
		pages := slices.Insert(pagesOf(h, each+1), 1, convergence.Page{Cursor: cursor("a-1", int64(each+1))})
		w := readPages(pages)
		if got := w.Finish(h.last()); !got.OK() || got.Events != int64(len(h.events)) || w.Cursor() != h.last().Cursor {
			t.Errorf("%d on a page: %+v at %s, want %d events and no complaint", each+1, got, w.Cursor(), len(h.events))
		}
	}
}

func TestFaultsOfPagesAreFound(t *testing.T) {
	t.Parallel()
	for _, f := range faults[convergence.Page]() {
		t.Run("pages "+f.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			check(t, readPages(f.spoil(pagesOf(h, 1))).Finish(h.last()), f.want, f.first)
		})
	}
	for _, f := range faults[convergence.Change]() {
		if f.name == "doubled later" || f.name == "dropped at the end" {
			continue // then the page's cursor is wrong, too
		}
		t.Run("changes of a page "+f.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			pages := pagesOf(h, len(h.events))
			pages[0].Changes = f.spoil(pages[0].Changes)
			check(t, readPages(pages).Finish(h.last()), f.want, f.first)
		})
	}
}

func TestCursorsOfPagesAreCompared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func([]convergence.Page)
		want  convergence.Report
		first string
	}{
		"beyond its changes": {
			func(p []convergence.Page) { p[1].Changes = p[1].Changes[:2] },
			convergence.Report{Misapplied: 1, Lost: 1},
			"version 6: the cursor",
		},
		"before its last change": {
			func(p []convergence.Page) { p[1].Cursor = cursor("a-1", 5) },
			convergence.Report{Misapplied: 1},
			"ends with version 6",
		},
		"moved without a change": {
			func(p []convergence.Page) { p[1].Changes = nil },
			convergence.Report{Misapplied: 1, Lost: 3},
			"ends with version 3",
		},
		"of another epoch": {
			func(p []convergence.Page) { p[1].Cursor = cursor("a-2", 6) },
			convergence.Report{Misapplied: 2},
			"without a snapshot",
		},
		"moved backwards": {
			func(p []convergence.Page) { p[2] = convergence.Page{Missed: true, Cursor: cursor("a-1", 2)} },
			convergence.Report{Reordered: 1, Lost: 7},
			"a snapshot after 6",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			pages := pagesOf(h, 3)
			tt.spoil(pages)
			check(t, readPages(pages).Finish(h.last()), tt.want, tt.first)
		})
	}
	t.Run("missed", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		pages := pagesOf(h, 3)
		pages[1] = convergence.Page{Missed: true, Cursor: pages[1].Cursor}
		if got := readPages(pages).Finish(h.last()); !got.OK() || got.Snapshots != 1 || got.Skipped != 3 {
			t.Errorf("report = %+v, want 3 versions that were missed once", got)
		}
	})
	t.Run("missed into another epoch", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		pages := pagesOf(h, 3)[:3]
		pages[2].Missed, pages[2].Cursor = true, cursor("a-2", 3)
		rows := convergence.Plan{Version: 3, Cursor: cursor("a-2", 3)}
		if got := readPages(pages).Finish(rows); !got.OK() || got.Snapshots != 1 {
			t.Errorf("report = %+v, want no complaint", got)
		}
	})
	t.Run("of another history in the end", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		rows := h.last()
		rows.Cursor = "a-1~00000000.12"
		if got := readPages(pagesOf(h, 3)).Finish(rows); got.OK() || got.Divergence == "" {
			t.Errorf("report = %+v, want another cursor", got)
		}
	})
}
