package socket

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/task"
)

// wire is the client's end of a connection, which speaks frames.
type wire struct {
	net.Conn
	t *testing.T
}

// send writes a frame, masked with zeros.
func (w wire) send(opcode byte, payload string) {
	w.t.Helper()
	var frame []byte
	switch size := len(payload); {
	case opcode >= opClose:
		frame = []byte{0x80 | opcode, 0x80 | byte(size)}
	case size > 0xffff:
		frame = binary.BigEndian.AppendUint64([]byte{0x80 | opcode, 0x80 | 127}, uint64(size))
	default:
		frame = binary.BigEndian.AppendUint16([]byte{0x80 | opcode, 0x80 | 126}, uint16(size))
	}
	if _, err := w.Write(append(append(frame, 0, 0, 0, 0), payload...)); err != nil {
		w.t.Errorf("send: %v", err)
	}
}

// receive reads a frame of less than 64 kB.
func (w wire) receive() (opcode byte, payload string) {
	w.t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(w, head)
	size := int(head[1])
	if err == nil && size == 126 {
		wide := make([]byte, 2)
		_, err = io.ReadFull(w, wide)
		size = int(binary.BigEndian.Uint16(wide))
	}
	text := make([]byte, size)
	if err == nil {
		_, err = io.ReadFull(w, text)
	}
	if err != nil {
		w.t.Errorf("receive: %v", err)
	}
	return head[0] & 0x0f, string(text)
}

const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// hijackable answers a handshake by giving its connection away.
type hijackable struct {
	*httptest.ResponseRecorder
	conn  net.Conn
	early string // came with the request
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	in := bufio.NewReader(io.MultiReader(strings.NewReader(h.early), h.conn))
	if h.early != "" {
		if _, err := in.Peek(len(h.early)); err != nil {
			return nil, nil, err
		}
	}
	return h.conn, bufio.NewReadWriter(in, bufio.NewWriter(h.conn)), nil
}

// session is a transport's connection that keeps what it hears.
type session struct {
	*WebSocket
	heard []string
	ended chan struct{}
}

func (s *session) Ping()          {}
func (s *session) OnClose(Reason) {}

func (s *session) read() {
	defer close(s.ended)
	for {
		_, b, ok := s.Read()
		if !ok {
			break
		}
		s.heard = append(s.heard, string(b))
	}
	s.Release()
}

// dial opens a WebSocket over a pipe.
func dial(t *testing.T, transport *Transport, early string) (*session, wire) {
	t.Helper()
	local, remote := net.Pipe()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
	} {
		r.Header.Set(name, value)
	}
	w := hijackable{httptest.NewRecorder(), local, early}
	c := admit(t, transport).Accept(w, r)
	if c == nil {
		t.Fatal(w.Body)
	}
	s := &session{WebSocket: c, ended: make(chan struct{})}
	s.Open(s)
	go s.read()
	return s, wire{remote, t}
}

func TestRequestThatIsNoHandshakeEndsItsSocket(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	w := httptest.NewRecorder()
	if c := admit(t, r.Transport("x", Timing{})).Accept(w, httptest.NewRequest(http.MethodGet, "/", nil)); c != nil {
		t.Error("accepted")
	}
	if w.Code != http.StatusUpgradeRequired || r.Count() != 0 {
		t.Errorf("%d, and %d sockets", w.Code, r.Count())
	}
}

// Each way in which a client ends has its reason. The client is told something only where it listens.
func TestReasonsOfClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(wire)
		want Reason
	}{
		"goodbye": {func(w wire) {
			w.send(opClose, "\x03\xe8")
			w.receive()
		}, Client},
		"leaving a page": {func(w wire) {
			w.send(opClose, "\x03\xe9")
			w.receive()
		}, Client},
		"goodbye without a code": {func(w wire) {
			w.send(opClose, "")
			w.receive()
		}, Client},
		"loss": {func(w wire) { _ = w.Close() }, Lost},
		"a message that is too large": {func(w wire) {
			go w.send(opText, strings.Repeat("x", MaxMessage+100)) // the rest is read after the close frame was
			if kind, text := w.receive(); kind != opClose || !strings.HasPrefix(text, "\x03\xf1") {
				w.t.Errorf("got %d %q", kind, text)
			}
			synctest.Wait()
			w.send(opClose, "\x03\xf1")
		}, TooBig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := New(Options{})
				s, w := dial(t, r.Transport("x", Timing{}), "")
				w.send(opText, "one")
				w.send(opText, "two")
				c.end(w)
				<-s.ended
				_ = w.Close()
				r.Drain(t.Context(), 0)
				if s.Reason() != c.want || strings.Join(s.heard, " ") != "one two" {
					t.Errorf("closed for %v after %q, want %v", s.Reason(), s.heard, c.want)
				}
			})
		})
	}
}

// The library answers a goodbye and closes the connection at once. The answer must not stay in the buffer of whoever sends a batch
// meanwhile.
func TestGoodbyeDuringABatchIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		s, w := dial(t, r.Transport("x", Timing{}), "")
		defer w.Close()
		batch := task.Go(t.Context(), func(context.Context) error {
			s.Batch(func() {
				s.Write([]byte("news"))
				<-s.ended
			})
			return nil
		})
		synctest.Wait()
		w.send(opClose, "\x03\xe8bye")
		if op, text := w.receive(); op != opText || text != "news" {
			t.Errorf("got %x %q, want what was sent before", op, text)
		}
		if op, text := w.receive(); op != opClose || text != "\x03\xe8bye" {
			t.Errorf("got %x %q, want the answer to the goodbye", op, text)
		}
		if err := batch.Wait(); err != nil {
			t.Error(err)
		}
		if s.Reason() != Client {
			t.Errorf("closed for %+v", s.Reason())
		}
		r.Drain(t.Context(), 0)
	})
}

// What a client sends with its handshake is not lost.
func TestClientThatDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		long := strings.Repeat("x", 2*bufferSize)
		frame := string(binary.BigEndian.AppendUint16([]byte{0x80 | opText, 0x80 | 126}, uint16(len(long)))) + "\x00\x00\x00\x00" + long
		s, w := dial(t, r.Transport("x", Timing{}), frame)
		w.send(opText, "two")
		_ = w.Close()
		<-s.ended
		r.Drain(t.Context(), 0)
		if len(s.heard) != 2 || s.heard[0] != long || s.heard[1] != "two" {
			t.Errorf("heard %.20q", s.heard)
		}
	})
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*session){
		"a message": func(s *session) { s.Write([]byte("text")) },
		"a batch":   func(s *session) { s.Batch(func() { s.Write([]byte("held")) }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := New(Options{})
				s, w := dial(t, r.Transport("x", Timing{}), "")
				began := time.Now()
				write(s)
				<-s.ended
				if took := time.Since(began); took != DefaultTiming.Write || s.Reason() != Slow {
					t.Errorf("closed for %v after %v", s.Reason(), took)
				}
				_ = w.Close()
				r.Drain(t.Context(), 0)
			})
		})
	}
}

// Whoever waits behind a message that is not read goes on when the client is cut off.
func TestClientThatDoesNotReadKeepsNobody(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	s, w := dial(t, r.Transport("x", Timing{Ping: time.Hour, Silence: 3 * time.Hour, Write: 50 * time.Millisecond}), "")
	written := make(chan bool)
	for range 10 {
		go func() { written <- s.Write([]byte("text")) }() // received below
	}
	for range 10 {
		if <-written {
			t.Error("it was written")
		}
	}
	<-s.ended
	_ = w.Close()
	r.Drain(t.Context(), 0)
	if s.Reason() != Slow {
		t.Errorf("closed for %v", s.Reason())
	}
}

// The deadline is of one message: who reads in time may be told things for ever.
func TestClientThatReadsSlowlyStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		s, w := dial(t, r.Transport("x", Timing{Ping: time.Hour, Silence: 3 * time.Hour, Write: 10 * time.Second}), "")
		go func() {
			for range 10 {
				s.Write([]byte("text"))
			}
		}()
		for range 10 {
			<-time.After(9 * time.Second) // of the bubble
			if kind, text := w.receive(); kind != opText || text != "text" {
				t.Errorf("got %d %q", kind, text)
			}
		}
		<-time.After(time.Hour) // nor does it matter how long nothing is written
		go s.Batch(func() { s.Write([]byte("a")); s.Write([]byte("b")) })
		for _, want := range []string{"a", "b"} {
			if kind, text := w.receive(); kind != opText || text != want {
				t.Errorf("got %d %q, want %q", kind, text, want)
			}
		}
		if s.Closed() {
			t.Errorf("closed for %v", s.Reason())
		}
		_ = w.Close()
		<-s.ended
		r.Drain(t.Context(), 0)
	})
}

// A closed socket says one thing, why, and listens to nothing.
func TestClosedSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		s, w := dial(t, r.Transport("x", Timing{}), "")
		began := time.Now()
		go s.Close(Kicked(strings.Repeat("ü", 100)))
		if kind, text := w.receive(); kind != opClose || text != "\x0f\xa0"+strings.Repeat("ü", 61) {
			t.Errorf("got %d %q, want 4000 and as much of the text as there is room for", kind, text)
		}
		if s.Write([]byte("late")) {
			t.Error("a closed socket writes")
		}
		w.send(opText, "I stay")
		<-s.ended
		r.Drain(t.Context(), 0) // the answer to the goodbye is waited for 5 s
		if took := time.Since(began); took != 5*time.Second || len(s.heard) > 0 {
			t.Errorf("it took %v; heard %q", took, s.heard)
		}
		_ = w.Close()
		if r.Count() != 0 {
			t.Errorf("%d sockets", r.Count())
		}
	})
}

func TestSilentWebSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		transport := r.Transport("x", Timing{})
		running := task.Go(t.Context(), r.Run)
		silent, w := dial(t, transport, "")
		lively, alive := dial(t, transport, "")
		began := time.Now()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			for range 5 {
				<-time.After(time.Minute) // of the bubble
				alive.send(opPing, "x")
				if kind, _ := alive.receive(); kind != opPong {
					t.Errorf("got %d, want a pong", kind)
				}
			}
		}()
		<-silent.ended
		if took := time.Since(began); took > DefaultTiming.Silence || silent.Reason() != Silent {
			t.Errorf("closed for %v after %v", silent.Reason(), took)
		}
		<-answered
		if lively.Closed() {
			t.Errorf("who pings was closed for %v", lively.Reason())
		}
		_, _ = w.Close(), alive.Close()
		<-lively.ended
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
		r.Drain(t.Context(), 0)
	})
}
