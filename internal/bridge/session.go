package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"time"

	"layercake/internal/task"
)

const (
	openTime = 30 * time.Second // limit for a server to begin a session
	endTime  = 2 * time.Second  // limit for it to end one

	shortestBreak = 200 * time.Millisecond // between two streams of a session
	longestBreak  = 10 * time.Second
)

// session is what a client's initialize began.
type session struct {
	id      string          // empty where the server keeps nothing of the client
	version string          // of the protocol, that both agreed on
	hears   <-chan struct{} // closed when messages of the server arrive from now on, or there is no stream for them
	heard   func()          // closes hears
}

// idFor returns the session that a message belongs to, or "". Messages of 2026-07-28 belong to none, nor does what comes before initialize.
func (s *session) idFor(m message) string {
	if s == nil || m.version >= modernVersion {
		return ""
	}
	return s.id
}

func (b *bridge) current() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}

// initialize begins a session for the client. It returns when the client has its answer, so that nothing overtakes it. The answer waits
// until messages of the server arrive, so that the client misses none.
func (b *bridge) initialize(ctx context.Context, m message) {
	running := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, openTime, fmt.Errorf("%s did not answer within %s; ask again later", b.shown, openTime))
	defer cancel()
	old := b.current()
	s, answer, err := b.open(ctx, m)
	if err != nil {
		if running.Err() == nil {
			b.fail(m.id, serverError, err.Error())
		}
		return
	}
	if s != nil {
		b.mu.Lock()
		b.subscribed = nil // the client begins anew
		b.mu.Unlock()
		b.adopt(ctx, s, m)
		b.end(ctx, old)
		select {
		case <-s.hears:
		case <-ctx.Done():
		}
	}
	if err := b.write(answer); err != nil {
		b.fail(m.id, serverError, b.broken(m, err).Error())
	}
}

// open sends an initialize and returns the session with the answer. The session is nil when the server refused.
func (b *bridge) open(ctx context.Context, hello message) (s *session, answer []byte, err error) {
	response, err := b.send(ctx, hello, nil, func() {})
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	err = b.relay(ctx, response, hello, func(text []byte, isAnswer bool) error {
		if isAnswer {
			answer = text
			return nil
		}
		return b.write(text)
	})
	var agreed struct {
		Result *struct{ ProtocolVersion string }
	}
	if err != nil || json.Unmarshal(answer, &agreed) != nil || agreed.Result == nil {
		return nil, answer, err
	}
	s = &session{id: response.Header.Get(sessionHeader), version: agreed.Result.ProtocolVersion}
	s.hears, s.heard = signal()
	return s, answer, nil
}

// adopt makes a session the client's, and listens to it instead of the one before.
func (b *bridge) adopt(ctx context.Context, s *session, hello message) {
	b.mu.Lock()
	b.session, b.hello = s, hello
	b.mu.Unlock()
	select {
	case b.adopted <- s:
	case <-ctx.Done():
	}
}

// renew begins a session like the one that the server has forgotten, unless somebody did already, and returns it. The client does not
// notice.
func (b *bridge) renew(ctx context.Context, forgotten *session) (*session, error) {
	select {
	case b.opening <- struct{}{}:
		defer func() { <-b.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	b.mu.Lock()
	s, hello, ready := b.session, b.hello, b.ready
	b.mu.Unlock()
	if s != forgotten {
		return s, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, openTime, fmt.Errorf("%s did not answer within %s; ask again later", b.shown, openTime))
	defer cancel()
	s, answer, err := b.open(ctx, hello)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, fmt.Errorf("%s has forgotten the session and begins no other: %.200s", b.shown, answer)
	case s.version != forgotten.version:
		return nil, fmt.Errorf("%s has forgotten the session, and now speaks version %q of the protocol: start the client again",
			b.shown, s.version)
	}
	if ready.text != nil {
		response, err := b.send(ctx, ready, s, func() {})
		if err == nil {
			err = accepted(response)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := b.resubscribe(ctx, s); err != nil {
		return nil, err
	}
	b.note("%s has forgotten the session; another one goes on", b.shown)
	b.adopt(ctx, s, hello)
	return s, nil
}

// maxSubscribed is how many subscriptions are told to a new session at most. Servers allow fewer.
const maxSubscribed = 1000

// subscribes notes what a client is subscribed to, by a request and the answer to it.
func (b *bridge) subscribes(m message, answer []byte) {
	if m.version >= modernVersion || membersOf(answer)["error"] != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case m.method == unsubscribe:
		delete(b.subscribed, m.name)
	case m.method == subscribe && len(b.subscribed) < maxSubscribed:
		if b.subscribed == nil {
			b.subscribed = map[string]json.RawMessage{}
		}
		b.subscribed[m.name] = membersOf(m.text)["params"]
	}
}

// resubscribe tells a new session what the client was subscribed to. What the server refuses by now is left out: it is gone.
func (b *bridge) resubscribe(ctx context.Context, s *session) error {
	b.mu.Lock()
	subscribed := maps.Clone(b.subscribed)
	b.mu.Unlock()
	for uri, params := range subscribed {
		// One after the other, so one id does.
		m := message{id: json.RawMessage(`"layercake-again"`), method: subscribe, name: uri}
		m.text, _ = json.Marshal(map[string]any{"jsonrpc": "2.0", "id": m.id, "method": m.method, "params": params}) // they are JSON
		response, err := b.send(ctx, m, s, func() {})
		if err != nil {
			return err
		}
		err = b.relay(ctx, response, m, func(text []byte, answer bool) error {
			if !answer {
				return b.write(text)
			}
			if why := membersOf(text)["error"]; why != nil {
				b.note("the subscription of %.200s has ended: %.200s", uri, why)
			}
			return nil
		})
		response.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// end ends a session, so that the server need not keep it until it expires. A server that does not answer, or cannot end it, is left alone.
func (b *bridge) end(ctx context.Context, s *session) {
	if s == nil || s.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	if response, err := b.inSession(ctx, http.MethodDelete, s); err == nil {
		response.Body.Close()
	}
}

// inSession sends a request about a session.
func (b *bridge) inSession(ctx context.Context, method string, s *session) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, b.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if method == http.MethodGet {
		r.Header.Set("Accept", "text/event-stream")
	}
	b.describe(r, "", s)
	r.Header.Set(sessionHeader, s.id)
	return b.do(r)
}

// listen writes what the server says in the client's session, whichever that is.
func (b *bridge) listen(ctx context.Context) error {
	var following *task.Task
	defer func() { _ = following.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-b.adopted:
			_ = following.Stop()
			following = task.Go(ctx, func(ctx context.Context) error {
				defer s.heard()
				b.follow(ctx, s)
				return nil
			})
		}
	}
}

// follow writes what the server says in one session, until there is nothing to hear. It comes back when the stream breaks.
func (b *bridge) follow(ctx context.Context, s *session) {
	if s.id == "" {
		return
	}
	opened := false
	for pause := shortestBreak; ; pause = min(2*pause, longestBreak) {
		response, err := b.inSession(ctx, http.MethodGet, s)
		if err == nil {
			media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
			status := response.StatusCode
			if status == http.StatusOK && media == "text/event-stream" {
				opened = true
				s.heard()
				if b.copyEvents(response) {
					pause = shortestBreak
				}
			}
			response.Body.Close()
			switch {
			case status == http.StatusNotFound && opened && ctx.Err() == nil:
				// Only a session that was there can be forgotten. Other servers say 404 where there is no stream.
				if _, err := b.renew(ctx, s); err == nil || ctx.Err() != nil {
					return // another goroutine follows the new one
				}
			case status < 300 && media != "text/event-stream", status >= 300 && status < 500 && status != http.StatusTooManyRequests:
				return // the server has no stream
			}
		}
		s.heard() // as long as there is no stream, nobody waits for it
		if !task.Pause(ctx, pause) {
			return
		}
	}
}

// copyEvents writes the messages of a stream, and reports whether there were any.
func (b *bridge) copyEvents(response *http.Response) (some bool) {
	for text, err := range events(response.Body) {
		if err != nil {
			return some
		}
		if err := b.write(text); err != nil {
			b.note("the server sent an event that is no JSON: %.100q", text)
		}
		some = true
	}
	return some
}
