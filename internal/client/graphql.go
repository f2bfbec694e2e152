package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// The path at which GraphQL is spoken over a socket, and the subprotocol.
const (
	GraphQLPath = "/graphql/ws"
	Subprotocol = "graphql-transport-ws"
)

// Message is a frame of graphql-transport-ws.
type Message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// ErrEnded says that the replica completed a subscription.
var ErrEnded = errors.New("the replica ended the subscription")

// GraphQLSocket speaks graphql-transport-ws.
type GraphQLSocket struct{ *Socket }

// GraphQL opens a socket and waits for the replica's greeting. The context bounds only that.
func (d Dialer) GraphQL(ctx context.Context, url string) (GraphQLSocket, error) {
	ctx, cancel := d.limit(ctx)
	defer cancel()
	raw, err := d.Open(ctx, url, GraphQLPath, Subprotocol)
	if err != nil {
		return GraphQLSocket{}, err
	}
	s := GraphQLSocket{raw}
	err = s.say(ctx, Message{Type: "connection_init"})
	for err == nil {
		var m Message
		if m, err = s.Next(ctx); m.Type == "connection_ack" {
			return s, nil
		}
	}
	s.CloseNow()
	return GraphQLSocket{}, err
}

func (s GraphQLSocket) say(ctx context.Context, m Message) error {
	frame, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.Send(ctx, frame)
}

// Subscribe asks for an operation under an id. Its results come with Next.
func (s GraphQLSocket) Subscribe(ctx context.Context, id string, q Request) error {
	payload, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return s.say(ctx, Message{ID: id, Type: "subscribe", Payload: payload})
}

// Next returns the next message, and answers pings on the way. Its errors are those of Receive. A pong that cannot be sent is no error
// here, because the next Receive fails with the reason.
func (s GraphQLSocket) Next(ctx context.Context) (Message, error) {
	for {
		var m Message
		frame, err := s.Receive(ctx)
		if err == nil {
			err = json.Unmarshal(frame, &m)
		}
		if err != nil || m.Type != "ping" {
			return m, err
		}
		_ = s.say(ctx, Message{Type: "pong"})
	}
}

// Follow subscribes and hands the data of each result to next, until ctx ends or the socket or the subscription does, or next
// returns an error. It closes the socket, and also when the replica says nothing for 15 s. The error is a *Refusal when the replica gave
// one, a *Closed when it closed the socket, and ErrEnded when it completed the subscription.
func (s GraphQLSocket) Follow(ctx context.Context, q Request, next func(data json.RawMessage) error) error {
	defer s.CloseNow()
	if err := s.Subscribe(ctx, "1", q); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	var pinging sync.WaitGroup
	pinging.Go(func() { s.ping(ctx) })
	defer pinging.Wait()
	defer end()
	return s.results(ctx, next)
}

// ping makes the replica answer regularly, so that a reader notices when it is gone without a word. A ping that cannot be sent is no error
// here, because the reader fails with the reason.
func (s GraphQLSocket) ping(ctx context.Context) {
	tick := time.NewTicker(pingPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = s.say(ctx, Message{Type: "ping"})
	}
}

func (s GraphQLSocket) results(ctx context.Context, next func(json.RawMessage) error) error {
	for {
		m, err := s.nextInTime(ctx)
		switch {
		case err != nil:
		case m.Type == "next":
			var result Answer
			if err = json.Unmarshal(m.Payload, &result); err == nil && len(result.Errors) > 0 {
				err = result.Errors[0]
			}
			if err == nil {
				err = next(result.Data)
			}
		case m.Type == "error":
			var refusals []*Refusal
			if err = json.Unmarshal(m.Payload, &refusals); err == nil && len(refusals) > 0 {
				err = refusals[0]
			}
		case m.Type == "complete":
			err = ErrEnded
		}
		if err != nil {
			return err
		}
	}
}

// nextInTime is Next with a limit: a replica answers each ping, so one that is silent for longer is gone.
func (s GraphQLSocket) nextInTime(ctx context.Context) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	return s.Next(ctx)
}
