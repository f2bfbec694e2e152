package plan_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
)

// A whole plan is merged with what others changed meanwhile, up to so many bytes of it. More is refused before it is read.
func TestMergeIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	proxy, through := pgtest.Proxy(t, url)
	var received atomic.Int64
	proxy.Rewrite(nil, func(piece []byte) []byte { received.Add(int64(len(piece))); return piece })
	r := startReplica(t, through, 0)
	p, conn := r.create(t), pgtest.Connect(t, url)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	writeMegabyte := func(version int) {
		t.Helper()
		pgtest.Exec(t, conn, "BEGIN")
		pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
			VALUES ($1, $2::bigint, now(), '', $2::bigint::text, '', ('{"operations":[]' || repeat(' ', 1 << 20) || '}')::json)`, p, version)
		pgtest.Exec(t, conn, "UPDATE heads SET version = $1", version)
		pgtest.Exec(t, conn, "COMMIT")
	}
	for version := range 2 { // few, for machines that are busy: what is merged is decoded between two statements
		writeMegabyte(version + 2)
	}
	mine := node("a", plan.GraphNode)
	mine.Metadata.Label = "mine"
	r.change(t, p, plan.Replace{Base: "1", Nodes: []plan.Node{mine}}) // merged, at version 4
	if got := r.dag(t, p); got.At.Version != 4 || got.Nodes[0].Metadata.Label != "mine" {
		t.Errorf("after the merge: version %d, label %q", got.At.Version, got.Nodes[0].Metadata.Label)
	}

	for version := range 6 {
		writeMegabyte(version + 5)
	}
	mine.Metadata.Label = "mine again"
	before := received.Load()
	_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Via: "test", Edits: []plan.Edit{plan.Replace{Base: "1", Nodes: []plan.Node{mine}}}})
	refusal := fault.From(err)
	if !fault.Is(err, fault.Conflict) || refusal.Message != "The plan has changed" {
		t.Fatalf("8 MB and more: %v, want CONFLICT", err)
	}
	if detail := fmt.Sprint(refusal.Details["detail"]); !strings.Contains(detail, "since version 1 ") || !strings.Contains(detail, "8 MB") {
		t.Errorf("detail = %s", detail)
	}
	if n := received.Load() - before; n > 1<<20 {
		t.Errorf("the database sent %d bytes for what is refused", n)
	}
	r.change(t, p, plan.Replace{Base: "10", Nodes: []plan.Node{mine}}) // who has read the plan since then goes on
}

// Sizes are read without the bodies: else a reader who gets 64 kB would make the database unpack all that follows.
func TestSizesAreKnownWithoutReadingBodies(t *testing.T) {
	t.Parallel()
	const most = 100 // blocks; the 50 bodies of 128 kB have 3,200
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'Test')")
	pgtest.Exec(t, conn, "INSERT INTO heads (project_id, version) VALUES (1, 50)")
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT 1, v, now(), '', v::text, '', to_json(b) FROM generate_series(1, 50) v,
		LATERAL (SELECT string_agg(md5(i::text || v), '') b FROM generate_series(1, 4000) i) x`)
	pgtest.Exec(t, conn, "VACUUM ANALYZE events")
	for name, q := range map[string]struct {
		sql  string
		args []any
	}{
		"a watcher":  {db.ListEventsAfter, []any{[]int32{1}, []int64{0}, 1 << 20, 500, 64 << 10}},
		"a merge":    {db.ListEventBodies, []any{1 << 20, 1, 0, 1001}},
		"a clean-up": {db.ListProjectsToTrim, []any{time.Unix(0, 0), 100_000, 1 << 20}},
	} {
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		if err := conn.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+q.sql, q.args...).Scan(&plan); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if blocks := plan[0].Plan.Hit + plan[0].Plan.Read; blocks > most {
			t.Errorf("%s: %d blocks, want at most %d", name, blocks, most)
		}
	}
}
