package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/feed"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// longLog makes a project with 1,000 nodes and 2,000 edges and a log of so many events. Most move a node, some delete an edge and add it
// again. They are written as rows, since so many changes take minutes.
func longLog(b *testing.B, r *replica, conn *pgx.Conn, events int) (project int32) {
	b.Helper()
	project = r.create(b)
	whole := plan.Replace{Base: "0"}
	for i := range 1000 {
		whole.Nodes = append(whole.Nodes, node(fmt.Sprint("node-", i), plan.GraphNode))
	}
	for i := range 2000 {
		whole.Edges = append(whole.Edges, edge(fmt.Sprint("edge-", i), fmt.Sprint("node-", i%998), fmt.Sprint("node-", i%998+1+i/998)))
	}
	r.change(b, project, whole)
	dag := r.dag(b, project)
	nodes, edges := dag.Nodes, dag.Edges
	random := rand.New(rand.NewPCG(1, 2))
	version, at, last := dag.At.Version, dag.ChangedAt.Add(-24*time.Hour), dag.At.Hash
	pgtest.Exec(b, conn, "UPDATE events SET at = $1 WHERE project_id = $2", at, project)
	pgtest.Exec(b, conn, "UPDATE plans SET created_at = $1, updated_at = $1 WHERE project_id = $2", at, project)
	size := int64(pgtest.Count(b, conn, "SELECT log_size FROM heads WHERE project_id = $1", project))
	text := func(v any) json.RawMessage {
		t, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return t
	}
	next := func() []any {
		var operation plan.Operation
		switch kind := random.IntN(20); {
		case kind == 0 && len(edges) == 2000:
			i := random.IntN(len(edges))
			operation = plan.Operation{Kind: plan.EdgeRemoved, ID: edges[i].ID, Index: &i, Before: text(edges[i])}
			removed := edges[i]
			edges = append(slices.Delete(edges, i, i+1), removed)[:1999]
		case len(edges) == 1999:
			edges = edges[:2000]
			operation = plan.Operation{Kind: plan.EdgeAdded, ID: edges[1999].ID, Index: new(1999), After: text(edges[1999])}
		default:
			i := random.IntN(len(nodes))
			operation = plan.Operation{Kind: plan.NodeUpdated, ID: nodes[i].ID, Index: &i, Before: text(nodes[i])}
			nodes[i].Position = plan.Position{X: float64(random.IntN(5000)), Y: float64(random.IntN(5000))}
			nodes[i].UpdatedAt = at
			operation.After = text(nodes[i])
		}
		version, at = version+1, at.Add(10*time.Millisecond)
		id := fmt.Sprintf("7b7f2d3c-0000-4000-8000-%012d", version)
		body := text(plan.Event{
			Prev: last, ProjectID: project, Version: version, At: at, OpID: id, ClientID: "client", ActorID: r.actor.ID,
			ActorKind: string(r.actor.Kind), ActorName: r.actor.Name, Via: "graphql", Operations: []plan.Operation{operation},
		})
		last, size = feed.Hash(body), size+int64(len(body))
		return []any{project, version, at, "", id, []byte{}, body, last, int32(len(body)), size}
	}
	columns := []string{"project_id", "version", "at", "op_actor", "op_id", "request_hash", "body", "hash", "size", "total_size"}
	_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"events"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if version == int64(events) && len(edges) == 2000 || version > int64(events) {
			return nil, nil
		}
		return next(), nil
	}))
	if err != nil {
		b.Fatal(err)
	}
	pgtest.Exec(b, conn, "UPDATE heads SET version = $1, hash = $2, changed_at = $3, log_size = $4 WHERE project_id = $5", version, last, at, size, project)
	for _, n := range nodes {
		pgtest.Exec(b, conn, "UPDATE plan_nodes SET position_x = $1, position_y = $2, updated_at = $3 WHERE project_id = $4 AND id = $5",
			n.Position.X, n.Position.Y, n.UpdatedAt, project, n.ID)
	}
	for i, e := range edges {
		pgtest.Exec(b, conn, "UPDATE plan_edges SET ordinal = $1 WHERE project_id = $2 AND id = $3", 10_000+i, project, e.ID)
	}
	return project
}

// percentiles measures each call and reports the median and the 99th percentile in milliseconds.
func percentiles(b *testing.B, call func(i int) error) {
	b.Helper()
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if err := call(i); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

// What history costs in a log of 100,000 events, as long as one is kept.
func BenchmarkHistory(b *testing.B) {
	url := pgtest.New(b)
	r, conn := startReplica(b, url, 0), pgtest.Connect(b, url)
	const events = 100_000
	p := longLog(b, r, conn, events)
	short := longLog(b, r, conn, 5000)
	analyze(b, url)
	for r.checkpoint(b) > 0 { // until none is due
	}
	ctx, random := b.Context(), rand.New(rand.NewPCG(3, 4))

	b.Run("of=a_version", func(b *testing.B) {
		percentiles(b, func(int) error {
			_, err := r.plans.At(ctx, auth.Unchecked(r.actor, p), 2+random.Int64N(events-1))
			return err
		})
	})
	b.Run("of=a_time", func(b *testing.B) {
		began, ended := r.pastOf(b, p, 1).ChangedAt, r.dag(b, p).ChangedAt
		percentiles(b, func(int) error {
			_, err := r.plans.AtTime(ctx, auth.Unchecked(r.actor, p), began.Add(time.Duration(random.Int64N(int64(ended.Sub(began))))))
			return err
		})
	})
	b.Run("of=a_page", func(b *testing.B) {
		percentiles(b, func(int) error {
			_, err := r.plans.History(ctx, auth.Unchecked(r.actor, p), plan.HistoryQuery{Limit: 50, Before: 100 + random.Int64N(events)})
			return err
		})
	})
	b.Run("of=an_element", func(b *testing.B) {
		percentiles(b, func(i int) error {
			_, err := r.plans.History(ctx, auth.Unchecked(r.actor, short), plan.HistoryQuery{Limit: 50, Element: fmt.Sprint("node-", i%1000)})
			return err
		})
	})
	b.Run("of=a_difference", func(b *testing.B) {
		percentiles(b, func(int) error {
			from := random.Int64N(events - 1000)
			to := from + 1000
			_, err := r.plans.Diff(ctx, auth.Unchecked(r.actor, p), from, &to)
			return err
		})
	})
	b.Run("of=a_checkpoint", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			pgtest.Exec(b, conn, "DELETE FROM checkpoints WHERE project_id = $1 AND version = 50000", p)
			b.StartTimer()
			if n := r.checkpoint(b); n != 1 {
				b.Fatalf("wrote %d checkpoints", n)
			}
		}
	})
}
