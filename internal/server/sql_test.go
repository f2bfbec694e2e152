package server_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

func joinAs(user string) client.Join {
	return client.Join{UserID: "u-" + user, UserName: user, AvatarColor: "#123456", DocumentID: "d"}
}

// What DBAs ask is answered by what replicas did.
func TestDBAsSeeWhatReplicasDo(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 3, func(c *server.Config) { c.Drain = 0 })
	here, there, leaves := replicas[0].URL, replicas[1].URL, replicas[2]
	newProject(t, here)
	conn := pgtest.Connect(t, database)
	// sees waits until a question has an answer: rows of one text.
	sees := func(what, sql string, want ...string) {
		t.Helper()
		t.Log(what)
		pgtest.AwaitTexts(t, conn, want, sql)
	}
	sees("sessions under the ids of the replicas", `SELECT count(*)::text FROM layercake.replicas r JOIN pg_stat_activity a
		ON a.application_name = 'layercake/' || r.replica || '/listener'`, "3")
	sees("three replicas", `SELECT format('%s %s %s %s', version, state, sockets, heartbeat_ms > 0 AND heap_bytes > 0)
		FROM layercake.replicas`, "test live 0 t", "test live 0 t", "test live 0 t")

	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- client.New(there).Watch(ctx, 1, "", func(json.RawMessage) error { return nil }, func(error) {})
	}()
	defer func() { stop(); <-watched }()
	ann := enter(t, here, 1, joinAs("Ann"), `{"type":"cursor_update","data":{"documentId":"d","position":{"x":1,"y":2},"selectedNodeId":"n1"}}`)
	enter(t, there, 1, joinAs("Bob"))
	enter(t, there, 1, joinAs("Bob")) // in another tab
	enter(t, leaves.URL, 1, joinAs("Cid"))
	sees("everybody", `SELECT format('%s %s %s in %s of %s by %s on %s, %s', user_name, user_id, is_agent, document_id, project, transport,
			address, idle < '1 minute' AND joined_at <= active_at)
		FROM layercake.who JOIN layercake.replicas USING (replica) ORDER BY 1`,
		"Ann u-Ann f in d of Test by collaboration on "+strings.TrimPrefix(here, "http://")+", t",
		"Bob u-Bob f in d of Test by collaboration on "+strings.TrimPrefix(there, "http://")+", t",
		"Bob u-Bob f in d of Test by collaboration on "+strings.TrimPrefix(there, "http://")+", t",
		"Cid u-Cid f in d of Test by collaboration on "+strings.TrimPrefix(leaves.URL, "http://")+", t")
	sees("the figures", `SELECT format('%s sockets, %s subscriptions, %s feeds, %s', sockets, subscriptions, open_feeds, top_projects)
		FROM layercake.replicas ORDER BY 1`,
		`1 sockets, 0 subscriptions, 0 feeds, [{"project_id":1,"connections":1,"watchers":0}]`,
		`1 sockets, 0 subscriptions, 0 feeds, [{"project_id":1,"connections":1,"watchers":0}]`,
		`3 sockets, 1 subscriptions, 1 feeds, [{"project_id":1,"connections":2,"watchers":1}]`)

	ask(t, here, addNode(1))
	ask(t, there, addNode(2))
	ask(t, here, `mutation { batchMovePlanDagNodes(projectId: 1, nodePositions: [{nodeId: "n1", position: {x: 1, y: 1}},
		{nodeId: "n2", position: {x: 2, y: 2}}]) { id } }`)
	sees("the plan's history", `SELECT format('%s %s %s: %s', version, actor_name, via, summary) FROM layercake.plan_history
		WHERE project_id = 1 ORDER BY version DESC`,
		"3 Anonymous User graphql: 2 operations: 2 NODE_UPDATED", "2 Anonymous User graphql: added node n2",
		"1 Anonymous User graphql: added node n1")
	sees("the project", `SELECT format('%s: %s people, %s agents, %s connections, version %s by %s, %s', project, people, agents,
			connections, plan_version, last_change_by, changes_1h) FROM layercake.projects_live`,
		"Test: 3 people, 0 agents, 4 connections, version 3 by Anonymous User, 3")
	sees("the bytes of the feed", "SELECT (feed_bytes > 0)::text FROM layercake.replicas WHERE open_feeds = 1", "true")

	_ = ann.Close()
	leaves.Stop(t)
	sees("who was there", `SELECT format('%s %s %s', user_name, user_id, coalesce(reason, 'is there')) FROM layercake.presence_log ORDER BY 1`,
		"Ann u-Ann closed", "Bob u-Bob is there", "Bob u-Bob is there", "Cid u-Cid drained")
	sees("two replicas", "SELECT state FROM layercake.replicas", "live", "live")
}

// A replica that sends its clients away says so with its lease.
func TestDBAsSeeADrain(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, nil)[0]
	conn := pgtest.Connect(t, database)
	// While a request is in hand, the replica does not end.
	body, sender := io.Pipe()
	answered, ended := make(chan error, 1), make(chan struct{})
	c := client.New(replica.URL)
	defer c.Close()
	go func() {
		_, err := c.Post(t.Context(), body, nil)
		answered <- err
	}()
	if _, err := io.WriteString(sender, `{"query":`); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(ended); replica.Stop(t) }()
	pgtest.AwaitTexts(t, conn, []string{"draining"}, "SELECT state FROM layercake.replicas")
	if _, err := io.WriteString(sender, `"{__typename}"}`); err != nil {
		t.Error(err)
	}
	_ = sender.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-ended
}
