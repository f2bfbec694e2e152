package hostile

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
)

// Sockets that say much, and many of them.
var socketAttacks = []attack{
	{
		name: "frames-graphql", threat: "C10",
		summary: "10 GraphQL sockets send pings, answers to nothing and wrong operations, 1,000 frames a second each",
		do:      (*assault).floodGraphQL, lasts: 2 * time.Second,
	},
	{
		name: "subscriptions", threat: "C10", summary: "10 GraphQL sockets subscribe to a plan and complete at once, as fast as they can",
		do: (*assault).subscribeAndComplete,
	},
	{
		name: "frames-collaboration", threat: "C10", summary: "10 collaboration sockets send 1,000 frames a second each",
		do: (*assault).floodCollaboration,
	},
	{
		name: "sockets-many", threat: "C10",
		summary: "one address opens 600 sockets at a replica that allows 500, on every route that has any",
		do:      (*assault).openMany,
	},
}

const (
	floodSockets = 10
	framePause   = time.Millisecond
	maxReopened  = 20  // sockets that a flooder opens after the replica closed the one before
	maxFrames    = 800 // frames that a socket may take in 2 s: 50 a second and 500 that are refused, with some on their way
)

// dialer opens sockets from the attacker's address.
var dialer = client.Dialer{Timeout: socketTime, From: from}

// flooding sends frames over a socket that it opens again when the replica closes it. What comes back is read and thrown away. It
// returns the number of frames that one socket took at most.
func (a *assault) flooding(
	ctx context.Context, pause time.Duration, open func(context.Context) (*client.Socket, error), frame func(n int) []byte,
) (most int) {
	for range maxReopened {
		socket, err := open(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			a.sent(openFailure(err))
			_ = bench.Wait(ctx, 100*time.Millisecond) // the loop looks at ctx
			continue
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				_, err := socket.Discard(ctx)
				closed := new(client.Closed)
				if errors.As(err, &closed) {
					a.sent(fmt.Sprint("closed ", int(closed.Code)))
				}
				if err != nil {
					return
				}
			}
		}()
		n := 0
		for ; bench.Wait(ctx, pause) == nil && socket.Send(ctx, frame(n)) == nil; n++ {
			a.sent("frame")
		}
		most = max(most, n)
		socket.CloseNow()
		<-ended
	}
	return most
}

// openFailure says in a word why a socket was not opened.
func openFailure(err error) string {
	unopened := new(client.Unopened)
	if errors.As(err, &unopened) {
		return fmt.Sprint("not opened ", unopened.Status)
	}
	return failure(err)
}

func (a *assault) openGraphQL(i int) func(context.Context) (*client.Socket, error) {
	return func(ctx context.Context) (*client.Socket, error) {
		s, err := dialer.GraphQL(ctx, a.urls[i%len(a.urls)])
		return s.Socket, err
	}
}

func (a *assault) floodGraphQL(ctx context.Context) error {
	frames := []string{
		`{"type":"ping"}`, `{"type":"pong"}`, `{"type":"complete","id":"%d"}`,
		`{"type":"subscribe","id":"%d","payload":{"query":"{ nothing }"}}`,
		`{"type":"subscribe","id":"%d","payload":{"query":"{ projects { id } }"}}`,
	}
	var most atomic.Int64
	together(floodSockets, func(i int) {
		taken := a.flooding(ctx, framePause, a.openGraphQL(i), func(n int) []byte {
			f := frames[n%len(frames)]
			if n%len(frames) < 2 {
				return []byte(f)
			}
			return fmt.Appendf(nil, f, n)
		})
		for old := most.Load(); int64(taken) > old && !most.CompareAndSwap(old, int64(taken)); old = most.Load() {
		}
	})
	if n := most.Load(); n > maxFrames {
		a.wrong("a socket took %d frames at once, over %d", n, maxFrames)
	}
	return nil
}

func (a *assault) subscribeAndComplete(ctx context.Context) error {
	subscribe := fmt.Sprintf(`{"type":"subscribe","id":"%%d","payload":{"query":
		"subscription { planEvents(projectId: %d) { plan { nodes { id config } } } }"}}`, a.honest.plan())
	together(floodSockets, func(i int) {
		a.flooding(ctx, framePause, a.openGraphQL(i), func(n int) []byte {
			if n%2 == 0 {
				return fmt.Appendf(nil, subscribe, n/2)
			}
			return fmt.Appendf(nil, `{"type":"complete","id":"%d"}`, n/2)
		})
	})
	return nil
}

func (a *assault) floodCollaboration(ctx context.Context) error {
	together(floodSockets, func(i int) {
		open := func(ctx context.Context) (*client.Socket, error) {
			return dialer.Collaboration(ctx, a.urls[i%len(a.urls)], a.honest.people)
		}
		join := client.Join{UserID: fmt.Sprint("flooder-", i), UserName: "flooder", AvatarColor: "#000000"}
		a.flooding(ctx, framePause, open, func(n int) []byte {
			if n%50 == 0 {
				return join.Frame()
			}
			return client.MoveFrame(canvas, float64(n), float64(i))
		})
	})
	return nil
}

func (a *assault) openMany(ctx context.Context) error {
	var opened atomic.Int64
	const many, atOnce = 600, 20
	together(atOnce, func(i int) {
		for n := i; n < many && ctx.Err() == nil; n += atOnce {
			socket, err := a.openSomewhere(ctx, n)
			if err != nil {
				a.sent(openFailure(err))
				continue
			}
			a.sent("opened")
			opened.Add(1)
			a.atEnd(socket.CloseNow)
		}
	})
	if n := opened.Load(); n > perAddress {
		a.wrong("one address opened %d sockets at a replica that allows %d", n, perAddress)
	}
	return nil
}

// openSomewhere opens a socket on one of the routes.
func (a *assault) openSomewhere(ctx context.Context, n int) (*client.Socket, error) {
	switch n % 3 {
	case 0:
		return dialer.Collaboration(ctx, a.urls[0], a.honest.people)
	case 1:
		return dialer.Open(ctx, a.urls[0], "/graphql", client.Subprotocol)
	default:
		return dialer.Open(ctx, a.urls[0], client.GraphQLPath, client.Subprotocol)
	}
}
