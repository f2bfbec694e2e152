package builds

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/client"

	"github.com/jackc/pgx/v5"
)

const crowdRows = 5 // nodes of each of its sources

// crowd builds a plan of many small graphs, with a build of another project beside it, and then looks at what is built again: nothing when
// nothing changed, and what hangs off a source when it was replaced.
func (r *run) crowd(ctx context.Context) error {
	if r.cfg.Crowd == 0 {
		return nil
	}
	id, sources, err := r.makeCrowd(ctx)
	if err != nil {
		return err
	}
	var plan int
	if err := r.conn.QueryRow(ctx, "SELECT id FROM plans WHERE project_id = $1", id).Scan(&plan); err != nil {
		return err
	}
	if err := r.change(ctx); err != nil {
		return err
	}
	result := &r.result.Crowd
	result.Graphs = r.cfg.Crowd
	began := time.Now()
	c := r.next()
	r.asking.Go(func() { _ = executePlan(ctx, c, plan) }) // the table says what becomes of it
	err = until(ctx, killTime, "nobody builds many graphs", func(ctx context.Context) (begun bool, err error) {
		err = r.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM builds WHERE project_id = $1 AND started_at IS NOT NULL)", id).Scan(&begun)
		return begun, err
	})
	if err != nil {
		return err
	}
	if result.Ahead, err = r.passed(ctx, id); err != nil {
		return err
	}
	if err := r.await(ctx, id); err != nil {
		return err
	}
	result.Seconds = time.Since(began).Seconds()
	r.say("%d small graphs are built after %.1f s; a build of another project waited for %d of them",
		r.cfg.Crowd, result.Seconds, result.Ahead)
	return errors.Join(r.again(ctx, id, plan), r.replace(ctx, id, plan, sources[0]))
}

// passed builds something of another project, and returns how many graphs of the crowd were claimed before it although it was asked for.
// They count from when everybody could see that: the time in its row is that of the beginning of the request's transaction.
func (r *run) passed(ctx context.Context, crowd int) (ahead int, err error) {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	var last int64
	if err := r.conn.QueryRow(ctx, "SELECT max(id) FROM builds").Scan(&last); err != nil {
		return 0, err
	}
	done, c := make(chan error, 1), r.next()
	r.asking.Go(func() { done <- execute(ctx, c, r.small.id, graphNode) })
	var seen time.Time
	for seen.IsZero() {
		row := r.conn.QueryRow(ctx, "SELECT clock_timestamp() FROM builds WHERE project_id = $1 AND id > $2 LIMIT 1", r.small.id, last)
		err := row.Scan(&seen)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return 0, err
		}
	}
	if err := <-done; err != nil {
		return 0, err
	}
	err = r.conn.QueryRow(ctx, `SELECT count(*) FROM builds b, (
			SELECT started_at FROM builds WHERE project_id = $2 AND node_id = $3 AND id > $4) s
		WHERE b.project_id = $1 AND b.started_at > $5 AND b.started_at < s.started_at`, crowd, r.small.id, mergeNode, last, seen).Scan(&ahead)
	return ahead, err
}

// makeCrowd makes the plan: each graph is of one source.
func (r *run) makeCrowd(ctx context.Context) (id int, sources []client.Source, err error) {
	p := &built{number: r.cfg.Projects + 1}
	if id, err = r.next().CreateProject(ctx, "crowd"); err != nil {
		return 0, nil, err
	}
	var tables []table
	for n := range crowdSources {
		made, err := r.make(p, n, "nodes", "nodes", crowdRows, nodeTable(crowdRows, dice(r.cfg.Seed, p.number, n)))
		if err != nil {
			return 0, nil, err
		}
		tables = append(tables, made)
	}
	if sources, err = upload(ctx, r.next(), id, "crowd", tables...); err != nil {
		return 0, nil, err
	}
	c := r.next()
	plan, err := readPlan(ctx, c, id)
	if err != nil {
		return 0, nil, err
	}
	var edits []map[string]any
	for n := range r.cfg.Crowd {
		node, err := plan.nodeOf(sources[n%crowdSources].ID)
		if err != nil {
			return 0, nil, err
		}
		graph := fmt.Sprintf("graph%d_of%d", n, n%crowdSources)
		edits = append(edits, addNode(graph, "GraphNode", nil), addEdge(node, graph))
	}
	return id, sources, edit(ctx, c, id, "crowd", edits)
}

// again executes a plan of which nothing is stale.
func (r *run) again(ctx context.Context, id, plan int) error {
	version := func() (v int64, err error) {
		err = r.conn.QueryRow(ctx, "SELECT version FROM heads WHERE project_id = $1", id).Scan(&v)
		return v, err
	}
	before, err := version()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := executePlan(ctx, r.next(), plan); err != nil {
		return err
	}
	r.result.Crowd.AgainMs = float64(time.Since(began).Microseconds()) / 1000
	after, err := version()
	if err == nil && after != before {
		r.wrong("nothing was stale, and the plan went from version %d to %d when it was executed", before, after)
	}
	return err
}

// replace replaces a source, and executes the plan: exactly the graphs of that source are built.
func (r *run) replace(ctx context.Context, id, plan int, source client.Source) error {
	var last int64
	if err := r.conn.QueryRow(ctx, "SELECT max(id) FROM builds WHERE project_id = $1", id).Scan(&last); err != nil {
		return err
	}
	if err := replaceFile(ctx, r.next(), source.ID, "crowd-replaced", source.Filename, []byte("id,label\nnew,New\n")); err != nil {
		return err
	}
	began := time.Now()
	if err := executePlan(ctx, r.next(), plan); err != nil {
		return err
	}
	if err := r.await(ctx, id); err != nil {
		return err
	}
	r.result.Crowd.ReplacedSeconds = time.Since(began).Seconds()
	var builds, others int
	err := r.conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE node_id NOT LIKE '%\_of0') FROM builds
		WHERE project_id = $1 AND id > $2`, id, last).Scan(&builds, &others)
	if want := (r.cfg.Crowd + crowdSources - 1) / crowdSources; err == nil && (builds != want || others != 0) {
		r.wrong("after one source of %d was replaced %d graphs were built, %d of them of other sources: want %d, 0",
			crowdSources, builds, others, want)
	}
	return err
}
