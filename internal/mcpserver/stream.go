package mcpserver

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"layercake/internal/task"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The clocks of streams.
const (
	writeTime   = 10 * time.Second // limit for a client to take what is written
	signOfLife  = 10 * time.Second // pause between comments while a call waits
	lifeComment = ":\n\n"
)

// stream is a response that several goroutines write, as events. A client that does not take them ends it, and nobody else waits for that.
type stream struct {
	http.ResponseWriter

	control *http.ResponseController
	mu      sync.Mutex
}

func newStream(w http.ResponseWriter) *stream {
	header := w.Header()
	header.Set("X-Accel-Buffering", "no") // nginx would keep events back
	header.Set("Cache-Control", "no-cache, no-transform")
	return &stream{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Unwrap lets controllers reach the connection.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write writes within the time that a client has to take it.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTime)) // writers without deadlines are those of tests
	return s.ResponseWriter.Write(b)
}

// Flush sends what was written.
func (s *stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.Flush() // a broken connection shows at the next write
}

// keepAlive sends a sign of life again and again until it is stopped, so that nobody between takes the connection for dead.
func (h *Handler) keepAlive(ctx context.Context, c call) (stop func()) {
	if c.stream == nil {
		return func() {}
	}
	ticking := task.Go(ctx, func(ctx context.Context) error {
		tick := time.NewTicker(signOfLife)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if err := h.guard.Do(func() error { return c.sayAlive(ctx, n) }); err != nil {
				return nil // the client has gone: the context of its request ends, too
			}
		}
	})
	return func() { _ = ticking.Stop() }
}

func (c call) sayAlive(ctx context.Context, n int) error {
	if token := c.request.Params.GetProgressToken(); token != nil {
		return c.request.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: float64(n), Message: "waiting for changes",
		})
	}
	_, err := io.WriteString(c.stream, lifeComment)
	c.stream.Flush()
	return err
}
