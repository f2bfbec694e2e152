package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"layercake/internal/task"
)

const (
	maxCalls   = 32               // requests that are being answered at once; the server answers no more of one agent
	notifyTime = 10 * time.Second // limit for the server to take a notification
	lastCalls  = 10 * time.Second // limit for answers after the end of the input
	lastWrites = 2 * time.Second  // limit for the client to take what is being written when the bridge ends
)

// Options are what a bridge is told.
type Options struct {
	URL   string // of the server, as Address returns it
	Agent string // name that others see; empty for what the client calls itself
	Token string // of the account that it acts for; empty where nobody signs in
	Notes io.Writer
	// Patience is how long requests wait for a server that does not take them. 0 stands for 10 s.
	Patience time.Duration
}

// bridge carries messages until its input ends.
type bridge struct {
	server
	out     *output
	running sync.WaitGroup
	adopted chan *session
	opening chan struct{} // full while a session is being opened

	mu      sync.Mutex
	session *session // nil before the client has initialized
	hello   message  // the client's initialize
	ready   message  // the client's notifications/initialized
	calls   map[string]*call

	subscribed map[string]json.RawMessage // parameters of resources/subscribe, by URI, that a session was told and a new one has to be
}

// call is a request that is being answered.
type call struct {
	method  string
	version string          // that the request names; empty before 2026-07-28
	sent    <-chan struct{} // closed when the request has left, or never will
	hangUp  context.CancelFunc
}

// Run carries messages between a client and a server until the input or ctx ends, both of which are a normal end. After the input, answers
// that are due have 10 s. It does not wait for a read of the input that has not come back. The error says why the client takes no more.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b := &bridge{
		server: newServer(o), out: &output{w: out, failed: stop}, adopted: make(chan *session), opening: make(chan struct{}, 1),
		calls: map[string]*call{},
	}
	defer b.http.CloseIdleConnections()
	listening := task.Go(ctx, b.listen)
	lines, read := make(chan input), make(chan struct{})
	go func() { // nothing wakes a read of standard input, so nobody waits for it
		defer close(read)
		readLines(ctx, in, lines)
	}()
	taking := task.Go(ctx, func(ctx context.Context) error {
		b.takeAll(ctx, lines)
		return nil
	})
	select {
	case <-read:
	case <-ctx.Done():
	}
	err := b.finish(ctx, stop, taking, listening)
	b.end(context.WithoutCancel(ctx), b.current())
	return err
}

var (
	errEnded    = errors.New("the input has ended")
	errNotTaken = errors.New("the client does not take what is written to it")
)

// finish waits for answers that are due, and then for everything that runs.
func (b *bridge) finish(ctx context.Context, stop context.CancelCauseFunc, taking, listening *task.Task) error {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_ = taking.Wait()
		b.hangUpListeners()
		b.running.Wait()
		stop(errEnded)
		_ = listening.Stop()
	}()
	patience := time.AfterFunc(lastCalls, func() { stop(errEnded) })
	defer patience.Stop()
	<-ctx.Done()
	select {
	case <-answered:
	case <-time.After(lastWrites):
		return errNotTaken
	}
	if why := context.Cause(ctx); errors.Is(why, errNotTaken) {
		return why
	}
	return nil
}

// hangUpListeners ends the requests whose answers come when the client wants no more.
func (b *bridge) hangUpListeners() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if c.method == listen {
			c.hangUp()
		}
	}
}

// takeAll handles the lines of the client, one after the other.
func (b *bridge) takeAll(ctx context.Context, lines <-chan input) {
	for {
		select {
		case <-ctx.Done():
			return
		case line, ok := <-lines:
			if !ok {
				return
			}
			b.take(ctx, line)
		}
	}
}

// take handles a line of the client.
func (b *bridge) take(ctx context.Context, line input) {
	text := bytes.TrimSpace(line.text)
	switch {
	case line.err != nil:
		b.fail(nil, invalidRequest, fmt.Sprintf("The line is too long: a message has at most %d bytes", maxLine))
		return
	case len(text) == 0:
		return
	case text[0] == '[':
		b.takeBatch(ctx, text)
		return
	}
	m, err := peek(text)
	switch {
	case errors.Is(err, errNoJSON):
		b.fail(nil, parseError, err.Error())
	case err != nil:
		b.fail(m.id, invalidRequest, err.Error())
	case m.method == initialize && m.request():
		b.initialize(ctx, m)
	case m.request():
		b.start(ctx, m)
	case m.method == cancelled:
		b.cancel(ctx, m)
	default:
		b.notify(ctx, m)
	}
}

// takeBatch takes the messages of a batch one by one. Clients of 2025-03-26 may send batches, and take answers that come one by one.
func (b *bridge) takeBatch(ctx context.Context, text []byte) {
	var batch []json.RawMessage
	if err := json.Unmarshal(text, &batch); err != nil {
		b.fail(nil, parseError, errNoJSON.Error())
		return
	}
	if len(batch) == 0 {
		b.fail(nil, invalidRequest, "The batch is empty")
	}
	for _, one := range batch {
		if one[0] == '[' {
			b.fail(nil, invalidRequest, errNoMessage.Error())
			continue
		}
		b.take(ctx, input{text: one})
	}
}

// write writes a message of the server to the client.
func (b *bridge) write(text []byte) error { return b.out.write(text) }

// fail answers a request with an error.
func (b *bridge) fail(id json.RawMessage, code int, text string) {
	_ = b.out.write(failure(id, code, text)) // it is JSON
}

// start has a request answered beside others.
func (b *bridge) start(ctx context.Context, m message) {
	ctx, hangUp := context.WithCancel(ctx)
	sent, markSent := signal()
	key := keyOf(m.id)
	b.mu.Lock()
	_, twice := b.calls[key]
	full := len(b.calls) >= maxCalls
	c := &call{method: m.method, version: m.version, sent: sent, hangUp: hangUp}
	if !twice && !full {
		b.calls[key] = c
	}
	b.mu.Unlock()
	switch {
	case twice:
		hangUp()
		b.fail(m.id, invalidRequest, fmt.Sprintf("The id %.100s belongs to a request that is not answered yet", m.id))
		return
	case full:
		hangUp()
		b.fail(m.id, serverError, fmt.Sprintf("%d requests are being answered already: ask again after one of them was", maxCalls))
		return
	}
	// Once the client has the answer it may ask for more, with the same id, too, so the call ends before.
	end := func() {
		markSent()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.calls[key] == c {
			delete(b.calls, key)
		}
	}
	b.running.Go(func() {
		defer hangUp()
		err := b.ask(ctx, m, markSent, end)
		end()
		if err != nil && ctx.Err() == nil { // who hung up expects no answer
			b.fail(m.id, serverError, err.Error())
		}
	})
}

// ask sends a request and writes all that the server says about it. It calls end before it writes the answer.
func (b *bridge) ask(ctx context.Context, m message, sent, end func()) error {
	response, err := b.deliver(ctx, m, sent)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return b.relay(ctx, response, m, func(text []byte, answer bool) error {
		if answer {
			b.subscribes(m, text)
			end()
		}
		return b.write(text)
	})
}

// deliver sends a message in the client's session, or in a new one when the server has forgotten that.
func (b *bridge) deliver(ctx context.Context, m message, sent func()) (*http.Response, error) {
	s := b.current()
	response, err := b.send(ctx, m, s, sent)
	if err != nil || response.StatusCode != http.StatusNotFound || s.idFor(m) == "" {
		return response, err
	}
	response.Body.Close()
	if m.method == "" {
		return nil, errors.New("the session of the question has ended")
	}
	if s, err = b.renew(ctx, s); err != nil {
		return nil, err
	}
	return b.send(ctx, m, s, sent)
}

// cancel hangs up, so that the client gets no answer. That tells the server of a request of 2026-07-28; of an older one it is told before.
func (b *bridge) cancel(ctx context.Context, m message) {
	key := keyOf(m.cancels)
	b.mu.Lock()
	c := b.calls[key]
	delete(b.calls, key)
	b.mu.Unlock()
	if c == nil {
		return // it is answered already, or cancelled
	}
	select {
	case <-c.sent:
		if c.version < modernVersion {
			b.notify(ctx, m)
		}
	default: // the server knows nothing of it
	}
	c.hangUp()
}

// notify sends a notification, or the answer to a question of the server, and returns when the server has taken it: what the client says
// later must not overtake it.
func (b *bridge) notify(ctx context.Context, m message) {
	ctx, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	switch m.method {
	case "", cancelled: // it is about one request, which has left
	case initialized:
		b.mu.Lock()
		b.ready = m
		b.mu.Unlock()
	default:
		b.awaitSent(ctx)
	}
	response, err := b.deliver(ctx, m, func() {})
	if err == nil {
		err = accepted(response)
	}
	if err != nil && context.Cause(ctx) != errEnded { //nolint:errorlint // the very one
		b.note("the server did not take a message (%q): %v", m.method, err)
	}
}

// awaitSent waits until the requests before have left, so that a notification does not overtake them.
func (b *bridge) awaitSent(ctx context.Context) {
	b.mu.Lock()
	var before []<-chan struct{}
	for _, c := range b.calls {
		before = append(before, c.sent)
	}
	b.mu.Unlock()
	for _, sent := range before {
		select {
		case <-sent:
		case <-ctx.Done():
			return
		}
	}
}

// signal returns a channel, and a function that closes it, once.
func signal() (<-chan struct{}, func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}
