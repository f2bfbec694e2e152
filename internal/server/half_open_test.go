package server_test

import (
	"net/http"
	"testing"

	"layercake/internal/client"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// Connections to the database that are silent without an error keep nobody in: sockets of a session that ended close, and a request whose
// credential nobody can look up is told so.
func TestSessionsEndOverHalfOpenConnections(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	proxy, through := pgtest.Proxy(t, direct)
	url := servertest.StartOn(t, through, 1, func(c *server.Config) {
		required(c)
		c.Database, c.Changes, c.Patience = postgres.DefaultTiming, plan.DefaultTiming, 0
	})[0].URL
	ann := registered(t, url, "ann")
	by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + ann.secret}}}
	s, err := by.GraphQL(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseNow()
	if proxy.Silence(func(string) bool { return true }) == 0 {
		t.Fatal("nothing is silent")
	}
	pgtest.Exec(t, pgtest.Connect(t, direct), `SELECT layercake.end_sessions('ann')`)
	until(t, "an answer", func() bool {
		code := ann.asks(t, url, `{ projects { id } }`).Code()
		if code != "UNAVAILABLE" && code != "UNAUTHENTICATED" {
			t.Errorf("the code is %q", code)
		}
		return code == "UNAUTHENTICATED"
	})
	if code := servertest.CloseCode(t, s.Socket); code != 4401 {
		t.Errorf("closed with %d, want 4401", code)
	}
}
