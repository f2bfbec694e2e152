// Package builds lets a deployment of its own build graphs, and checks each result against the pure engine.
//
// It uploads made-up tables, builds over all replicas, kills those that build, and reads every output again: what the replicas put out has
// to be what the pure engine makes of the same tables, byte by byte. A load does small builds beside something else that happens to
// replicas.
package builds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"
	"layercake/internal/client"
	"layercake/internal/export"

	"github.com/jackc/pgx/v5"
)

// Config is the size of the tables, and what is done with them.
type Config struct {
	Serve    func() *exec.Cmd // the command that runs one replica, which its environment configures
	Binaries string           // folder of PostgreSQL's programs; "" to look for them
	Rows     int              // nodes of a plan, and edges of it
	Replicas int
	Projects int // projects with tables of this size
	Kills    int // replicas that are killed while they build, one after the other
	Clicks   int // builds of a few rows whose end is watched at another replica
	Crowd    int // graphs of a plan of small ones; 0 for no such plan
	Seed     uint64
	Progress io.Writer // receiver of a line for each thing that happens; nil for none
}

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var errs []error
	between := func(what string, value, least, most int) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("%s is %d: it is from %d to %d", what, value, least, most))
		}
	}
	between("rows", c.Rows, 10, 1_000_000)
	between("replicas", c.Replicas, 2, 20) // one builds while another is dead
	between("projects", c.Projects, 1, 100)
	between("kills", c.Kills, 0, 1000)
	between("clicks", c.Clicks, 1, 10_000)
	between("crowd", c.Crowd, 0, 1000-crowdSources)
	return errors.Join(errs...)
}

const (
	quietTime    = 5 * time.Second // time of the edits that the others are compared with, and least time of those
	buildTime    = 15 * time.Minute
	killTime     = time.Minute // limit for another replica to take over, and for a watcher to be told
	editRate     = 50          // edits a second in all
	crowdSources = 20
	overlays     = 1000 // number of the first overlay among the tables of a project
)

// run is a bench under way.
type run struct {
	cfg        Config
	deployment *deployment.Deployment
	clients    []*client.Client
	conn       *pgx.Conn // for looking at what replicas do
	folder     string    // of tables and of what outputs have to be
	plans      []*built
	small      *clicked
	killed     int64 // builds that were under way at replicas that were killed
	result     *Result
	began      time.Time
	turn       int // replica that was asked last
	asking     sync.WaitGroup
}

// built is a plan of large tables.
type built struct {
	number, id int
	tables     []table // in the order of the merge's edges
	rounds     int     // builds that were asked for and not cancelled
}

func (b *built) inputs() []input {
	all := make([]input, len(b.tables))
	for i, t := range b.tables {
		all[i] = input{t.kind, t.open}
	}
	return all
}

// Run lets replicas as processes over a PostgreSQL of their own build. It ends earlier when ctx does, and leaves nothing running. The error
// says why there is no more, or that something does not hold.
func Run(ctx context.Context, cfg Config) (Result, error) {
	result := Result{
		Rows: cfg.Rows, Replicas: cfg.Replicas, Projects: cfg.Projects, Seed: cfg.Seed, Downloads: map[export.Format]Download{},
	}
	if err := cfg.Check(); err != nil {
		return result, err
	}
	folder, err := os.MkdirTemp("", "layercake-builds-")
	if err != nil {
		return result, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // what is left does no harm
	of := deployment.Config{Replicas: cfg.Replicas, Serve: cfg.Serve, Binaries: cfg.Binaries}
	err = deployment.Run(ctx, of, func(ctx context.Context, d *deployment.Deployment) error {
		r := &run{cfg: cfg, deployment: d, folder: folder, result: &result, began: time.Now()}
		err := r.all(ctx)
		result.Seconds, result.ErrorsLogged = time.Since(r.began).Seconds(), d.Errors()
		for _, one := range d.Replicas {
			result.Problems = append(result.Problems, one.Died()...)
		}
		if err == nil && !result.OK() {
			err = errors.New("not everything held") // keeps the log
		}
		return err
	})
	return result, err
}

// all does one thing after the other.
func (r *run) all(ctx context.Context) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer func() { stop(); r.asking.Wait() }()
	if err := r.deployment.Configure(ctx, []string{"LAYERCAKE_LOG_LEVEL=info", "LAYERCAKE_CLEAN_UP=1s"}); err != nil {
		return err
	}
	if r.conn, err = r.deployment.Connect(ctx); err != nil {
		return err
	}
	defer func() { _ = r.conn.Close(context.WithoutCancel(ctx)) }() // what it read is complete
	for _, url := range r.deployment.URLs() {
		c := client.New(url)
		defer c.Close()
		r.clients = append(r.clients, c)
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"click", r.clicks},
		{"upload", r.uploads},
		{"build", r.builds},
		{"download", r.downloads},
		{"kill builders", r.kills},
		{"cancel", r.cancel},
		{"build many small graphs", r.crowd},
		{"look at rest", r.rest},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// say writes a line of progress.
func (r *run) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.deployment.Log.Info("builds", "says", line)
	if r.cfg.Progress != nil {
		_, _ = fmt.Fprintf(r.cfg.Progress, "%6.1fs  %s\n", time.Since(r.began).Seconds(), line)
	}
}

// wrong notes what does not hold.
func (r *run) wrong(format string, args ...any) {
	r.result.Problems = append(r.result.Problems, fmt.Sprintf(format, args...))
	r.say("WRONG: "+format, args...)
}

// next returns the client of the next replica, so that all of them are asked in turn.
func (r *run) next() *client.Client {
	r.turn = (r.turn + 1) % len(r.clients)
	return r.clients[r.turn]
}

// forgetPeaks begins to measure the memory of a step.
func (r *run) forgetPeaks() {
	for _, one := range r.deployment.Replicas {
		deployment.ForgetPeak(one.PID())
	}
}

// peak returns the most memory that a replica used since forgetPeaks, in megabytes.
func (r *run) peak() float64 {
	var most int64
	for _, one := range r.deployment.Replicas {
		if u, err := deployment.ReadUsage(one.PID()); err == nil { // one that is away uses nothing
			most = max(most, u.Peak)
		}
	}
	return float64(most) / (1 << 20)
}

// make makes a table of a plan.
func (r *run) make(p *built, number int, name, kind string, rows int, each rowsOf) (table, error) {
	return writeTable(r.folder, fmt.Sprintf("%s-%d-%d.csv", name, p.number, number), kind, rows, each)
}

// uploads makes the plans, uploads their tables, and adds what builds of them.
func (r *run) uploads(ctx context.Context) error {
	r.forgetPeaks()
	for n := range r.cfg.Projects {
		p := &built{number: n}
		id, err := r.next().CreateProject(ctx, fmt.Sprintf("builds %d", n+1))
		if err != nil {
			return err
		}
		p.id = id
		for i, t := range []struct {
			name, kind string
			rows       int
			each       rowsOf
		}{
			{"nodes", "nodes", r.cfg.Rows, nodeTable(r.cfg.Rows, dice(r.cfg.Seed, n, 0))},
			{"edges", "edges", r.cfg.Rows, edgeTable(r.cfg.Rows, r.cfg.Rows, "e", dice(r.cfg.Seed, n, 1))},
			{"layers", "layers", layerCount, layerTable},
		} {
			made, err := r.make(p, i, t.name, t.kind, t.rows, t.each)
			if err != nil {
				return err
			}
			p.tables = append(p.tables, made)
			began := time.Now()
			sources, err := upload(ctx, r.next(), id, fmt.Sprintf("upload-%d-%d", n, i), made)
			if err != nil {
				return fmt.Errorf("%s: %w", made.name, err)
			}
			r.result.Uploads.add(made, time.Since(began))
			if sources[0].RowCount != made.rows {
				r.wrong("%s has %d rows, and %d were taken", made.name, made.rows, sources[0].RowCount)
			}
			if err := r.connect(ctx, p.id, sources); err != nil {
				return err
			}
		}
		r.plans = append(r.plans, p)
	}
	r.result.Uploads.RSS = r.peak()
	r.say("%d tables were uploaded, %.0f rows/s", r.result.Uploads.Files, r.result.Uploads.RowsPerSecond)
	return nil
}

// connect makes sources flow into the merge of a plan, which is added before the first one, with what hangs off it.
func (r *run) connect(ctx context.Context, project int, sources []client.Source) error {
	c := r.next()
	plan, err := readPlan(ctx, c, project)
	if err != nil {
		return err
	}
	edits := mergeEdits(plan, []export.Format{export.CSVNodes, export.CSVEdges, export.DOT, export.GML, export.JSON})
	for _, source := range sources {
		node, err := plan.nodeOf(source.ID)
		if err != nil {
			return err
		}
		edits = append(edits, addEdge(node, mergeNode))
	}
	return edit(ctx, c, project, fmt.Sprintf("connect-%d", sources[0].ID), edits)
}

// mergeEdits adds a merge, a graph of it and outputs of that to a plan that has none.
func mergeEdits(plan dag, formats []export.Format) []map[string]any {
	if slices.ContainsFunc(plan.Nodes, func(n dagNode) bool { return n.ID == mergeNode }) {
		return nil
	}
	edits := []map[string]any{
		addNode(mergeNode, "MergeNode", map[string]any{"mergeStrategy": "Union", "conflictResolution": "PreferLast"}),
		addNode(graphNode, "GraphNode", nil), addEdge(mergeNode, graphNode),
	}
	for _, f := range formats {
		edits = append(edits, addNode(outputNode(f), "OutputNode", map[string]any{"renderTarget": f}), addEdge(graphNode, outputNode(f)))
	}
	return edits
}

// builds builds all plans at once while others edit, and compares with edits while nothing is built.
func (r *run) builds(ctx context.Context) error {
	var err error
	if r.result.Edits.Quiet, err = r.edits(ctx, func(context.Context) error { return nil }); err != nil {
		return err
	}
	r.forgetPeaks()
	r.result.Edits.Meanwhile, err = r.edits(ctx, func(ctx context.Context) error {
		began := time.Now()
		for _, p := range r.plans {
			p.rounds++
			r.ask(ctx, p.id, graphNode)
		}
		for _, p := range r.plans {
			if err := r.await(ctx, p.id); err != nil {
				return err
			}
			r.result.Builds.Seconds = append(r.result.Builds.Seconds, time.Since(began).Seconds())
			r.say("project %d is built after %.1f s", p.id, time.Since(began).Seconds())
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.result.Builds.RSS = r.peak()
	if err := r.measureBuilds(ctx); err != nil {
		return err
	}
	for _, p := range r.plans {
		if err := r.verify(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// edits lets people edit another plan while use runs, and for a while at least.
func (r *run) edits(ctx context.Context, use func(context.Context) error) (bench.Latency, error) {
	s, err := bench.StartStorm(ctx, bench.Config{
		URLs: r.deployment.URLs(), Mutators: 2 * r.cfg.Replicas, Duration: time.Hour, Projects: 1, Subscribers: 1, Rate: editRate,
		Seed: r.cfg.Seed, Settle: bench.MaxRecovery,
	})
	if err != nil {
		return bench.Latency{}, err
	}
	defer s.Close(ctx)
	editing, enough := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); s.Mutate(editing) }()
	least := time.Now().Add(quietTime)
	err = use(ctx)
	if err == nil {
		err = bench.Wait(ctx, time.Until(least))
	}
	enough()
	<-ended
	if err != nil {
		return bench.Latency{}, err
	}
	result, err := s.Settle(ctx)
	if err == nil && !result.OK() {
		r.wrong("edits beside builds: %s", strings.Join(append(result.Complaints, fmt.Sprintf("%d answered", result.Answered)), "; "))
	}
	return result.Change, err
}

// ask asks the next replica for a build, and goes on. Whoever waits looks at the table: the answer may come late, or never.
func (r *run) ask(ctx context.Context, project int, node string) {
	c := r.next()
	r.asking.Go(func() {
		if err := execute(ctx, c, project, node); err != nil && ctx.Err() == nil {
			r.deployment.Log.Info("builds", "says", "execute was answered", "project", project, "error", err)
		}
	})
}

// await waits until a project was asked for builds and none is open. A build that failed is an error.
func (r *run) await(ctx context.Context, project int) error {
	end := time.Now().Add(buildTime)
	for {
		var open, current int
		var failed *string
		err := r.conn.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM builds WHERE project_id = $1 AND finished_at IS NULL),
			(SELECT count(*) FROM graphs WHERE project_id = $1 AND state = 'completed'),
			(SELECT string_agg(node_id || ': ' || coalesce(error_message, ''), '; ') FROM graphs WHERE project_id = $1 AND state = 'error')`,
			project).Scan(&open, &current, &failed)
		switch {
		case err != nil:
			return err
		case open == 0 && failed != nil:
			return fmt.Errorf("project %d: %s", project, *failed)
		case open == 0 && current > 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("project %d is not built after %v: %s", project, buildTime, r.states(ctx, project))
		}
		if err := bench.Wait(ctx, pollPause); err != nil {
			return err
		}
	}
}

// states says in words how the newest builds of a project are, for an error.
func (r *run) states(ctx context.Context, project int) (words string) {
	err := r.conn.QueryRow(context.WithoutCancel(ctx), `SELECT
		coalesce(string_agg(format('%s %s %s', node_id, state, error), '; '), 'no builds')
		FROM (SELECT node_id, state, error FROM builds WHERE project_id = $1 ORDER BY id DESC LIMIT 10) _`, project).Scan(&words)
	if err != nil {
		return err.Error()
	}
	return words
}

// measureBuilds reads what the tables say of the builds so far.
func (r *run) measureBuilds(ctx context.Context) error {
	b := &r.result.Builds
	err := r.conn.QueryRow(ctx, `SELECT count(*), coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY wait), 0), coalesce(max(wait), 0)
		FROM (SELECT extract(epoch FROM started_at - requested_at)::float8 AS wait FROM builds WHERE node_id = $1 AND attempt = 1) _`,
		mergeNode).Scan(&b.Count, &b.WaitP50, &b.WaitMax)
	if err != nil {
		return err
	}
	return r.conn.QueryRow(ctx, `SELECT pg_total_relation_size('content_nodes') / greatest(sum(nodes), 1)::float8,
		pg_total_relation_size('content_edges') / greatest(sum(edges), 1)::float8 FROM contents`).Scan(&b.BytesANode, &b.BytesAnEdge)
}

// verify compares the outputs of a plan with what the pure engine makes of the same tables.
func (r *run) verify(ctx context.Context, p *built) error {
	w, err := compute(ctx, r.folder, p.inputs())
	defer w.remove()
	if err != nil {
		return err
	}
	differences, err := w.compare(ctx, r.next(), p.id)
	if err != nil {
		return err
	}
	r.result.Checked += len(exact)
	for _, d := range differences {
		r.wrong("project %d: %s", p.id, d)
	}
	r.say("project %d has what the pure engine computes: %d nodes, %d edges", p.id, w.nodes, w.edges)
	return nil
}

// compare reads the outputs of a project, and returns in words which are not what they have to be.
func (w wanted) compare(ctx context.Context, c *client.Client, project int) (differences []string, err error) {
	for _, format := range exact {
		want, err := os.Open(w.paths[format])
		if err != nil {
			return nil, err
		}
		err = download(ctx, c, outputPath(project, outputNode(format)), func(got io.Reader) error {
			difference, err := compare(got, want)
			if difference != "" {
				differences = append(differences, fmt.Sprintf("%s: %s", format, difference))
			}
			return err
		})
		if err := errors.Join(err, want.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", format, err)
		}
	}
	return differences, nil
}

// downloads measures how fast outputs come.
func (r *run) downloads(ctx context.Context) error {
	r.forgetPeaks()
	for _, format := range []export.Format{export.CSVNodes, export.DOT, export.GML, export.JSON} {
		one := Download{Nodes: r.cfg.Rows}
		began := time.Now()
		err := download(ctx, r.next(), outputPath(r.plans[0].id, outputNode(format)), func(body io.Reader) (err error) {
			one.Bytes, err = io.Copy(io.Discard, body)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
		one.Seconds = time.Since(began).Seconds()
		one.NodesPerSecond = float64(one.Nodes) / one.Seconds
		r.result.Downloads[format] = one
	}
	r.result.DownloadRSS = r.peak()
	return nil
}
