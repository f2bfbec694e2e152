package mcpserver

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"layercake/internal/task"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// signOfLife is the pause between comments while a call waits.
const signOfLife = 10 * time.Second

// stream is a response that several goroutines write, as events. A client that does not take them ends it, and nobody else waits for that.
type stream struct {
	http.ResponseWriter

	control   *http.ResponseController
	writeTime time.Duration

	mu    sync.Mutex
	slow  bool // a write took too long
	ended bool // the handler has returned, and with it the response
}

var errEnded = errors.New("the stream has ended")

func (h *Handler) newStream(w http.ResponseWriter) *stream {
	header := w.Header()
	header.Set("X-Accel-Buffering", "no") // nginx would keep events back
	header.Set("Cache-Control", "no-store, no-transform")
	return &stream{ResponseWriter: w, control: http.NewResponseController(innermost(w)), writeTime: h.writeTime}
}

// innermost returns the response that sends what those around it are given. They may flush without saying what fails, and most of an event
// is sent by that.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// Unwrap lets controllers reach the connection.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write writes within the time that a client has to take it.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, errEnded
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(s.writeTime)) // writers without deadlines are those of tests
	n, err := s.ResponseWriter.Write(b)
	s.note(err)
	return n, err
}

// note notes that a write took too long. The error also ends the context of the request, whose owner then asks isSlow. The caller holds mu.
func (s *stream) note(err error) { s.slow = s.slow || errors.Is(err, os.ErrDeadlineExceeded) }

// isSlow reports whether the client did not take in time what was written.
func (s *stream) isSlow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slow
}

// Flush sends what was written.
func (s *stream) Flush() { _ = s.flush() } // a broken connection shows at the next write

func (s *stream) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errEnded
	}
	err := s.control.Flush()
	s.note(err)
	return err
}

// write writes an event and sends it.
func (s *stream) write(before string, text []byte, after string) error {
	if _, err := s.Write(slices.Concat([]byte(before), text, []byte(after))); err != nil {
		return err
	}
	return s.flush()
}

// comment writes what clients skip.
func (s *stream) comment() error { return s.write(":\n", nil, "\n") }

// finish ends all writing. The handler calls it before it returns.
func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// keepAlive sends a sign of life again and again until it is stopped, so that nobody between takes the connection for dead.
func (h *Handler) keepAlive(ctx context.Context, c call) (stop func()) {
	if c.stream == nil {
		return func() {}
	}
	open := h.metrics.streams.WithLabelValues(waitingStream)
	open.Inc()
	_ = c.stream.comment() // so that the client has the headers; one that has gone shows below
	ticking := task.Go(ctx, func(ctx context.Context) error {
		tick := time.NewTicker(signOfLife)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if c.project != 0 {
				h.see(c, c.project)
			}
			if err := h.guard.Do(func() error { return c.sayAlive(ctx, n) }); err != nil {
				return nil // the client has gone: the context of its request ends, too
			}
		}
	})
	return func() {
		_ = ticking.Stop()
		open.Dec()
	}
}

func (c call) sayAlive(ctx context.Context, n int) error {
	if c.request == nil {
		return c.stream.comment()
	}
	if token := c.request.Params.GetProgressToken(); token != nil {
		return c.request.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: float64(n), Message: "waiting for changes",
		})
	}
	return c.stream.comment()
}
