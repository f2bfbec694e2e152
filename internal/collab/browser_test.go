package collab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
)

// patience is for anything that a test waits for.
const patience = time.Minute

// frame is a message of the server.
type frame struct {
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
	Message string          `json:"message"`
}

// user is a person as a browser knows them.
type user struct {
	UserID       string `json:"userId"`
	UserName     string `json:"userName"`
	AvatarColor  string `json:"avatarColor"`
	IsOnline     bool   `json:"isOnline"`
	LastActive   time.Time
	Documents    map[string]userDocument `json:"documents"`
	ConnectionID string                  `json:"connectionId"`
	IsAgent      *bool                   `json:"isAgent"`
}

type userDocument struct {
	DocumentType   string
	Position       *struct{ X, Y float64 }
	SelectedNodeID *string
}

type activity struct {
	DocumentID  string
	ActiveUsers []struct {
		UserID, UserName string
		Position         *struct{ X, Y float64 }
		SelectedNodeID   *string
	}
}

// browser is a client that keeps what the existing client keeps.
type browser struct {
	t    testing.TB
	conn *websocket.Conn
	done chan struct{}

	mu      sync.Mutex
	frames  []frame
	users   map[string]user // online ones
	last    activity
	changed chan struct{} // closed and replaced with each frame
	err     error         // of reading; read it after done
}

func socketURL(base string, project int) string {
	return fmt.Sprintf("ws%s/ws/collaboration?project_id=%d", strings.TrimPrefix(base, "http"), project)
}

// open connects a browser to a replica until the test ends.
func open(t testing.TB, base string, project int) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, socketURL(base, project), nil) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	b := &browser{t: t, conn: conn, done: make(chan struct{}), users: map[string]user{}, changed: make(chan struct{})}
	go b.read()
	t.Cleanup(func() {
		_ = conn.CloseNow()
		<-b.done
	})
	return b
}

func (b *browser) read() {
	defer close(b.done)
	for {
		_, text, err := b.conn.Read(context.Background())
		if err != nil {
			b.err = err
			b.note(func() {})
			return
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			b.t.Errorf("%q: %v", text, err)
		}
		b.note(func() { b.take(f) })
	}
}

// take does what the existing client does with a frame.
func (b *browser) take(f frame) {
	b.frames = append(b.frames, f)
	var err error
	switch f.Type {
	case "bulk_presence":
		var users []user
		err = json.Unmarshal(f.Data, &users)
		clear(b.users)
		for _, u := range users {
			b.users[u.UserID] = u
		}
		if len(b.users) != len(users) {
			b.t.Errorf("a user id comes twice: %s", f.Data)
		}
	case "user_presence":
		var u user
		err = json.Unmarshal(f.Data, &u)
		if b.users[u.UserID] = u; !u.IsOnline {
			delete(b.users, u.UserID)
		}
	case "document_activity":
		b.last = activity{}
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
	b.within(patience, what, holds)
}

func (b *browser) within(most time.Duration, what string, holds func() bool) {
	b.t.Helper()
	deadline := time.After(most)
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
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
	data := map[string]string{"userId": id, "userName": name, "avatarColor": "#3b82f6"}
	if document != "" {
		data["documentId"] = document
	}
	text, err := json.Marshal(map[string]any{"type": "join_session", "data": data})
	if err != nil {
		b.t.Fatal(err)
	}
	b.send(string(text))
	b.wait("the roster with "+id, func() bool { return b.users[id].IsOnline })
}

func cursor(document string, x, y float64) string {
	return fmt.Sprintf(`{"type":"cursor_update","data":{"documentId":%q,"documentType":"canvas",`+
		`"position":{"type":"canvas","x":%v,"y":%v},"timestamp":1790000000000}}`, document, x, y)
}

// sees waits until b knows the user to be at x in the document.
func (b *browser) sees(id, document string, x float64) {
	b.t.Helper()
	b.wait(fmt.Sprintf("%s at %v of %s", id, x, document), func() bool {
		d, in := b.users[id].Documents[document]
		return in && d.Position != nil && d.Position.X == x
	})
}

// count returns how many frames of a type came, among which keep says yes.
func (b *browser) count(kind string, keep func(frame) bool) (n int) {
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
	return b.count("user_presence", func(f frame) bool { return bytes.Contains(f.Data, []byte(`"isOnline":false`)) })
}

// closeStatus waits for the end of the socket and returns how the server ended it.
func (b *browser) closeStatus() (websocket.StatusCode, string) {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(patience):
		b.t.Fatal("the socket is still open")
	}
	var ce websocket.CloseError
	_ = asClose(b.err, &ce)
	return ce.Code, ce.Reason
}

// client has no connections that outlive a test.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// newProject makes a project through a replica.
func newProject(t testing.TB, base string) int {
	t.Helper()
	body := `{"query":"mutation { createProject(input: {name: \"p\"}) { id } }"}`
	response, err := client.Post(base+"/graphql", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Data struct{ CreateProject struct{ ID int } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Data.CreateProject.ID == 0 {
		t.Fatalf("no project: %v", err)
	}
	return answer.Data.CreateProject.ID
}

// rows counts with a query, until the count is as wanted.
func rows(t testing.TB, database string, want int, sql string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	got := -1
	for began := time.Now(); time.Since(began) < patience; <-tick.C {
		if got = countRows(t, database, sql); got == want {
			return
		}
	}
	t.Fatalf("%s: %d, want %d", sql, got, want)
}

func countRows(t testing.TB, database, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
