package export

import (
	"encoding/csv"
	"slices"
	"strings"
)

// writeCSVNodes writes all nodes by id. Line feeds end the lines; fields are quoted where they must be.
func writeCSVNodes(p *printer, v *view, opt Options) error {
	header := []string{"id", "label", "layer", "is_partition", "belongs_to", "comment"}
	sorted := sortedBy(len(v.graph.Nodes), func(i int) string { return v.node(i).ID })
	return writeCSV(p, header, opt, func(row func(weight float64, fields ...string)) {
		for _, i := range sorted {
			n := v.node(i)
			weight := n.Weight
			if opt.UnitNodeWeights {
				weight = 1
			}
			row(weight, n.ID, n.Label, n.Layer, boolean(n.IsPartition), n.BelongsTo, n.Comment)
		}
	})
}

// writeCSVEdges writes all edges by id, also those that the drawings leave out.
func writeCSVEdges(p *printer, v *view, opt Options) error {
	sorted := sortedBy(len(v.graph.Edges), func(i int) string { return v.edge(i).ID })
	header := []string{"id", "source", "target", "label", "layer", "comment"}
	return writeCSV(p, header, opt, func(row func(weight float64, fields ...string)) {
		for _, i := range sorted {
			e := v.edge(i)
			row(e.Weight, e.ID, e.Source, e.Target, e.Label, e.Layer, e.Comment)
		}
	})
}

// writeCSV writes a table whose last column is the comment; a weight, if wanted, stands before it.
func writeCSV(p *printer, header []string, opt Options, rows func(row func(weight float64, fields ...string))) error {
	w := csv.NewWriter(p)
	record := make([]string, 0, len(header)+1)
	write := func(weight string, fields []string) {
		last := len(fields) - 1
		record = append(record[:0], fields[:last]...)
		if opt.CSVWeight {
			record = append(record, weight)
		}
		_ = w.Write(append(record, fields[last])) // sticks until Flush
	}
	write("weight", header)
	rows(func(weight float64, fields ...string) {
		for i := range fields {
			fields[i] = guard(fields[i], opt)
		}
		write(number(weight), fields)
	})
	w.Flush()
	return w.Error()
}

// guard returns a text as it stands in a table. Spreadsheets take one for a formula, or for the end of another cell, by its first
// character; guarded, it begins with an apostrophe, which they read as the mark of a text. Weights are numbers, and stay.
func guard(text string, opt Options) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if opt.CSVGuardFormulas && text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// A matrix has a cell for every pair of nodes: 10,000 nodes are 100 MB of commas.
const maxMatrixNodes = 10_000

// writeCSVMatrix writes the weights from each flow node (row) to each flow node (column). Labels are always quoted.
func writeCSVMatrix(p *printer, v *view, opt Options) error {
	if len(v.flow) > maxMatrixNodes {
		return refuse("Too many nodes for a matrix", "%d flow nodes, at most %d", len(v.flow), maxMatrixNodes)
	}
	column := make(map[string]int, len(v.flow))
	for col, i := range v.flow {
		id := v.node(i).ID
		if _, ok := column[id]; ok {
			return refuse("Node id occurs twice", "a matrix needs distinct ids: %q", id)
		}
		column[id] = col
	}
	edges := slices.Clone(v.edges) // by source row, then id: the larger id wins a shared cell
	slices.SortStableFunc(edges, func(a, b int) int {
		if c := strings.Compare(v.edge(a).Source, v.edge(b).Source); c != 0 {
			return c
		}
		return strings.Compare(v.edge(a).ID, v.edge(b).ID)
	})
	seen := make(map[string]bool, len(edges))
	for _, i := range edges {
		id := v.edge(i).ID
		if seen[id] {
			return refuse("Edge id occurs twice", "a matrix needs distinct ids: %q", id)
		}
		seen[id] = true
	}

	commas := strings.Repeat(",", len(v.flow))
	p.put(",\"Source\"", commas, "\n\"Target\",")
	for _, i := range v.flow {
		p.put(",")
		p.quote(appendCSV, guard(v.node(i).Label, opt))
	}
	p.put("\n")
	cells := make([]string, len(v.flow))
	for _, i := range v.flow {
		n := v.node(i)
		for len(edges) > 0 && v.edge(edges[0]).Source == n.ID {
			e := v.edge(edges[0])
			cells[column[e.Target]] = number(e.Weight)
			edges = edges[1:]
		}
		p.put(",")
		p.quote(appendCSV, guard(n.Label, opt))
		for _, cell := range cells {
			p.put(",", cell)
		}
		p.put("\n")
		clear(cells)
	}
	return nil
}

// appendCSV escapes the inside of a quoted field.
func appendCSV(dst []byte, s string) []byte {
	return append(dst, strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), `"`, `""`)...)
}
