package mcpserver

import (
	"context"
	"slices"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/task"
)

const (
	maxURIs     = 64                     // resources that one stream listens to
	updatePause = 100 * time.Millisecond // least time between two updates about one resource
	seeEvery    = 30 * time.Second       // pause between two signs to others that the listener is there
)

// listener is what a stream listens to. Watches mark what changed; the owner of the stream takes the marks when it has time. So nothing is
// queued, and a resource that changes often is told of now and then.
type listener struct {
	handler *Handler
	call    call
	news    chan struct{} // signal, capacity 1: something is marked
	ended   chan error    // capacity 1: the right to a project has ended

	markNew bool // what begins to be listened to counts as changed

	mu      sync.Mutex
	uris    map[string]topic
	watches map[topic]*watch
	marked  []string // each once

	releases map[int32]func() // of the rights that are kept, by project
}

func (h *Handler) newListener(c call) *listener {
	return &listener{
		handler: h, call: c, news: make(chan struct{}, 1), ended: make(chan error, 1), releases: map[int32]func(){},
		watches: map[topic]*watch{},
	}
}

// mayListen reports whether a client may hear of a project.
func (h *Handler) mayListen(ctx context.Context, c call, projectID int32) bool {
	if c.scope.checkProject(projectID) != nil {
		return false
	}
	access, err := h.rights.Project(ctx, c.Principal, projectID)
	return err == nil && access.May(auth.View) == nil
}

// allowed returns the projects of resources that the client may hear of, and keeps the rights to them for as long as the stream is open.
func (l *listener) allowed(ctx context.Context, uris []string) map[int32]bool {
	allowed := make(map[int32]bool)
	for _, uri := range uris {
		t, ok := listenable(uri)
		if _, known := allowed[t.project]; !ok || known || len(allowed) == maxURIs {
			continue
		}
		access, err := l.handler.rights.Project(ctx, l.call.Principal, t.project)
		allowed[t.project] = err == nil && access.May(auth.View) == nil && l.call.scope.checkProject(t.project) == nil
		if !allowed[t.project] || l.handler.keeper == nil {
			continue
		}
		release := l.handler.keeper.HoldAccess(access, func(err error) {
			select {
			case l.ended <- err:
			default: // it ends already
			}
		})
		l.mu.Lock()
		if l.releases[t.project] == nil {
			l.releases[t.project] = release
		} else {
			defer release()
		}
		l.mu.Unlock()
	}
	return allowed
}

// set makes the listener listen to these resources and no others, and returns those that it does listen to: the ones that change, in the
// scope of the client and in projects where it has a right, at most maxURIs. When it returns, whatever changes from now on is marked.
func (l *listener) set(ctx context.Context, uris []string) (granted []string) {
	allowed := l.allowed(ctx, uris)
	l.mu.Lock()
	wanted := make(map[topic]bool)
	before := l.uris
	l.uris = make(map[string]topic)
	for _, uri := range uris {
		t, ok := listenable(uri)
		if _, twice := l.uris[uri]; !ok || twice || len(l.uris) == maxURIs || !allowed[t.project] {
			continue
		}
		l.uris[uri], wanted[t] = t, true
		granted = append(granted, uri)
		if _, known := before[uri]; l.markNew && !known {
			l.add(uri)
		}
	}
	var joined, old []*watch
	for t := range wanted {
		if l.watches[t] == nil {
			l.watches[t] = l.handler.join(l, t)
			joined = append(joined, l.watches[t])
		}
	}
	for t, w := range l.watches {
		if !wanted[t] {
			old = append(old, w)
			delete(l.watches, t)
		}
	}
	l.mu.Unlock()
	for _, w := range old {
		w.leave(l)
	}
	for _, w := range joined {
		select {
		case <-w.begun:
		case <-ctx.Done():
		}
		if w.topic.of == ofProposals {
			l.mark(w.topic) // nobody says whether one was decided just before
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

// stop leaves all watches.
func (l *listener) stop() {
	l.mu.Lock()
	watches := l.watches
	l.watches = map[topic]*watch{}
	releases := l.releases
	l.releases = map[int32]func(){}
	l.mu.Unlock()
	for _, w := range watches {
		w.leave(l)
	}
	for _, release := range releases {
		release()
	}
}

// take returns the resources that are marked, and removes their marks.
func (l *listener) take() (uris []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	uris, l.marked = l.marked, nil
	slices.Sort(uris)
	return uris
}

// add marks a resource. The mutex is held.
func (l *listener) add(uri string) {
	if !slices.Contains(l.marked, uri) {
		l.marked = append(l.marked, uri)
	}
}

// mark marks the resources of a topic.
func (l *listener) mark(of topic) {
	l.mu.Lock()
	for uri, t := range l.uris {
		if t == of {
			l.add(uri)
		}
	}
	l.mu.Unlock()
	task.Wake(l.news)
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
		case err := <-l.ended:
			return err
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
