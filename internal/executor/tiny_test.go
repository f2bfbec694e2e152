package executor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/graphdata"
	"layercake/internal/layered"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/source"
)

// The tables of the sample "tiny".
const (
	tinyNodes = `id,label,layer,is_partition,belongs_to,weight,comment
sys,System,infra,true,,1,
web,Web & API,app,false,sys,1,
db,Database,infra,false,sys,1,
job,Nightly job,app,false,sys,2,runs at 02:00
`
	tinyEdges = `id,source,target,label,layer,weight,comment
e1,web,db,reads,app,3,
e2,job,db,,infra,1,
e3,web,job,starts,app,1,cron
`
	tinyLayers = `layer,label,background,border,text
infra,Infrastructure,eeeeee,999999,000000
app,Application,1f6feb,0d419d,ffffff
`
)

// upload uploads files, given as names and texts, and returns the sources and the ids of their nodes.
func (r *replica) upload(t testing.TB, project int32, files ...string) (sources []source.Source, nodes []string) {
	t.Helper()
	var uploads []source.Upload
	for pair := range slices.Chunk(files, 2) {
		uploads = append(uploads, source.Upload{Filename: pair[0], Content: strings.NewReader(pair[1])})
	}
	sources, done, err := r.Sources.Create(t.Context(), auth.Unchecked(r.actor, project), uploads, source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range done.Nodes {
		nodes = append(nodes, n.ID)
	}
	return sources, nodes
}

// replace puts another file in the place of a source's.
func (r *replica) replace(t testing.TB, src source.Source, text string) {
	t.Helper()
	if _, err := r.Sources.Change(t.Context(), auth.Unchecked(r.actor, src.ProjectID), src.ID, source.Update{Content: strings.NewReader(text)}, source.Request{}); err != nil {
		t.Fatal(err)
	}
}

// content returns the graph of a node as it is stored.
func (r *replica) content(t testing.TB, project int32, id string) (layered.Graph, graphdata.Graph) {
	t.Helper()
	header, err := r.Graphs.OfNode(t.Context(), auth.Unchecked(r.actor, project), id)
	if err != nil || header == nil || header.ContentID == nil {
		t.Fatalf("%s has no content: %+v, %v", id, header, err)
	}
	g, err := r.Graphs.Load(t.Context(), *header.ContentID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g, *header
}

// tiny makes a project with the tables of "tiny", whose sources go into the node "g".
func (r *replica) tiny(t testing.TB) (project int32, sources []source.Source) {
	t.Helper()
	project = r.newProject(t)
	sources, nodes := r.upload(t, project, "nodes.csv", tinyNodes, "edges.csv", tinyEdges, "layers.csv", tinyLayers)
	edits := []plan.Edit{node(plan.GraphNode, "g", "{}"), node(plan.OutputNode, "o", `{"renderTarget":"JSON"}`)}
	for _, id := range nodes {
		edits = append(edits, plan.AddEdge{Edge: plan.Edge{ID: "to_g_" + id, Source: id, Target: "g", Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}})
	}
	r.edit(t, project, append(edits, edge("g", "o"))...)
	return project, sources
}

// From files to a graph: uploaded on one replica, asked for on another.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a, b := start(t, database, quick), start(t, database, quick)
	p, sources := a.tiny(t)
	done := b.execute(t, p, "o") // an output builds nothing, but what it writes is built
	if len(done.Nodes) != 1 || done.Nodes[0].ID != "g" || done.Nodes[0].State != "completed" {
		t.Fatalf("%+v", done)
	}
	shown := a.states(t, p)["g"]
	if shown == nil || shown.NodeCount != 4 || shown.EdgeCount != 3 || shown.ExecutionState != "completed" || shown.ComputedDate == nil {
		t.Errorf("the plan shows %+v", shown)
	}
	g, header := a.content(t, p, "g")
	var ids []string
	for _, n := range g.Nodes {
		ids = append(ids, n.ID)
	}
	same := slices.Equal(ids, []string{"sys", "web", "db", "job"})
	if !same || !g.Nodes[0].IsPartition || g.Nodes[3].BelongsTo != "sys" || g.Edges[0].Weight != 3 || g.Edges[1].Label != "" {
		t.Errorf("%+v", g)
	}
	layers, err := b.Graphs.Layers(t.Context(), []int32{header.ID})
	if err != nil || len(layers[header.ID]) != 2 || layers[header.ID][0].LayerID != "infra" || !strings.Contains(string(layers[header.ID][1].Properties), "1f6feb") {
		t.Errorf("layers %+v, %v", layers, err)
	}
	again := b.execute(t, p, "g")
	if _, now := a.content(t, p, "g"); again.At != a.head(t, p) || *now.ContentID != *header.ContentID {
		t.Errorf("what is current was built again")
	}

	a.replace(t, sources[1], strings.Replace(tinyEdges, "e2,job,db,,infra,1,\n", "", 1))
	stale, err := b.Builds.Stale(t.Context(), []int32{p})
	if want := []string{"edges.csv was replaced"}; err != nil || !stale[header.ID].Stale || !slices.Equal(stale[header.ID].Because, want) {
		t.Errorf("stale %+v, %v, want because of %q", stale, err, want)
	}
	b.execute(t, p, "g")
	g, now := a.content(t, p, "g")
	if len(g.Nodes) != 4 || len(g.Edges) != 2 || now.ID != header.ID || now.EdgeCount != 2 {
		t.Errorf("%d nodes, %d edges, graph %d, want 4, 2, %d", len(g.Nodes), len(g.Edges), now.ID, header.ID)
	}
	if after, err := b.Graphs.Layers(t.Context(), []int32{header.ID}); err != nil || after[header.ID][0].ID != layers[header.ID][0].ID {
		t.Errorf("the ids of layers changed: %+v, %v", after, err)
	}
}

func (r *replica) head(t testing.TB, project int32) plan.Cursor {
	t.Helper()
	at, err := r.Plans.Head(t.Context(), auth.Unchecked(r.actor, project))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestBadTablesFailWithTheirElements(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t), quick)
	p, sources := a.tiny(t)
	a.execute(t, p, "g")
	_, before := a.content(t, p, "g")
	for row, parts := range map[string][]string{
		"e4,web,ghost,,,,\n": {`"e4"`, `"ghost"`, "does not exist"},
		"e4,web,sys,,,,\n":   {`"e4"`, `"sys"`, "partition"},
		"e1,web,job,,,,\n":   {`"e1"`},
	} {
		a.replace(t, sources[1], tinyEdges+row)
		done := a.execute(t, p, "g")
		failed := done.Failed()
		if failed == nil || failed.ID != "g" || failed.Error == nil {
			t.Fatalf("%q: %+v", row, done)
		}
		for _, part := range parts {
			if !strings.Contains(*failed.Error, part) {
				t.Errorf("%q: %s does not say %s", row, *failed.Error, part)
			}
		}
		if _, now := a.content(t, p, "g"); *now.ContentID != *before.ContentID || now.NodeCount != 4 {
			t.Errorf("%q: the former content is gone", row)
		}
	}
	a.replace(t, sources[1], tinyEdges)
	if done := a.execute(t, p, "g"); done.Failed() != nil {
		t.Errorf("%+v", done)
	}
	if _, now := a.content(t, p, "g"); *now.ContentID != *before.ContentID || now.ErrorMessage != nil {
		t.Errorf("%+v", now)
	}
	if err := a.Sources.Delete(t.Context(), auth.Unchecked(a.actor, p), sources[2].ID, source.Request{}); err != nil {
		t.Fatal(err)
	}
	a.execute(t, p, "g")
	if g, _ := a.content(t, p, "g"); len(g.Layers) != 0 {
		t.Errorf("layers of a source that went: %+v", g.Layers)
	}
}

// The files of the sample itself, where it is there.
func TestFilesOfTiny(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "..", "shared", "data", "tiny")
	a := start(t, pgtest.New(t), quick)
	p := a.newProject(t)
	var files []string
	for _, name := range []string{"nodes.csv", "edges.csv", "layers.csv"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Skip("no sample data")
		}
		files = append(files, name, string(text))
	}
	sources, nodes := a.upload(t, p, files...)
	edits := []plan.Edit{node(plan.GraphNode, "g", "{}")}
	var inputs []layered.Graph
	for i, id := range nodes {
		edits = append(edits, plan.AddEdge{Edge: plan.Edge{ID: "to_g_" + id, Source: id, Target: "g", Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}})
		g, err := a.Sources.Read(t.Context(), sources[i])
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, g)
	}
	a.edit(t, p, edits...)
	a.execute(t, p, "")
	g, header := a.content(t, p, "g")
	want, err := layered.Merge(t.Context(), inputs, layered.Union, layered.PreferLast)
	if err != nil || layered.Hash(g) != layered.Hash(want) || *header.ContentHash != layered.Hash(want) || len(g.Nodes) != 4 || len(g.Layers) != 2 {
		t.Errorf("%+v, %v", g, err)
	}
}
