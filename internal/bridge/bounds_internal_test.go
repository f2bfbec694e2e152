package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a client that never takes what is written, until it is released.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) {
	<-s
	return len(b), nil
}

func TestEndIsBoundedWhereTheClientTakesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := make(stuck)
		defer close(client)
		begun := time.Now()
		err := Run(t.Context(), Options{URL: "http://127.0.0.1:1/mcp", Notes: io.Discard}, strings.NewReader("no JSON\n"), client)
		if !errors.Is(err, errNotTaken) {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(begun); took > lastCalls+lastWrites {
			t.Errorf("it took %s", took)
		}
	})
}

// transport is a server behind no network.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func TestSilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{URL: "http://127.0.0.1:1/mcp", Notes: io.Discard})
		s.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			body, write := io.Pipe()
			go func() {
				for range 3 { // alive, and then no more
					time.Sleep(silence - time.Second) //nolint:forbidigo // of the bubble
					_, _ = io.WriteString(write, ":\n\n")
				}
				<-r.Context().Done()
				_ = write.CloseWithError(r.Context().Err())
			}()
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body}, nil
		})
		m, _ := peek([]byte(`{"id":1,"method":"tools/list"}`))
		response, err := s.send(t.Context(), m, nil, func() {})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		begun := time.Now()
		err = s.relay(t.Context(), response, m, nil)
		if took := time.Since(begun); err == nil || took != 3*(silence-time.Second)+silence {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// All requests of an outage wait until the same moment.
func TestOutageIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		s := newServer(Options{URL: "http://127.0.0.1:1/mcp", Notes: &said})
		down := true
		s.http.Transport = transport(func(*http.Request) (*http.Response, error) {
			if down {
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}, Body: http.NoBody}, nil
			}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})
		ask := func(method string) time.Duration {
			t.Helper()
			begun := time.Now()
			response, err := s.send(context.Background(), message{method: method}, nil, func() {})
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			return time.Since(begun)
		}
		if took := ask("tools/list"); took == 0 || took > patience {
			t.Errorf("the first waited for %s", took)
		}
		if took := ask("ping") + ask(callTool); took != 0 {
			t.Errorf("the others waited for %s", took)
		}
		down = false
		ask("ping")
		down = true
		if took := ask("ping"); took == 0 {
			t.Error("another outage is not waited for")
		}
		if n := strings.Count(said.String(), "\n"); n != 2 {
			t.Errorf("notes: %s", &said)
		}
	})
}

func TestANotificationOvertakesNoRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		arrived := make(chan string, 10)
		b := &bridge{server: newServer(Options{URL: "http://127.0.0.1:1/mcp", Notes: io.Discard}), calls: map[string]*call{}}
		b.out = &output{w: io.Discard}
		b.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			text, _ := io.ReadAll(r.Body)
			m, _ := peek(text)
			if m.request() {
				<-leave // a connection that takes its time
			}
			arrived <- m.method
			httptrace.ContextClientTrace(r.Context()).WroteRequest(httptrace.WroteRequestInfo{})
			return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
		})
		b.take(t.Context(), input{text: []byte(`{"id":1,"method":"tools/list"}`)})
		noting := make(chan struct{})
		go func() {
			defer close(noting)
			b.take(t.Context(), input{text: []byte(`{"method":"notifications/roots/list_changed"}`)})
		}()
		synctest.Wait()
		if len(arrived) != 0 {
			t.Errorf("%s arrived first", <-arrived)
		}
		close(leave)
		<-noting
		b.running.Wait()
		if first := <-arrived; first != "tools/list" || len(arrived) != 1 {
			t.Errorf("%s arrived first, and %d others", first, len(arrived))
		}
	})
}
