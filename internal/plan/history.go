package plan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/jackc/pgx/v5"
)

// HistoryQuery is the choice of a page of changes.
type HistoryQuery struct {
	Before  int64  // changes below this version; 0 for the newest
	Limit   int    // 1 to MaxHistory
	Element string // id of a node or an edge that they touched; "" for any
	Actor   string // id of who made them; "" for anybody
	System  bool   // also what the server did by itself
	States  bool   // also events of nothing but states of executions
}

// MaxHistory is the largest page of changes.
const MaxHistory = 500

// maxHistoryBytes ends a page before its limit: bytes of its events, beyond the first.
const maxHistoryBytes = 2 << 20

// History is a page of changes, newest first.
type History struct {
	Changes []PastChange
	More    bool  // whether there are older ones
	Oldest  int64 // the first version that a plan can be asked for at; 0 while nothing was trimmed
	Version int64 // the newest version
}

// PastChange is a change that was committed.
type PastChange struct {
	*Event
	At       Cursor
	UndoneBy int64 // version of the change that took it back and stands; 0 for none
}

// Difference is what became of one element between two versions.
type Difference struct {
	Kind       OperationKind
	ID         string
	Parts      []string        // names of the parts that differ, "place" where it went and came back; none for what was added or removed
	Before     json.RawMessage // whole Node, Edge or description; nil when added
	After      json.RawMessage // nil when removed
	Versions   []int64         // versions of the changes that touched it, ascending
	ActorNames []string        // who made these, each once, in order
}

// Diff is what is different between two versions, each element once, in an order in which it can be applied.
type Diff struct {
	From, To    int64
	Differences []Difference
}

// Summary returns what the event did, in a sentence: the one that layercake.plan_history shows.
func (e *Event) Summary() string {
	switch len(e.Operations) {
	case 0:
		return "nothing"
	case 1:
		op := e.Operations[0]
		if op.Kind == PlanUpdated {
			return "updated the plan"
		}
		what, done, _ := strings.Cut(strings.ToLower(string(op.Kind)), "_")
		return done + " " + what + " " + op.ID
	}
	counts := make(map[OperationKind]int)
	for _, op := range e.Operations {
		counts[op.Kind]++
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b OperationKind) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(kinds))
	for i, kind := range kinds {
		parts[i] = fmt.Sprint(counts[kind], " ", kind)
	}
	return fmt.Sprintf("%d operations: %s", len(e.Operations), strings.Join(parts, ", "))
}

// systemText stands in the body of an event that the server made by itself. No text in a body contains it, since quotes are escaped.
const systemText = `"actorKind":"` + string(auth.KindSystem) + `"`

// History returns a page of changes. Faults: NotFound for the project, BadRequest for a page that cannot be.
func (s *Service) History(ctx context.Context, access auth.Access, q HistoryQuery) (History, error) {
	if err := access.May(auth.View); err != nil {
		return History{}, err
	}
	projectID := access.Project()
	if err := q.check(); err != nil {
		return History{}, err
	}
	if q.Element != "" || q.Actor != "" { // it may have to look through all of the log
		done, err := s.takeTurn(ctx)
		if err != nil {
			return History{}, err
		}
		defer done()
	}
	var h History
	err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) error {
		h = History{}
		size, before := 0, q.Before
		for {
			page, err := s.readPage(ctx, conn, projectID, q, before, &h)
			if err != nil {
				rollback(ctx, conn)
				return err
			}
			for _, row := range page {
				if before = row.Version; row.Body == nil || len(h.Changes) == q.Limit || size > s.historyBytes {
					h.More = true
					return nil
				}
				event, err := decodeEvent(row.Body)
				if err != nil {
					return fmt.Errorf("version %d: %w", row.Version, err)
				}
				if !q.matches(event) {
					continue
				}
				size += len(row.Body)
				h.Changes = append(h.Changes, PastChange{
					Event: event, UndoneBy: row.Undoer, At: Cursor{Epoch: postgres.EpochOfConn(conn), Version: row.Version, Hash: row.Hash},
				})
			}
			if len(page) <= q.Limit {
				return nil
			}
		}
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return History{}, project.ErrNotFound
	}
	if err != nil {
		return History{}, fmt.Errorf("read history: %w", err)
	}
	return h, nil
}

func (q HistoryQuery) check() error {
	if q.Limit < 1 || q.Limit > MaxHistory {
		return fault.New(fault.BadRequest, "The limit is not one of a page").With("detail", map[string]any{"least": 1, "limit": MaxHistory})
	}
	if q.Before < 0 {
		return errNegative
	}
	for name, id := range map[string]string{"Element id": q.Element, "Actor id": q.Actor} {
		if id != "" {
			if err := checkID(name, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// matches reports whether the query wants an event. The database only looked for texts in its body.
func (q HistoryQuery) matches(e *Event) bool {
	touches := func(op Operation) bool { return op.Kind != PlanUpdated && op.ID == q.Element }
	return (q.System || e.ActorKind != string(auth.KindSystem)) && (q.Actor == "" || e.ActorID == q.Actor) &&
		(q.Element == "" || slices.ContainsFunc(e.Operations, touches))
}

// readPage reads one more event than wanted of those that may match, below a version unless it is 0, and the ends of the log into h. Undoer
// of each row is the one that stands, or 0. After an error a transaction may be open.
func (s *Service) readPage(
	ctx context.Context, conn *pgx.Conn, projectID int32, q HistoryQuery, before int64, h *History,
) ([]db.ListHistoryRow, error) {
	if before == 0 {
		before = 1 << 62
	}
	var page []db.ListHistoryRow
	b := &pgx.Batch{}
	b.Queue("begin isolation level repeatable read read only")
	b.Queue(db.GetLogEnds, projectID).QueryRow(func(row pgx.Row) error {
		var floor int64
		err := row.Scan(&h.Version, &floor)
		h.Oldest = oldest(floor)
		return err
	})
	text := func(key, value string) string {
		if value == "" {
			return ""
		}
		return `"` + key + `":` + string(encode(value))
	}
	b.Queue(db.ListHistory, s.historyBytes, projectID, before, q.Actor, text("actorId", q.Actor), text("id", q.Element), q.States, q.System,
		systemText, q.Limit+1).Query(func(rows pgx.Rows) error {
		undone := make(map[int64]bool)
		return each(rows, func(row db.ListHistoryRow) {
			// Undoers have higher versions than what they undo, so they come first.
			if undone[row.Undoer] {
				row.Undoer = 0
			}
			undone[row.Version] = row.Undoer != 0
			if row.Listed {
				page = append(page, row)
			}
		})
	})
	b.Queue("commit")
	return page, conn.SendBatch(ctx, b).Close()
}

// recordParts are the parts of a plan's record.
var recordParts = []part[description]{
	{
		name:  "name",
		same:  func(a, b description) bool { return a.Name == b.Name },
		take:  func(to *description, from description) { to.Name = from.Name },
		value: func(r description) any { return r.Name },
	},
	{
		name:  "yaml",
		same:  func(a, b description) bool { return a.YAMLContent == b.YAMLContent },
		take:  func(to *description, from description) { to.YAMLContent = from.YAMLContent },
		value: func(r description) any { return r.YAMLContent },
	},
	{
		name: "dependencies",
		same: func(a, b description) bool {
			return slices.Equal(a.Dependencies, b.Dependencies) && (a.Dependencies == nil) == (b.Dependencies == nil)
		},
		take:  func(to *description, from description) { to.Dependencies = from.Dependencies },
		value: func(r description) any { return r.Dependencies },
	},
}

// partPlace is the name of an element's place in the order.
const partPlace = "place"

// Diff returns what is different between two versions; to is nil for the newest. The faults are those of At, and BadRequest for versions
// in the wrong order.
func (s *Service) Diff(ctx context.Context, access auth.Access, from int64, to *int64) (Diff, error) {
	if err := access.May(auth.View); err != nil {
		return Diff{}, err
	}
	projectID := access.Project()
	if from < 0 {
		return Diff{}, errNegative
	}
	if to != nil && *to < from {
		return Diff{}, fault.New(fault.BadRequest, "The versions are in the wrong order")
	}
	done, err := s.takeTurn(ctx)
	if err != nil {
		return Diff{}, err
	}
	defer done()
	diff := Diff{From: from}
	var changed differences
	var planID int32
	err = s.db.Requests.Do(ctx, func(conn *pgx.Conn) (err error) {
		defer func() {
			if err != nil {
				rollback(ctx, conn)
			}
		}()
		past, err := findPast(ctx, conn, projectID, from, []int64{})
		if err != nil {
			return err
		}
		if planID, diff.To = past.PlanID, past.Head; to != nil {
			diff.To = *to
		}
		if err := checkVersion(diff.To, past.Head, past.LogFloor); err != nil {
			return err
		}
		b := &pgx.Batch{}
		b.Queue(db.ListEventsForwards, projectID, from, diff.To).Query(func(rows pgx.Rows) error {
			return eachEvent(rows, from+1, 1, func(e *Event) error { changed.add(e); return nil })
		})
		b.Queue("commit")
		return conn.SendBatch(ctx, b).Close()
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Diff{}, project.ErrNotFound
	}
	for _, d := range changed.list() {
		if err != nil {
			break
		}
		var one Difference
		if one, err = d.show(planID); one.Kind != "" {
			diff.Differences = append(diff.Differences, one)
		}
	}
	if err != nil {
		return Diff{}, fmt.Errorf("compare versions: %w", err)
	}
	return diff, nil
}

// show returns the difference as callers see it. It has no kind when nothing is different that they can see, such as the time of an update.
func (d *difference) show(planID int32) (Difference, error) {
	shown := Difference{ID: d.id, Before: d.before, After: d.after}
	kinds := [...][3]OperationKind{
		ofNode: {NodeAdded, NodeUpdated, NodeRemoved},
		ofEdge: {EdgeAdded, EdgeUpdated, EdgeRemoved},
		ofPlan: {PlanUpdated, PlanUpdated, PlanUpdated},
	}[d.of]
	switch {
	case d.before == nil:
		shown.Kind = kinds[0]
	case d.after == nil:
		shown.Kind = kinds[2]
	default:
		var err error
		switch d.of {
		case ofNode:
			shown.Parts, err = changedParts(nodeParts, d.before, d.after)
		case ofEdge:
			shown.Parts, err = changedParts(edgeParts, d.before, d.after)
		case ofPlan:
			shown.ID = strconv.Itoa(int(planID))
			shown.Parts, err = changedParts(recordParts, d.before, d.after)
		}
		if d.returned {
			shown.Parts = append(shown.Parts, partPlace)
		}
		if err != nil || len(shown.Parts) == 0 {
			return Difference{}, err
		}
		shown.Kind = kinds[1]
	}
	named := make(map[string]bool)
	for _, t := range d.touched {
		shown.Versions = append(shown.Versions, t.version)
		if !named[t.actorName] {
			named[t.actorName] = true
			shown.ActorNames = append(shown.ActorNames, t.actorName)
		}
	}
	return shown, nil
}

// changedParts returns the names of the parts that differ between two values of an element.
func changedParts[T any](parts []part[T], before, after json.RawMessage) (names []string, err error) {
	if bytes.Equal(before, after) {
		return nil, nil
	}
	var a, b T
	if err := errors.Join(json.Unmarshal(before, &a), json.Unmarshal(after, &b)); err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	for _, p := range parts {
		if !p.same(a, b) {
			names = append(names, p.name)
		}
	}
	return names, nil
}

// Parts returns the names of the parts of an element that the operation changed; none when it added or removed it, and of
// executions.
func (op Operation) Parts() ([]string, error) {
	if op.Before == nil || op.After == nil {
		return nil, nil
	}
	switch op.element().of {
	case ofNode:
		return changedParts(nodeParts, op.Before, op.After)
	case ofEdge:
		return changedParts(edgeParts, op.Before, op.After)
	case ofExecution, ofCollaborator:
		return nil, nil
	case ofPlan:
	}
	return changedParts(recordParts, op.Before, op.After)
}
