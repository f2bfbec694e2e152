package mcpserver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/task"
)

// watchRetry is the pause after a watch that failed.
const watchRetry = time.Second

// watches are the topics that listeners of this replica listen to. Each is watched once, however many listen, because many agents listen to
// one plan, and a goroutine for each takes more memory than all else of a listener but its connection.
type watches struct {
	mu sync.Mutex
	of map[topic]*watch
}

// watch is what the listeners of a topic share.
type watch struct {
	handler *Handler
	topic   topic
	begun   chan struct{} // closed when nothing more can be missed
	begin   func()        // closes begun
	failed  bool          // whether it had to begin anew; it belongs to run
	task    *task.Task

	listeners map[*listener]struct{} // guarded by watches.mu
}

// join makes a listener share the watch of a topic. The caller waits until it has begun, and calls leave.
func (h *Handler) join(l *listener, t topic) *watch {
	h.watches.mu.Lock()
	defer h.watches.mu.Unlock()
	w := h.watches.of[t]
	if w == nil {
		w = &watch{handler: h, topic: t, begun: make(chan struct{}), listeners: map[*listener]struct{}{}}
		w.begin = sync.OnceFunc(func() { close(w.begun) })
		w.task = task.Go(context.Background(), w.run) // it outlives the request of the listener that came first
		h.watches.of[t] = w
	}
	w.listeners[l] = struct{}{}
	return w
}

// leave ends what join began. The last listener ends the watch, and waits for its end.
func (w *watch) leave(l *listener) {
	all := &w.handler.watches
	all.mu.Lock()
	delete(w.listeners, l)
	last := len(w.listeners) == 0
	if last && all.of[w.topic] == w {
		delete(all.of, w.topic)
	}
	all.mu.Unlock()
	if last {
		_ = w.task.Stop() // watches end without an error
	}
}

// mark marks the topic for all who listen. The mutex is not held meanwhile, because listeners join with theirs held.
func (w *watch) mark() {
	w.handler.watches.mu.Lock()
	listeners := slices.Collect(maps.Keys(w.listeners))
	w.handler.watches.mu.Unlock()
	for _, l := range listeners {
		l.mark(w.topic)
	}
}

// run marks the topic whenever it changes, until ctx ends or the project is gone. A watch that fails begins anew; what happened meanwhile
// is not known, so that marks, too.
func (w *watch) run(ctx context.Context) error {
	for {
		err := w.handler.guard.Do(func() error { return w.once(ctx) })
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was stopped
		}
		gone := fault.Is(err, fault.NotFound)
		if gone {
			w.forget()
		}
		w.begin()
		w.mark()
		if gone {
			return nil
		}
		w.failed = true
		task.Pause(ctx, watchRetry)
	}
}

// forget makes the next listener of the topic begin another watch.
func (w *watch) forget() {
	all := &w.handler.watches
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.of[w.topic] == w {
		delete(all.of, w.topic)
	}
}

// started notes that nothing more can be missed. What happened since the watch failed was.
func (w *watch) started() {
	if w.failed {
		w.mark()
	}
	w.begin()
}

func (w *watch) once(ctx context.Context) error {
	switch w.topic.of {
	case ofPresence:
		return w.presence(ctx)
	case ofProposals:
		return w.proposals(ctx)
	default:
		return w.plan(ctx)
	}
}

// access is that of the server itself: the watch is shared, and says only that something changed. Who may listen is decided for each
// listener.
func (w *watch) access() auth.Access {
	return auth.Unchecked(auth.Actor{ID: caller.MCP, Kind: auth.KindSystem}, w.topic.project)
}

func (w *watch) plan(ctx context.Context) error {
	for u, err := range w.handler.plans.Watch(ctx, w.access(), plan.Cursor{}) {
		if err != nil {
			return err
		}
		w.started()
		if u.Event != nil || u.Missed {
			w.mark()
		}
	}
	return ctx.Err()
}

func (w *watch) proposals(ctx context.Context) error {
	w.started()
	for _, err := range w.handler.proposals.Watch(ctx, w.access()) {
		if err != nil {
			return err
		}
		w.mark()
	}
	return ctx.Err()
}

var errRoomEnded = fault.New(fault.NotFound, "Project not found")

func (w *watch) presence(ctx context.Context) error {
	room, err := w.handler.presence.Enter(ctx, w.access())
	if err != nil {
		return err
	}
	defer room.Exit()
	changed := make(chan struct{}, 1)
	stop := room.Watch(func() { task.Wake(changed) })
	defer stop()
	w.started()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
		if room.Ended() {
			return errRoomEnded
		}
		w.mark()
	}
}
