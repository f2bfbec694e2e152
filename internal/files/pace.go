package files

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Pace is the least that clients have to send and take.
type Pace struct {
	BodyBytes int           // bytes of an upload that arrive in each BodyTime of waiting for the client
	BodyTime  time.Duration // also the time for the last of them
	// AnswerTime is the time to take 64 kB of an answer. The kernel holds some more for the client.
	AnswerTime time.Duration
	// An output holds memory that builds need, so its client has to take as much as this in each OutputTime of waiting for it.
	OutputBytes int
	OutputTime  time.Duration
}

// DefaultPace is the pace for clients of a deployment: uploads and outputs of 64 kB a second, other downloads of 2 kB a second.
var DefaultPace = Pace{
	BodyBytes: 30 * 64 << 10, BodyTime: 30 * time.Second, AnswerTime: 30 * time.Second,
	OutputBytes: 30 * 64 << 10, OutputTime: 30 * time.Second,
}

// pacedBody is a body whose client has to keep the pace. Only the time that is spent waiting for the client counts, not that of storing
// what came.
type pacedBody struct {
	body    io.Reader
	pace    Pace
	control *http.ResponseController

	got   int           // bytes since the pace was last kept
	spent time.Duration // time that they took
	err   error         // why there will be no more, other than its end
}

func (h *Handler) paceBody(w http.ResponseWriter, r *http.Request) *pacedBody {
	return &pacedBody{
		body: http.MaxBytesReader(w, r.Body, h.maxUpload+formSize), pace: h.pace, control: http.NewResponseController(w),
	}
}

// Read reads what has come, or waits for more until the client has lost the pace.
func (p *pacedBody) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	began := time.Now()
	_ = p.control.SetReadDeadline(began.Add(p.pace.BodyTime - p.spent)) // writers without deadlines are those of tests
	n, err := p.body.Read(b)
	p.spent += time.Since(began)
	if p.got += n; p.got >= p.pace.BodyBytes {
		p.got, p.spent = 0, 0
	}
	switch {
	case errors.Is(err, io.EOF):
		_ = p.control.SetReadDeadline(time.Time{}) // the next request has deadlines of its own
	case err != nil:
		p.err = err
	}
	return n, err
}

// pacedAnswer writes an answer piece by piece, each with a deadline.
type pacedAnswer struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    Pace
	wrote   bool // whether the client may have got something

	output bool          // whether the pace of outputs counts
	taken  int           // bytes of an output since its pace was last kept
	spent  time.Duration // time that they took
}

const pieceSize = 64 << 10

func (h *Handler) paceAnswer(w http.ResponseWriter) *pacedAnswer {
	return &pacedAnswer{ResponseWriter: w, control: http.NewResponseController(w), pace: h.pace}
}

// WriteHeader begins the answer. What came before, such as an upload, may have used up the time of the request.
func (p *pacedAnswer) WriteHeader(status int) {
	p.wrote = true
	_ = p.control.SetWriteDeadline(time.Now().Add(p.patience()))
	p.ResponseWriter.WriteHeader(status)
}

// Write writes piece by piece.
func (p *pacedAnswer) Write(b []byte) (written int, err error) {
	p.wrote = true
	for len(b) > 0 && err == nil {
		began := time.Now()
		_ = p.control.SetWriteDeadline(began.Add(p.patience()))
		var n int
		n, err = p.ResponseWriter.Write(b[:min(len(b), pieceSize)])
		written, b = written+n, b[n:]
		p.spent += time.Since(began)
		if p.taken += n; p.taken >= p.pace.OutputBytes {
			p.taken, p.spent = 0, 0
		}
	}
	return written, err
}

// patience returns how long the client may take for what is written next.
func (p *pacedAnswer) patience() time.Duration {
	if p.output {
		return p.pace.OutputTime - p.spent
	}
	return p.pace.AnswerTime
}

// Unwrap lets http.ResponseController find the deadlines.
func (p *pacedAnswer) Unwrap() http.ResponseWriter { return p.ResponseWriter }
