package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// within is a context for what must not take for ever.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// connect returns a client of what is not a replica but answers as it is told.
func connect(t *testing.T, answers http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(answers)
	t.Cleanup(server.Close)
	c := client.New(server.URL)
	t.Cleanup(c.Close)
	return c
}

// socket serves sockets, each until speak returns, and returns the address.
func socket(t *testing.T, speak func(ctx context.Context, conn *websocket.Conn) error) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{client.Subprotocol}})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.CloseNow() }()
		if err := speak(r.Context(), conn); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// says reads as many frames as it is given, and answers each with the frame at its place.
func says(ctx context.Context, conn *websocket.Conn, frames ...string) error {
	for _, frame := range frames {
		if _, _, err := conn.Read(ctx); err != nil {
			return err
		}
		if err := conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
			return err
		}
	}
	return nil
}

const ack = `{"type":"connection_ack"}`

func TestRefusalsOfAReplica(t *testing.T) {
	t.Parallel()
	c := client.New(servertest.Start(t, 1, nil)[0].URL)
	defer c.Close()
	ctx := within(t)
	project, err := c.CreateProject(ctx, "p")
	if err != nil || project == 0 {
		t.Fatalf("project %d, %v", project, err)
	}
	plan := client.Request{Query: `query($p: Int!) { getPlanDag(projectId: $p) { version } }`, Variables: map[string]any{"p": project}}
	var data struct{ GetPlanDag struct{ Version string } }
	if err := c.Do(ctx, plan, &data); err != nil || data.GetPlanDag.Version != "0" {
		t.Errorf("version %q, %v", data.GetPlanDag.Version, err)
	}
	if err := c.DeleteProject(ctx, project); err != nil {
		t.Fatal(err)
	}
	var refusal *client.Refusal
	if err := c.Do(ctx, plan, &data); !errors.As(err, &refusal) || refusal.Code() != "NOT_FOUND" || refusal.Temporary() ||
		refusal.RetryAfter() != 0 || err.Error() != "NOT_FOUND: "+refusal.Message {
		t.Errorf("of a deleted project: %v", err)
	}
	answer, err := c.Ask(ctx, plan)
	if err != nil || answer.Status != http.StatusOK || len(answer.Errors) != 1 || !strings.Contains(string(answer.Text), `"NOT_FOUND"`) {
		t.Errorf("the whole answer: %+v, %v", answer, err)
	}
}

func TestRefusalSaysWhenToComeAgain(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"errors":[{"message":"Busy","extensions":{"code":"UNAVAILABLE","retryAfterMs":250}}]}`)
	})
	var refusal *client.Refusal
	err := c.Do(within(t), client.Request{Query: "{ __typename }"}, nil)
	if !errors.As(err, &refusal) || !refusal.Temporary() || refusal.RetryAfter() != 250*time.Millisecond {
		t.Errorf("error = %v", err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"the page of a balancer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>nobody is here</html>\n")
		}, "answered 502 Bad Gateway: <html>nobody is here</html>"},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, "answered 200 OK: "},
		"half of it": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"data":{`)
		}, "unexpected end of JSON input"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			for mb := []byte(strings.Repeat(" ", 1<<20)); ; {
				if _, err := w.Write(mb); err != nil {
					return
				}
			}
		}, "answered more than 64 MB"},
		"a lost connection": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := connect(t, c.answer).Do(within(t), client.Request{Query: "{ __typename }"}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(*client.Refusal)) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
}

func TestSocketsThatAreNotOpened(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ctx := within(t)
	var unopened *client.Unopened
	_, err := client.Dialer{Timeout: pgtest.Patience}.Collaboration(ctx, url, 4711)
	if !errors.As(err, &unopened) || unopened.Status != http.StatusNotFound || !strings.Contains(err.Error(), unopened.Text) || unopened.Text == "" {
		t.Errorf("the socket of no project: %v, want 404 in words", err)
	}
	_, err = client.Dialer{Header: http.Header{"Origin": {"https://evil.example"}}}.GraphQL(ctx, url)
	if !errors.As(err, &unopened) || unopened.Status != http.StatusForbidden {
		t.Errorf("from elsewhere: %v, want 403", err)
	}
	if _, err := (client.Dialer{}).GraphQL(ctx, "http://127.0.0.1:1"); err == nil || errors.As(err, &unopened) {
		t.Errorf("where nobody is: %v", err)
	}
	// Whoever takes connections and says nothing is given up.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	_, err = client.Dialer{Timeout: 10 * time.Millisecond}.GraphQL(ctx, "http://"+mute.Addr().String())
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("of whom nothing comes: %v, want that the time is over", err)
	}
}

func TestCloseSaysWhyAndWhenToComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code   websocket.StatusCode
		reason string
		want   time.Duration
	}{
		"a restart": {websocket.StatusServiceRestart, `{"retryAfterMs":700}`, 700 * time.Millisecond},
		"words":     {4000, "Disconnected by an operator", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := socket(t, func(_ context.Context, conn *websocket.Conn) error { return conn.Close(c.code, c.reason) })
			for read, next := range map[string]func(*client.Socket) error{
				"receive": func(s *client.Socket) error { _, err := s.Receive(within(t)); return err },
				"discard": func(s *client.Socket) error { _, err := s.Discard(within(t)); return err },
			} {
				s, err := client.Dialer{}.Collaboration(within(t), url, 1)
				if err != nil {
					t.Fatal(err)
				}
				defer s.CloseNow()
				err = next(s)
				var closed *client.Closed
				if !errors.As(err, &closed) || closed.Code != c.code || closed.Reason != c.reason || closed.RetryAfter != c.want {
					t.Errorf("%s: error = %v", read, err)
				}
			}
		})
	}
}

func TestSubscriptionsThatEnd(t *testing.T) {
	t.Parallel()
	var refusal *client.Refusal
	var closed *client.Closed
	tests := map[string]struct {
		speak func(context.Context, *websocket.Conn) error
		want  func(error) bool
		data  string // of the results that came before
	}{
		"completed": {func(ctx context.Context, conn *websocket.Conn) error {
			if err := says(ctx, conn, ack, `{"id":"1","type":"next","payload":{"data":{"a":1}}}`); err != nil {
				return err
			}
			return conn.Write(ctx, websocket.MessageText, []byte(`{"id":"1","type":"complete"}`))
		}, func(err error) bool { return errors.Is(err, client.ErrEnded) }, `{"a":1}`},
		"refused": {func(ctx context.Context, conn *websocket.Conn) error {
			return says(ctx, conn, ack, `{"id":"1","type":"error","payload":[{"message":"Gone","extensions":{"code":"NOT_FOUND"}}]}`)
		}, func(err error) bool { return errors.As(err, &refusal) && refusal.Code() == "NOT_FOUND" }, ""},
		"a result that is refused": {func(ctx context.Context, conn *websocket.Conn) error {
			return says(ctx, conn, ack, `{"id":"1","type":"next","payload":{"data":null,"errors":[{"message":"Busy","extensions":{"code":"UNAVAILABLE"}}]}}`)
		}, func(err error) bool { return errors.As(err, &refusal) && refusal.Temporary() }, ""},
		"closed": {func(ctx context.Context, conn *websocket.Conn) error {
			if err := says(ctx, conn, `{"type":"ping"}`, ack, `{"id":"1","type":"next","payload":{"data":2}}`); err != nil {
				return err
			}
			return conn.Close(websocket.StatusServiceRestart, `{"retryAfterMs":5}`)
		}, func(err error) bool { return errors.As(err, &closed) && closed.RetryAfter == 5*time.Millisecond }, `2`},
		"lost": {func(ctx context.Context, conn *websocket.Conn) error {
			return says(ctx, conn, ack, `{"id":"1","type":"next","payload":{"data":3}}`)
		}, func(err error) bool {
			return errors.Is(err, io.EOF) && !errors.As(err, new(*client.Closed)) && !errors.As(err, new(*client.Refusal))
		}, `3`},
		"no message": {func(ctx context.Context, conn *websocket.Conn) error {
			return says(ctx, conn, ack, `nonsense`)
		}, func(err error) bool { return errors.As(err, new(*json.SyntaxError)) }, ""},
		"too large": {func(ctx context.Context, conn *websocket.Conn) error {
			if err := says(ctx, conn, ack); err != nil {
				return err
			}
			// It is cut off in the middle. What the client asked for is read first: closing a connection with unread bytes resets it,
			// and the client may then see that instead.
			_ = says(ctx, conn, strings.Repeat(" ", 64<<20+1))
			return nil
		}, func(err error) bool { return errors.Is(err, websocket.ErrMessageTooBig) }, ""},
	}
	for name, tt := range tests { // in turn: they share refusal and closed
		t.Run(name, func(t *testing.T) {
			s, err := client.Dialer{Timeout: pgtest.Patience}.GraphQL(t.Context(), socket(t, tt.speak))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			err = s.Follow(within(t), client.Request{Query: "subscription { a }"}, func(data json.RawMessage) error {
				got.Write(data)
				return nil
			})
			if !tt.want(err) || got.String() != tt.data {
				t.Errorf("error = %v after %s", err, &got)
			}
		})
	}
}

// Both sockets of a replica understand what is sent, and what they send is understood.
func TestSocketsOfAReplica(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ctx := within(t)
	c := client.New(url)
	defer c.Close()
	project, err := c.CreateProject(ctx, "p")
	if err != nil {
		t.Fatal(err)
	}
	g, err := client.Dialer{}.GraphQL(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer g.CloseNow()
	if err := g.Subscribe(ctx, "q", client.Request{Query: "{ __typename }"}); err != nil {
		t.Fatal(err)
	}
	if m, err := g.Next(ctx); err != nil || m.ID != "q" || m.Type != "next" || string(m.Payload) != `{"data":{"__typename":"Query"}}` {
		t.Errorf("message %+v, %v", m, err)
	}

	enter := func(user string) *client.Socket {
		s, err := client.Dialer{}.Collaboration(ctx, url, project)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.CloseNow)
		if err := s.Send(ctx, client.Join{UserID: user, UserName: user, DocumentID: "d"}.Frame()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	// hear receives frames until one of a type has what the test waits for.
	hear := func(s *client.Socket, kind string, into any, done func() bool) {
		for {
			text, err := s.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var f client.Frame
			if err := json.Unmarshal(text, &f); err != nil {
				t.Fatal(err)
			}
			switch f.Type {
			case kind:
				if err := json.Unmarshal(f.Data, into); err != nil {
					t.Fatalf("%s, %v", text, err)
				}
				if done() {
					return
				}
			case "bulk_presence", "user_presence", "document_activity":
			default:
				t.Errorf("%s", text)
			}
		}
	}
	ann := enter("ann")
	var people []client.Person
	hear(ann, "bulk_presence", &people, func() bool { return true })
	if len(people) != 1 || people[0].UserName != "ann" || !people[0].IsOnline {
		t.Errorf("ann is told of %+v", people)
	}
	bob := enter("bob")
	const y = 1_790_000_000_123_456
	if err := ann.Send(ctx, client.MoveFrame("d", -1.5, y)); err != nil {
		t.Fatal(err)
	}
	// Bob is told: a client is sent no list for its own cursor alone.
	var activity client.Activity
	hear(bob, "document_activity", &activity, func() bool {
		for _, u := range activity.ActiveUsers {
			if p := u.Position; u.UserID == "ann" && p != nil && *p == (client.Point{X: -1.5, Y: y}) {
				return activity.DocumentID == "d" && len(activity.ActiveUsers) == 2
			}
		}
		return false
	})
	for _, s := range []*client.Socket{ann, bob} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A watcher that lost its replica goes on behind the last event that it had, and ends when the replica refuses.
func TestWatchGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	var visits atomic.Int64
	afters := make(chan any, 3)
	url := socket(t, func(ctx context.Context, conn *websocket.Conn) error {
		if err := says(ctx, conn, ack); err != nil {
			return err
		}
		_, frame, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var m struct{ Payload client.Request }
		if err := json.Unmarshal(frame, &m); err != nil {
			return err
		}
		afters <- m.Payload.Variables["after"]
		visit := visits.Add(1)
		answer := fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"planEvents":{"cursor":"c%d"}}}}`, visit)
		if visit == 3 {
			answer = `{"id":"1","type":"error","payload":[{"message":"Gone","extensions":{"code":"NOT_FOUND"}}]}`
		}
		return conn.Write(ctx, websocket.MessageText, []byte(answer))
	})
	var events, lost int
	err := client.New(url).Watch(within(t), 1, "", func(json.RawMessage) error { events++; return nil }, func(error) { lost++ })
	var refusal *client.Refusal
	if !errors.As(err, &refusal) || events != 2 || lost != 2 {
		t.Errorf("%d events, lost %d times, %v", events, lost, err)
	}
	for _, want := range []any{nil, "c1", "c2"} {
		if got := <-afters; got != want {
			t.Errorf("it asked for what follows %v, want %v", got, want)
		}
	}
	failed := errors.New("no more")
	visits.Store(0)
	if err := client.New(url).Watch(within(t), 1, "c0", func(json.RawMessage) error { return failed }, nil); !errors.Is(err, failed) {
		t.Errorf("error = %v, want that of the function", err)
	}
}
