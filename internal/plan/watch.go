package plan

import (
	"context"
	"iter"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/feed"
)

// Update is what a watcher sees next. Watchers of one replica may hold the same one: it is never changed.
type Update struct {
	ProjectID int32
	Version   int64
	Cursor    string // resumes right after this update
	Event     *Event // nil where the watch begins, and when Missed
	Missed    bool   // events up to Version cannot be had: read the plan again
	TooLarge  bool   // Missed, but only the event of this Version: who has read the plan since then lacks nothing

	at     feed.Cursor
	before feed.Cursor // of the event before Event
	hashes bool        // labels have hashes
	source *feed.Event // nil when Event is
}

// Shared returns what build made the first time it was called for this event with this key, on this replica. It is how
// transports compute what every subscriber of an event gets only once. Without an event it calls build each time.
func (u *Update) Shared(key string, build func() any) any {
	if u.source == nil {
		return build()
	}
	return u.source.Shared(key, build)
}

// Watch yields where it begins, then every change of a plan after a cursor, in order, each once, until ctx ends. Without a cursor
// it begins at the current version. It ends with the fault NotFound when the project does not exist or is deleted, and with
// Unavailable when the log cannot be read; then a new watch after the last cursor goes on without a gap.
func (s *Service) Watch(ctx context.Context, _ auth.Actor, projectID int32, after string) iter.Seq2[*Update, error] {
	return func(yield func(*Update, error) bool) {
		var cursor *feed.Cursor
		if after != "" {
			c, err := feed.ParseCursor(after)
			if err != nil {
				yield(nil, fault.New(fault.BadRequest, "Cursor is not valid").With("detail", err.Error()))
				return
			}
			cursor = &c
		}
		for step, err := range s.hub.Watch(ctx, projectID, cursor) {
			if err != nil {
				yield(nil, err)
				return
			}
			update, err := s.updateOf(projectID, step)
			if !yield(update, err) || err != nil {
				return
			}
		}
	}
}

// decoded is an event's update, or why it cannot be read.
type decoded struct {
	update *Update
	err    error
}

// updateOf decodes an event once for all its watchers.
func (s *Service) updateOf(projectID int32, step feed.Step) (*Update, error) {
	if step.Event == nil {
		return s.newUpdate(projectID, step), nil
	}
	d := step.Event.Shared("update", func() any {
		u := s.newUpdate(projectID, step)
		u.before = feed.Cursor{Epoch: u.at.Epoch, Version: u.at.Version - 1, Hash: step.Event.Before}
		event, err := decodeEvent(step.Event.Body)
		u.Event, u.source = event, step.Event
		return decoded{u, err}
	}).(decoded)
	return d.update, d.err
}

func (s *Service) newUpdate(projectID int32, step feed.Step) *Update {
	return &Update{
		ProjectID: projectID, Version: step.Cursor.Version, Cursor: step.Cursor.String(), Missed: step.Missed, TooLarge: step.TooLarge,
		at: step.Cursor, hashes: s.hashesLabels(),
	}
}
