package graph

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/socket"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// subprotocol is the only one that is spoken.
const subprotocol = "graphql-transport-ws"

// maxSocketOperations bounds the operations that run on one socket.
const maxSocketOperations = 64

// defaultInitTimeout is for connection_init to come.
const defaultInitTimeout = 10 * time.Second

// serveSocket opens a socket. It returns once the connection is upgraded: the socket keeps what is known of the caller, not the request.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	admitted := h.sockets.Admit(w, r)
	if admitted == nil {
		return
	}
	conn := admitted.Accept(w, r, subprotocol)
	if conn == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	s := &session{WebSocket: conn, h: h, header: r.Header, cancel: cancel, operations: map[string]*operation{}}
	s.initTimer = time.AfterFunc(h.initTimeout, func() { s.Close(closeInitTimeout) })
	s.Open(s)
	if conn.Subprotocol() != subprotocol {
		s.Close(closeSubprotocol)
	}
	go s.read(ctx) // the socket has not ended before it
}

// session is a connection that speaks graphql-transport-ws. One goroutine reads; each operation has one of its own.
type session struct {
	*socket.WebSocket

	h         *Handler
	header    http.Header        // of the handshake
	cancel    context.CancelFunc // ends what its operations do
	initTimer *time.Timer

	mu          sync.Mutex
	initialised bool
	operations  map[string]*operation // that the client follows, by its ids
	running     int                   // operations; the client need not follow them any more
}

// operation is what a subscribe frame asks for. A client may complete an operation and use its id again at once, while the former one
// still ends: so frames are of an operation, not of an id, and one that is over sends none.
type operation struct {
	id     string
	quoted []byte // the id as JSON
	cancel context.CancelFunc

	over bool // the client completed it, or was told that it ended; under the session's mutex
}

// frame is a message of a client.
type frame struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// read takes what the client sends until the socket is closed.
func (s *session) read(ctx context.Context) {
	defer s.Release()
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

// receive acts on one message. It returns how the client broke the protocol, nil if it did not.
func (s *session) receive(ctx context.Context, kind websocket.MessageType, b []byte) (broken *socket.Reason) {
	var f frame
	if kind != websocket.MessageText || decode(b, &f) != nil {
		return new(closeBadMessage("it must be a text with one JSON object"))
	}
	switch f.Type {
	case "connection_init":
		return s.init(ctx, f)
	case "subscribe":
		return s.subscribe(ctx, f)
	case "complete":
		return s.complete(f)
	case "ping":
		s.write(nil, "pong", f.Payload)
	case "pong": // the socket has heard it
	default:
		return new(closeBadMessage("its type is none that a client may send"))
	}
	return nil
}

func (s *session) init(ctx context.Context, f frame) (broken *socket.Reason) {
	var payload map[string]any // nothing in it is understood
	if f.Payload != nil && decode(f.Payload, &payload) != nil {
		return new(closeBadMessage("the payload of connection_init must be an object"))
	}
	s.mu.Lock()
	again := s.initialised
	s.initialised = true
	s.mu.Unlock()
	switch {
	case again:
		return &closeSecondInit
	case caller.From(ctx).Check() != nil:
		return &closeForbidden
	}
	s.initTimer.Stop()
	s.write(nil, "connection_ack")
	return nil
}

func (s *session) subscribe(ctx context.Context, f frame) (broken *socket.Reason) {
	var in request
	err := decode(f.Payload, &in)
	params, incomplete := in.params()
	if f.ID == "" || err != nil || incomplete != nil {
		return new(closeBadMessage("subscribe needs an id and a payload with a query"))
	}
	op := &operation{id: f.ID, quoted: encode(f.ID)}
	refused, broken := s.begin(op)
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

// begin makes the client follow an operation, unless there are too many.
func (s *session) begin(op *operation) (refused *fault.Error, broken *socket.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.initialised:
		return nil, &closeUnauthorized
	case s.operations[op.id] != nil:
		return nil, new(closeDuplicateID(op.id))
	case s.running >= maxSocketOperations:
		return fault.New(fault.RateLimited, "Too many operations on this socket").
			With("detail", map[string]any{"limit": maxSocketOperations}), nil
	}
	s.operations[op.id] = op
	s.running++
	return nil, nil
}

// complete ends an operation for the client, who is sent nothing of it from now on.
func (s *session) complete(f frame) (broken *socket.Reason) {
	if f.ID == "" {
		return new(closeBadMessage("complete needs an id"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.operations[f.ID]; op != nil { // else it ended while the client's message was on its way
		op.over = true
		delete(s.operations, f.ID)
		op.cancel()
	}
	return nil
}

// start executes an operation in a goroutine of its own. What is wrong with its document is answered before the next message is read.
func (s *session) start(ctx context.Context, op *operation, params *graphql.RawParams) {
	ctx, op.cancel = context.WithCancel(graphql.StartOperationTrace(ctx))
	executable, errs := s.prepare(ctx, params)
	if errs != nil || !s.Acquire() {
		op.cancel()
		s.end(op, errs)
		return
	}
	go func() { // counted by Acquire
		defer s.Release()
		defer op.cancel()
		s.end(op, s.execute(ctx, op, executable))
	}()
}

func (s *session) prepare(ctx context.Context, params *graphql.RawParams) (executable *graphql.OperationContext, errs gqlerror.List) {
	defer s.recover(ctx, &errs)
	params.Headers = s.header
	executable, errs = s.h.exec.CreateOperationContext(ctx, params)
	if errs != nil {
		errs = s.h.exec.DispatchError(graphql.WithOperationContext(ctx, executable), errs).Errors
	}
	return executable, errs
}

// execute sends the results of an operation as they come. The errors that it returns end the operation: nothing was executed, or
// nothing more will be.
func (s *session) execute(ctx context.Context, op *operation, executable *graphql.OperationContext) (errs gqlerror.List) {
	defer s.recover(ctx, &errs)
	responses, ctx := s.h.exec.DispatchOperation(context.WithValue(ctx, endKey{}, &errs), executable)
	for response := responses(ctx); response != nil; response = responses(ctx) {
		sent := false
		if isPlain(response) { // its bytes may be those that subscribers share
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

var dataBefore, dataAfter = []byte(`{"data":`), []byte(`}`)

// recover answers a panic beyond the resolvers, whose panics the library catches.
func (s *session) recover(ctx context.Context, errs *gqlerror.List) {
	if v := recover(); v != nil {
		*errs = gqlerror.List{s.h.errors.present(ctx, recovered(ctx, v))}
	}
}

// endKey is where the context of an operation says which errors end it.
type endKey struct{}

// endWith makes an error end the operation of ctx once it has no more results. Over HTTP there is none like that.
func endWith(ctx context.Context, err *gqlerror.Error) {
	errs := ctx.Value(endKey{}).(*gqlerror.List)
	*errs = append(*errs, err)
}

// end tells the client that an operation has ended.
func (s *session) end(op *operation, errs gqlerror.List) {
	s.mu.Lock()
	s.running-- // a client that is told may begin another at once
	s.mu.Unlock()
	if len(errs) > 0 {
		s.write(op, "error", encode(errs))
	} else {
		s.write(op, "complete")
	}
}

// follows reports whether the client follows an operation. With its last frame it does so no longer.
func (s *session) follows(op *operation, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.over {
		return false
	}
	if op.over = last; last && s.operations[op.id] == op {
		delete(s.operations, op.id)
	}
	return true
}

// frames are buffers for frames that are written now.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// maxCopied is the size of the largest payload that is copied into a frame. A larger one, which may be shared, makes a message of
// several frames, lest every client that does not read holds a copy.
const maxCopied = 16 << 10

// write sends a frame with a payload in parts, of an operation unless that is nil. It reports false when the socket is closed.
//
// Whether the client follows the operation is asked when it is the frame's turn to be sent: had a client completed the operation and used
// its id again meanwhile, it would take the frame for the new one's.
func (s *session) write(op *operation, kind string, payload ...[]byte) bool {
	size := 0
	for _, part := range payload {
		size += len(part)
	}
	buffer := frames.Get().(*[]byte)
	defer frames.Put(buffer)
	b := (*buffer)[:0]
	b = append(b, '{')
	if op != nil {
		b = append(append(append(b, `"id":`...), op.quoted...), ',')
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

// encode encodes what always can be.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Ping sends the ping of the protocol, which clients answer in code of theirs.
func (s *session) Ping() { s.write(nil, "ping") }

// OnClose ends the operations.
func (s *session) OnClose(socket.Reason) {
	s.initTimer.Stop()
	s.cancel()
}
