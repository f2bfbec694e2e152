package collab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/coder/websocket"
)

// browser is a client that keeps what the existing client keeps.
type browser struct {
	t      testing.TB
	socket *client.Socket
	done   chan struct{}

	mu      sync.Mutex
	frames  []client.Frame
	users   map[string]client.Person // online ones
	last    client.Activity
	changed chan struct{} // closed and replaced with each frame
	err     error         // of reading; read it after done
}

// dial opens a collaboration socket until the test ends.
func dial(t testing.TB, base string, project int) *client.Socket {
	t.Helper()
	socket, err := client.Dialer{Timeout: pgtest.Patience}.Collaboration(t.Context(), base, project)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(socket.CloseNow)
	return socket
}

// open connects a browser to a replica until the test ends.
func open(t testing.TB, base string, project int) *browser {
	t.Helper()
	b := &browser{
		t: t, socket: dial(t, base, project), done: make(chan struct{}), users: map[string]client.Person{}, changed: make(chan struct{}),
	}
	go b.read()
	t.Cleanup(func() {
		b.socket.CloseNow()
		<-b.done
	})
	return b
}

func (b *browser) read() {
	defer close(b.done)
	for {
		text, err := b.socket.Receive(context.Background())
		if err != nil {
			b.err = err
			b.note(func() {})
			return
		}
		var f client.Frame
		if err := json.Unmarshal(text, &f); err != nil {
			b.t.Errorf("%q: %v", text, err)
		}
		b.note(func() { b.take(f) })
	}
}

// take does what the existing client does with a frame.
func (b *browser) take(f client.Frame) {
	b.frames = append(b.frames, f)
	var err error
	switch f.Type {
	case "bulk_presence":
		var users []client.Person
		err = json.Unmarshal(f.Data, &users)
		clear(b.users)
		for _, u := range users {
			b.users[u.UserID] = u
		}
		if len(b.users) != len(users) {
			b.t.Errorf("a user id comes twice: %s", f.Data)
		}
	case "user_presence":
		var u client.Person
		err = json.Unmarshal(f.Data, &u)
		if b.users[u.UserID] = u; !u.IsOnline {
			delete(b.users, u.UserID)
		}
	case "document_activity":
		b.last = client.Activity{}
		err = json.Unmarshal(f.Data, &b.last)
	}
	if err != nil {
		b.t.Errorf("%s: %v", f.Data, err)
	}
}

func (b *browser) note(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// wait returns when what holds, which is asked after each frame, under b's mutex.
func (b *browser) wait(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.After(pgtest.Patience)
	for {
		b.mu.Lock()
		ok, changed := holds(), b.changed
		b.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("waited in vain for %s; %d frames, users %v", what, len(b.frames), b.users)
		}
	}
}

func (b *browser) send(text string) {
	b.t.Helper()
	if err := b.socket.Send(context.Background(), []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

// ask sends a message and returns the next error or pong.
func (b *browser) ask(text string) (answer string) {
	b.t.Helper()
	b.mu.Lock()
	seen := len(b.frames)
	b.mu.Unlock()
	b.send(text)
	b.wait("an answer to "+text[:min(len(text), 100)], func() bool {
		for _, f := range b.frames[seen:] {
			if f.Type == "error" || f.Type == "pong" {
				answer = f.Type + ": " + f.Message
				return true
			}
		}
		return false
	})
	return answer
}

func (b *browser) join(id, name, document string) {
	b.t.Helper()
	b.send(string(client.Join{UserID: id, UserName: name, AvatarColor: "#3b82f6", DocumentID: document}.Frame()))
	b.wait("the roster with "+id, func() bool { return b.users[id].IsOnline })
}

func cursor(document string, x, y float64) string { return string(client.MoveFrame(document, x, y)) }

// sees waits until b knows the user to be at x in the document.
func (b *browser) sees(id, document string, x float64) {
	b.t.Helper()
	b.wait(fmt.Sprintf("%s at %v of %s", id, x, document), func() bool {
		d, in := b.users[id].Documents[document]
		return in && d.Position != nil && d.Position.X == x
	})
}

// count returns how many frames of a type came, among which keep says yes.
func (b *browser) count(kind string, keep func(client.Frame) bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.frames {
		if f.Type == kind && (keep == nil || keep(f)) {
			n++
		}
	}
	return n
}

// wentOffline says how often somebody was reported as gone.
func (b *browser) wentOffline() int {
	return b.count("user_presence", func(f client.Frame) bool { return bytes.Contains(f.Data, []byte(`"isOnline":false`)) })
}

// closeStatus waits for the end of the socket and returns how the server ended it.
func (b *browser) closeStatus() (websocket.StatusCode, string) {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(pgtest.Patience):
		b.t.Fatal("the socket is still open")
	}
	var closed *client.Closed
	if !errors.As(b.err, &closed) {
		return 0, ""
	}
	return closed.Code, closed.Reason
}

// newProject makes a project through a replica.
func newProject(t testing.TB, base string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	c := client.New(base)
	defer c.Close()
	id, err := c.CreateProject(ctx, "p")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// rows counts with a query, until the count is as wanted.
func rows(t testing.TB, database string, want int, sql string) {
	t.Helper()
	pgtest.AwaitCount(t, pgtest.Connect(t, database), want, sql)
}

func countRows(t testing.TB, database, sql string) int {
	t.Helper()
	return pgtest.Count(t, pgtest.Connect(t, database), sql)
}
