// Package ingest reads CSV, TSV and JSON into a layered graph. It is pure: it reads from an io.Reader and touches nothing else.
//
// Read is for uploads: it forgives (aliases, any case, blank values) and reports every bad row. Scan, ReadPage and Convert read as it
// does and keep nothing. ReadPlanTable is for the tables of plan files and keeps to the published rules of those.
package ingest

import (
	"fmt"
	"path"
	"strings"

	"layercake/internal/fault"
)

// Format is how a file is written.
type Format string

// The formats, by their file name extensions.
const (
	CSV  Format = "csv"
	TSV  Format = "tsv"
	JSON Format = "json"
)

// FormatOf returns the format of a file by the extension of its name, in any case. Another extension is a BAD_REQUEST.
func FormatOf(filename string) (Format, error) {
	switch f := Format(strings.ToLower(strings.TrimPrefix(path.Ext(filename), "."))); f {
	case CSV, TSV, JSON:
		return f, nil
	}
	return "", fault.New(fault.BadRequest, fmt.Sprintf("The file %.100q is not a .csv, .tsv or .json file", filename))
}

func (f Format) comma() rune {
	if f == TSV {
		return '\t'
	}
	return ','
}

// Kind is what a file holds.
type Kind string

// The kinds. A graph holds all three others.
const (
	Nodes  Kind = "nodes"
	Edges  Kind = "edges"
	Layers Kind = "layers"
	Graph  Kind = "graph"
)

// Allowed says whether files of this format can hold this kind: tables hold nodes, edges or layers, JSON holds graphs. Any other
// pair is a BAD_REQUEST.
func Allowed(f Format, k Kind) error {
	switch {
	case f == JSON && k == Graph,
		(f == CSV || f == TSV) && (k == Nodes || k == Edges || k == Layers):
		return nil
	}
	return fault.New(fault.BadRequest, fmt.Sprintf("%s files cannot hold %s data", f, k))
}
