package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

const (
	dialTime    = 5 * time.Second
	pingPeriod  = 5 * time.Second
	maxSilence  = 3 * pingPeriod // a replica answers each ping
	maxMessage  = 64 << 20       // snapshots of whole plans
	subprotocol = "graphql-transport-ws"
)

// message is a frame of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// subscribe opens a socket, subscribes to q and hands each result's data to next, until ctx ends or the socket or the
// subscription does. Open is called once the replica has greeted. The error is a *refusal when the replica gave one.
func subscribe(ctx context.Context, url string, q request, open func(), next func(data json.RawMessage) error) error {
	conn, err := dial(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }() // what went wrong is said elsewhere
	payload, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if err := send(ctx, conn, message{ID: "1", Type: "subscribe", Payload: payload}); err != nil {
		return err
	}
	open()
	group, ctx := errgroup.WithContext(ctx)
	ended, end := context.WithCancel(ctx)
	group.Go(func() error { return ping(ended, conn) })
	group.Go(func() error {
		defer end()
		return receive(ctx, conn, next)
	})
	return group.Wait()
}

// dial opens a socket and waits for the replica's greeting.
func dial(ctx context.Context, url string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+"/graphql/ws", &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Subprotocols: []string{subprotocol},
	})
	if response != nil && response.Body != nil {
		_ = response.Body.Close() // it is the connection's by now
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	err = send(ctx, conn, message{Type: "connection_init"})
	for err == nil {
		var m message
		if m, err = read(ctx, conn); m.Type == "connection_ack" {
			return conn, nil
		}
	}
	_ = conn.CloseNow() // the error above says more
	return nil, err
}

// ping keeps frames coming, so that receive notices when the replica is gone without a word.
func ping(ctx context.Context, conn *websocket.Conn) error {
	tick := time.NewTicker(pingPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := send(ctx, conn, message{Type: "ping"}); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func receive(ctx context.Context, conn *websocket.Conn, next func(json.RawMessage) error) error {
	for {
		m, err := read(ctx, conn)
		if err != nil {
			return err
		}
		switch m.Type {
		case "ping":
			err = send(ctx, conn, message{Type: "pong"})
		case "next":
			var result struct {
				Data   json.RawMessage
				Errors []*refusal
			}
			if err = json.Unmarshal(m.Payload, &result); err == nil && len(result.Errors) > 0 {
				err = result.Errors[0]
			}
			if err == nil {
				err = next(result.Data)
			}
		case "error":
			var errs []*refusal
			if err = json.Unmarshal(m.Payload, &errs); err == nil && len(errs) > 0 {
				err = errs[0]
			}
		case "complete":
			err = fmt.Errorf("the replica ended the subscription")
		}
		if err != nil {
			return err
		}
	}
}

func read(ctx context.Context, conn *websocket.Conn) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	var m message
	_, frame, err := conn.Read(ctx)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(frame, &m)
}

func send(ctx context.Context, conn *websocket.Conn, m message) error {
	ctx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	frame, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, frame)
}
