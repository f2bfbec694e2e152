package builds

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
)

const (
	loadRows    = 100                    // nodes of the plan, and edges
	loadPause   = 150 * time.Millisecond // pause of a worker between two things that it does
	loadTries   = 10 * time.Second       // time for one thing, with its retries
	pageSize    = 30                     // nodes that a reader asks for at once
	mostSources = 12                     // uploaded by workers and not yet deleted
	maxProblems = 10                     // in words
	againPause  = 200 * time.Millisecond
)

// Load is people who upload, replace and delete small tables of one plan, build it and cancel builds, over all replicas, while something
// else happens to those. What is not answered is asked again under the same operation id, of the next replica.
type Load struct {
	clients []*client.Client
	project int
	folder  string
	seed    uint64

	working sync.WaitGroup
	enough  context.CancelFunc
	asking  sync.RWMutex // held for reading while a request is on its way
	cancels sync.RWMutex // held for reading while somebody cancels

	mu      sync.Mutex
	sources Sources // of which the answer is known, but for those that somebody changes now
	next    int     // number of the next operation
	result  LoadResult
}

// Sources are the hashes of uploaded files, by the ids of their sources.
type Sources map[int]string

// LoadResult is what a load did, and what the judgement was.
type LoadResult struct {
	Uploads  int              `json:"uploads"`  // answered, like the next ones
	Replaced int              `json:"replaced"` // files in the place of former ones
	Deleted  int              `json:"deleted"`  // sources
	Executed int              `json:"executed"` // requests to build
	Canceled int              `json:"canceled"` // requests to end builds
	Read     int              `json:"read"`     // graphs that were read to the end, page by page
	GaveUp   int              `json:"gaveUp"`   // requests that were not answered in time
	Refused  map[string]int64 `json:"refused"`  // answers that refuse, by code; NETWORK when none came
	Inputs   int              `json:"inputs"`   // files that flow into the graph in the end
	Nodes    int              `json:"nodes"`    // of the graph in the end
	Edges    int              `json:"edges"`    // likewise
	Problems []string         `json:"problems"` // what does not hold, in words
}

// OK reports whether something was built, and in the end was what the pure engine computes.
func (r LoadResult) OK() bool {
	return r.Uploads > 0 && r.Executed > 0 && r.Read > 0 && r.Nodes > 0 && len(r.Problems) == 0
}

// String shows the result in a line.
func (r LoadResult) String() string {
	return fmt.Sprintf("%d uploads, %d replaced, %d deleted, %d executions, %d cancelled, %d given up, %d times read; "+
		"%d files make %d nodes and %d edges",
		r.Uploads, r.Replaced, r.Deleted, r.Executed, r.Canceled, r.GaveUp, r.Read, r.Inputs, r.Nodes, r.Edges)
}

// NewLoad makes a plan in a project of its own, which Close deletes.
func NewLoad(ctx context.Context, urls []string, seed uint64) (_ *Load, err error) {
	l := &Load{seed: seed, sources: Sources{}, enough: func() {}, result: LoadResult{Refused: map[string]int64{}}}
	for _, url := range urls {
		l.clients = append(l.clients, client.New(url))
	}
	if l.folder, err = os.MkdirTemp("", "layercake-load-"); err == nil {
		l.project, err = l.clients[0].CreateProject(ctx, "builds of a load")
	}
	if err == nil {
		err = l.furnish(ctx)
	}
	if err != nil {
		l.Close(ctx)
		return nil, fmt.Errorf("make a plan to build: %w", err)
	}
	return l, nil
}

// Start lets a worker and a reader come to each replica. They stay until Settle or Close.
func (l *Load) Start(ctx context.Context) {
	working, enough := context.WithCancel(context.WithoutCancel(ctx))
	l.enough = enough
	for n := range l.clients {
		w := &worker{Load: l, replica: n, rand: dice(l.seed, l.project, n)}
		l.working.Go(func() { w.run(working) })
		l.working.Go(func() { l.read(working, n) })
	}
}

// Close ends the work, and deletes the project as far as possible: one that stays behind does no harm.
func (l *Load) Close(ctx context.Context) {
	l.enough()
	l.working.Wait()
	if l.project > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTries)
		defer cancel()
		_ = l.anywhere(ctx, func(ctx context.Context, c *client.Client) error { return c.DeleteProject(ctx, l.project) })
	}
	for _, c := range l.clients {
		c.Close()
	}
	_ = os.RemoveAll(l.folder) // what is left does no harm
}

// Project is the id of the project.
func (l *Load) Project() int { return l.project }

// BetweenRequests calls f while no request is on its way. Those that are due wait until it returns.
func (l *Load) BetweenRequests(f func()) {
	l.asking.Lock()
	defer l.asking.Unlock()
	f()
}

// WithoutCancels calls f while nobody cancels builds: one that f harms is there until it is taken over.
func (l *Load) WithoutCancels(f func() error) error {
	l.cancels.Lock()
	defer l.cancels.Unlock()
	return f()
}

// Answered copies what is known of the sources so far.
func (l *Load) Answered() Sources {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.sources)
}

// Forget forgets what became known between two moments, and returns how many sources that are.
func (l *Load) Forget(from, to Sources) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, hash := range to {
		if from[id] != hash && l.sources[id] == hash {
			delete(l.sources, id)
			n++
		}
	}
	return n
}

// furnish uploads what every build needs, and adds what builds.
func (l *Load) furnish(ctx context.Context) error {
	var tables []table
	for i, t := range []struct {
		kind string
		rows int
		each rowsOf
	}{
		{"nodes", loadRows, nodeTable(loadRows, dice(l.seed, l.project, overlays))},
		{"edges", loadRows, edgeTable(loadRows, loadRows, "e", dice(l.seed, l.project, overlays+1))},
		{"layers", layerCount, layerTable},
	} {
		made, err := writeTable(l.folder, fmt.Sprintf("base-%d.csv", i), t.kind, t.rows, t.each)
		if err != nil {
			return err
		}
		tables = append(tables, made)
	}
	c := l.clients[0]
	sources, err := upload(ctx, c, l.project, "base", tables...)
	if err != nil {
		return err
	}
	l.result.Uploads++
	plan, err := readPlan(ctx, c, l.project)
	if err != nil {
		return err
	}
	edits := mergeEdits(plan, exact)
	for _, source := range sources {
		node, err := plan.nodeOf(source.ID)
		if err != nil {
			return err
		}
		edits = append(edits, addEdge(node, mergeNode))
	}
	return edit(ctx, c, l.project, "base-edges", edits)
}

// read reads the graph again and again, page by page over all replicas. A reader who was refused, or not answered, begins again.
func (l *Load) read(ctx context.Context, n int) {
	for ctx.Err() == nil {
		problem, err := l.readPages(ctx, n)
		l.mu.Lock()
		switch {
		case problem != "":
			l.wrong("a reader was shown what no build made: %s", problem)
		case err == nil:
			l.result.Read++
		}
		l.mu.Unlock()
		_ = bench.Wait(ctx, loadPause) // the loop looks at ctx
	}
}

type builtGraph struct {
	ID     int
	NodeID string
}

// readPages reads the graph once, and returns in words what is wrong with the pages: all are of one content, dense, and to its end.
func (l *Load) readPages(ctx context.Context, n int) (problem string, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTries)
	defer cancel()
	var graphs struct{ Graphs []builtGraph }
	err = l.clients[n].Do(ctx, client.Request{
		Query: `query($id: Int!) { graphs(projectId: $id) { id nodeId } }`, Variables: map[string]any{"id": l.project},
	}, &graphs)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(graphs.Graphs, func(g builtGraph) bool { return g.NodeID == graphNode })
	if i < 0 {
		return "", errors.New("nobody has built it yet")
	}
	var content string
	after, seen := any(nil), 0
	for {
		n = (n + 1) % len(l.clients)
		var page struct {
			Graph struct{ GraphNodes []struct{ ID, Cursor string } }
		}
		err := l.clients[n].Do(ctx, client.Request{
			Query: `query($id: Int!, $first: Int, $after: String) {
				graph(id: $id) { graphNodes(first: $first, after: $after) { id cursor } } }`,
			Variables: map[string]any{"id": graphs.Graphs[i].ID, "first": pageSize, "after": after},
		}, &page)
		if err != nil {
			return "", err
		}
		for _, node := range page.Graph.GraphNodes {
			of, _, _ := strings.Cut(node.Cursor, ".")
			if content == "" {
				content = of
			}
			if want := fmt.Sprintf("%s.%d", content, seen); node.Cursor != want {
				return fmt.Sprintf("the cursor of %s is %s, want %s", node.ID, node.Cursor, want), nil
			}
			seen++
			after = node.Cursor
		}
		switch {
		case len(page.Graph.GraphNodes) == pageSize:
		case seen == 0:
			return "", errors.New("it was never completed")
		case seen != loadRows:
			return fmt.Sprintf("content %s ends after %d nodes, want %d", content, seen, loadRows), nil
		default:
			return "", nil
		}
	}
}

// worker is somebody who works with a plan.
type worker struct {
	*Load
	replica int
	rand    *rand.Rand
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		n := w.number()
		switch dice := w.rand.IntN(100); {
		case dice < 30:
			w.upload(ctx, n)
		case dice < 40:
			w.replace(ctx, n)
		case dice < 50:
			w.remove(ctx, n)
		case dice < 85:
			w.try(ctx, func(ctx context.Context, c *client.Client) error {
				err := execute(ctx, c, w.project, graphNode)
				if errors.Is(err, errNotBuilt) {
					return nil // somebody cancelled it
				}
				return err
			}, func(r *LoadResult) { r.Executed++ })
		case w.cancels.TryRLock():
			w.try(ctx, func(ctx context.Context, c *client.Client) error { return cancelBuilds(ctx, c, w.project) },
				func(r *LoadResult) { r.Canceled++ })
			w.cancels.RUnlock()
		}
		_ = bench.Wait(ctx, loadPause) // the loop looks at ctx
	}
}

// number returns the number of another operation.
func (l *Load) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

// try asks for something until it is answered, of one replica after the other, for some time. It notes when that succeeded, and reports
// it.
func (w *worker) try(ctx context.Context, ask func(context.Context, *client.Client) error, succeeded func(*LoadResult)) bool {
	ctx, cancel := context.WithTimeout(ctx, loadTries)
	defer cancel()
	for {
		w.asking.RLock()
		err := ask(ctx, w.clients[w.replica])
		if err == nil {
			w.mu.Lock()
			succeeded(&w.result)
			w.mu.Unlock()
		}
		w.asking.RUnlock()
		if err == nil {
			return true
		}
		code := "NETWORK"
		refused := new(client.Refusal)
		if errors.As(err, &refused) {
			code = refused.Code()
		}
		w.mu.Lock()
		if ctx.Err() == nil {
			w.result.Refused[code]++
		}
		w.mu.Unlock()
		if code != "NETWORK" && !refused.Temporary() {
			return false
		}
		w.replica = (w.replica + 1) % len(w.clients)
		if bench.Wait(ctx, againPause) != nil {
			w.mu.Lock()
			w.result.GaveUp++
			w.mu.Unlock()
			return false
		}
	}
}

// file makes a table that changes some nodes.
func (w *worker) file(n int) (text []byte, hash string) {
	var out bytes.Buffer
	_, rows := overlayTable(loadRows, n, w.rand)
	rows(func(row []string) { out.WriteString(strings.Join(quoted(row), ",") + "\n") })
	sum := sha256.Sum256(out.Bytes())
	return out.Bytes(), hex.EncodeToString(sum[:])
}

// quoted returns the fields of a row as a table has them.
func quoted(row []string) []string {
	fields := make([]string, len(row))
	for i, field := range row {
		fields[i] = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
	}
	return fields
}

// upload uploads a table and lets it flow into the graph.
func (w *worker) upload(ctx context.Context, n int) {
	w.mu.Lock()
	full := len(w.sources) >= mostSources
	w.mu.Unlock()
	if full {
		w.replace(ctx, n)
		return
	}
	text, hash := w.file(n)
	var source client.Source
	taken := w.try(ctx, func(ctx context.Context, c *client.Client) error {
		file := client.File{Name: fmt.Sprintf("overlay-%d.csv", n), Kind: "nodes", Content: bytes.NewReader(text)}
		sources, err := c.Upload(ctx, w.project, fmt.Sprintf("upload-%d", n), file)
		if err == nil {
			source = sources[0]
		}
		return err
	}, func(r *LoadResult) {
		r.Uploads++
		w.sources[source.ID] = hash
	})
	if !taken {
		return
	}
	w.try(ctx, func(ctx context.Context, c *client.Client) error {
		plan, err := readPlan(ctx, c, w.project)
		if err != nil {
			return err
		}
		node, err := plan.nodeOf(source.ID)
		if err != nil {
			return nil //nolint:nilerr // another worker has deleted it meanwhile, or it was lost with a primary
		}
		return edit(ctx, c, w.project, fmt.Sprintf("connect-%d", n), []map[string]any{addEdge(node, mergeNode)})
	}, func(*LoadResult) {})
}

// take takes any source away from the other workers.
func (w *worker) take() (id int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sources) == 0 {
		return 0, false
	}
	ids := slices.Sorted(maps.Keys(w.sources))
	id = ids[w.rand.IntN(len(ids))]
	delete(w.sources, id)
	return id, true
}

// replace gives a source another file.
func (w *worker) replace(ctx context.Context, n int) {
	id, ok := w.take()
	if !ok {
		return
	}
	text, hash := w.file(n)
	w.try(ctx, func(ctx context.Context, c *client.Client) error {
		return replaceFile(ctx, c, id, fmt.Sprintf("replace-%d", n), fmt.Sprintf("replaced-%d.csv", n), text)
	}, func(r *LoadResult) {
		r.Replaced++
		w.sources[id] = hash
	})
}

// remove deletes a source.
func (w *worker) remove(ctx context.Context, n int) {
	id, ok := w.take()
	if !ok {
		return
	}
	w.try(ctx, func(ctx context.Context, c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		return c.Do(ctx, client.Request{
			Query:     `mutation($id: Int!, $op: String!) { deleteDataSource(id: $id, opId: $op) }`,
			Variables: map[string]any{"id": id, "op": fmt.Sprintf("delete-%d", n)},
		}, nil)
	}, func(r *LoadResult) { r.Deleted++ })
}

// Settle ends the work, builds once more, and compares what is there with what was answered and with the pure engine. The error says why
// that cannot be read.
func (l *Load) Settle(ctx context.Context) (LoadResult, error) {
	l.enough()
	l.working.Wait()
	ctx, cancel := context.WithTimeout(ctx, 2*bench.MaxRecovery)
	defer cancel()
	if err := l.current(ctx); err != nil {
		l.wrong("%v", err)
		return l.result, nil
	}
	l.result.Executed++
	err := l.anywhere(ctx, func(ctx context.Context, _ *client.Client) error {
		problem, err := l.readPages(ctx, 0)
		if problem != "" {
			l.wrong("a reader was shown in the end what no build made: %s", problem)
		}
		return err
	})
	if err != nil {
		l.wrong("the graph cannot be read in the end: %v", err)
		return l.result, nil
	}
	l.result.Read++
	return l.result, l.judge(ctx)
}

// wrong notes what does not hold, if it is one of the first. The caller holds the mutex, or works alone.
func (l *Load) wrong(format string, args ...any) {
	if len(l.result.Problems) < maxProblems {
		l.result.Problems = append(l.result.Problems, fmt.Sprintf(format, args...))
	}
}

// anywhere asks one replica after the other until one succeeds, at most until ctx ends.
func (l *Load) anywhere(ctx context.Context, ask func(context.Context, *client.Client) error) error {
	for n := 0; ; n++ {
		err := ask(ctx, l.clients[n%len(l.clients)])
		if err == nil || bench.Wait(ctx, againPause) != nil {
			return err
		}
	}
}

// current builds until the graph is what it has to be.
func (l *Load) current(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bench.MaxRecovery)
	defer cancel()
	return l.anywhere(ctx, func(ctx context.Context, c *client.Client) error {
		if err := execute(ctx, c, l.project, graphNode); err != nil {
			return fmt.Errorf("the graph cannot be built in the end: %w", err)
		}
		var data struct {
			Graphs []struct {
				NodeID, ExecutionState string
				Stale                  bool
				StaleBecause           []string
				ErrorMessage           *string
			}
		}
		err := c.Do(ctx, client.Request{
			Query:     `query($id: Int!) { graphs(projectId: $id) { nodeId executionState stale staleBecause errorMessage } }`,
			Variables: map[string]any{"id": l.project},
		}, &data)
		if err != nil {
			return err
		}
		for _, g := range data.Graphs {
			if g.Stale || g.ExecutionState != "completed" {
				return fmt.Errorf("the graph of %s is %s in the end, stale because %q", g.NodeID, g.ExecutionState, g.StaleBecause)
			}
		}
		if len(data.Graphs) < 2 {
			return fmt.Errorf("%d graphs in the end, want those of %s and %s", len(data.Graphs), mergeNode, graphNode)
		}
		return nil
	})
}

// judge compares sources with the answers, and outputs with what the pure engine makes of the files.
func (l *Load) judge(ctx context.Context) error {
	var data struct {
		DataSources []struct {
			ID                    int
			DataType, ContentHash string
		}
	}
	var plan dag
	err := l.anywhere(ctx, func(ctx context.Context, c *client.Client) (err error) {
		if plan, err = readPlan(ctx, c, l.project); err != nil {
			return err
		}
		return c.Do(ctx, client.Request{
			Query:     `query($id: Int!) { dataSources(projectId: $id) { id dataType contentHash } }`,
			Variables: map[string]any{"id": l.project},
		}, &data)
	})
	if err != nil {
		return fmt.Errorf("read the sources in the end: %w", err)
	}
	kinds, hashes := map[int]string{}, Sources{}
	for _, source := range data.DataSources {
		kinds[source.ID], hashes[source.ID] = source.DataType, source.ContentHash
	}
	for id, hash := range l.sources {
		if hashes[id] != hash {
			l.wrong("source %d was answered with the hash %.12s, and has %.12q", id, hash, hashes[id])
		}
	}
	var inputs []input
	for _, id := range plan.flowingInto(mergeNode) {
		inputs = append(inputs, input{kinds[id], func(use func(io.Reader) error) error {
			return l.anywhere(ctx, func(ctx context.Context, c *client.Client) error {
				return download(ctx, c, fmt.Sprintf("/api/data-sources/%d/download/raw", id), use)
			})
		}})
	}
	l.result.Inputs = len(inputs)
	w, err := compute(ctx, l.folder, inputs)
	if err != nil {
		return err
	}
	l.result.Nodes, l.result.Edges = w.nodes, w.edges
	return l.anywhere(ctx, func(ctx context.Context, c *client.Client) error {
		differences, err := w.compare(ctx, c, l.project)
		for _, d := range differences {
			l.wrong("the output is not what the pure engine makes of %d files: %s", len(inputs), d)
		}
		return err
	})
}

// flowingInto returns the sources that flow into a node, in the order of the edges.
func (d dag) flowingInto(node string) (sources []int) {
	for _, e := range d.Edges {
		for _, n := range d.Nodes {
			if e.Target == node && n.ID == e.Source && n.NodeType == "DataSourceNode" {
				sources = append(sources, sourceOf(n.Config))
			}
		}
	}
	return sources
}
