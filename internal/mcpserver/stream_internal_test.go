package mcpserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// lateResponse is a response that sends nothing in time.
type lateResponse struct{ *httptest.ResponseRecorder }

func (lateResponse) FlushError() error { return os.ErrDeadlineExceeded }

// quietResponse wraps another one and keeps to itself what fails, as the library's do that measure answers.
type quietResponse struct{ http.ResponseWriter }

func (q quietResponse) Flush()                      { _ = http.NewResponseController(q.ResponseWriter).Flush() }
func (q quietResponse) Unwrap() http.ResponseWriter { return q.ResponseWriter }

// What a client does not take in time is noted, although most of it is sent after the write, and whatever wraps the response.
func TestSlowFlushIsNoted(t *testing.T) {
	t.Parallel()
	h := &Handler{writeTime: time.Second}
	s := h.newStream(quietResponse{quietResponse{lateResponse{httptest.NewRecorder()}}})
	if err := s.comment(); !errors.Is(err, os.ErrDeadlineExceeded) || !s.isSlow() {
		t.Errorf("a write that took too long: %v, slow %t", err, s.isSlow())
	}
}
