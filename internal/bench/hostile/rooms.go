package hostile

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"layercake/internal/bench"
	"layercake/internal/client"

	"github.com/jackc/pgx/v5"
)

// Rooms that are filled, and logs that are written by talking.
var roomAttacks = []attack{
	{
		name: "guests", threat: "C11", summary: "one address makes 600 guests in the project of others",
		do: func(a *assault, ctx context.Context) error { return a.inviteGuests(ctx, false) },
	},
	{
		name: "addresses-forged", threat: "C11", summary: "the same, but each request says that it was forwarded for another address",
		do: func(a *assault, ctx context.Context) error { return a.inviteGuests(ctx, true) },
	},
	{
		name: "renames", threat: "C11", summary: "20 sockets join again and again under another name, 15 times a second each",
		do: (*assault).rename,
	},
	{
		name: "visits", threat: "C11", summary: "sockets come into the project of others and go at once",
		do: (*assault).visit,
	},
}

// guestsPerAddress is how many guests one address may make.
const guestsPerAddress = 200

// inviteGuests makes guests. Those who forge say of each request that a proxy passed it on.
func (a *assault) inviteGuests(ctx context.Context, forge bool) error {
	c := a.http()
	header := func(n int) http.Header {
		if !forge {
			return nil
		}
		return http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.%d.%d", 113+n/250, n%250)}}
	}
	var made atomic.Int64
	const atOnce = 8
	together(atOnce, func(i int) {
		for n := i; n < 600 && ctx.Err() == nil; n += atOnce {
			got, err := a.postWith(ctx, c, n, header(n), document(
				`mutation($id: Int!, $who: String) { joinProjectCollaboration(projectId: $id, clientId: $who, userName: "guest") }`,
				map[string]any{"id": a.honest.people, "who": fmt.Sprint("guest-", n)}))
			if err == nil && got.status == 200 && got.code == "" {
				made.Add(1)
			}
		}
	})
	if n := made.Load(); n > guestsPerAddress {
		a.wrong("one address made %d guests, over %d", n, guestsPerAddress)
	}
	return nil
}

const (
	renamers   = 20
	renamed    = "renamed-"
	renamePace = 65 // milliseconds: just within the limit of messages
)

func (a *assault) rename(ctx context.Context) error {
	together(renamers, func(i int) {
		open := func(ctx context.Context) (*client.Socket, error) {
			return dialer.Collaboration(ctx, a.urls[i%len(a.urls)], a.honest.people)
		}
		a.flooding(ctx, renamePace*1e6, open, func(n int) []byte {
			return client.Join{UserID: fmt.Sprint(renamed, i, "-", n), UserName: fmt.Sprint("name ", n), AvatarColor: "#000000"}.Frame()
		})
	})
	var rows int
	err := a.judged(ctx, &rows, "SELECT count(*) FROM layercake.presence_log WHERE user_id LIKE $1", renamed+"%")
	// A row for each connection and minute, of which an attack may touch two.
	if rows > 2*renamers {
		a.wrong("%d sockets wrote %d rows of the log of visits", renamers, rows)
	}
	return err
}

// judged asks the database as its owner, for those who judge.
func (a *assault) judged(ctx context.Context, into any, question string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, a.database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // the answer is complete
	return conn.QueryRow(ctx, question, args...).Scan(into)
}

func (a *assault) visit(ctx context.Context) error {
	together(8, func(i int) {
		for n := 0; n < 100 && ctx.Err() == nil; n++ {
			socket, err := dialer.Collaboration(ctx, a.urls[n%len(a.urls)], a.honest.people)
			if err != nil {
				a.sent(openFailure(err))
				_ = bench.Wait(ctx, framePause) // the loop looks at ctx
				continue
			}
			join := client.Join{UserID: fmt.Sprint("visitor-", i, "-", n), UserName: "visitor", AvatarColor: "#000000"}
			if socket.Send(ctx, join.Frame()) == nil {
				_, _ = socket.Discard(ctx) // the roster, or the end
			}
			socket.CloseNow()
			a.sent("came and went")
		}
	})
	return nil
}
