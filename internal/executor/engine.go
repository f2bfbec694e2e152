package executor

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/plan"
)

// engineVersion is part of every recipe: what another version built is stale.
var engineVersion = strconv.Itoa(layered.Version)

// compute returns what a node builds of its inputs, which are in the order of their edges. It is pure but for its context. A fault is the
// input's or the settings', and computing again does not help.
func compute(ctx context.Context, kind plan.NodeType, config string, inputs []layered.Graph) (layered.Graph, []layered.Note, error) {
	var made layered.Graph
	var notes []layered.Note
	var err error
	switch kind {
	case plan.GraphNode:
		made, err = checked(layered.Merge(ctx, inputs, layered.Union, layered.PreferLast))
	case plan.MergeNode:
		var settings mergeSettings
		if settings, err = parseMerge(config); err == nil {
			made, err = checked(layered.Merge(ctx, inputs, settings.Strategy, settings.Resolution))
		}
	case plan.TransformNode:
		var steps []layered.Transform
		if steps, err = layered.ParseTransforms([]byte(config)); err == nil {
			made, notes, err = layered.ApplyAll(ctx, inputs[0], steps)
		}
	case plan.CopyNode:
		made = inputs[0]
	default:
		err = fault.New(fault.BadRequest, fmt.Sprintf("A %s builds no graph", kind))
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	made.Name = "" // what people call a graph is no part of its content
	return made, notes, err
}

// shownProblems is how many problems the message of a fault has. Its details have as many as Check lists.
const shownProblems = 3

// checked returns a graph that keeps the rules of built graphs, or the fault that names what breaks them.
func checked(g layered.Graph, err error) (layered.Graph, error) {
	if err != nil {
		return layered.Graph{}, err
	}
	problems := layered.Check(g, layered.BuildRules())
	if problems.Total == 0 {
		return g, nil
	}
	var all []string
	for _, p := range problems.Listed {
		all = append(all, p.Message)
	}
	message := strings.Join(all[:min(shownProblems, len(all))], "; ")
	switch {
	case problems.Total == 1:
	case problems.Total <= shownProblems:
		message = fmt.Sprintf("The graph has %d problems: %s", problems.Total, message)
	default:
		message = fmt.Sprintf("The graph has %d problems: %s; ...", problems.Total, message)
	}
	return layered.Graph{}, fault.New(fault.BadRequest, message).With("problems", all).With("total", problems.Total)
}

// notesJSON is how what the steps did is stored: null when there were none.
func notesJSON(notes []layered.Note) json.RawMessage {
	if len(notes) == 0 {
		return nil
	}
	type note struct {
		Text    string `json:"text"`
		Warning bool   `json:"warning,omitempty"`
	}
	list := make([]note, len(notes))
	for i, n := range notes {
		list[i] = note(n)
	}
	text, _ := json.Marshal(map[string]any{"notes": list}) // it has nothing but texts
	return text
}

// problemsJSON is how the problems of a graph that broke the rules are stored: null for another failure.
func problemsJSON(err error) json.RawMessage {
	f := fault.From(err)
	if f == nil || f.Details["problems"] == nil {
		return nil
	}
	text, err := json.Marshal(map[string]any{"problems": f.Details["problems"], "total": f.Details["total"]})
	if err != nil {
		return nil
	}
	return text
}

// What graphs are estimated to need in memory, so that all of them fit into LAYERCAKE_BUILD_MEMORY. A node with two attributes takes
// 208 bytes and an edge 136 (BenchmarkBytesPerElement of package ingest), and lists and indexes by id come on top. `layercake bench
// builds` with 1,000,000 nodes and edges saw a replica take 1,075 MB for the build, which is estimated as 1,430 MB, and 1,051 MB for an
// output, which is estimated as 1,020 MB.
const (
	elementBytes = 300 // of an element beside its texts
	copies       = 2   // elements of the inputs are shared with the result, but not their lists and indexes
	leastBytes   = 1 << 20
)

// held returns how many bytes a graph is estimated to need, from its elements and the bytes in which they are stored.
func held(elements, bytes int64) int64 { return leastBytes + elements*elementBytes + bytes }

// estimate returns how many bytes a build is estimated to need, from what its inputs have together.
func estimate(elements, bytes int64) int64 { return copies * held(elements, bytes) }

// size returns the elements and stored bytes of what the step reads.
func (s *step) size() (elements, bytes int64) {
	for _, in := range s.inputs {
		switch {
		case in.source != nil:
			elements += int64(in.source.Rows)
			bytes += in.source.Size
		case in.graph != nil:
			elements += int64(in.graph.NodeCount) + int64(in.graph.EdgeCount)
			bytes += in.graph.Bytes
		}
	}
	return elements, bytes
}

// tooLarge is the fault of a build that no replica with these settings can make.
func tooLarge(needs, most int64) *fault.Error {
	return fault.New(fault.BadRequest, fmt.Sprintf("The build needs about %s of memory, and builds here may take %s: "+
		"split its inputs, or raise LAYERCAKE_BUILD_MEMORY", megabytes(needs), megabytes(most))).With("needs", needs).With("limit", most)
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+1<<20-1)>>20) }

// measure returns how many bytes a build needs that holds graphs: what estimate guesses, with what is known by now.
func measure(graphs []layered.Graph) int64 {
	n := int64(leastBytes)
	for _, g := range graphs {
		n += int64(len(g.Nodes)+len(g.Edges)) * elementBytes
	}
	return n
}
