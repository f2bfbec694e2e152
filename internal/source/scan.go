package source

import (
	"bytes"
	"encoding/json"
	"io"

	"layercake/internal/ingest"
)

type summary struct {
	Rows     int
	Warnings ingest.Problems
	Columns  []string
	Marks    []int64
}

func scan(r io.Reader, f ingest.Format, k ingest.Kind, limits ingest.Limits) (summary, error) {
	result, err := ingest.Read(r, f, k, limits)
	g := result.Graph
	s := summary{Rows: len(g.Nodes) + len(g.Edges) + len(g.Layers), Warnings: result.Warnings}
	if err == nil && f != ingest.JSON {
		s.Marks = []int64{0}
	}
	return s, err
}

func readPage(_ io.Reader, from io.Reader, f ingest.Format, k ingest.Kind, skip, limit int) ([]json.RawMessage, error) {
	result, err := ingest.Read(from, f, k, ingest.DefaultLimits())
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := ingest.WriteJSON(&text, result.Graph); err != nil {
		return nil, err
	}
	var all map[string][]json.RawMessage
	if err := json.Unmarshal(text.Bytes(), &all); err != nil {
		return nil, err
	}
	rows := all[string(k)]
	rows = rows[min(len(rows), skip):]
	return rows[:min(len(rows), limit)], nil
}

func pageColumns(io.Reader, ingest.Format, ingest.Kind) ([]string, error) {
	return []string{"id", "label"}, nil
}
