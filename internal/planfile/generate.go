package planfile

import (
	"bufio"
	"embed"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

//go:embed samples
var samples embed.FS

// SampleNames lists the projects that WriteSample knows.
func SampleNames() []string { return []string{"shop", "tiny"} }

// WriteSample writes a sample project into dir, which is created. Files that are there already are not replaced: then it fails.
func WriteSample(name, dir string) error {
	files, err := samples.ReadDir("samples/" + strings.ToLower(name))
	if err != nil {
		return fmt.Errorf("there is no sample %q, only %s", name, strings.Join(SampleNames(), ", "))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, file := range files {
		text, err := samples.ReadFile("samples/" + strings.ToLower(name) + "/" + file.Name())
		if err != nil {
			return err
		}
		err = create(filepath.Join(dir, file.Name()), func(w *bufio.Writer) error {
			_, err := w.Write(text)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// create writes a file that must not be there yet.
func create(name string, write func(*bufio.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}

// WriteEmpty writes a plan without imports and exports. The folder is created. A file that is there already is replaced only if
// it is asked for.
func WriteEmpty(name string, replaceIt bool) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	if replaceIt {
		return replace(name, func(w io.Writer) error {
			_, err := io.WriteString(w, Empty)
			return err
		})
	}
	return create(name, func(w *bufio.Writer) error {
		_, err := w.WriteString(Empty)
		return err
	})
}

// Size is the size of a generated graph.
type Size struct {
	Nodes int // with the partitions: a root, and one for every twenty nodes
	Edges int
	Seed  uint64 // the same size and seed give the same graph
}

// WriteGenerated writes a plan and its tables into dir, which is created: large inputs for measurements. Files that are there
// already are not replaced: then it fails.
func WriteGenerated(dir string, size Size) error {
	const most = 10_000_000
	if size.Nodes < 2 || size.Nodes > most || size.Edges < 0 || size.Edges > most {
		return fmt.Errorf("%d nodes and %d edges: from 2 to %d nodes and up to %d edges can be generated",
			size.Nodes, size.Edges, most, most)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	// Node 0 is the root. Every groupSize-th node from 1 on is a partition; they form a tree of which everyone has up to
	// groupFanOut partitions below it. The nodes after a partition belong to it.
	const groupSize, groupFanOut = 20, 8
	isGroup := func(i int) bool { return i%groupSize == 1 && i < size.Nodes-1 }
	parent := func(group int) int {
		if k := (group - 1) / groupSize; k > 0 {
			return (k-1)/groupFanOut*groupSize + 1
		}
		return 0
	}
	var flow []int
	for i := 1; i < size.Nodes; i++ {
		if !isGroup(i) {
			flow = append(flow, i)
		}
	}
	random := rand.New(rand.NewPCG(size.Seed, 1))
	for _, file := range []struct {
		name  string
		write func(w *bufio.Writer) // errors stick until it is flushed
	}{
		{"plan.yaml", func(w *bufio.Writer) { fmt.Fprint(w, generatedPlan) }},
		{"layers.csv", func(w *bufio.Writer) { fmt.Fprint(w, generatedLayers) }},
		{"nodes.csv", func(w *bufio.Writer) {
			fmt.Fprint(w, "id,label,layer,is_partition,belongs_to,weight,comment\nn0,Root,group,true,,1,\n")
			group := 0
			for i := 1; i < size.Nodes; i++ {
				if isGroup(i) {
					fmt.Fprintf(w, "n%d,Group %d,group,true,n%d,1,\n", i, i, parent(i))
					group = i
					continue
				}
				fmt.Fprintf(w, "n%d,Node %d,layer%d,false,n%d,%d,\n", i, i, i%5, group, 1+random.IntN(5))
			}
		}},
		{"edges.csv", func(w *bufio.Writer) {
			fmt.Fprint(w, "id,source,target,label,layer,weight,comment\n")
			for i := range size.Edges {
				from, to := flow[random.IntN(len(flow))], flow[random.IntN(len(flow))]
				fmt.Fprintf(w, "e%d,n%d,n%d,calls,layer%d,%d,\n", i, from, to, from%5, 1+random.IntN(9))
			}
		}},
	} {
		err := create(filepath.Join(dir, file.name), func(w *bufio.Writer) error {
			file.write(w)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const generatedLayers = `layer,label,background,border,text
group,Group,f1f5f9,94a3b8,0f172a
layer0,Layer 0,dbeafe,3b82f6,1e3a8a
layer1,Layer 1,dcfce7,22c55e,14532d
layer2,Layer 2,fef3c7,f59e0b,78350f
layer3,Layer 3,fee2e2,ef4444,7f1d1d
layer4,Layer 4,ede9fe,8b5cf6,4c1d95
`

const generatedPlan = `meta: { name: "Generated" }
import:
  profiles:
    - { filename: "nodes.csv", filetype: "Nodes" }
    - { filename: "edges.csv", filetype: "Edges" }
    - { filename: "layers.csv", filetype: "Layers" }
export:
  profiles:
    - { filename: "out/generated.json", exporter: "JSON" }
    - { filename: "out/generated.gml", exporter: "GML" }
    - { filename: "out/generated.dot", exporter: "DOT" }
    - { filename: "out/generated-hierarchy.dot", exporter: "DOTHierarchy" }
    - { filename: "out/generated.puml", exporter: "PlantUML" }
    - { filename: "out/generated.mermaid", exporter: "Mermaid" }
    - { filename: "out/generated-nodes.csv", exporter: "CSVNodes" }
    - { filename: "out/generated-edges.csv", exporter: "CSVEdges" }
    - { filename: "out/generated.js", exporter: "JSGraph" }
    - { filename: "out/overview.json", exporter: "JSON", graph_config: { max_partition_depth: 2 } }
    - { filename: "out/overview-matrix.csv", exporter: "CSVMatrix", graph_config: { max_partition_depth: 2 } }
`
