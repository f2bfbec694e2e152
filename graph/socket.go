package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/socket"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"golang.org/x/time/rate"
)

// subprotocol is the only subprotocol that is spoken.
const subprotocol = "graphql-transport-ws"

// Limits of what one socket may ask for.
const (
	maxSocketOperations = 64      // operations that run
	maxOperationID      = 1 << 10 // bytes of an id, because each frame of its operation repeats it
	frameRate           = 50      // frames in a second
	frameBurst          = 200     // frames at once, after a pause; enough to subscribe to all operations, complete them and subscribe again
	maxRefusedFrames    = 500     // frames beyond the rate; then the socket is closed
)

var errFrameRate = fault.New(fault.RateLimited,
	fmt.Sprintf("Too many messages on this socket: %d a second may come, send this one again later", frameRate)).
	With("detail", map[string]any{"limit": frameRate})

// defaultInitTimeout is the time limit for connection_init to come.
const defaultInitTimeout = 10 * time.Second

// serveSocket opens a socket. It returns once the connection is upgraded: of the request's context the socket keeps the caller alone,
// because what routing left there would be a good part of an idle socket's memory.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	admitted := h.sockets.Admit(w, r)
	if admitted == nil {
		return
	}
	conn := admitted.Accept(w, r, subprotocol)
	if conn == nil {
		return
	}
	ctx, cancel := context.WithCancel(caller.With(context.Background(), caller.From(r.Context())))
	s := &session{WebSocket: conn, h: h, cancel: cancel, operations: map[string]*operation{}}
	s.rate = rate.NewLimiter(frameRate, frameBurst)
	s.initTimer = time.AfterFunc(h.initTimeout, func() { s.Close(closeInitTimeout) })
	s.Open(s)
	if conn.Subprotocol() != subprotocol {
		s.Close(closeSubprotocol)
	}
	go s.read(ctx) // the socket ends only after it: it calls Release
}

// session is a connection that speaks graphql-transport-ws. One goroutine reads; each operation has one of its own.
type session struct {
	*socket.WebSocket

	h         *Handler
	cancel    context.CancelFunc // ends all operations
	initTimer *time.Timer

	// Only the goroutine that reads uses these.
	rate    *rate.Limiter
	refused int // frames beyond the rate

	mu          sync.Mutex
	caller      caller.Caller // nobody before connection_init
	release     func()        // ends the hold of the caller's credential; nil without one
	initialised bool
	operations  map[string]*operation // operations that the client follows, by its ids
	running     int                   // operations that run, also those that the client follows no more
}

// operation is one execution, which a subscribe frame asked for. A client may complete an operation and use its id again at once, while the
// former operation still ends. A frame of the former one would then be taken for one of the new one. So a frame belongs to an operation,
// not to an id, and an operation that has ended for the client sends none (see write).
type operation struct {
	id     string
	jsonID []byte // the id as JSON
	cancel context.CancelFunc

	ended bool // the client completed it, or was sent its last frame; the session's mutex guards it
}

// frame is a message of a client.
type frame struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// read serves the client until the socket is closed.
func (s *session) read(ctx context.Context) {
	defer s.Release()
	s.Protect(func() { s.serve(ctx) })
}

// serve takes what the client sends until nothing more can come.
func (s *session) serve(ctx context.Context) {
	for {
		kind, b, ok := s.Read()
		if !ok {
			return
		}
		if broken := s.receive(ctx, kind, b); broken != nil {
			s.Close(*broken)
			return
		}
	}
}

// receive acts on one message. It returns the reason to close the socket if the client broke the protocol, or sends too much. A message
// beyond the rate is dropped, except that subscribe is answered, because its sender waits for that, and that complete is obeyed, because it
// ends work.
func (s *session) receive(ctx context.Context, kind websocket.MessageType, b []byte) (broken *socket.Reason) {
	var f frame
	if kind != websocket.MessageText || decode(b, &f) != nil {
		return new(closeBadMessage("it must be a text with one JSON object"))
	}
	if len(f.ID) > maxOperationID {
		return new(closeBadMessage(fmt.Sprintf("its id has more than %d bytes", maxOperationID)))
	}
	admitted := s.rate.Allow()
	if !admitted {
		s.h.metrics.refused.Inc()
		if s.refused++; s.refused > maxRefusedFrames {
			return &closeFlood
		}
	}
	switch f.Type {
	case "connection_init":
		if admitted {
			return s.init(ctx, f)
		}
	case "subscribe":
		return s.subscribe(ctx, f, admitted)
	case "complete":
		return s.complete(f)
	case "ping":
		if admitted {
			if broken := s.renew(ctx, f); broken != nil {
				return broken
			}
			s.write(nil, "pong", withoutToken(f.Payload))
		}
	case "pong": // Read has noted that the client lives
	default:
		return new(closeBadMessage("its type is none that a client may send"))
	}
	return nil
}

func (s *session) init(ctx context.Context, f frame) (broken *socket.Reason) {
	var payload map[string]any // only its name and its token have an effect
	if f.Payload != nil && decode(f.Payload, &payload) != nil {
		return new(closeBadMessage("the payload of connection_init must be an object"))
	}
	name, isText := payload["name"].(string)
	if !isText && payload["name"] != nil {
		return new(closeBadMessage("the name in the payload of connection_init must be a text"))
	}
	s.mu.Lock()
	again := s.initialised
	s.initialised = true
	s.mu.Unlock()
	if again {
		return &closeSecondInit
	}
	token, isText := payload["token"].(string)
	if !isText && payload["token"] != nil {
		return new(closeBadMessage("the token in the payload of connection_init must be a text"))
	}
	c := caller.From(ctx)
	err := c.Refused() // a wrong credential of the handshake is not mended by a right one
	if err == nil && token != "" {
		err = s.prove(ctx, &c, token)
	}
	if err == nil {
		err = c.Check()
	}
	if err == nil {
		c, err = c.Named(name)
	}
	if err == nil {
		err = s.Own(c.Account)
	}
	if err != nil {
		return closeFor(err)
	}
	s.become(c)
	s.initTimer.Stop()
	s.write(nil, "connection_ack", encode(s.h.greeting()))
	return nil
}

// closeFor is the reason to close a socket whose client cannot go on as who it says it is.
func closeFor(err error) *socket.Reason {
	f := fault.From(err)
	switch {
	case f == nil || f.Code == fault.Unavailable:
		return &closeBusy // the client comes back
	case f.Code == fault.RateLimited:
		return new(closeLimit(f.Message)) // so it does
	case f.Code == fault.BadRequest:
		return new(closeBadMessage(f.Message))
	}
	return new(socket.Unauthorized(f.Message))
}

// prove makes the caller the one whom a token belongs to. A proof counts as a request of the account.
func (s *session) prove(ctx context.Context, c *caller.Caller, token string) error {
	if s.h.look == nil {
		return fault.New(fault.Unauthenticated, "The credential is not valid")
	}
	ctx, cancel := context.WithTimeout(ctx, s.h.patience)
	defer cancel()
	proved, err := c.Prove(ctx, s.h.look, token)
	if err != nil && fault.From(err) == nil {
		err = fault.New(fault.Unavailable, fault.Busy).Because(err)
	}
	*c = proved
	if err == nil {
		err = s.h.requests.Admit(proved)
	}
	return err
}

// become makes the socket that of a caller, until their credential ends. The one that it had before is not kept any more.
func (s *session) become(c caller.Caller) {
	s.mu.Lock()
	s.caller = c
	former := s.release
	s.release = s.h.hold(c.Principal, func(err error) { s.Close(socket.Unauthorized(fault.From(err).Message)) })
	s.mu.Unlock()
	if former != nil {
		former()
	}
	if s.Closed() { // meanwhile: OnClose may have run before
		s.letGo()
	}
	if c.Account != 0 {
		s.SetUser(strconv.Itoa(int(c.Account)))
	}
}

// renew takes the token in the payload of a ping, if it has one: it moves the socket to another session of the same account.
func (s *session) renew(ctx context.Context, f frame) (broken *socket.Reason) {
	var payload struct {
		Token string `json:"token"`
	}
	if f.Payload == nil || decode(f.Payload, &payload) != nil || payload.Token == "" {
		return nil
	}
	s.mu.Lock()
	c, initialised := s.caller, s.initialised
	s.mu.Unlock()
	if !initialised {
		return &closeUnauthorized
	}
	if err := s.prove(ctx, &c, payload.Token); err != nil {
		return closeFor(err)
	}
	s.become(c)
	return nil
}

// greeting is the payload of connection_ack: whom the client talks to, and whether its page is that of this server.
type greeting struct {
	Replica string `json:"replica"` // incarnation, as layercake.replicas has it; empty before the first lease
	Version string `json:"version"`
	Page    string `json:"page"` // hash of the index page; empty where there is none
}

func (h *Handler) greeting() greeting {
	g := greeting{Version: h.version, Page: h.page}
	if h.incarnation != nil {
		if id := h.incarnation(); id != uuid.Nil { // it is zero before the first lease
			g.Replica = id.String()
		}
	}
	return g
}

// subscribe starts an operation. Of one beyond the rate not even the payload is read.
func (s *session) subscribe(ctx context.Context, f frame, admitted bool) (broken *socket.Reason) {
	var in request
	var params *graphql.RawParams
	var err, incomplete error
	if admitted {
		err = decode(f.Payload, &in)
		params, incomplete = in.params()
	}
	if f.ID == "" || err != nil || incomplete != nil {
		return new(closeBadMessage("subscribe needs an id and a payload with a query"))
	}
	op := &operation{id: f.ID, jsonID: encode(f.ID)}
	refused, broken := s.follow(op, admitted)
	switch {
	case broken != nil:
		return broken
	case refused != nil:
		s.write(op, "error", encode(gqlerror.List{wireError(context.Background(), refused)}))
		return nil
	}
	s.start(ctx, op, params)
	return nil
}

// follow makes the client follow an operation, unless it is beyond the rate or too many run. An id that the client uses already is no case
// for a refusal: the error frame would end the operation that it follows.
func (s *session) follow(op *operation, admitted bool) (refused *fault.Error, broken *socket.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.initialised:
		return nil, &closeUnauthorized
	case s.operations[op.id] != nil:
		return nil, new(closeDuplicateID(op.id))
	case !admitted:
		return errFrameRate, nil
	case s.running >= maxSocketOperations:
		return fault.New(fault.RateLimited, "Too many operations on this socket").
			With("detail", map[string]any{"limit": maxSocketOperations}), nil
	}
	if err := s.h.requests.Admit(s.caller); err != nil {
		return fault.From(err), nil
	}
	s.operations[op.id] = op
	s.running++
	return nil, nil
}

// complete ends an operation for the client, which is sent none of its frames from now on.
func (s *session) complete(f frame) (broken *socket.Reason) {
	if f.ID == "" {
		return new(closeBadMessage("complete needs an id"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.operations[f.ID]; op != nil { // nil when it ended while the client's message was on its way
		op.ended = true
		delete(s.operations, f.ID)
		op.cancel()
	}
	return nil
}

// start executes an operation in a goroutine of its own. Errors in its document are answered before the next message is read.
func (s *session) start(ctx context.Context, op *operation, params *graphql.RawParams) {
	s.mu.Lock()
	who := s.caller
	s.mu.Unlock()
	ctx, op.cancel = context.WithCancel(graphql.StartOperationTrace(caller.With(ctx, who)))
	executable, errs := s.prepare(ctx, params)
	if errs != nil || !s.Acquire() {
		op.cancel()
		s.end(op, errs)
		return
	}
	go func() { // Drain waits for it: Acquire counted it
		defer s.Release()
		defer op.cancel()
		s.Protect(func() { s.end(op, s.execute(ctx, op, executable)) })
	}()
}

func (s *session) prepare(ctx context.Context, params *graphql.RawParams) (executable *graphql.OperationContext, errs gqlerror.List) {
	defer s.recover(ctx, &errs)
	executable, errs = s.h.exec.CreateOperationContext(ctx, params)
	if errs != nil {
		errs = s.h.exec.DispatchError(graphql.WithOperationContext(ctx, executable), errs).Errors
	}
	return executable, errs
}

// execute sends the results of an operation as they come. The errors that it returns are those of the operation as a whole: nothing was
// executed, or the subscription failed.
func (s *session) execute(ctx context.Context, op *operation, executable *graphql.OperationContext) (errs gqlerror.List) {
	defer s.recover(ctx, &errs)
	held := s.h.budget.Open(caller.From(ctx).Network())
	defer held.Close()
	ctx = budget.With(context.WithValue(ctx, endKey{}, &errs), held)
	responses, ctx := s.h.exec.DispatchOperation(ctx, executable)
	for response := responses(ctx); response != nil; response = responses(ctx) {
		if err := held.Resize(ctx, largeOnly(memoryOf(response))); err != nil {
			return gqlerror.List{wireError(ctx, fault.From(err))}
		}
		sent := false
		if isPlain(response) { // subscribers may share its data, so it is not encoded again
			sent = s.write(op, "next", dataBefore, response.Data, dataAfter)
		} else {
			sent = s.write(op, "next", encode(response))
		}
		if !sent {
			break
		}
	}
	return errs
}

// largeAnswer is the size of the smallest answer that counts while it is written. The number of sockets bounds what they hold beside that.
const largeAnswer = 64 << 10

func largeOnly(size int64) int64 {
	if size < largeAnswer {
		return 0
	}
	return size
}

var dataBefore, dataAfter = []byte(`{"data":`), []byte(`}`)

// recover turns a panic into an error. The library does that only for panics of resolvers.
func (s *session) recover(ctx context.Context, errs *gqlerror.List) {
	if v := recover(); v != nil {
		*errs = gqlerror.List{s.h.errors.present(ctx, s.h.errors.recovered(ctx, v))}
	}
}

// endKey is the key of the errors that end an operation, in its context.
type endKey struct{}

// endWith makes an error end the operation of ctx once it has no more results. Only subscriptions end like that, so ctx is that of a
// socket.
func endWith(ctx context.Context, err *gqlerror.Error) {
	errs := ctx.Value(endKey{}).(*gqlerror.List)
	*errs = append(*errs, err)
}

// end sends the last frame of an operation. It is not counted as running any more before that, because the client may begin another one as
// soon as it has the frame.
func (s *session) end(op *operation, errs gqlerror.List) {
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	if len(errs) > 0 {
		s.write(op, "error", encode(errs))
	} else {
		s.write(op, "complete")
	}
}

// follows reports whether the client follows an operation, and so takes its next frame. After the last frame it follows it no longer.
func (s *session) follows(op *operation, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.ended {
		return false
	}
	if op.ended = last; last && s.operations[op.id] == op {
		delete(s.operations, op.id)
	}
	return true
}

// frameBuffers are buffers for frames that are being written.
var frameBuffers = sync.Pool{New: func() any { return new([]byte) }}

// maxCopied is the size of the largest payload that is copied into a frame. A larger payload is written by itself, as a message of several
// WebSocket frames: many subscribers may share it, and each of them that reads slowly would hold a copy.
const maxCopied = 16 << 10

// write sends a frame of an operation, or of none when op is nil, with a payload in parts. It reports false when the socket is closed.
//
// Whether the client follows the operation is checked when the frame's turn to be sent has come, not before: while the frame waited, the
// client may have completed the operation and used its id again, and would take the frame for one of the new operation.
func (s *session) write(op *operation, kind string, payload ...[]byte) bool {
	size := 0
	for _, part := range payload {
		size += len(part)
	}
	buffer := frameBuffers.Get().(*[]byte)
	defer frameBuffers.Put(buffer)
	b := (*buffer)[:0]
	b = append(b, '{')
	if op != nil {
		b = append(append(append(b, `"id":`...), op.jsonID...), ',')
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
	return s.Send(func(conn *websocket.Conn) error {
		switch {
		case op != nil && !s.follows(op, kind != "next"):
			return nil
		case payload == nil:
			return conn.Write(context.Background(), websocket.MessageText, b)
		}
		w, err := conn.Writer(context.Background(), websocket.MessageText)
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

// encode encodes a value that cannot fail to encode.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Ping sends the protocol's own ping, which clients answer in their own code; browsers answer those of WebSockets without it.
func (s *session) Ping() { s.write(nil, "ping") }

// OnClose ends the operations.
func (s *session) OnClose(socket.Reason) {
	s.initTimer.Stop()
	s.cancel()
	s.letGo()
}

// letGo ends the hold of the caller's credential.
func (s *session) letGo() {
	s.mu.Lock()
	release := s.release
	s.release = nil
	s.mu.Unlock()
	if release != nil {
		release()
	}
}

// withoutToken is what a pong repeats of a ping: not the secret.
func withoutToken(payload json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if payload == nil || json.Unmarshal(payload, &members) != nil || members["token"] == nil {
		return payload
	}
	delete(members, "token")
	return encode(members)
}
