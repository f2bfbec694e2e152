package server

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// pipes is a listener whose only connection is one end of a pipe.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that asks and does not read the answer is cut off: it must not keep the answer, and its goroutine, for ever.
func TestAnswerThatIsNotReadIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wrote := make(chan error, 1)
		server := New(Config{Log: slog.New(slog.DiscardHandler)}).clientServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			wrote <- err
		}))
		client, conn := net.Pipe()
		listener := make(pipes, 1)
		listener <- conn
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-wrote:
			if err == nil {
				t.Error("nobody read, and all was written")
			}
		case <-time.After(time.Hour): // of the bubble
			t.Error("the server still writes after an hour")
		}
		_ = client.Close()
		close(listener)
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// A panic of a handler is answered, counted, and logged once with its stack. One that means that the answer is given up is none.
func TestPanicOfAHandler(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.guard = task.NewGuard(s.log, s.registry, "http")
	w := httptest.NewRecorder()
	s.recoverer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
	if w.Code != http.StatusInternalServerError || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "server_internal_test.go") {
		t.Errorf("logged %s", text)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the very one
			t.Errorf("recovered %v", v)
		}
		const want = `# HELP layercake_panics_total Panics, each of which ended what it was about and nothing else.
# TYPE layercake_panics_total counter
layercake_panics_total{where="http"} 1
`
		if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "layercake_panics_total"); err != nil {
			t.Error(err)
		}
	}()
	s.recoverer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/health", nil))
}
