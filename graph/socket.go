package graph

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"layercake/internal/drain"
	"layercake/internal/fault"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// subprotocol is the only one that is spoken.
const subprotocol = "graphql-transport-ws"

// The close codes of graphql-transport-ws that we send. Its clients come back after 1012 and give up after the others.
const (
	closeNormal       websocket.StatusCode = websocket.StatusNormalClosure
	closeRestart      websocket.StatusCode = websocket.StatusServiceRestart
	closeBadMessage   websocket.StatusCode = 4400
	closeUnauthorized websocket.StatusCode = 4401 // subscribe before connection_init
	closeForbidden    websocket.StatusCode = 4403
	closeSubprotocol  websocket.StatusCode = 4406
	closeInitTimeout  websocket.StatusCode = 4408
	closeDuplicateID  websocket.StatusCode = 4409
	closeSecondInit   websocket.StatusCode = 4429
)

// Why sockets close, for the metrics.
const (
	closedClient  = "client"  // it said goodbye
	closedLost    = "lost"    // the connection broke
	closedSilent  = "silent"  // nothing came for too long
	closedSlow    = "slow"    // a frame could not be written in time
	closedMessage = "message" // the client broke the protocol
	closedAuth    = "auth"    // it may not be here
	closedInit    = "init"    // it did not begin in time
	closedDrain   = "drain"   // this replica stops, or sends its clients elsewhere
)

var closeReasons = []string{
	closedClient, closedLost, closedSilent, closedSlow, closedMessage, closedAuth, closedInit, closedDrain,
}

// What is taken of one socket.
const (
	maxFrame            = 64 << 10
	maxSocketOperations = 64
)

// socketTiming is what a socket's clocks are set to.
type socketTiming struct {
	init    time.Duration // for connection_init to come
	ping    time.Duration // between pings
	silence time.Duration // without any frame
	write   time.Duration // for one frame
}

var defaultTiming = socketTiming{init: 10 * time.Second, ping: 30 * time.Second, silence: 90 * time.Second, write: 10 * time.Second}

// serveSocket serves one socket until it ends.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	r = withCaller(w, r)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if !h.originAllowed(r) {
		http.Error(w, "This origin may not open sockets", http.StatusForbidden)
		return
	}
	s := &socket{
		timing: h.timing, closed: make(chan struct{}),
		ids: map[string]string{}, running: map[string]operationName{},
	}
	if !h.enter(s) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fault.Busy, http.StatusServiceUnavailable)
		return
	}
	defer h.leave(s)
	tap := &hijackTap{ResponseWriter: w}
	conn, err := websocket.Accept(tap, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // the origin was checked above
	})
	if err != nil {
		return // Accept has answered
	}
	h.metrics.socketsOpened.Inc()
	h.metrics.socketsOpen.Inc()
	s.open(conn, tap.conn)
	if conn.Subprotocol() != subprotocol {
		s.close(closeSubprotocol, "Subprotocol not acceptable", closedMessage)
	} else {
		var exec graphql.GraphExecutor = framing{h.exec, s}
		if h.unshared {
			exec = h.exec
		}
		t := transport.Websocket{Implementation: accepted{s}, InitFunc: h.initSocket}
		t.Do(w, r.WithContext(ctx), exec)
	}
	s.close(closeNormal, "", closedClient) // unless it was closed before, with another reason
	cancel()
	<-s.closed
	h.metrics.socketsOpen.Dec()
	h.metrics.socketsClosed.WithLabelValues(s.why).Inc()
}

// hijackTap remembers the connection that is taken over through it.
type hijackTap struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack takes the connection over.
func (t *hijackTap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(t.ResponseWriter).Hijack()
	t.conn = conn
	return conn, buffer, err
}

// originAllowed checks where the page that opens a socket comes from. Callers that are no browser state no origin.
func (h *Handler) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host {
		return true
	}
	return h.allow != nil && h.allow(r)
}

// enter counts a socket in, unless this replica is draining.
func (h *Handler) enter(s *socket) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return false
	}
	h.sockets[s] = struct{}{}
	h.running.Add(1)
	return true
}

func (h *Handler) leave(s *socket) {
	h.mu.Lock()
	delete(h.sockets, s)
	h.mu.Unlock()
	h.running.Done()
}

// initSocket decides who may go on after connection_init.
func (h *Handler) initSocket(ctx context.Context, _ transport.InitPayload) (context.Context, *transport.InitPayload, error) {
	if h.open {
		return ctx, nil, nil
	}
	return transport.WithWebsocketCloseCode(transport.AppendCloseReason(ctx, "Forbidden"), int(closeForbidden)), nil,
		fault.New(fault.Unauthenticated, "Sign in first")
}

// accepted hands a socket to the library that speaks the protocol.
type accepted struct{ s *socket }

// Accept returns the socket.
func (a accepted) Accept(http.ResponseWriter, *http.Request, transport.WebsocketAcceptOptions) (transport.WebsocketConn, error) {
	return a.s, nil
}

// socket is one connection. It stands between the library and the peer, and sees to what the library leaves out: the clocks, the
// limits, the close codes, and ids that clients use again.
//
// The library knows operations by ids of ours. A client may complete an operation and use its id again at once, while the former
// one still ends: its last frames must not reach the new one.
type socket struct {
	conn   *websocket.Conn
	raw    net.Conn // below conn, to cut it off while it waits for the peer's goodbye
	timing socketTiming

	initTimer, pingTimer, silenceTimer *time.Timer

	writing    sync.Mutex  // held while a message is written: the deadline is of one
	writeTimer *time.Timer // runs meanwhile

	closing sync.Once
	closed  chan struct{} // closed when nothing of the connection is left
	why     string        // one of closeReasons; read it after closed

	mu       sync.Mutex
	opened   bool
	doomed   func() // what to do once opened: it was drained before
	inited   bool
	shut     bool
	ids      map[string]string        // ours, by the client's, while the client follows the operation
	running  map[string]operationName // the client's, by ours; the zero one when the client has completed it
	sequence int
}

// operationName is a client's id of an operation.
type operationName struct {
	id     string
	quoted []byte // the id as JSON
}

// frame is a message of the protocol.
type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// open starts the clocks. Someone may have closed the socket while it was accepted.
func (s *socket) open(conn *websocket.Conn, raw net.Conn) {
	conn.SetReadLimit(maxFrame)
	s.mu.Lock()
	s.conn, s.raw, s.opened = conn, raw, true
	s.initTimer = time.AfterFunc(s.timing.init, func() {
		s.close(closeInitTimeout, "Connection initialisation timeout", closedInit)
	})
	s.silenceTimer = time.AfterFunc(s.timing.silence, func() { s.abort(closedSilent) })
	s.pingTimer = time.AfterFunc(s.timing.ping, s.ping)
	s.writeTimer = time.AfterFunc(s.timing.write, func() { s.abort(closedSlow) })
	s.writeTimer.Stop()
	doomed := s.doomed
	s.mu.Unlock()
	if doomed != nil {
		doomed()
	}
}

// drain tells the client to come back later.
func (s *socket) drain() {
	s.whenOpen(func() {
		s.close(closeRestart, drain.Reason(), closedDrain)
	})
}

// abort cuts the connection off.
func (s *socket) abort(why string) {
	s.whenOpen(func() {
		s.shutdown(why, func() { _ = s.conn.CloseNow() })
		_ = s.raw.Close() // ends a polite goodbye too
	})
}

// close says goodbye and waits for the answer, at most some seconds, without keeping the caller.
func (s *socket) close(code websocket.StatusCode, reason, why string) {
	s.shutdown(why, func() { _ = s.conn.Close(code, reason) })
}

// shutdown ends the connection once. Nothing is read or written after it has begun.
func (s *socket) shutdown(why string, end func()) {
	s.closing.Do(func() {
		s.mu.Lock()
		s.shut = true
		s.mu.Unlock()
		s.why = why
		s.initTimer.Stop()
		s.pingTimer.Stop()
		s.silenceTimer.Stop()
		go func() { // serveSocket waits for it
			end()
			close(s.closed)
		}()
	})
}

func (s *socket) whenOpen(f func()) {
	s.mu.Lock()
	if !s.opened {
		s.doomed = f
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}

func (s *socket) ping() {
	if s.write(nil, "ping", nil) == nil {
		s.pingTimer.Reset(s.timing.ping)
	}
}

// NextReader returns the next frame that the library has to see. When the client broke the protocol it closes the socket.
func (s *socket) NextReader() (int, io.Reader, error) {
	for {
		kind, b, err := s.conn.Read(context.Background())
		if s.isShut() {
			return 0, nil, transport.ErrWebsocketClosed
		}
		if err != nil {
			s.close(closeNormal, "", readFailure(err))
			return 0, nil, transport.ErrWebsocketClosed
		}
		s.silenceTimer.Reset(s.timing.silence)
		f, err := s.receive(kind, b)
		var v *violation
		switch {
		case errors.As(err, &v):
			s.close(v.code, v.reason, closedMessage)
			return 0, nil, transport.ErrWebsocketClosed
		case err != nil:
			return 0, nil, transport.ErrWebsocketClosed
		case f != nil:
			b, err := json.Marshal(f)
			return int(websocket.MessageText), bytes.NewReader(b), err
		}
	}
}

// violation is how a client broke the protocol.
type violation struct {
	code   websocket.StatusCode
	reason string
}

func (v *violation) Error() string { return v.reason }

// receive takes one message of the client. It returns the frame for the library, or nil when there is nothing for it to do.
func (s *socket) receive(kind websocket.MessageType, b []byte) (*frame, error) {
	var f frame
	if kind != websocket.MessageText || decode(b, &f) != nil {
		return nil, &violation{closeBadMessage, "Invalid message: it must be a text with one JSON object"}
	}
	switch f.Type {
	case "connection_init":
		return s.init(f)
	case "subscribe":
		return s.subscribe(f)
	case "complete":
		return s.complete(f)
	case "ping":
		return nil, s.write(nil, "pong", f.Payload)
	case "pong":
		return nil, nil
	}
	return nil, &violation{closeBadMessage, "Invalid message: its type is none that a client may send"}
}

func (s *socket) init(f frame) (*frame, error) {
	var payload map[string]any
	if f.Payload != nil && decode(f.Payload, &payload) != nil {
		return nil, &violation{closeBadMessage, "Invalid message: the payload of connection_init must be an object"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inited {
		return nil, &violation{closeSecondInit, "Too many initialisation requests"}
	}
	s.inited = true
	s.initTimer.Stop()
	return &f, nil
}

func (s *socket) subscribe(f frame) (*frame, error) {
	var payload request
	if f.ID == "" || decode(f.Payload, &payload) != nil || !payload.complete() {
		return nil, &violation{closeBadMessage, "Invalid message: subscribe needs an id and a payload with a query"}
	}
	ours, err := s.reserve(f.ID)
	switch {
	case err != nil:
		return nil, err
	case ours == "":
		return nil, s.refuse(f.ID)
	}
	f.ID = ours
	return &f, nil
}

// reserve returns an id of ours for an operation, or "" when there are too many.
func (s *socket) reserve(id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inited {
		return "", &violation{closeUnauthorized, "Unauthorized"}
	}
	if _, taken := s.ids[id]; taken {
		return "", &violation{closeDuplicateID, clip("Subscriber for " + id + " already exists")}
	}
	if len(s.running) >= maxSocketOperations {
		return "", nil
	}
	s.sequence++
	ours := strconv.Itoa(s.sequence)
	quoted, err := json.Marshal(id)
	if err != nil {
		return "", err
	}
	s.ids[id], s.running[ours] = ours, operationName{id, quoted}
	return ours, nil
}

func (s *socket) complete(f frame) (*frame, error) {
	if f.ID == "" {
		return nil, &violation{closeBadMessage, "Invalid message: complete needs an id"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ours, known := s.ids[f.ID]
	if !known {
		return nil, nil // it ended while the client's message was on its way
	}
	delete(s.ids, f.ID)
	s.running[ours] = operationName{}
	f.ID = ours
	return &f, nil
}

// refuse answers an operation that is one too many.
func (s *socket) refuse(id string) error {
	f := fault.New(fault.RateLimited, "Too many operations on this socket").
		With("detail", map[string]any{"limit": maxSocketOperations})
	payload, err := json.Marshal(gqlerror.List{wireError(context.Background(), f)})
	if err != nil {
		return err
	}
	quoted, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return s.write(quoted, "error", payload)
}

// framing is the executor of one socket. It writes results itself: the library would encode the bytes that subscribers share
// again for each of them.
type framing struct {
	graphql.GraphExecutor
	socket *socket
}

// operationID is where an operation keeps the id that it has here.
const operationID = "socket operation"

// CreateOperationContext begins the operation that was read last: the library calls it before it reads on.
func (f framing) CreateOperationContext(
	ctx context.Context, params *graphql.RawParams,
) (*graphql.OperationContext, gqlerror.List) {
	op, errs := f.GraphExecutor.CreateOperationContext(ctx, params)
	op.Stats.SetExtension(operationID, f.socket.latest())
	return op, errs
}

// DispatchOperation writes the results that are nothing but data, and leaves the others to the library.
func (f framing) DispatchOperation(
	ctx context.Context, op *graphql.OperationContext,
) (graphql.ResponseHandler, context.Context) {
	ours, _ := op.Stats.GetExtension(operationID).(string)
	responses, ctx := f.GraphExecutor.DispatchOperation(ctx, op)
	return func(ctx context.Context) *graphql.Response {
		for {
			response := responses(ctx)
			if response == nil || !isPlain(response) {
				return response
			}
			if f.socket.next(ours, response.Data) != nil {
				return nil
			}
		}
	}, ctx
}

// latest returns the id of ours of the operation that came last.
func (s *socket) latest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strconv.Itoa(s.sequence)
}

// next sends data of an operation, unless the client does not follow it any more.
func (s *socket) next(ours string, data []byte) error {
	s.mu.Lock()
	name := s.running[ours]
	s.mu.Unlock()
	if name.id == "" {
		return nil
	}
	return s.write(name.quoted, "next", []byte(`{"data":`), data, []byte(`}`))
}

// WriteJSON sends a frame of the library, unless the client does not follow its operation any more.
func (s *socket) WriteJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f.ID == "" {
		return s.write(nil, f.Type, f.Payload)
	}
	s.mu.Lock()
	name := s.running[f.ID]
	if f.Type == "complete" || f.Type == "error" { // the library sends both after an error; the client must see one
		delete(s.running, f.ID)
		delete(s.ids, name.id)
	}
	s.mu.Unlock()
	if name.id == "" {
		return nil
	}
	return s.write(name.quoted, f.Type, f.Payload)
}

// frames are buffers for frames that are written now.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// maxCopied is the size of the largest payload that is copied into a frame. A larger one, which may be shared, makes a message of
// several frames, lest every client that does not read holds a copy.
const maxCopied = 16 << 10

// write sends a message: with an id, which is JSON already, and with a payload in parts, unless they are empty.
func (s *socket) write(id []byte, kind string, payload ...[]byte) error {
	size := 0
	for _, part := range payload {
		size += len(part)
	}
	buffer := frames.Get().(*[]byte)
	defer frames.Put(buffer)
	b := (*buffer)[:0]
	b = append(b, '{')
	if id != nil {
		b = append(append(append(b, `"id":`...), id...), ',')
	}
	b = append(append(append(b, `"type":"`...), kind...), '"')
	if size > 0 {
		b = append(b, `,"payload":`...)
	}
	if size <= maxCopied {
		for _, part := range payload {
			b = append(b, part...)
		}
		payload = nil
	}
	b = append(b, '}')
	*buffer = b
	return s.within(func() error {
		if payload == nil {
			return s.conn.Write(context.Background(), websocket.MessageText, b)
		}
		w, err := s.conn.Writer(context.Background(), websocket.MessageText)
		if err != nil {
			return err
		}
		for _, part := range slices.Concat([][]byte{b[:len(b)-1]}, payload, [][]byte{b[len(b)-1:]}) {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// within sends a message before the write deadline, else it cuts the connection off: a client that does not read keeps nobody.
func (s *socket) within(send func() error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isShut() {
		return transport.ErrWebsocketClosed
	}
	s.writeTimer.Reset(s.timing.write)
	err := send()
	s.writeTimer.Stop()
	switch {
	case err == nil:
		return nil
	case s.isShut():
		return transport.ErrWebsocketClosed
	}
	s.abort(closedLost)
	return err
}

// WriteClose closes the socket for the library: when it has ended, or when its initialisation was refused.
func (s *socket) WriteClose(code int, reason string) error {
	why := closedClient
	if websocket.StatusCode(code) == closeForbidden {
		why = closedAuth
	}
	s.close(websocket.StatusCode(code), clip(reason), why)
	return nil
}

// Close does nothing: WriteClose comes before it, and serveSocket waits until nothing is left.
func (s *socket) Close() error { return nil }

// Subprotocol returns the one that is spoken.
func (s *socket) Subprotocol() string { return subprotocol }

func (s *socket) isShut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut
}

// readFailure says why nothing more can be read.
func readFailure(err error) string {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return closedClient
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return closedMessage
	}
	return closedLost
}

// clip shortens a reason to what a close frame holds.
func clip(reason string) string {
	const most = 123
	return strings.ToValidUTF8(reason[:min(len(reason), most)], "")
}
