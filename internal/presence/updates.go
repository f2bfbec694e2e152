package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"
	"unicode/utf8"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/outage"
	"layercake/internal/project"
	"layercake/internal/task"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// Limits of what is known of guests between two writes.
const (
	maxNoted       = 10_000 // guests whose renewal is remembered
	maxUpdates     = 10_000 // guests with an update that is not written yet
	maxJoins       = 50     // guests of one network that join one after the other before others have their turn
	maxJoinsAtOnce = 4      // networks whose guests join at once: each holds a connection for requests
)

// The limits beside those of UpsertGuest, for the metrics.
const (
	limitMemory = "memory" // maxNoted or maxUpdates
	limitText   = "text"   // a client id or identity that cannot be stored
)

// guestUpdate is what a client did in a project that the row of its guest does not show yet. It never changes: a later one takes its place.
type guestUpdate struct {
	project int32
	client  string
	by      Maker
	who     *Identity // who joins when the guest is not there; nil: nobody does
	place   *Place    // newest place; nil when it is where it was
	absent  bool      // the table had no row when it was to be written: it is to join
}

// SeeGuest notes that a client did something in a project: its guest is there for another 90 s, and joins if it is not there. It never
// waits, and a client that is seen often is written once in RenewGuest of the timing. Somebody who only waits is seen again within that
// time. A guest whom a limit keeps out is counted, and tries again when it is seen after that time. Who it is counts when it joins;
// JoinGuest changes who somebody is.
func (t *Tracker) SeeGuest(project int32, client string, by Maker, who Identity) {
	if checkGuest(client, who) != nil {
		t.metrics.refusedGuests.WithLabelValues(limitText).Inc()
		return
	}
	t.noteGuest(guestUpdate{project: project, client: client, by: by, who: &who})
}

// RenewGuest notes that a client did something in a project: if it is a guest there, it stays. Otherwise it is like SeeGuest.
func (t *Tracker) RenewGuest(project int32, client string) {
	t.noteGuest(guestUpdate{project: project, client: client})
}

// PlaceGuest puts a guest into a place, for everybody to see. It never waits: of places that come fast, the newest is written. Its At does
// not count, because the database gives the time. A guest that is not there, and was not seen just before, goes nowhere. It fails with
// fault.BadRequest.
func (t *Tracker) PlaceGuest(project int32, client string, place Place) error {
	if err := place.checkGuest(); err != nil {
		return err
	}
	t.noteGuest(guestUpdate{project: project, client: client, place: &place})
	return nil
}

// checkGuest returns a fault for a place that lines or the table would refuse. One of them would keep those of other guests from being
// written, too.
func (p Place) checkGuest() error {
	if err := p.Check(); err != nil {
		return err
	}
	if err := checkText("Document type", p.Type, len(p.Type), MaxDocument, "bytes"); err != nil {
		return err
	}
	switch {
	case p.Type == "":
		return fault.New(fault.BadRequest, "Document type cannot be empty")
	case len(p.Position) > maxPosition:
		return fault.New(fault.BadRequest, fmt.Sprintf("Position is too long: %d bytes, at most %d", len(p.Position), maxPosition))
	case p.Position != nil && !(json.Valid(p.Position) && utf8.Valid(p.Position)):
		return fault.New(fault.BadRequest, "Position is no JSON in UTF-8")
	}
	return nil
}

// OnCanvas returns the place in the canvas of a project's plan that has these coordinates, with a node selected unless that is empty.
func OnCanvas(x, y float64, node string) Place {
	// The members are those of a browser's cursor on a canvas (package collab), which are all there even when they are null.
	position, err := json.Marshal(struct {
		Type string   `json:"type"`
		X    float64  `json:"x"`
		Y    float64  `json:"y"`
		Zoom *float64 `json:"zoom"`
	}{Type: "canvas", X: x, Y: y})
	if err != nil {
		position = nil // coordinates that are no numbers: the guest is in the document, and nowhere in it
	}
	return Place{Document: "plan-dag-canvas", Type: "canvas", Position: position, Selected: node}
}

// palette has the colours of those who do not choose one. White text can be read on each.
var palette = []string{
	"#b91c1c", "#c2410c", "#a16207", "#4d7c0f", "#15803d", "#0f766e", "#0369a1", "#1d4ed8", "#4338ca", "#6d28d9", "#a21caf", "#be185d",
}

// ColorOf returns a colour that is always the same for an id, as CSS.
func ColorOf(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // it never fails
	return palette[h.Sum32()%uint32(len(palette))]
}

// noteGuest makes the loops write what a client did. While there are too many guests to remember, some are not noted; they are remembered
// for a shorter time then, so that the next call has room.
func (t *Tracker) noteGuest(u guestUpdate) {
	connection := GuestID(u.project, u.client)
	t.mu.Lock()
	full := len(t.noted) >= maxNoted
	if age := time.Since(t.notedSince); age > t.timing.RenewGuest || full && age > t.timing.RenewMany {
		clear(t.noted)
		t.notedSince = time.Now()
	}
	named, noted := t.noted[connection]
	former := t.updates[connection]
	renewed := noted && (named || u.who == nil) && u.place == nil
	full = !noted && len(t.noted) >= maxNoted || former == nil && len(t.updates) >= maxUpdates
	if !renewed && !full {
		t.noted[connection] = named || u.who != nil
		t.updates[connection] = u.after(former)
	}
	t.mu.Unlock()
	switch {
	case renewed:
	case full:
		t.metrics.refusedGuests.WithLabelValues(limitMemory).Inc()
	default:
		task.Wake(t.guestWrites)
	}
}

// after returns the update that has the newest of a former one and u.
func (u guestUpdate) after(former *guestUpdate) *guestUpdate {
	if former == nil {
		return &u
	}
	if u.who == nil {
		u.by, u.who = former.by, former.who
	}
	if u.place == nil {
		u.place = former.place
	}
	return &u
}

// forgetNoted makes the next call of a guest count, because it left or was removed.
func (t *Tracker) forgetNoted(connection uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.noted, connection)
}

// forgetUpdate forgets what a guest did.
func (t *Tracker) forgetUpdate(connection uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.noted, connection)
	delete(t.updates, connection)
}

// takeUpdates returns up to most updates of guests that are absent, or may be there, and reports whether there are more.
func (t *Tracker) takeUpdates(absent bool, most int) (taken map[uuid.UUID]*guestUpdate, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken = make(map[uuid.UUID]*guestUpdate)
	for connection, u := range t.updates {
		if u.absent != absent {
			continue
		}
		if len(taken) == most {
			return taken, true
		}
		taken[connection] = u
	}
	return taken, false
}

// endUpdates forgets updates that were written or given up, unless a newer one has taken their place.
func (t *Tracker) endUpdates(ended map[uuid.UUID]*guestUpdate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for connection, u := range ended {
		if t.updates[connection] == u {
			delete(t.updates, connection)
		}
	}
}

// updateGuests writes what guests do who are there, each at most once in GatherMoves, until ctx ends.
func (t *Tracker) updateGuests(ctx context.Context) {
	t.repeat(ctx, t.guestWrites, t.timing.GatherMoves, "cannot write guests, trying again", func() error {
		taken, more := t.takeUpdates(false, batch)
		err := t.guard.Do(func() error { return t.writeGuests(context.WithoutCancel(ctx), taken) }) // a stop waits for the statement
		if errors.As(err, new(*task.Panic)) {
			t.endUpdates(taken) // it would panic again, and nobody else should wait for it
		}
		if more {
			task.Wake(t.guestWrites)
		}
		return err
	})
}

// joinGuests brings in guests who are not there, until ctx ends. It is apart from updateGuests, because a join waits for others of its
// maker, and those who are there should not wait with it.
func (t *Tracker) joinGuests(ctx context.Context) {
	t.repeat(ctx, t.guestJoins, t.timing.GatherWrites, "cannot let guests join, trying again", func() error {
		return t.guard.Do(func() error { return t.joinAbsent(ctx) })
	})
}

// repeat calls f after each signal until ctx ends, with a pause between calls. After an error it tries again.
func (t *Tracker) repeat(ctx context.Context, signal chan struct{}, pause time.Duration, failure string, f func() error) {
	failures := outage.New(t.cfg.Log, failure, "")
	for {
		select {
		case <-ctx.Done():
			return
		case <-signal:
		}
		err := f()
		failures.Note(ctx, err)
		wait := pause
		if err != nil {
			wait = t.timing.Retry
			task.Wake(signal)
		}
		if !task.Pause(ctx, wait) {
			return
		}
	}
}

// writeGuests writes updates of guests whose rows are there, and announces their places. The others are to join, if it is known who they
// are.
func (t *Tracker) writeGuests(ctx context.Context, taken map[uuid.UUID]*guestUpdate) error {
	if len(taken) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	update := db.UpdateGuestsParams{TtlSeconds: t.timing.Guest.Seconds()}
	for connection, u := range taken {
		place := Place{}
		if u.place != nil {
			place = *u.place
		}
		update.ConnectionIds = append(update.ConnectionIds, connection)
		update.DocumentIds = append(update.DocumentIds, place.Document)
		update.DocumentTypes = append(update.DocumentTypes, place.Type)
		update.Positions = append(update.Positions, string(place.Position))
		update.SelectedNodeIds = append(update.SelectedNodeIds, place.Selected)
	}
	var rows []db.UpdateGuestsRow
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.UpdateGuests(ctx, update)
		return err
	})
	if err != nil {
		return err
	}
	t.endWrites(taken, rows)
	for _, row := range rows {
		if place := taken[row.ConnectionID].place; place != nil {
			t.announcePlace(row, *place)
		}
	}
	return nil
}

// announcePlace tells everybody where a guest is now. A guest that entered a document is told whole, as a connection is: its line may come
// before that of another replica about its join.
func (t *Tracker) announcePlace(row db.UpdateGuestsRow, place Place) {
	place.At = row.ActiveAt
	letter := byte(letterCursor)
	if row.Entered {
		letter = letterJoin
	}
	t.announceGuest(&Entry{
		Connection: row.ConnectionID, Project: row.ProjectID,
		Identity: Identity{UserID: row.UserID, Name: row.UserName, Color: row.AvatarColor, Agent: row.IsAgent, Transport: row.Transport},
		Place:    &place, JoinedAt: row.JoinedAt, ActiveAt: row.ActiveAt, revision: row.Revision,
	}, letter)
}

// endWrites forgets the updates that rows show, and of guests that cannot join. It hands the others to joinGuests.
func (t *Tracker) endWrites(taken map[uuid.UUID]*guestUpdate, rows []db.UpdateGuestsRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := make(map[uuid.UUID]bool, len(rows))
	for _, row := range rows {
		there[row.ConnectionID] = true
	}
	absent := false
	for connection, u := range taken {
		switch newest := t.updates[connection]; {
		case newest == nil: // it left meanwhile
		case !there[connection] && newest.who != nil:
			joins := *newest
			joins.absent = true
			t.updates[connection] = &joins
			absent = true
		case newest == u:
			delete(t.updates, connection)
		}
	}
	if absent {
		task.Wake(t.guestJoins)
	}
}

// joinAbsent lets guests join who are not there: those of one network one after the other, as the database would have them wait for each
// other anyway, and no network longer than the others.
func (t *Tracker) joinAbsent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	taken, _ := t.takeUpdates(true, maxUpdates)
	networks := make(map[netip.Prefix]map[uuid.UUID]*guestUpdate)
	for connection, u := range taken {
		if networks[u.by.Network] == nil {
			networks[u.by.Network] = make(map[uuid.UUID]*guestUpdate)
		}
		networks[u.by.Network][connection] = u
	}
	var joining errgroup.Group
	joining.SetLimit(maxJoinsAtOnce)
	for _, guests := range networks {
		joining.Go(func() error {
			err := t.guard.Do(func() error { return t.joinNetwork(ctx, guests) })
			if errors.As(err, new(*task.Panic)) {
				t.endUpdates(guests) // they would panic again
			}
			return err
		})
	}
	return joining.Wait()
}

// joinNetwork lets guests of one network join, until there are too many of it: then all are given up, so that a flood of them costs one
// statement. It returns the first error, which is tried again unless it says that the project does not exist.
func (t *Tracker) joinNetwork(ctx context.Context, guests map[uuid.UUID]*guestUpdate) error {
	tried := 0
	for connection, u := range guests {
		if tried++; tried > maxJoins {
			task.Wake(t.guestJoins)
			return nil
		}
		limit, err := t.joinGuest(ctx, u.by, u.project, u.client, *u.who, u.place)
		switch {
		case errors.Is(err, project.ErrNotFound):
		case err != nil && (fault.Is(err, fault.Unavailable) || ctx.Err() != nil):
			return err
		case err != nil:
			t.endUpdates(map[uuid.UUID]*guestUpdate{connection: u})
			return fmt.Errorf("guest %s of project %d: %w", connection, u.project, err)
		case limit == limitNetwork:
			t.metrics.refusedGuests.WithLabelValues(limit).Add(float64(len(guests) - tried))
			t.endUpdates(guests)
			return nil
		}
		t.endUpdates(map[uuid.UUID]*guestUpdate{connection: u})
	}
	return nil
}
