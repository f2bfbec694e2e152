package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// asker is initialize of a client that can be asked, in a version.
func asker(version string) string {
	return strings.NewReplacer("2025-06-18", version, `"capabilities":{}`, `"capabilities":{"elicitation":{}}`).Replace(initialize)
}

// What clients ask for: calls that wait for a change, and for a person.
const (
	waitingCall = `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"list_changes","arguments":{"project_id":1,"wait_seconds":50}}}`
	askingCall  = `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"delete_project","arguments":{"project_id":1}}}`
	subscribing = `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"layercake://projects/1/plan"}}`
)

// visitor is a client in the middle of what it does.
type visitor struct {
	streams []*thin
	goodbye func() // what a polite one says before it closes its connections
}

// visitors are clients of all transports, each with everything that may be open for a client.
var visitors = map[string]func(t *testing.T, url string) visitor{
	"by itself": func(t *testing.T, url string) visitor {
		t.Helper()
		waiting := openThin(t, &net.Dialer{}, http.MethodPost, url+"/mcp", strings.Replace(waitingCall, `"name"`, meta+`,"name"`, 1),
			modern("tools/call", "list_changes")...)
		listening := openThin(t, &net.Dialer{}, http.MethodPost, url+"/mcp", listenBody("1", "layercake://projects/1/plan", "layercake://projects/1/presence",
			"layercake://projects/1/proposals"), modern("subscriptions/listen", "")...)
		waiting.await(t, ":")
		listening.await(t, "acknowledged")
		return visitor{[]*thin{waiting, listening}, func() {}}
	},
	"session": func(t *testing.T, url string) visitor {
		t.Helper()
		headers := []string{"Accept", "application/json, text/event-stream", "MCP-Protocol-Version", "2025-11-25"}
		begun := post(t, url, "/mcp", asker("2025-11-25"), headers...)
		headers = append(headers, "Mcp-Session-Id", begun.header.Get("Mcp-Session-Id"))
		post(t, url, "/mcp", subscribing, headers...)
		listening := openThin(t, &net.Dialer{}, http.MethodGet, url+"/mcp", "", headers...)
		waiting := openThin(t, &net.Dialer{}, http.MethodPost, url+"/mcp", waitingCall, headers...)
		asked := openThin(t, &net.Dialer{}, http.MethodPost, url+"/mcp", askingCall, headers...)
		listening.await(t, "resources/updated")
		waiting.await(t, ":")
		question := asked.await(t, "elicitation/create")
		return visitor{[]*thin{listening, waiting, asked}, func() {
			post(t, url, "/mcp", decline(t, question), headers...)
			asked.await(t, "FORBIDDEN")
			post(t, url, "/mcp", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}`, headers...)
			send(t, http.MethodDelete, url+"/mcp", "", headers...)
		}}
	},
	"SSE": func(t *testing.T, url string) visitor {
		t.Helper()
		stream := openThin(t, &net.Dialer{}, http.MethodGet, url+"/mcp/sse", "")
		endpoint := strings.TrimSpace(strings.TrimPrefix(stream.await(t, "data: /mcp/sse"), "data: "))
		say := func(body string) {
			t.Helper()
			if got := post(t, url, endpoint, body); got.status != http.StatusAccepted {
				t.Fatalf("%d %s", got.status, got.text)
			}
		}
		say(asker("2024-11-05"))
		say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		say(subscribing)
		stream.await(t, "resources/updated")
		say(waitingCall)
		say(askingCall)
		question := stream.await(t, "elicitation/create")
		return visitor{[]*thin{stream}, func() {
			say(decline(t, question))
			stream.await(t, "FORBIDDEN")
			say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}`)
		}}
	},
}

// decline is a person's answer to the question in a line of a stream.
func decline(t *testing.T, line string) string {
	t.Helper()
	var question rpc
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &question); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"decline"}}`, question.ID)
}

// Clients of all transports that go, politely or in the middle of everything, leave nothing behind: no goroutine, no mailbox, no socket.
func TestNothingIsLeftOfClientsThatGo(t *testing.T) {
	t.Parallel()
	database, admin := pgtest.New(t), servertest.Address(t)
	url := servertest.StartProcess(t, database, servertest.Told{AdminAddr: admin}.Variable()).URL
	db := pgtest.Connect(t, database)
	ask(t, url, newProject)
	left := func() (what string) {
		metrics, err := client.Metrics(t.Context(), "http://"+admin)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"layercake_mcp_mailboxes", "layercake_sockets_open"} {
			what += strings.Repeat(name+"\n", int(metrics[name]))
		}
		stacks, err := client.Get(t.Context(), "http://"+admin+"/debug/pprof/goroutine?debug=2")
		if err != nil {
			t.Fatal(err)
		}
		for stack := range strings.SplitSeq(string(stacks.Text), "\n\n") {
			if strings.Contains(stack, "internal/mcpserver.(") || strings.Contains(stack, "modelcontextprotocol") {
				what += stack + "\n"
			}
		}
		return what
	}
	ways := map[string]func(visitor){
		"politely": func(v visitor) {
			v.goodbye()
			for _, s := range v.streams {
				_ = s.conn.Close()
			}
		},
		"rudely": func(v visitor) {
			for _, s := range v.streams {
				_ = s.conn.(*net.TCPConn).SetLinger(0) // a reset instead of an end
				_ = s.conn.Close()
			}
		},
	}
	for name, visit := range visitors {
		for way, leave := range ways {
			t.Run(name+", "+way, func(t *testing.T) { // one after the other: all have the process for themselves
				var here []visitor
				for range 3 {
					here = append(here, visit(t, url))
				}
				during := left()
				for _, trace := range []string{"layercake_sockets_open", "internal/mcpserver.("} {
					if n := strings.Count(during, trace); n < len(here) {
						t.Errorf("%s is there %d times while %d clients are", trace, n, len(here))
					}
				}
				for _, v := range here {
					leave(v)
				}
				what := ""
				defer func() { t.Log(what) }()
				eventually(t, "nothing to be left", func() bool {
					what = left()
					return what == ""
				})
			})
		}
	}
	for _, query := range []string{
		"SELECT count(*) FROM mcp_sessions WHERE transport = 'sse' OR stream_id IS NOT NULL",
		"SELECT count(*) FROM mcp_inbox",
	} {
		pgtest.AwaitCount(t, db, 0, query)
	}
}

// counter counts the lines of a log.
type counter struct{ atomic.Int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.Add(1)
	return len(b), nil
}

// A client that hangs up while its call waits is no failure that somebody must look into.
func TestHangingUpIsNoFailure(t *testing.T) {
	t.Parallel()
	const clients = 20
	var complaints counter
	replica := servertest.Start(t, 1, func(c *server.Config) {
		c.AdminAddr = "127.0.0.1:0"
		c.Log = slog.New(slog.NewTextHandler(&complaints, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})[0]
	ask(t, replica.URL, newProject)
	var waiting []*thin
	for range clients {
		waiting = append(waiting, openThin(t, &net.Dialer{}, http.MethodPost, replica.URL+"/mcp", waitingCall,
			"Accept", "application/json, text/event-stream"))
	}
	for _, w := range waiting {
		w.await(t, ":")
		_ = w.conn.Close()
	}
	eventually(t, "the calls to end", func() bool {
		metrics, err := client.Metrics(t.Context(), replica.Admin)
		return err == nil && metrics["layercake_mcp_call_seconds_count"] == clients
	})
	if n := complaints.Load(); n > 0 {
		t.Errorf("the log complains %d times", n)
	}
}
