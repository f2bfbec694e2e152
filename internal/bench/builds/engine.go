package builds

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"layercake/internal/export"
	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// input is a file that a plan reads.
type input struct {
	kind string // nodes, edges or layers
	open func(use func(io.Reader) error) error
}

// exact are the formats that are compared. Together they have all that formats of tables show.
var exact = []export.Format{export.CSVNodes, export.CSVEdges}

// wanted is what a plan has to put out, as files.
type wanted struct {
	paths        map[export.Format]string
	nodes, edges int
}

// remove removes the files.
func (w wanted) remove() {
	for _, path := range w.paths {
		_ = os.Remove(path) // the folder goes in the end, too
	}
}

// compute lets the pure engine merge files as a MergeNode does, and writes what the outputs have to be into a folder. The graph is in
// memory only until it returns.
func compute(ctx context.Context, folder string, inputs []input) (wanted, error) {
	graphs := make([]layered.Graph, len(inputs))
	for i, in := range inputs {
		err := in.open(func(r io.Reader) error {
			read, err := ingest.Read(r, ingest.CSV, ingest.Kind(in.kind), ingest.DefaultLimits())
			graphs[i] = read.Graph
			return err
		})
		if err != nil {
			return wanted{}, fmt.Errorf("the pure engine reads input %d: %w", i+1, err)
		}
	}
	g, err := layered.Merge(ctx, graphs, layered.Union, layered.PreferLast)
	if err != nil {
		return wanted{}, fmt.Errorf("the pure engine merges: %w", err)
	}
	w := wanted{paths: map[export.Format]string{}, nodes: len(g.Nodes), edges: len(g.Edges)}
	for _, format := range exact {
		w.paths[format] = filepath.Join(folder, "wanted."+string(format))
		if err := writeExport(ctx, w.paths[format], g, format); err != nil {
			return w, fmt.Errorf("the pure engine writes %s: %w", format, err)
		}
	}
	return w, nil
}

func writeExport(ctx context.Context, path string, g layered.Graph, format export.Format) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<18)
	return errors.Join(export.Write(ctx, buffered, g, format, export.Options{}), buffered.Flush())
}

// compare reads both texts to their ends, and returns how they differ first, or "".
func compare(got, want io.Reader) (difference string, err error) {
	g, w := bufio.NewReaderSize(got, 1<<18), bufio.NewReaderSize(want, 1<<18)
	for line := 1; ; line++ {
		a, errA := nextLine(g)
		b, errB := nextLine(w)
		switch {
		case errA != nil && !errors.Is(errA, io.EOF):
			return "", errA
		case errB != nil && !errors.Is(errB, io.EOF):
			return "", errB
		case !bytes.Equal(a, b):
			return fmt.Sprintf("line %d is %.200q, want %.200q", line, a, b), nil
		case errors.Is(errA, io.EOF):
			return "", nil
		}
	}
}

// nextLine reads a line with its end, or a part of one that is larger than the buffer. Parts of equal texts are equal.
func nextLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return line, err
}
