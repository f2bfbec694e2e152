package convergence

import (
	"fmt"
	"strconv"
	"strings"
)

// Page is a page of changes as the tool list_changes delivers it.
type Page struct {
	Changes []Change `json:"changes"`
	Cursor  string   `json:"cursor"`
	Missed  bool     `json:"missed"` // what comes after the changes was removed, or is in another history
}

// Change is a change on a page.
type Change struct {
	Version int64  `json:"version"`
	OpID    string `json:"op_id"`
}

// Pages checks one agent that follows a plan by list_changes, with the cursor of each page in the call for the next one. It is not safe for
// concurrent use.
type Pages struct {
	sequence

	cursor string
}

// NewPages returns the check of an agent that follows a plan after a cursor.
func NewPages(cursor string) *Pages {
	return &Pages{newSequence(cursor, versionOf(cursor)), cursor}
}

// versionOf returns the version in a cursor, 0 in a text that is none.
func versionOf(cursor string) int64 {
	version, _ := strconv.ParseInt(cursor[strings.LastIndexByte(cursor, '.')+1:], 10, 64)
	return version
}

// Cursor returns the cursor to ask for the next page with.
func (w *Pages) Cursor() string { return w.cursor }

// Version returns the highest version seen.
func (w *Pages) Version() int64 { return w.version }

// See takes the next page that was delivered.
func (w *Pages) See(p Page) {
	at, last := p.Cursor, versionOf(w.cursor)
	if p.Missed {
		at = w.cursor
	}
	for _, c := range p.Changes {
		w.follow(at, c.Version)
		last = c.Version
	}
	switch version := versionOf(p.Cursor); {
	case p.Missed:
		w.restart(p.Cursor, version)
	case version != last:
		w.misapplied(version, fmt.Errorf("the cursor of a page that ends with version %d", last))
	}
	w.cursor = p.Cursor
}

// Finish compares with the plan in the end, and returns the report.
func (w *Pages) Finish(rows Plan) Report {
	divergence := ""
	if rows.Version == w.version && rows.Cursor != w.cursor {
		divergence = fmt.Sprintf("the agent is at %s, the rows are at %s", w.cursor, rows.Cursor)
	}
	return w.finish(rows, divergence)
}
