package agent_test

import (
	"bytes"
	"sync"
	"testing"

	"layercake/internal/agent"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
)

// A take whose answer is lost has happened or not. Either way each message is taken once, in order.
func TestTakeWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"the messages": false, "the commit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			proxy, through := pgtest.Proxy(t, url)
			var mu sync.Mutex
			read, lost := false, false
			spoil := func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, len(b)) }
			proxy.Rewrite(nil, func(b []byte) []byte {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case lost:
					return b
				case bytes.Contains(b, []byte("the first message")):
					read = true
					if lost = !committed; lost {
						return spoil(b)
					}
				case read && bytes.Contains(b, []byte("COMMIT\x00")):
					lost = true
					return spoil(b)
				}
				return b
			})
			a, b, conn := start(t, through, func(c *server.Config) { c.PoolMin = 1 }), start(t, url), pgtest.Connect(t, url)
			id := create(t, b, agent.SSE)
			m := openStream(t, a, id)
			pgtest.Exec(t, conn, `INSERT INTO mcp_inbox (session_id, key, body)
				SELECT $1, '', convert_to(b, 'UTF8') FROM unnest('{the first message, the second message}'::text[]) b`, id) // no line says so
			_, err := m.Take(t.Context())
			select {
			case <-m.Wake(): // of before
			default:
			}
			if err == nil || fault.From(err) != nil && !fault.Is(err, fault.Unavailable) {
				t.Fatalf("the take: %v, want it to fail", err)
			}
			want := 2
			if committed {
				want = 0
			}
			pgtest.AwaitCount(t, conn, want, "SELECT count(*) FROM mcp_inbox")
			got := take(t, m, 2)
			mustSend(t, b, id, "", "the third message")
			got = append(got, take(t, m, 1)...)
			if got[0] != "the first message" || got[1] != "the second message" || got[2] != "the third message" {
				t.Errorf("took %q", got)
			}
		})
	}
}
