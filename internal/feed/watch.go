package feed

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
)

// Delivery is what a watcher gets: where the watch begins, an event, or the news that it missed some.
type Delivery struct {
	At       Cursor // right after it
	Event    *Event // nil where the watch begins, and when Missed
	Missed   bool   // events up to At cannot be had: read the state again
	TooLarge bool   // Missed, but nothing except the event at At, which is larger than MaxEvent

	// Generation is that of the feed: another one for each feed of a hub, and after each of its restarts. What was made of an event in one
	// generation does not hold in the next, since the feed may have begun anew because the event was a lie.
	Generation int64
}

// Watch yields where it begins, then every event of a project after a cursor, in order, each once, until ctx ends. After the zero
// cursor it begins at the head. It ends with ErrNotFound when the project is deleted.
func (h *Hub) Watch(ctx context.Context, project int32, after Cursor) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		w := &watcher{hub: h}
		w.seen.Store(math.MaxInt64) // Lag leaves it out until it has a place
		err := h.enter(ctx, w, project)
		defer h.leave(w)
		defer w.release()
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
	generation int64        // generation of the feed when the watcher last took its place from it
	seen       atomic.Int64 // copy of at.Version that Lag reads on other goroutines
	log        []*Event     // events that were read from the log and are not yet yielded
	batch      *batch       // of these events, nil where nobody counts it
}

// begin decides where the watch starts.
func (w *watcher) begin(ctx context.Context, after Cursor) (Delivery, error) {
	w.skip()
	if after == (Cursor{}) {
		return w.delivery(), nil
	}
	if after.Epoch != w.at.Epoch {
		return w.missed(), nil
	}
	w.at = after
	hash := w.feed.hashAt(after.Version)
	if hash == "" {
		// The place is ahead of the feed, before its tail, or of another history. The log knows, because it is asked after the cursor
		// came: a place that was there when the client got its cursor is there now.
		a, err := w.read(ctx)
		if err != nil {
			return Delivery{}, err
		}
		if a.head.contradicts(after) {
			return w.missed(), nil
		}
		hash = a.base
	}
	if Differ(hash, after.Hash) {
		return w.missed(), nil // the database was restored, and others wrote that version
	}
	w.at.Hash = cmp.Or(hash, after.Hash)
	return w.delivery(), nil
}

// next waits for what follows.
func (w *watcher) next(ctx context.Context) (Delivery, error) {
	for {
		if len(w.log) > 0 {
			return w.take(w.pop()), nil
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
			if _, err := w.read(ctx); err != nil {
				return Delivery{}, err
			}
			if len(w.log) == 0 {
				return w.missed(), nil
			}
		}
	}
}

// read asks the log about the watcher's place, and for the events that follow it. It leaves none when the log does not reach back far
// enough. Watchers at one place share a read: many come to an event that the feed does not keep, or come back after an outage, at once.
// The place of the first of them was in the log before it asked, and so the answer holds for all.
func (w *watcher) read(ctx context.Context) (answer, error) {
	f, after := w.feed, w.at
	key := fmt.Sprint(f.project, " ", after, " ", w.generation) // no event is of two generations
	a, err := w.hub.reads.Do(ctx, key, w.hub.cfg.Timing.Turn, func(ctx context.Context) (answer, error) {
		return w.hub.catchUp(ctx, f, after.Version)
	})
	if a.head.Epoch == after.Epoch && !Differ(a.base, after.Hash) && len(a.events) > 0 && a.events[0].At.Version == after.Version+1 {
		w.hold(a)
	}
	return a, err
}

// hold keeps what was read from the log until the watcher takes it.
func (w *watcher) hold(a answer) {
	w.release()
	w.log, w.batch = a.events, a.batch
	if w.batch != nil && w.batch.holders.Add(1) == 1 {
		w.hub.held.Add(w.batch.bytes)
	}
}

// pop takes the next of the events that were read from the log.
func (w *watcher) pop() *Event {
	e := w.log[0]
	if w.log = w.log[1:]; len(w.log) == 0 {
		w.release()
	}
	return e
}

// release gives up the events that the watcher has not taken.
func (w *watcher) release() {
	if w.batch != nil && w.batch.holders.Add(-1) == 0 {
		w.hub.held.Add(-w.batch.bytes)
	}
	w.log, w.batch = nil, nil
}

func (w *watcher) take(e *Event) Delivery {
	w.at = e.At
	d := w.delivery()
	if e.Body == nil {
		d.Missed, d.TooLarge = true, true
	} else {
		d.Event = e
	}
	return d
}

// delivery returns what a watcher gets at its place, without an event.
func (w *watcher) delivery() Delivery { return Delivery{At: w.at, Generation: w.generation} }

func (w *watcher) missed() Delivery {
	w.hub.metrics.missed.Inc()
	w.skip()
	d := w.delivery()
	d.Missed = true
	return d
}

// skip goes on from where the feed is now.
func (w *watcher) skip() {
	now, _ := w.feed.now()
	w.at, w.generation = now.at, now.generation
	w.release()
}
