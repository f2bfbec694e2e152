package builds

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// table is a made-up table as a file.
type table struct {
	name string // name of the file
	kind string // nodes, edges or layers
	path string // where it is
	rows int
	size int64 // bytes
}

// rowsOf returns the rows of a made-up table, one by one, from the header on. The slice is used again.
type rowsOf func(yield func([]string))

// writeTable writes a table into a folder.
func writeTable(folder, name, kind string, rows int, each rowsOf) (table, error) {
	t := table{name: name, kind: kind, path: filepath.Join(folder, name), rows: rows}
	f, err := os.Create(t.path)
	if err != nil {
		return t, err
	}
	defer f.Close()
	counted := &counter{w: bufio.NewWriterSize(f, 1<<18)}
	w := csv.NewWriter(counted)
	each(func(row []string) { _ = w.Write(row) }) // Error has it
	w.Flush()
	if err := w.Error(); err != nil {
		return t, err
	}
	t.size = counted.n
	return t, counted.w.Flush()
}

// counter counts the bytes that are written to w.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// open hands the bytes to use.
func (t table) open(use func(io.Reader) error) error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return use(f)
}

const (
	nodesAPartition = 1000 // nodes that share a parent
	layerCount      = 8
	overlayShare    = 100 // one of so many nodes has another label in each overlay
)

// partitions is how many of some nodes contain the others.
func partitions(rows int) int { return max(1, rows/nodesAPartition) }

var nodeHeader = []string{"id", "label", "layer", "is_partition", "belongs_to", "weight", "comment", "team", "cost"}

// nodeRow fills in a node with two attributes. One in a hundred has a label that has to be quoted.
func nodeRow(row []string, r *rand.Rand, i, partitions int, suffix string) []string {
	id := strconv.Itoa(i)
	label := "Service " + id
	if i%100 == 7 {
		label = `Service "` + id + `", größer & <neu>`
	}
	parent, partition := "", "true"
	if i >= partitions {
		parent, partition = "n"+strconv.Itoa(i%partitions), "false"
	}
	return append(row[:0], "n"+id, label+suffix, "layer_"+strconv.Itoa(r.IntN(layerCount)), partition, parent, strconv.Itoa(1+r.IntN(9)),
		"of batch "+strconv.Itoa(i%977), "team-"+strconv.Itoa(r.IntN(50)), strconv.Itoa(r.IntN(100_000)))
}

// dice returns the source of a table's values: the same for the same seed and table.
func dice(seed uint64, project, table int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(project)<<32|uint64(table)))
}

// nodeTable has rows nodes.
func nodeTable(rows int, r *rand.Rand) rowsOf {
	return func(yield func([]string)) {
		yield(nodeHeader)
		row := make([]string, 0, len(nodeHeader))
		for i := range rows {
			yield(nodeRow(row, r, i, partitions(rows), ""))
		}
	}
}

// overlayTable has the nodes again that a round changes.
func overlayTable(rows, round int, r *rand.Rand) (count int, _ rowsOf) {
	first := round % overlayShare
	if first >= rows {
		first = 0
	}
	count = (rows - first + overlayShare - 1) / overlayShare
	return count, func(yield func([]string)) {
		yield(nodeHeader)
		row := make([]string, 0, len(nodeHeader))
		for i := first; i < rows; i += overlayShare {
			yield(nodeRow(row, r, i, partitions(rows), fmt.Sprintf(" of round %d", round)))
		}
	}
}

// edgeTable has count edges between the flow nodes of nodeTable(rows).
func edgeTable(count, rows int, prefix string, r *rand.Rand) rowsOf {
	return func(yield func([]string)) {
		yield([]string{"id", "source", "target", "label", "layer", "weight", "comment", "protocol", "since"})
		row := make([]string, 0, 9)
		p := partitions(rows)
		for i := range count {
			yield(append(row[:0], prefix+strconv.Itoa(i), "n"+strconv.Itoa(p+r.IntN(rows-p)), "n"+strconv.Itoa(p+r.IntN(rows-p)),
				"calls", "layer_"+strconv.Itoa(r.IntN(layerCount)), strconv.Itoa(1+r.IntN(9)), "",
				[]string{"http", "grpc", "sql", "queue"}[r.IntN(4)], strconv.Itoa(2000+r.IntN(26))))
		}
	}
}

// layerTable has the layers that nodes and edges name.
func layerTable(yield func([]string)) {
	yield([]string{"layer", "label", "background", "border", "text"})
	for i := range layerCount {
		yield([]string{"layer_" + strconv.Itoa(i), fmt.Sprintf("Layer %d", i), fmt.Sprintf("%06x", 0x1f6feb+i*4099), "222222", "ffffff"})
	}
}
