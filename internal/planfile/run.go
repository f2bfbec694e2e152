package planfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// Options of a run. The zero value runs the plan as it is.
type Options struct {
	Dir           string            // folder of relative outputs; "" is the working directory
	Render        string            // "svg" or "png": also draw DOT outputs with Graphviz; "" is not
	RenderTimeout time.Duration     // limit of one drawing; 0 is one minute
	Progress      func(what string) // called with each step that begins; may be nil
	Warn          func(text string) // called with each likely mistake in the plan that was carried out; may be nil
}

// Run reads the plan file at path, its tables, and writes every output. An output that fails does not stop the others, and
// leaves the file of that name as it was. The error joins all that failed; each names the file, and the row or the profile.
func Run(ctx context.Context, path string, opt Options) error {
	return run(ctx, path, opt, func([]string) {})
}

// run also hands over the names of the files that it reads, once it knows them. For an invalid plan it does not.
func run(ctx context.Context, path string, opt Options, reading func(files []string)) error {
	r := runner{opt: opt, planDir: filepath.Dir(path)}
	r.progress("reading " + path)
	f, err := os.Open(path) // by the name that the caller chose: it may be a pipe
	if err != nil {
		return err
	}
	data, err := readAll(ctx, f, maxPlanSize)
	if err != nil {
		return err
	}
	plan, err := Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	inputs := r.inputs(plan)
	reading(inputs)
	r.keep = append([]string{path}, inputs...)
	g, err := r.load(ctx, plan)
	if err != nil {
		return err
	}
	return r.write(ctx, g, plan.Export.Profiles)
}

type runner struct {
	opt     Options
	planDir string
	keep    []string // files that no output may replace
	tables  []table  // that were read

	// The graph of the last profile, since most profiles have the same settings.
	settings    layered.Settings
	transformed layered.Graph
	ready       bool
}

// table is where some elements of the graph came from.
type table struct {
	name  string // of the profile
	kind  ingest.Kind
	first int // position in the graph's list
	ingest.PlanTable
}

func (r *runner) progress(what string) {
	if r.opt.Progress != nil {
		r.opt.Progress(what)
	}
}

func (r *runner) warn(format string, args ...any) {
	if r.opt.Warn != nil {
		r.opt.Warn(fmt.Sprintf(format, args...))
	}
}

// inputs are the files that a plan refers to.
func (r *runner) inputs(p Plan) []string {
	var files []string
	for _, in := range p.Import.Profiles {
		files = append(files, r.table(in))
	}
	for _, out := range p.Export.Profiles {
		if out.Exporter.Template == "" {
			continue
		}
		files = append(files, r.template(out.Exporter.Template))
		for _, name := range out.Exporter.Partials {
			files = append(files, r.template(name))
		}
	}
	return files
}

// table finds a table beside the plan file.
func (r *runner) table(in Import) string {
	if filepath.IsAbs(in.Filename) {
		return in.Filename
	}
	return filepath.Join(r.planDir, in.Filename)
}

// template finds a template beside the plan file, or else in the working directory.
func (r *runner) template(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	beside := filepath.Join(r.planDir, name)
	if _, err := os.Stat(beside); err != nil {
		if here := filepath.Join(r.opt.Dir, name); fileExists(here) {
			return here
		}
	}
	return beside
}

func (r *runner) output(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.opt.Dir, name)
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// load reads all tables, so that all their problems are reported at once, and checks the graph.
func (r *runner) load(ctx context.Context, p Plan) (layered.Graph, error) {
	g := layered.Graph{Name: p.name()}
	var problems []error
	for i, in := range p.Import.Profiles {
		if err := context.Cause(ctx); err != nil {
			return g, err
		}
		r.progress("reading " + in.Filename)
		name := fmt.Sprintf("import profile %d (%s)", i+1, in.Filename)
		problems = append(problems, each(name, r.read(ctx, name, in, &g)))
	}
	if err := context.Cause(ctx); err != nil {
		return g, err
	}
	if err := errors.Join(problems...); err != nil {
		return g, err
	}
	r.nameEdges(&g)
	r.warnOfLayers(g)
	return g, report(g, r.place)
}

func (r *runner) read(ctx context.Context, name string, in Import, g *layered.Graph) error {
	kind, err := in.kind()
	if err != nil {
		return err
	}
	format, err := ingest.FormatOf(in.Filename)
	if err != nil {
		return plain(err)
	}
	f, err := open(r.table(in))
	if err != nil {
		return err
	}
	defer f.Close()
	first := map[ingest.Kind]int{ingest.Nodes: len(g.Nodes), ingest.Edges: len(g.Edges), ingest.Layers: len(g.Layers)}[kind]
	t, err := ingest.ReadPlanTable(until(ctx, f), format, kind, g)
	if err != nil {
		return err
	}
	r.tables = append(r.tables, table{name, kind, first, t})
	for _, w := range t.Warnings.Listed {
		r.warn("%s: %s", name, w)
	}
	if more := t.Warnings.Total - len(t.Warnings.Listed); more > 0 {
		r.warn("%s: and %d more", name, more)
	}
	return nil
}

// nameEdges makes ids for the edges of tables without any, of the rows in which they stand. It comes after all tables were read, so
// that none of these ids is one that another table gives.
func (r *runner) nameEdges(g *layered.Graph) {
	if !slices.ContainsFunc(r.tables, func(t table) bool { return t.NoIDs }) {
		return
	}
	taken := make(map[string]bool)
	for _, e := range g.Edges {
		taken[e.ID] = true
	}
	for _, t := range r.tables {
		if !t.NoIDs || len(t.Rows) == 0 {
			continue
		}
		for i, row := range t.Rows {
			id := fmt.Sprintf("edge_%d", row)
			for n := 2; taken[id]; n++ {
				id = fmt.Sprintf("edge_%d_%d", row, n)
			}
			taken[id] = true
			g.Edges[t.first+i].ID = id
		}
		r.warn("%s: the table has no column %q: its edges are called by their rows, such as %q", t.name, "id", g.Edges[t.first].ID)
	}
}

// place says where an element of the tables stands.
func (r *runner) place(p layered.Problem) string {
	kind := ingest.Nodes
	if p.Edge {
		kind = ingest.Edges
	}
	for _, t := range r.tables {
		if i := p.Index - t.first; t.kind == kind && i >= 0 && i < len(t.Rows) {
			return fmt.Sprintf("%s: row %d", t.name, t.Rows[i])
		}
	}
	return "graph"
}

// warnOfLayers warns of edges whose layer is not in the palette: they are drawn like edges without a layer.
func (r *runner) warnOfLayers(g layered.Graph) {
	of := layered.Check(g, []layered.Rule{layered.MissingEdgeLayer})
	if of.Total > 0 {
		first := of.Listed[0]
		e := g.Edges[first.Index]
		r.warn("%s: the layer %.100q of edge %.100q does not exist (%d such edges)", r.place(first), e.Layer, e.ID, of.Total)
	}
}

// report makes an error of what breaks the rules of plan files.
func report(g layered.Graph, place func(layered.Problem) string) error {
	problems := layered.Check(g, layered.PlanFileRules())
	var lines []error
	for _, p := range problems.Listed {
		lines = append(lines, fmt.Errorf("%s: %s", place(p), p.Message))
	}
	if more := problems.Total - len(lines); more > 0 {
		lines = append(lines, fmt.Errorf("graph: and %d more", more))
	}
	return errors.Join(lines...)
}

// each puts a prefix before every line of an error.
func each(prefix string, err error) error {
	if err == nil {
		return nil
	}
	var lines []error
	for line := range strings.Lines(plain(err).Error()) {
		lines = append(lines, fmt.Errorf("%s: %s", prefix, strings.TrimRight(line, "\n")))
	}
	if len(lines) == 1 {
		return fmt.Errorf("%s: %w", prefix, plain(err)) // keeps the chain
	}
	return errors.Join(lines...)
}

// plain adds to a fault the detail that its text leaves out.
func plain(err error) error {
	if f := fault.From(err); f != nil && f.Details["detail"] != nil {
		return fmt.Errorf("%w: %v", err, f.Details["detail"])
	}
	return err
}

// write writes all outputs.
func (r *runner) write(ctx context.Context, g layered.Graph, profiles []Export) error {
	dot := ""
	var problems []error
	if r.opt.Render != "" {
		var err error
		if dot, err = exec.LookPath("dot"); err != nil {
			problems = append(problems, errors.New("nothing is drawn: Graphviz is not installed (no dot on the PATH)"))
		}
	}
	written := make(map[string]int, len(profiles)) // files to the profile that wrote them, from 1
	for i, out := range profiles {
		if err := context.Cause(ctx); err != nil {
			return errors.Join(append(problems, err)...)
		}
		r.progress(fmt.Sprintf("writing %s (%d of %d)", out.Filename, i+1, len(profiles)))
		name := fmt.Sprintf("export profile %d (%s, %s)", i+1, out.Filename, out.Exporter.Format)
		target := r.output(out.Filename)
		err := r.claim(written, target, i+1)
		if err == nil {
			err = r.writeOne(ctx, g, name, out, target)
		}
		if err == nil && dot != "" && isDOT(out.Exporter.Format) {
			r.progress("drawing " + out.Filename)
			picture := strings.TrimSuffix(target, filepath.Ext(target)) + "." + r.opt.Render
			if err = r.claim(written, picture, i+1); err == nil {
				err = r.draw(ctx, dot, target, picture)
			}
		}
		problems = append(problems, each(name, err))
	}
	return errors.Join(problems...)
}

// claim refuses to write a file that the plan reads, or has written already.
func (r *runner) claim(written map[string]int, target string, profile int) error {
	if info, err := os.Stat(target); err == nil {
		for _, name := range r.keep {
			if kept, err := os.Stat(name); err == nil && os.SameFile(info, kept) {
				return fmt.Errorf("%s is not written: the plan reads it", target)
			}
		}
	}
	key, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	if first, ok := written[key]; ok {
		return fmt.Errorf("%s is not written: profile %d has written it already", target, first)
	}
	written[key] = profile
	return nil
}

func isDOT(f export.Format) bool { return f == export.DOT || f == export.DOTHierarchy }

func (r *runner) writeOne(ctx context.Context, g layered.Graph, name string, out Export, target string) error {
	opt := out.Render.Options()
	opt.Limits.Time = time.Duration(out.Render.TimeoutSeconds) * time.Second
	opt.Warn = func(text string) { r.warn("%s: %s", name, text) }
	if out.Exporter.Format == export.Custom {
		t, err := r.readTemplate(ctx, out.Exporter)
		if err != nil {
			return err
		}
		opt.Template = t
	}
	g, err := r.transform(ctx, g, name, out.Graph)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return err
	}
	return replace(target, func(w io.Writer) error { return export.Write(ctx, w, g, out.Exporter.Format, opt) })
}

// transform applies the settings, and checks what came out as the tables were checked.
func (r *runner) transform(ctx context.Context, g layered.Graph, name string, s layered.Settings) (layered.Graph, error) {
	if r.ready && reflect.DeepEqual(s, r.settings) {
		return r.transformed, nil
	}
	g, notes, err := s.Apply(ctx, g)
	if err != nil {
		return g, err
	}
	for _, n := range notes {
		if n.Warning {
			r.warn("%s: %s", name, n.Text)
		}
	}
	if err := report(g, func(layered.Problem) string { return "graph" }); err != nil {
		return g, err
	}
	r.settings, r.transformed, r.ready = s, g, true
	return g, nil
}

// maxTemplateSize bounds a template file, in bytes.
const maxTemplateSize = 256 << 10

func (r *runner) readTemplate(ctx context.Context, e Exporter) (export.Template, error) {
	t := export.Template{Partials: make(map[string]string, len(e.Partials))}
	var err error
	if t.Source, err = readTemplateFile(ctx, r.template(e.Template)); err != nil {
		return t, fmt.Errorf("template: %w", err)
	}
	for name, file := range e.Partials {
		if t.Partials[name], err = readTemplateFile(ctx, r.template(file)); err != nil {
			return t, fmt.Errorf("partial %q: %w", name, err)
		}
	}
	return t, nil
}

// readTemplateFile keeps a byte-order mark, as published: it goes to the output.
func readTemplateFile(ctx context.Context, name string) (string, error) {
	f, err := open(name)
	if err != nil {
		return "", err
	}
	source, err := readAll(ctx, f, maxTemplateSize)
	if err == nil {
		_, err = ingest.Text(source)
	}
	return string(source), err
}

// replace writes a file beside target and renames it, so that target is never half written. What is no regular file stays as it is.
func replace(target string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		return notRegular("write", target, info)
	}
	temp := temporary(target)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, target)
}

// temporary names a file in the folder of target.
func temporary(target string) string {
	dir, base := filepath.Split(target)
	if len(base) > 100 {
		base = base[:100] // file names are limited
	}
	return filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
}

// draw runs Graphviz on a file that was written.
func (r *runner) draw(ctx context.Context, dot, source, target string) error {
	limit := r.opt.RenderTimeout
	if limit == 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("Graphviz needed more than %v and was stopped", limit))
	defer cancel()
	temp := temporary(target)
	defer func() { _ = os.Remove(temp) }() // when it was not renamed
	cmd := exec.CommandContext(ctx, dot, "-T"+r.opt.Render, "-o", temp, source)
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		lines := slices.Collect(strings.Lines(strings.TrimSpace(stderr.String())))
		return fmt.Errorf("dot: %w: %s", err, strings.Join(lines[:min(len(lines), 5)], " "))
	}
	return os.Rename(temp, target)
}
