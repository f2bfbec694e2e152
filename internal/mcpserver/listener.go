package mcpserver

import (
	"context"
	"slices"
	"sync"
	"time"

	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/task"
)

const (
	maxURIs     = 64                     // resources that one stream listens to
	updatePause = 100 * time.Millisecond // least time between two updates about one resource
	watchRetry  = time.Second            // pause after a watch that failed
	seeEvery    = 30 * time.Second       // pause between two signs to others that the listener is there
)

// listener is what a stream listens to. Watches mark what changed; the owner of the stream takes the marks when it has time. So nothing is
// queued, and a resource that changes often is told of now and then.
type listener struct {
	handler *Handler
	call    call
	news    chan struct{} // signal, capacity 1: something is marked

	markNew bool // what begins to be listened to counts as changed

	mu      sync.Mutex
	uris    map[string]topic
	watches map[topic]*task.Task
	marked  map[string]bool
}

func (h *Handler) newListener(c call) *listener {
	return &listener{
		handler: h, call: c, news: make(chan struct{}, 1), uris: map[string]topic{}, watches: map[topic]*task.Task{}, marked: map[string]bool{},
	}
}

// set makes the listener listen to these resources and no others, and returns those that it does listen to: the ones that change, in the
// scope of the client, at most maxURIs. When it returns, whatever changes from now on is marked.
func (l *listener) set(ctx context.Context, uris []string) (granted []string) {
	l.mu.Lock()
	wanted := make(map[topic]bool)
	before := l.uris
	l.uris = make(map[string]topic)
	for _, uri := range uris {
		t, ok := listenable(uri)
		if _, twice := l.uris[uri]; !ok || twice || len(l.uris) == maxURIs || l.call.scope.checkProject(t.project) != nil {
			continue
		}
		l.uris[uri], wanted[t] = t, true
		granted = append(granted, uri)
		if _, known := before[uri]; l.markNew && !known {
			l.marked[uri] = true
		}
	}
	var begun []<-chan struct{}
	for t := range wanted {
		if l.watches[t] == nil {
			ready := make(chan struct{})
			begun = append(begun, ready)
			begin := sync.OnceFunc(func() { close(ready) })
			l.watches[t] = task.Go(ctx, func(ctx context.Context) error { return l.watch(ctx, t, begin) })
		}
	}
	var old []*task.Task
	for t, w := range l.watches {
		if !wanted[t] {
			old = append(old, w)
			delete(l.watches, t)
		}
	}
	l.mu.Unlock()
	for _, w := range old {
		_ = w.Stop() // watches end without an error
	}
	for _, ready := range begun {
		select {
		case <-ready:
		case <-ctx.Done():
		}
	}
	task.Wake(l.news)
	return granted
}

// projects returns the projects that are listened to.
func (l *listener) projects() []int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []int32
	for _, t := range l.uris {
		if !slices.Contains(ids, t.project) {
			ids = append(ids, t.project)
		}
	}
	return ids
}

// stop ends all watches.
func (l *listener) stop() {
	l.mu.Lock()
	watches := l.watches
	l.watches = map[topic]*task.Task{}
	l.mu.Unlock()
	for _, w := range watches {
		_ = w.Stop() // watches end without an error
	}
}

// take returns the resources that are marked, and removes their marks.
func (l *listener) take() (uris []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uri := range l.marked {
		uris = append(uris, uri)
	}
	clear(l.marked)
	slices.Sort(uris)
	return uris
}

// mark marks the resources of a topic.
func (l *listener) mark(of topic) {
	l.mu.Lock()
	for uri, t := range l.uris {
		if t == of {
			l.marked[uri] = true
		}
	}
	l.mu.Unlock()
	task.Wake(l.news)
}

// watch marks a topic whenever it changes, until ctx ends or the project is gone. It calls begun when nothing more can be missed. A watch
// that fails begins anew; what happened meanwhile is not known, so that marks, too.
func (l *listener) watch(ctx context.Context, t topic, begun func()) error {
	defer begun()
	for {
		err := l.handler.guard.Do(func() error { return l.watchOnce(ctx, t, begun) })
		if ctx.Err() != nil {
			return nil
		}
		begun()
		l.mark(t)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		task.Pause(ctx, watchRetry)
	}
}

func (l *listener) watchOnce(ctx context.Context, t topic, begun func()) error {
	if t.of == ofPresence {
		return l.watchPresence(ctx, t, begun)
	}
	if t.of == ofProposals {
		return l.watchProposals(ctx, t, begun)
	}
	for u, err := range l.handler.plans.Watch(ctx, l.call.actor, t.project, plan.Cursor{}) {
		if err != nil {
			return err
		}
		begun()
		if u.Event != nil || u.Missed {
			l.mark(t)
		}
	}
	return ctx.Err()
}

// watchProposals marks once when it begins, since nobody says whether one was decided just before.
func (l *listener) watchProposals(ctx context.Context, t topic, begun func()) error {
	begun()
	l.mark(t)
	for _, err := range l.handler.proposals.Watch(ctx, l.call.actor, t.project) {
		if err != nil {
			return err
		}
		l.mark(t)
	}
	return ctx.Err()
}

var errRoomEnded = fault.New(fault.NotFound, "Project not found")

func (l *listener) watchPresence(ctx context.Context, t topic, begun func()) error {
	room, err := l.handler.presence.Enter(ctx, t.project)
	if err != nil {
		return err
	}
	defer room.Exit()
	changed := make(chan struct{}, 1)
	stop := room.Watch(func() { task.Wake(changed) })
	defer stop()
	begun()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
		if room.Ended() {
			return errRoomEnded
		}
		l.mark(t)
	}
}

// run writes updates to a stream until its client goes or it is closed. Update writes one. Between updates is a pause, in which messages
// that come in are taken all the same.
func (l *listener) run(e *eventSocket, from inbox, update func(uri string) error) error {
	e.seen(l)
	life := time.NewTicker(seeEvery)
	defer life.Stop()
	var pause <-chan time.Time // nil but for the pause
	news := l.news             // nil during the pause
	for {
		select {
		case <-e.ctx.Done():
			return context.Cause(e.ctx)
		case <-e.ending:
			return nil
		case <-life.C:
			e.seen(l)
			continue
		case <-from.wake:
			if err := from.take(); err != nil {
				return err
			}
			e.seen(l)
		case <-pause:
			news, pause = l.news, nil
		case <-news:
			for _, uri := range l.take() {
				if err := update(uri); err != nil {
					return err
				}
			}
			news, pause = nil, time.After(updatePause)
		}
	}
}
