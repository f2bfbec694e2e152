package executor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"layercake/internal/auth"
	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/layered"
	"layercake/internal/plan"
	"layercake/internal/planfile"
)

// Output is a file that a plan makes of a graph. Nothing of it is read before Write.
type Output struct {
	Filename string // never empty, without a path
	MIMEType string
	Format   export.Format
	Download string // path of the route that serves the same

	with   func(context.Context, func(layered.Graph) error) error // calls a function with the graph
	config outputConfig
}

// OutputRequest says what is wanted of a node.
type OutputRequest struct {
	Request

	Execute bool          // whether what is stale is built first
	Format  export.Format // in the place of the node's own; "" for that, which only an OutputNode has
}

// Output returns the file of an OutputNode, or with a format that of the graph of any other node. When asked to by somebody who may run, it
// first builds what is stale; others get what was built. Faults: NotFound for the node and for a graph that was never built, BadRequest for
// a configuration that cannot be exported and for a build that failed, Unavailable while the build goes on.
func (s *Service) Output(ctx context.Context, access auth.Access, nodeID string, r OutputRequest) (Output, error) {
	if err := access.May(auth.View); err != nil {
		return Output{}, err
	}
	dag, err := s.cfg.Plans.DAG(ctx, access)
	if err != nil {
		return Output{}, err
	}
	upstream, config, err := outputOf(dag, nodeID, r.Format)
	if err != nil {
		return Output{}, err
	}
	project, err := s.cfg.Projects.Get(ctx, access)
	if err != nil {
		return Output{}, err
	}
	out := Output{
		Filename: filename(config.name, project.Name, config.format), MIMEType: config.format.MIME(), Format: config.format,
		Download: downloadPath(access.Project(), nodeID, r.Format), config: config,
	}
	if upstream.NodeType == plan.DataSourceNode {
		out.with, err = s.withSourceOf(ctx, access, upstream)
		return out, err
	}
	if r.Execute && access.May(auth.Run) == nil {
		if err := s.makeCurrent(ctx, access, upstream, r.Request); err != nil {
			return Output{}, err
		}
	}
	out.with, err = s.withGraphOf(ctx, access, upstream, config)
	return out, err
}

// outputOf finds the node whose graph is written, and how.
func outputOf(dag plan.DAG, nodeID string, format export.Format) (plan.Node, outputConfig, error) {
	node := nodeOf(dag, nodeID)
	switch {
	case node == nil && format != "":
		return plan.Node{}, outputConfig{}, fault.New(fault.NotFound, "Node not found").With("detail", nodeID)
	case node == nil:
		return plan.Node{}, outputConfig{}, fault.New(fault.NotFound, "Output node not found").With("detail", nodeID)
	case node.NodeType != plan.OutputNode && format == "":
		return plan.Node{}, outputConfig{}, fault.New(fault.BadRequest, "The node is no OutputNode: name a format").With("detail", nodeID)
	case node.NodeType != plan.OutputNode:
		config, err := outputConfig{name: node.Metadata.Label}.in(format)
		return *node, config, err
	}
	config, err := parseOutputConfig(node.Config)
	if err == nil && format != "" {
		config, err = config.in(format)
	}
	if err != nil {
		return plan.Node{}, outputConfig{}, err
	}
	for _, e := range dag.Edges { // by creation: only the first counts
		if upstream := nodeOf(dag, e.Source); e.Target == nodeID && upstream != nil {
			return *upstream, config, nil
		}
	}
	return plan.Node{}, outputConfig{}, fault.New(fault.BadRequest, "No upstream graph connected to output node").With("detail", nodeID)
}

func nodeOf(dag plan.DAG, id string) *plan.Node {
	i := slices.IndexFunc(dag.Nodes, func(n plan.Node) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return &dag.Nodes[i]
}

// makeCurrent executes a node, and returns why its graph is not current afterwards.
func (s *Service) makeCurrent(ctx context.Context, access auth.Access, node plan.Node, r Request) error {
	outcome, err := s.Execute(ctx, access, node.ID, r)
	if err != nil {
		return err
	}
	if failed := outcome.Failed(); failed != nil {
		reason := "the build failed"
		if failed.Error != nil {
			reason = *failed.Error
		}
		return fault.New(fault.BadRequest, "Failed to execute graph: "+reason).With("nodeId", failed.ID)
	}
	if !outcome.Done {
		return fault.New(fault.Unavailable, "The graph is still being built: try again").With("nodeId", node.ID)
	}
	return nil
}

// withSourceOf returns how to use what the file holds that a DataSourceNode names.
func (s *Service) withSourceOf(
	ctx context.Context, access auth.Access, node plan.Node,
) (func(context.Context, func(layered.Graph) error) error, error) {
	id := sourceOf(node.Config)
	if id <= 0 {
		return nil, fault.New(fault.BadRequest, "The DataSourceNode has no data source").With("nodeId", node.ID)
	}
	source, err := s.cfg.Sources.Get(ctx, access, id)
	switch {
	case err != nil:
		return nil, err
	case source.Status != "active":
		return nil, fault.New(fault.BadRequest, "The data source cannot be used").With("detail", source.ErrorMessage)
	}
	return func(ctx context.Context, use func(layered.Graph) error) error {
		release, err := s.takeMemory(ctx, held(int64(source.Rows), source.Size))
		if err != nil {
			return err
		}
		defer release()
		g, err := s.cfg.Sources.Read(ctx, source)
		if err != nil {
			return err
		}
		g.Name = source.Name
		return use(g)
	}, nil
}

// withGraphOf returns how to use what an output needs of the graph that a node built last.
func (s *Service) withGraphOf(
	ctx context.Context, access auth.Access, node plan.Node, config outputConfig,
) (func(context.Context, func(layered.Graph) error) error, error) {
	header, err := s.cfg.Graphs.OfNode(ctx, access, node.ID)
	if err != nil {
		return nil, err
	}
	if header == nil || header.ContentID == nil {
		return nil, fault.New(fault.NotFound, "Graph not found for node "+fault.Clip(node.ID)+": execute it first").With("nodeId", node.ID)
	}
	whole := config.settings != nil // they may change nodes by edges
	withNodes, withEdges := whole || config.format.NeedsNodes(), whole || config.format.NeedsEdges()
	return func(ctx context.Context, use func(layered.Graph) error) error {
		return s.withPart(ctx, *header, withNodes, withEdges, use)
	}, nil
}

// WithGraph calls a function with a built graph, which is in memory meanwhile. Faults: BadRequest for one that needs more memory than
// builds may take, Unavailable when there is no memory for it now, NotFound when another content has taken the place of this one since the
// header was read, and it was removed.
func (s *Service) WithGraph(ctx context.Context, header graphdata.Graph, use func(layered.Graph) error) error {
	return s.withPart(ctx, header, true, true, use)
}

func (s *Service) withPart(ctx context.Context, header graphdata.Graph, withNodes, withEdges bool, use func(layered.Graph) error) error {
	var elements int64
	if withNodes {
		elements += int64(header.NodeCount)
	}
	if withEdges {
		elements += int64(header.EdgeCount)
	}
	release, err := s.takeMemory(ctx, held(elements, elements*storedBytes))
	if err != nil {
		return err
	}
	defer release()
	g, err := s.cfg.Graphs.LoadPart(ctx, *header.ContentID, withNodes, withEdges)
	if err != nil {
		return err
	}
	g.Name = header.Name
	return use(g)
}

const (
	storedBytes = 210              // of an element with two attributes
	roomWait    = 10 * time.Second // for memory
)

// takeMemory takes memory from that of builds, of which outputs have at most half, or one has more alone: they hold it for as long as their
// readers take. It waits some time for others to give it back.
func (s *Service) takeMemory(ctx context.Context, needs int64) (release func(), err error) {
	if needs > s.cfg.Memory {
		return nil, fault.New(fault.BadRequest, fmt.Sprintf("The graph needs about %s of memory, and builds and outputs here may take %s: "+
			"make it smaller, or raise LAYERCAKE_BUILD_MEMORY", megabytes(needs), megabytes(s.cfg.Memory)))
	}
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	for {
		s.mu.Lock()
		room, free := s.room, s.reserved+needs <= s.cfg.Memory && (s.outputs == 0 || s.outputs+needs <= s.cfg.Memory/2)
		if free {
			s.reserved, s.outputs = s.reserved+needs, s.outputs+needs
		}
		s.mu.Unlock()
		if free {
			return func() { s.giveMemory(needs) }, nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "Other graphs take all memory of builds now: try again").With("needs", needs)
		}
	}
}

// giveMemory gives memory back, and wakes those who wait for it.
func (s *Service) giveMemory(bytes int64) {
	s.mu.Lock()
	s.reserved, s.outputs = s.reserved-bytes, s.outputs-bytes
	close(s.room)
	s.room = make(chan struct{})
	s.mu.Unlock()
	s.look(true) // a build may have waited for it
}

// Write reads the graph and writes the file, as a stream: after an error w holds a beginning.
func (o Output) Write(ctx context.Context, w io.Writer) error {
	return o.with(ctx, func(g layered.Graph) (err error) {
		if o.config.settings != nil {
			if g, _, err = o.config.settings.Apply(ctx, g); err != nil {
				return err
			}
		}
		return export.Write(ctx, w, g, o.config.format, o.config.render)
	})
}

// Bytes returns the file, and false when it has more than limit bytes.
func (o Output) Bytes(ctx context.Context, limit int) (content []byte, fits bool, err error) {
	b := limited{left: limit}
	err = o.Write(ctx, &b)
	if errors.Is(err, errFull) {
		return nil, false, nil
	}
	return b.Bytes(), err == nil, err
}

// limited is a buffer for so many bytes.
type limited struct {
	bytes.Buffer

	left int
}

var errFull = errors.New("the buffer is full")

// Write fails with errFull for more than what is left.
func (b *limited) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFull
	}
	return b.Buffer.Write(p)
}

// outputConfig is how a graph is written.
type outputConfig struct {
	format   export.Format
	name     string // name of the file that people gave, perhaps with a path; may be ""
	render   export.Options
	settings *layered.Settings // changes of the graph before it is written; nil for none
}

// parseOutputConfig reads the config of an OutputNode: renderTarget, outputPath, renderConfig and graphConfig, or exporter and filename as
// imported plan files had them. Members may be in camelCase or in snake_case.
func parseOutputConfig(text string) (outputConfig, error) {
	var given struct {
		RenderTarget string          `json:"render_target"`
		Exporter     string          `json:"exporter"`
		OutputPath   string          `json:"output_path"`
		Filename     string          `json:"filename"`
		Render       json.RawMessage `json:"render_config"`
		Settings     json.RawMessage `json:"graph_config"`
	}
	var members map[string]any
	err := json.Unmarshal([]byte(cmp.Or(text, "{}")), &members)
	if err == nil {
		err = json.Unmarshal(encode(renamed(members, snakeCase)), &given)
	}
	if err != nil {
		return outputConfig{}, fault.New(fault.BadRequest, "Failed to parse node config: "+fault.JSONReason(err))
	}
	config := outputConfig{name: cmp.Or(given.OutputPath, given.Filename)}
	if config.render, err = renderOptions(given.Render); err != nil {
		return outputConfig{}, fault.New(fault.BadRequest, "The renderConfig of the output cannot be used: "+err.Error())
	}
	if len(given.Settings) > 0 && string(given.Settings) != "null" {
		settings, err := layered.ParseSettings(given.Settings)
		if err != nil {
			return outputConfig{}, fault.New(fault.BadRequest, "The graphConfig of the output cannot be used: "+err.Error())
		}
		// Editors send all members, off or on: edges are only aggregated when the config says so.
		settings.AggregateEdges = new(settings.AggregateEdges != nil && *settings.AggregateEdges)
		config.settings = &settings
	}
	return config.in(export.Format(cmp.Or(given.RenderTarget, given.Exporter, string(export.GML))))
}

// renderOptions reads a render_config in snake_case. It refuses members that are unknown or negative.
func renderOptions(text json.RawMessage) (export.Options, error) {
	var given planfile.Render
	if len(text) > 0 {
		if err := fault.DecodeJSON(text, &given); err != nil {
			return export.Options{}, errors.New(fault.JSONReason(err))
		}
	}
	for _, limit := range []struct {
		name  string
		value float64
	}{
		{"target_options.graphviz.nodesep", given.TargetOptions.Graphviz.NodeSep},
		{"target_options.graphviz.ranksep", given.TargetOptions.Graphviz.RankSep},
		{"template_timeout_seconds", float64(given.TimeoutSeconds)},
	} {
		if limit.value < 0 {
			return export.Options{}, fmt.Errorf("%s is %v: it cannot be negative", limit.name, limit.value)
		}
	}
	return given.Options(), nil
}

// encode returns the JSON of a value that is made of what JSON has.
func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// in returns the config for a format, which may be spelled in any case.
func (c outputConfig) in(format export.Format) (outputConfig, error) {
	known, err := export.ParseFormat(string(format))
	if err != nil || known == export.Custom {
		return c, fault.New(fault.BadRequest, "Unsupported export format: "+fault.Clip(string(format))).
			With("detail", "supported are "+strings.Join(outputFormats(), ", "))
	}
	if c.format != "" && c.format != known {
		c.name = strings.TrimSuffix(c.name, path.Ext(c.name)) // it was the extension of the format before
	}
	c.format = known
	return c, nil
}

// outputFormats are the formats that a server exports: all that need no files of templates.
func outputFormats() []string {
	var names []string
	for _, f := range export.Formats() {
		if f != export.Custom {
			names = append(names, string(f))
		}
	}
	return names
}

// renamed returns a JSON value with other names of members. Where two become one, the name that changed wins.
func renamed(value any, rename func(string) string) any {
	given, ok := value.(map[string]any)
	if !ok {
		return value
	}
	changed := make(map[string]any, len(given))
	for name, member := range given {
		if to := rename(name); to != name {
			changed[to] = renamed(member, rename)
		}
	}
	for name, member := range given {
		if _, taken := changed[name]; !taken && rename(name) == name {
			changed[name] = renamed(member, rename)
		}
	}
	return changed
}

// snakeCase returns the name in snake_case of a name in camelCase.
func snakeCase(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// camelCase is the inverse of snakeCase.
func camelCase(name string) string {
	var b strings.Builder
	for i, word := range strings.Split(name, "_") {
		if i > 0 && word != "" {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}

// maxFilename is what file systems take, in bytes.
const maxFilename = 255

// filename returns the name of a file: the last part of the given path, or else the name of the project, with the extension of the format
// unless the name has one.
func filename(given, project string, format export.Format) string {
	stem := visible(given[strings.LastIndexAny(given, `/\`)+1:])
	extension := path.Ext(stem)
	if isExtension(extension) {
		stem = strings.TrimSuffix(stem, extension)
	} else {
		extension = "." + format.Extension()
	}
	if strings.Trim(stem, ". ") == "" {
		stem = visible(strings.NewReplacer("/", "_", `\`, "_").Replace(project))
	}
	if strings.Trim(stem, ". ") == "" {
		stem = "output"
	}
	return clip(strings.TrimRight(stem, ". "), maxFilename-len(extension)) + extension
}

// visible returns a text without what is not seen: control characters, and those that turn the direction of writing.
func visible(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text))
}

// isExtension reports whether a text with a dot before it is the extension of a file, and not the end of a sentence or a version.
func isExtension(text string) bool {
	if len(text) < 2 || len(text) > 11 || text[1] >= '0' && text[1] <= '9' {
		return false
	}
	return !strings.ContainsFunc(text[1:], func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// clip returns the beginning of a text in at most so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// downloadPath is the route that serves an output.
func downloadPath(projectID int32, nodeID string, format export.Format) string {
	route := fmt.Sprintf("/api/projects/%d/outputs/%s", projectID, url.PathEscape(nodeID))
	if format != "" {
		route += "?format=" + url.QueryEscape(string(format))
	}
	return route
}
