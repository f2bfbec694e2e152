package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"layercake/internal/budget"
	"layercake/internal/fault"
)

// Limits of bodies.
const (
	maxBody  = 64 << 20
	bodyTime = time.Minute // limit for a whole body to arrive, however large
)

// The memory that a request takes for its body: all that is allocated while it is read and decoded. Variables are kept as texts until the
// operation is known that declares them; then what is in them costs, too. TestCostOfBodies measures it. An ordinary body takes some 20
// times its size, one that is made for it 70 times.
const (
	byteCost     = 8   // of each byte
	memberCost   = 350 // of each member of the request, of its variables and of its extensions
	variableCost = 4   // of each byte of a variable that is decoded
	objectCost   = 330 // of each object in it
	valueCost    = 120 // of each other value in it
)

// costOfVariable returns the memory that it takes to decode a text with so many values.
func costOfVariable(text []byte, n jsonCount) int64 {
	return variableCost*int64(len(text)) + objectCost*int64(n.objects) + valueCost*int64(n.values)
}

// cost returns the memory that it takes to read the text of a request, whose variables stay texts.
func cost(text []byte) int64 {
	return byteCost*int64(len(text)) + memberCost*int64(countJSON(text).shallow)
}

// jsonCount is what there is in a JSON text.
type jsonCount struct {
	objects int
	values  int // others, or a few more: an empty list counts as if it held one
	shallow int // members of objects that are in no other value, or in one object
}

// countJSON counts the values in a JSON text by what stands before each, outside of strings.
func countJSON(text []byte) (n jsonCount) {
	depth, object := 0, [3]bool{} // whether the value around is an object, by depth
	open := func(isObject bool) {
		if depth++; depth < len(object) {
			object[depth] = isObject
		}
		n.member(depth, object)
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{':
			n.objects++
			open(true)
		case c == '[':
			n.values++
			open(false)
		case c == '}', c == ']':
			depth = max(0, depth-1)
		case c == ',':
			n.values++
			n.member(depth, object)
		}
	}
	n.values++ // the first one has nothing before it
	return n
}

// member counts what begins in a value at a depth.
func (n *jsonCount) member(depth int, object [3]bool) {
	if depth < len(object) && object[depth] && (depth < 2 || object[1]) {
		n.shallow++
	}
}

// Pace is the least that clients have to send and take. What is slower is cut off, because it holds memory meanwhile.
type Pace struct {
	BodyBytes int           // bytes of a body that arrive in each BodyTime
	BodyTime  time.Duration // also the time for the first and the last of them
	// AnswerBytes is how much of an answer the client takes in each AnswerTime. The kernel holds some more for it.
	AnswerBytes int
	AnswerTime  time.Duration
}

// DefaultPace is the pace for clients of a deployment: bodies of 1 kB a second, answers as slow as a write to a socket may be.
var DefaultPace = Pace{BodyBytes: 5 << 10, BodyTime: 5 * time.Second, AnswerBytes: 64 << 10, AnswerTime: 10 * time.Second}

// paceBody makes the client of a request send its body at the pace, from now on.
func (h *Handler) paceBody(w http.ResponseWriter, r *http.Request) *pacedBody {
	b := &pacedBody{
		body: http.MaxBytesReader(w, r.Body, h.maxBody), pace: h.pace, control: http.NewResponseController(w), began: time.Now(),
	}
	if r.ContentLength != 0 {
		b.move()
	}
	return b
}

// readBody reads the body of a POST into memory that the request holds.
func (h *Handler) readBody(r *http.Request, source *pacedBody) ([]byte, error) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || media != mediaJSON || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return nil, badRequest(http.StatusUnsupportedMediaType, "Content-Type must be "+mediaJSON+" in UTF-8")
	}
	if r.ContentLength > h.maxBody {
		return nil, h.tooLarge()
	}
	body, err := readInto(r.Context(), source, r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		_ = budget.From(r.Context()).Resize(r.Context(), int64(len(body))) // less than before, so it cannot fail
		return body, nil
	case fault.From(err) != nil:
		return nil, refuseBody(err)
	case errors.As(err, &tooLarge):
		return nil, h.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.metrics.cut.WithLabelValues(cutBody).Inc()
		return nil, badRequest(http.StatusRequestTimeout, fmt.Sprintf("The request body came too slowly: at least %d bytes must come in every "+
			"%v, and all of it in %v", h.pace.BodyBytes, h.pace.BodyTime, bodyTime))
	}
	return nil, badRequest(http.StatusBadRequest, "The request body did not arrive")
}

// readInto reads a body of a length, which is -1 when it is unknown: then the memory that the request holds grows with the buffer.
func readInto(ctx context.Context, source *pacedBody, length int64) ([]byte, error) {
	size := max(bytes.MinRead, length+1) // one more, to read the end into
	var body []byte
	for {
		if len(body) == cap(body) {
			if err := budget.From(ctx).Resize(ctx, byteCost*size); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, size), body...)
			size *= 2
			source.due = 0 // the wait for memory does not count
		}
		n, err := source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			source.until(time.Time{}) // the next request has deadlines of its own
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// takeFor takes what it costs to decode a text.
func takeFor(ctx context.Context, text []byte) error {
	return refuseBody(budget.From(ctx).Resize(ctx, cost(text)))
}

func (h *Handler) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge,
		fault.New(fault.BadRequest, "The request body is too large").With("detail", map[string]any{"limit": h.maxBody}))
}

// refuseBody returns the refusal of a request that found no memory for its body, nil when it found some.
func refuseBody(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, budget.ErrTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, fault.From(err))
	}
	return refuseFault(err)
}

// largeRequest is the size of a body from which on it is decoded and checked in turns. No frame of a socket has it.
const largeRequest = 64 << 10

// takeTurn waits until a request may use a processor to decode and check its body. Large ones together get half of the processors, so that
// those that are small are answered beside any number of them. What waits holds no more memory than the body, and whoever has a turn takes
// what it needs: otherwise those that wait could hold what each of them lacks. The caller calls release when all is checked.
func (h *Handler) takeTurn(ctx context.Context, body []byte) (release func(), err error) {
	if len(body) < largeRequest {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	if err := h.turns.Acquire(ctx, 1); err != nil {
		return nil, refuseFault(fault.New(fault.Unavailable, fault.Busy).Because(err))
	}
	return sync.OnceFunc(func() { h.turns.Release(1) }), nil
}

// pacedBody is a body that has to keep the pace. The deadline of its connection moves only when the client has sent enough. It stays when
// the body is not read to its end, because the HTTP server then reads on.
type pacedBody struct {
	body    io.Reader
	pace    Pace
	control *http.ResponseController
	began   time.Time

	due int // bytes that have to come before the deadline moves
}

// Read reads what has come, or waits until the deadline for more.
func (p *pacedBody) Read(b []byte) (int, error) {
	if p.due <= 0 {
		p.move()
	}
	n, err := p.body.Read(b)
	p.due -= n
	return n, err
}

func (p *pacedBody) move() {
	p.due = p.pace.BodyBytes
	deadline, last := time.Now().Add(p.pace.BodyTime), p.began.Add(bodyTime)
	if deadline.After(last) {
		deadline = last
	}
	p.until(deadline)
}

// until sets the deadline. The writers of net/http have one; others, in tests, need none.
func (p *pacedBody) until(deadline time.Time) { _ = p.control.SetReadDeadline(deadline) }
