package builds

import (
	"context"
	"fmt"
	"time"

	"layercake/internal/bench"

	"github.com/jackc/pgx/v5"
)

// restTime is the limit for the clean-up to remove what nothing refers to, once it is old enough.
const restTime = 30 * time.Second

// invariants are questions whose answers are empty at rest, when no build is under way. Each row is a sentence.
var invariants = []string{
	// Versions count events.
	`SELECT format('the log of project %s has %s events between %s and %s', h.project_id, count(e.version), h.log_floor, h.version)
		FROM heads h LEFT JOIN events e USING (project_id) GROUP BY h.project_id HAVING count(e.version) <> h.version - h.log_floor`,
	`SELECT format('build %s of node %s, project %s, is still open', id, node_id, project_id) FROM builds WHERE finished_at IS NULL`,
	`SELECT format('graph %s, project %s, is still claimed', graph_id, project_id) FROM claims`,
	`SELECT format('graph %s, project %s, is %s without a build', id, project_id, state) FROM graphs WHERE state IN ('pending', 'processing')`,
	// A header points to a whole content.
	`SELECT format('graph %s, project %s, has content %s with %s of %s nodes and %s of %s edges, hash %s', g.id, g.project_id, g.content_id,
			n.found, g.node_count, e.found, g.edge_count, coalesce(c.hash, 'none'))
		FROM graphs g LEFT JOIN contents c ON c.id = g.content_id,
			LATERAL (SELECT count(*) AS found, max(ordinal) AS last FROM content_nodes WHERE content_id = g.content_id) n,
			LATERAL (SELECT count(*) AS found, max(ordinal) AS last FROM content_edges WHERE content_id = g.content_id) e
		WHERE g.content_id IS NOT NULL AND (c.hash IS NULL OR c.hash <> g.content_hash
			OR n.found <> g.node_count OR e.found <> g.edge_count OR coalesce(n.last, -1) <> n.found - 1 OR coalesce(e.last, -1) <> e.found - 1)`,
	// What the plan shows is what the header says.
	`SELECT format('node %s, project %s, shows %s, and its graph is %s', g.node_id, g.project_id, n.execution, g.state)
		FROM graphs g JOIN plan_nodes n ON n.project_id = g.project_id AND n.id = g.node_id
		WHERE g.state <> 'not_started' AND n.execution ->> 'executionState' IS DISTINCT FROM g.state`,
}

// AtRest returns in words what should not be so when no build is under way.
func AtRest(ctx context.Context, conn *pgx.Conn) (problems []string, err error) {
	for _, question := range invariants {
		rows, err := conn.Query(ctx, question)
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, question)
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// rest looks at what is left.
func (r *run) rest(ctx context.Context) error {
	problems, err := AtRest(ctx, r.conn)
	if err != nil {
		return err
	}
	for _, p := range problems {
		r.wrong("%s", p)
	}
	if err := r.doubled(ctx); err != nil {
		return err
	}
	return r.cleanUp(ctx)
}

// doubled counts builds that were begun again although the replica that had begun them did not die, and builds that nobody asked for.
func (r *run) doubled(ctx context.Context) error {
	var again int64
	if err := r.conn.QueryRow(ctx, "SELECT coalesce(sum(attempt - 1), 0) FROM builds WHERE attempt > 1").Scan(&again); err != nil {
		return err
	}
	r.result.Doubled = max(0, again-r.killed)
	for _, p := range r.plans {
		var completed int
		const count = "SELECT count(*) FROM builds WHERE project_id = $1 AND node_id = $2 AND state = 'completed'"
		err := r.conn.QueryRow(ctx, count, p.id, mergeNode).Scan(&completed)
		if err != nil {
			return err
		}
		r.result.Doubled += int64(max(0, completed-p.rounds))
	}
	if r.result.Doubled > 0 {
		r.wrong("%d builds were done twice without a death", r.result.Doubled)
	}
	return nil
}

// cleanUp makes what nothing refers to old, and waits until it is removed.
func (r *run) cleanUp(ctx context.Context) error {
	const unused = `NOT EXISTS (SELECT FROM graphs WHERE content_id = contents.id)
		AND NOT EXISTS (SELECT FROM claims WHERE content_id = contents.id)`
	tag, err := r.conn.Exec(ctx, "UPDATE contents SET touched_at = now() - interval '1 day' WHERE "+unused)
	if err != nil {
		return err
	}
	r.result.LeftOver = tag.RowsAffected()
	limit := restTime + time.Duration(r.cfg.Rows)*time.Duration(r.result.LeftOver)*100*time.Microsecond
	began := time.Now()
	for {
		var contents, nodes, edges int
		err := r.conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM contents WHERE `+unused+`),
			(SELECT count(*) FROM (SELECT DISTINCT content_id FROM content_nodes) n WHERE NOT EXISTS (SELECT FROM contents WHERE id = content_id)),
			(SELECT count(*) FROM (SELECT DISTINCT content_id FROM content_edges) n WHERE NOT EXISTS (SELECT FROM contents WHERE id = content_id))`).
			Scan(&contents, &nodes, &edges)
		switch {
		case err != nil:
			return err
		case contents+nodes+edges == 0:
			r.say("%d contents that nothing refers to are removed after %.1f s", r.result.LeftOver, time.Since(began).Seconds())
			return nil
		case time.Since(began) > limit:
			r.wrong("%d contents that nothing refers to are left over after %v, and elements of %d", contents, limit, nodes+edges)
			return nil
		}
		if err := bench.Wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
