package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// Delivery is what a watcher gets: where the watch begins, an event, or the news that it missed some.
type Delivery struct {
	At       Cursor // right after it
	Event    *Event // nil where the watch begins, and when Missed
	Missed   bool   // events up to At cannot be had: read the state again
	TooLarge bool   // Missed, but nothing except the event at At, which is larger than MaxEvent
}

// Watch yields where it begins, then every event of a project after a cursor, in order, each once, until ctx ends. After the zero
// cursor it begins at the head. It ends with ErrNotFound when the project is deleted.
func (h *Hub) Watch(ctx context.Context, project int32, after Cursor) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		w := &watcher{hub: h}
		w.seen.Store(math.MaxInt64) // it lacks nothing before it begins
		err := h.enter(ctx, w, project)
		defer h.leave(w)
		var d Delivery
		if err == nil {
			d, err = w.begin(ctx, after)
		}
		for err == nil {
			w.seen.Store(w.at.Version)
			if !yield(d, nil) {
				return
			}
			d, err = w.next(ctx)
		}
		if ctx.Err() == nil {
			yield(Delivery{}, err)
		}
	}
}

// watcher is a cursor into a feed.
type watcher struct {
	hub        *Hub
	feed       *feed
	at         Cursor
	generation int          // of the feed
	seen       atomic.Int64 // at.Version, for others
	log        []*Event     // read from the log, not yet yielded
}

// begin decides where the watch starts.
func (w *watcher) begin(ctx context.Context, after Cursor) (Delivery, error) {
	now := w.skip()
	if after == (Cursor{}) {
		return Delivery{At: w.at}, nil
	}
	if after.Epoch != w.at.Epoch {
		return w.missed(), nil
	}
	if after.Version > w.at.Version {
		// Ahead of this replica, or of history? Only a look at the head that began after the question came can tell.
		head, err := w.hub.readHead(ctx, w.feed.project)
		if err != nil {
			return Delivery{}, err
		}
		if w.feed.compare(now, head) {
			signal(w.hub.gaps)
		}
		if head.Epoch != after.Epoch || head.Version < after.Version {
			return w.missed(), nil
		}
	}
	hash, err := w.hashAt(ctx, after.Version)
	if err != nil {
		return Delivery{}, err
	}
	if Differ(hash, after.Hash) {
		return w.missed(), nil // the database was restored, and others wrote that version
	}
	w.at.Version, w.at.Hash = after.Version, cmp.Or(hash, after.Hash)
	return Delivery{At: w.at}, nil
}

// hashAt returns the hash of the event that led to a version, empty when nobody knows it.
func (w *watcher) hashAt(ctx context.Context, version int64) (string, error) {
	if hash := w.feed.hashAt(version); hash != "" {
		return hash, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	var hash string
	err := w.hub.system.Query(ctx, func(q *db.Queries) (err error) {
		hash, err = q.GetEventHash(ctx, db.GetEventHashParams{ProjectID: w.feed.project, Version: version})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read the hash of an event: %w", err)
	}
	return hash, nil
}

// next waits for what follows.
func (w *watcher) next(ctx context.Context) (Delivery, error) {
	for {
		if len(w.log) > 0 {
			e := w.log[0]
			w.log = w.log[1:]
			return w.take(e), nil
		}
		found := w.feed.next(w.at, w.generation)
		switch {
		case found.err != nil:
			return Delivery{}, found.err
		case found.missed:
			return w.missed(), nil
		case found.event != nil:
			return w.take(found.event), nil
		case found.changed != nil:
			select {
			case <-ctx.Done():
				return Delivery{}, ctx.Err()
			case <-found.changed:
			}
		default:
			if err := w.read(ctx); err != nil {
				return Delivery{}, err
			}
			if len(w.log) == 0 {
				return w.missed(), nil
			}
		}
	}
}

// read fetches the part of the log that follows. It leaves nothing when the log does not reach back far enough. Watchers at one place
// share a read: many come to an event that the feed does not keep, or come back after an outage, at once.
func (w *watcher) read(ctx context.Context) error {
	project, after := w.feed.project, w.at
	read := w.hub.reads.DoChan(fmt.Sprint(project, " ", after), func() (any, error) {
		w.hub.metrics.logReads.Inc()
		// A read that others wait for must not end because the first of them goes away. It has a limit of its own.
		answers, err := w.hub.readLog(context.WithoutCancel(ctx), []int32{project}, []int64{after.Version}, limits{
			events: readEvents, bytes: readBytes, body: MaxEvent,
		})
		if err != nil {
			return nil, fmt.Errorf("catch up from the log: %w", err)
		}
		a, ok := answers[project]
		if !ok {
			return nil, ErrNotFound
		}
		return a, nil
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-read:
		if r.Err != nil {
			return r.Err
		}
		a := r.Val.(answer)
		if a.head.Epoch == after.Epoch && !Differ(a.base, after.Hash) && len(a.events) > 0 && a.events[0].At.Version == after.Version+1 {
			w.log = a.events
		}
		return nil
	}
}

func (w *watcher) take(e *Event) Delivery {
	w.at = e.At
	if e.Body == nil {
		return Delivery{At: w.at, Missed: true, TooLarge: true}
	}
	return Delivery{At: w.at, Event: e}
}

func (w *watcher) missed() Delivery {
	w.hub.metrics.missed.Inc()
	w.skip()
	return Delivery{At: w.at, Missed: true}
}

// skip goes on from where the feed is now.
func (w *watcher) skip() state {
	now, _ := w.feed.now()
	w.at, w.generation, w.log = now.at, now.generation, nil
	return now
}
