package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// OnConflict says what becomes of parts that somebody touched since.
type OnConflict string

// What can become of them, spelled as on the wire.
const (
	Fail      OnConflict = "FAIL"      // nothing is written
	Skip      OnConflict = "SKIP"      // they stay, the rest is taken back
	Overwrite OnConflict = "OVERWRITE" // they are taken back, too
)

// UndoInput is what a caller asks to take back.
type UndoInput struct {
	Version    int64 // 0 for the caller's own newest of which something is left
	OnConflict OnConflict
	DryRun     bool // only say what would be
	Note       string
	OpID       string
	Expected   *int64
	ClientID   string
	Via        string
}

// UndoResult is what became of it.
type UndoResult struct {
	At        Cursor         // place right after it; in a dry run, and when nothing was left to do, the newest
	Change    *PastChange    // nil when nothing was left to do; in a dry run, what would be
	Conflicts []UndoConflict // parts that were skipped or overwritten
	Notes     []string       // what could not come back
}

const (
	maxPassed  = 20   // changes with nothing left to take back that are passed over
	maxChoices = 3    // times that the newest change is chosen, when others undo it meanwhile
	nearby     = 50   // newest events among which the caller's own are looked for first
	farthest   = 1000 // newest events among which they are looked for at all
)

// Undo takes one change back by a new one. Faults: NotFound for the project, for a version that is not in the log (with "oldest"), and
// when nothing stands that could be taken back; Conflict with "conflicts", with "undoneBy", or with the "rule" that the plan would break;
// BadRequest for what the server did; those of Change.
func (s *Service) Undo(ctx context.Context, access auth.Access, in UndoInput) (UndoResult, error) {
	if err := access.May(auth.Edit); err != nil {
		return UndoResult{}, err
	}
	return s.takeBack(ctx, access, in, false)
}

// Redo takes an undo back. Without a version it is the caller's own newest, if they changed nothing since. The faults are those of Undo,
// and BadRequest for a version that is not an undo.
func (s *Service) Redo(ctx context.Context, access auth.Access, in UndoInput) (UndoResult, error) {
	if err := access.May(auth.Edit); err != nil {
		return UndoResult{}, err
	}
	return s.takeBack(ctx, access, in, true)
}

func (s *Service) takeBack(ctx context.Context, access auth.Access, in UndoInput, redo bool) (UndoResult, error) {
	if err := in.check(); err != nil {
		return UndoResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.Answer)
	defer cancel()
	in.OpID = cmp.Or(in.OpID, uuid.NewString())
	var passed []int64
	var nothing UndoResult // what was left of the last one that was passed over
	for choice := 1; ; choice++ {
		result, left, err := s.tryTakeBack(ctx, access, in, redo, passed)
		switch {
		case in.Version == 0 && errors.Is(err, errUndoneAlready) && choice < maxChoices:
		case left != 0 && len(passed) < maxPassed:
			passed, nothing = append(passed, left), result
		case len(passed) > 0 && fault.Is(err, fault.NotFound):
			return nothing, nil // nobody could take back more
		default:
			return result, err
		}
	}
}

// tryTakeBack takes one change back: when the caller named none, their own newest but for those that are passed over. Left is the version
// of one of which nothing was left to take back, because others did so part by part. An older one is meant then, or a caller who takes back
// one change after the other would get no further.
func (s *Service) tryTakeBack(
	ctx context.Context, access auth.Access, in UndoInput, redo bool, passed []int64,
) (result UndoResult, left int64, err error) {
	edit := &takeBack{Version: in.Version, OnConflict: cmp.Or(in.OnConflict, Fail), Redo: redo}
	if in.Version == 0 {
		edit.ClientID = in.ClientID
		if actor := access.Actor(); actor.Kind == auth.KindAgent {
			edit.ClientID = actor.ID
		}
	}
	event, release, err := s.choose(ctx, access, in, redo, passed)
	defer release()
	if err == nil && event != nil {
		err = edit.prepare(event)
	}
	if err != nil {
		return UndoResult{}, 0, err
	}
	done, err := s.carryOut(ctx, access, in, edit)
	if in.Version == 0 && err == nil && done.Event == nil && edit.applied && len(edit.conflicts)+len(edit.notes) == 0 {
		left = event.Version
	}
	result, err = s.answer(ctx, access.Project(), in, edit, done, err)
	return result, left, err
}

// A change of 64 MB takes many times its size while it is taken back: its event, its elements, and the event that does so. So a replica
// takes back only so much at once. Small ones wait for nobody.
const (
	smallEvent = 256 << 10 // bytes of an event
	maxLarge   = 16 << 20  // bytes of larger events at once; one that is larger still is alone
)

// takeRoom waits until so many bytes of an event can be taken back beside others.
func (s *Service) takeRoom(ctx context.Context, bytes int64) (release func(), err error) {
	bytes = min(bytes, maxLarge)
	if bytes <= smallEvent {
		return func() {}, nil
	}
	if err := s.large.Acquire(ctx, bytes); err != nil {
		return func() {}, postgres.Classify(ctx, fmt.Errorf("wait for room to take back a large change: %w", err))
	}
	return func() { s.large.Release(bytes) }, nil
}

func (in UndoInput) check() error {
	if in.Version < 0 {
		return errNegative
	}
	if !slices.Contains([]OnConflict{"", Fail, Skip, Overwrite}, in.OnConflict) {
		return fault.New(fault.BadRequest, "Unknown way to treat conflicts").With("detail", string(in.OnConflict))
	}
	return in.change(nil).check()
}

func (in UndoInput) change(edit Edit) Change {
	return Change{OpID: in.OpID, Expected: in.Expected, ClientID: in.ClientID, Via: in.Via, Note: in.Note, Edits: []Edit{edit}}
}

// carryOut makes the change, or only finds out what it would be.
func (s *Service) carryOut(ctx context.Context, access auth.Access, in UndoInput, edit Edit) (Result, error) {
	if in.DryRun {
		return s.Try(ctx, access, in.change(edit))
	}
	return s.Change(ctx, access, in.change(edit))
}

// answer is what the caller is told. Who is in the way is looked up here, after the transaction.
func (s *Service) answer(ctx context.Context, projectID int32, in UndoInput, edit *takeBack, done Result, err error) (UndoResult, error) {
	if err != nil && !errors.Is(err, errInConflict) {
		return UndoResult{}, err
	}
	if err == nil && done.Event != nil && !edit.applied {
		// The answer came from the log. What is not kept there any more is not told again.
		_ = s.recall(ctx, projectID, edit, done.Event)
	}
	if len(edit.conflicts) > 0 {
		// What was done, or refused, stands also when nobody can look now. Then the lists of versions are empty.
		_ = s.attribute(ctx, projectID, edit.event.Version+1, edit.at, edit.conflicts)
	}
	if err == nil {
		return resultOf(done, edit.conflicts, edit.notes), nil
	}
	list, leftOut := listed(edit.conflicts)
	f := fault.From(err).With("conflicts", list)
	if leftOut > 0 {
		f = f.With("conflictsLeftOut", leftOut)
	}
	return UndoResult{}, f
}

// resultOf returns what the caller is told of a change.
func resultOf(done Result, conflicts []conflict, notes []string) UndoResult {
	list, leftOut := listed(conflicts)
	result := UndoResult{At: done.At, Conflicts: list, Notes: append([]string{}, notes...)}
	if n := len(notes) - maxConflicts; n > 0 {
		result.Notes = append(result.Notes[:maxConflicts], fmt.Sprintf("%d more elements stay as they are", n))
	}
	if leftOut > 0 {
		result.Notes = append(result.Notes, fmt.Sprintf("%d more conflicts are not listed", leftOut))
	}
	if done.Event != nil {
		result.Change = &PastChange{Event: done.Event, At: done.At}
	}
	return result
}

// recall finds out again what was in conflict when an event that is in the log took another one back: the same edit finds the same in the
// same plan.
func (s *Service) recall(ctx context.Context, projectID int32, edit *takeBack, done *Event) error {
	var row db.GetEventToUndoRow
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetEventToUndo(ctx, db.GetEventToUndoParams{Version: done.Undoes, ProjectID: projectID, Most: maxLarge})
		return err
	})
	if err != nil || row.Body == nil {
		return err
	}
	undone, err := decodeEvent(row.Body)
	if err != nil {
		return err
	}
	before, err := s.past(ctx, projectID, done.Version-1)
	if err != nil {
		return err
	}
	again := &takeBack{OnConflict: edit.OnConflict}
	if err := again.prepare(undone); err != nil {
		return err
	}
	err = again.apply(before.draft())
	edit.event, edit.verdict = again.event, again.verdict
	return err
}

// choose returns the event that is to be taken back: that of the version that the caller named, or their own newest. It returns nil when
// the operation is in the log already: then the log answers, whatever would be chosen now. The caller calls release when the event is not
// needed any more.
//
// The operation is looked up last, so that a choice that its own first attempt has changed is not mistaken for the answer.
func (s *Service) choose(
	ctx context.Context, access auth.Access, in UndoInput, redo bool, passed []int64,
) (event *Event, release func(), err error) {
	release = func() {}
	projectID := access.Project()
	r := request{Change: in.change(nil), access: access, actor: access.Actor(), project: access.Project()}
	version := in.Version
	if version == 0 {
		newest, repeated, err := s.newest(ctx, r, redo, passed)
		if repeated || err != nil {
			return nil, release, err
		}
		version = newest
	}
	var row db.GetEventToUndoRow
	look := func(most int64) (repeated bool, err error) {
		repeated, err = s.look(ctx, r, func(b *pgx.Batch) {
			b.Queue(db.GetEventToUndo, most, version, projectID).QueryRow(func(found pgx.Row) error {
				return found.Scan(&row.Head, &row.LogFloor, &row.Size, &row.Body, &row.Undone)
			})
		})
		if err == nil && !repeated {
			err = checkVersion(version, row.Head, row.LogFloor)
		}
		return repeated, err
	}
	repeated, err := look(smallEvent)
	if err == nil && !repeated && row.Size > smallEvent {
		if release, err = s.takeRoom(ctx, row.Size); err == nil {
			repeated, err = look(row.Size)
		}
	}
	if repeated || err != nil {
		return nil, release, err
	}
	event, err = decodeEvent(row.Body)
	switch {
	case err != nil:
		return nil, release, err
	case event.ActorKind == string(auth.KindSystem):
		return nil, release, fault.New(fault.BadRequest, "What the server did cannot be undone")
	case len(event.Operations) > 0 && !event.Edits():
		return nil, release, fault.New(fault.BadRequest, "The change edited nothing, so it cannot be undone").With("detail", version)
	case redo && row.Undone%2 == 0:
		return nil, release, fault.New(fault.BadRequest, "The version is not an undo")
	}
	return event, release, nil
}

// newest returns the version of the caller's own newest change that can be taken back, but for those that are passed over.
func (s *Service) newest(ctx context.Context, r request, redo bool, passed []int64) (version int64, repeated bool, err error) {
	own := "" // text in the bodies of the caller's own events, among those of the same op_actor
	switch {
	case r.actor.Kind == auth.KindAgent:
		own = `"actorId":` + string(encode(r.actor.ID))
	case r.ClientID != "":
		own = `"clientId":` + string(encode(r.ClientID))
	case r.actor.OpActor() == "":
		return 0, false, fault.New(fault.BadRequest, "A client id is needed to know which changes are yours")
	}
	for _, most := range []int32{nearby, farthest} {
		var head int64
		var rows []db.ListUndoableRow
		repeated, err = s.look(ctx, r, func(b *pgx.Batch) {
			b.Queue(db.GetHead, r.project).QueryRow(func(row pgx.Row) error { return row.Scan(&head, nil, nil) })
			add := func(found pgx.Rows) error {
				return each(found, func(row db.ListUndoableRow) { rows = append(rows, row) })
			}
			b.Queue(db.ListUndoable, r.actor.OpActor(), own, r.project, most).Query(add)
			if redo {
				b.Queue(db.ListUndoneOlder, r.project, most).Query(add)
			}
		})
		if repeated || err != nil {
			return 0, repeated, err
		}
		version, nothing := chooseNewest(rows, redo, passed)
		if version != 0 {
			return version, false, nil
		}
		if nothing || head <= int64(most) {
			break
		}
	}
	if redo {
		return 0, false, fault.New(fault.NotFound, "There is nothing to redo")
	}
	return 0, false, fault.New(fault.NotFound, "There is nothing to undo")
}

// chooseNewest chooses among events, the newest first. It returns 0 when none is right, and nothing when no older one can be, either. To
// undo is to take back the newest that stands and takes nothing back. To redo is to take back the newest undo that stands, unless what the
// caller did since stands; redos, and undos that were redone, are passed over.
func chooseNewest(rows []db.ListUndoableRow, redo bool, passed []int64) (version int64, nothing bool) {
	undoes, undoneBy := make(map[int64]int64, len(rows)), make(map[int64]int64)
	for _, row := range slices.Backward(rows) {
		undoes[row.Version], undoneBy[row.Undoes] = row.Undoes, row.Version // of many that undid an event the newest
	}
	stands := func(version int64) bool {
		through := 0
		for version = undoneBy[version]; version != 0; version = undoneBy[version] {
			through++
		}
		return through%2 == 0
	}
	isUndo := func(version int64) bool {
		through := 0
		for version = undoes[version]; version != 0; version = undoes[version] {
			through++
		}
		return through%2 == 1
	}
	for _, row := range rows {
		switch {
		case !row.Own, slices.Contains(passed, row.Version):
		case row.Undoes == 0 && stands(row.Version):
			if redo {
				return 0, true
			}
			return row.Version, false
		case redo && isUndo(row.Version) && stands(row.Version):
			return row.Version, false
		}
	}
	return 0, false
}

// look asks the database outside of any lock, and last of all whether the log has the operation already. It returns the fault NotFound when
// a head is asked for that is not there.
func (s *Service) look(ctx context.Context, r request, queue func(*pgx.Batch)) (repeated bool, err error) {
	var earlier *db.GetOperationRow
	b := &pgx.Batch{}
	queue(b)
	queueOperation(b, r, &earlier)
	err = s.db.Requests.Do(ctx, func(conn *pgx.Conn) error { return conn.SendBatch(ctx, b).Close() })
	if errors.Is(err, pgx.ErrNoRows) {
		return false, project.ErrNotFound
	}
	if err != nil {
		return false, fmt.Errorf("look for what to take back: %w", err)
	}
	return earlier != nil, nil
}

// attribute finds out who touched since what is in conflict. It reads the events of some versions one by one: a log can be large.
func (s *Service) attribute(ctx context.Context, projectID int32, first, last int64, conflicts []conflict) error {
	a := attributionOf(conflicts)
	texts := []string{""} // which every body has
	if len(a.about) <= maxNamed {
		texts = nil
		for el := range a.about {
			text := `"id":` + string(encode(el.id))
			if el.of == ofPlan {
				text = string(PlanUpdated)
			}
			texts = append(texts, text)
		}
	}
	done, err := s.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return s.db.Requests.Do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, db.ListEventsAbout, projectID, first, last, texts)
		if err != nil {
			return err
		}
		var body json.RawMessage
		_, err = pgx.ForEachRow(rows, []any{&body}, func() error {
			event, err := decodeEvent(body)
			if err != nil {
				return err
			}
			return a.add(event)
		})
		return err
	})
}
