package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// What clients do wrong is no error of ours, and no more than a line a second of each kind.
func TestClientsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	log := &notes{}
	url := servertest.Start(t, 1, func(c *server.Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })[0].URL
	newProject(t, url)
	began := time.Now()
	for n := range 200 {
		for _, path := range []string{"/health/live?a;b", "/graphql?query={a;b}", "/nowhere?a;b", "/ws/collaboration?project_id=x;y"} {
			get(t, url+path)
		}
		for _, body := range []string{"{", `{"query":"{"}`, `{"query":"{ project(id: 1e9) { id } }"}`, "\xff\xfe", `{"query":"{ __typename }","variables":1}`} {
			raw(t, url, "POST", "/graphql", body, "Connection: close")
		}
		raw(t, url, "GET", "/ws/collaboration?project_id=4711", "", "Connection: Upgrade", "Upgrade: websocket")
		// One that hangs up somewhere between its question and the answer.
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*20*time.Microsecond)
		c := client.New(url)
		_, _ = c.Ask(ctx, client.Request{Query: fmt.Sprintf(`mutation { joinProjectCollaboration(projectId: 1, clientId: "c")
			addPlanDagNode(projectId: 1, node: {id: "n%d", nodeType: MergeNode, position: {x: 1, y: 1}, metadata: {label: ""}, config: "{}"}) { id } }`, n)})
		c.Close()
		cancel()
	}
	most := 1 + int(time.Since(began)/time.Second)
	text := log.String()
	if n := strings.Count(text, "level=WARN"); n > 2*most {
		t.Errorf("%d warnings in %d s, want few: %.2000s", n, most, text)
	}
	if strings.Contains(text, "level=ERROR") {
		t.Errorf("the log has errors: %.2000s", text)
	}
}

// Nor do those who ask again and again while the database is away.
func TestOutageDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	proxy, through := pgtest.Proxy(t, database)
	log := &notes{}
	url := servertest.StartOn(t, database, 1, func(c *server.Config) {
		c.DatabaseURL, c.Log = through, slog.New(slog.NewTextHandler(log, nil))
	})[0].URL
	until(t, "/health with a database", func() bool { return get(t, url+"/health") == http.StatusOK })
	if err := proxy.Close(); err != nil {
		t.Fatal(err)
	}
	const kind = `msg="health: database"`
	until(t, "a warning", func() bool { return get(t, url+"/health") != http.StatusOK && strings.Contains(log.String(), kind) })
	began := time.Now()
	for range 200 {
		get(t, url+"/health")
	}
	if n, most := strings.Count(log.String(), kind), 2+int(time.Since(began)/time.Second); n > most {
		t.Errorf("%d lines, want %d at most", n, most)
	}
}
