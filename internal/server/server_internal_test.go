package server

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
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
