package builds

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"layercake/internal/bench"
	"layercake/internal/export"
)

// Result is what a deployment did with the tables.
type Result struct {
	Rows     int    `json:"rows"`
	Replicas int    `json:"replicas"`
	Projects int    `json:"projects"`
	Seed     uint64 `json:"seed"`

	Click         bench.Latency              `json:"click"` // from the request of a build of a few rows to its end, told by another replica
	Uploads       Uploads                    `json:"uploads"`
	Builds        Builds                     `json:"builds"`
	Edits         Edits                      `json:"edits"`
	Downloads     map[export.Format]Download `json:"downloads"`
	DownloadRSS   float64                    `json:"downloadRssMB"` // of the largest replica
	Takeovers     []Takeover                 `json:"takeovers"`
	CancelSeconds float64                    `json:"cancelSeconds"`
	Crowd         Crowd                      `json:"crowd"`

	Checked      int      `json:"checked"`      // outputs that were compared with those of the pure engine
	Doubled      int64    `json:"doubled"`      // builds that were done twice without a death
	LeftOver     int64    `json:"leftOver"`     // contents that nothing referred to in the end, before the clean-up
	ErrorsLogged int64    `json:"errorsLogged"` // lines of the level ERROR
	Problems     []string `json:"problems"`     // what does not hold, in words
	Seconds      float64  `json:"seconds"`
}

// Uploads are the uploads of tables by the route. Times are of one after the other.
type Uploads struct {
	Files         int     `json:"files"`
	Rows          int     `json:"rows"`
	Bytes         int64   `json:"bytes"`
	Seconds       float64 `json:"seconds"`
	RowsPerSecond float64 `json:"rowsPerSecond"`
	Slowest       float64 `json:"slowestSeconds"` // of one file
	RSS           float64 `json:"rssMB"`          // of the largest replica
}

func (u *Uploads) add(t table, took time.Duration) {
	u.Files++
	u.Rows += t.rows
	u.Bytes += t.size
	u.Seconds += took.Seconds()
	u.RowsPerSecond = float64(u.Rows) / u.Seconds
	u.Slowest = max(u.Slowest, took.Seconds())
}

// Builds are the first builds of all projects, which are asked for at once.
type Builds struct {
	Seconds     []float64 `json:"seconds"`     // from the first request to the end of each project
	Count       int       `json:"count"`       // merges, those of a few rows included
	WaitP50     float64   `json:"waitP50"`     // seconds from the request of a merge to its beginning
	WaitMax     float64   `json:"waitMax"`     // likewise
	RSS         float64   `json:"rssMB"`       // of the largest replica
	BytesANode  float64   `json:"bytesANode"`  // of the database
	BytesAnEdge float64   `json:"bytesAnEdge"` // likewise
}

// Edits are edits of another plan.
type Edits struct {
	Quiet     bench.Latency `json:"quiet"`     // while nothing is built
	Meanwhile bench.Latency `json:"meanwhile"` // while all projects are built
}

// Ratio is how much longer the slowest edits took beside builds.
func (e Edits) Ratio() float64 {
	if e.Quiet.P99 == 0 {
		return 0
	}
	return e.Meanwhile.P99 / e.Quiet.P99
}

// Download is the download of one output.
type Download struct {
	Nodes          int     `json:"nodes"`
	Bytes          int64   `json:"bytes"`
	Seconds        float64 `json:"seconds"`
	NodesPerSecond float64 `json:"nodesPerSecond"`
}

// Takeover is what became of a build whose replica was killed.
type Takeover struct {
	Table   string  `json:"table"`        // the table that it was about to write to
	Seconds float64 `json:"seconds"`      // from the kill until another replica had begun
	Built   float64 `json:"builtSeconds"` // from the kill until the project was built
}

// Crowd is a plan of many small graphs.
type Crowd struct {
	Graphs          int     `json:"graphs"`
	Seconds         float64 `json:"seconds"`         // for all of them
	Ahead           int     `json:"ahead"`           // of them that were claimed before a build of another project that was asked for before
	AgainMs         float64 `json:"againMs"`         // for executing it when nothing is stale
	ReplacedSeconds float64 `json:"replacedSeconds"` // for executing it when one source of 20 was replaced
}

// OK reports whether every output was what it had to be, and nothing was left over or done twice. Times are for people to judge.
func (r Result) OK() bool { return r.Checked > 0 && len(r.Problems) == 0 }

// Write writes the result for people, with what is promised for 1,000,000 rows on two processors.
func (r Result) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, promise, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", name, fmt.Sprintf(format, args...), promise) // Flush reports errors
	}
	row(fmt.Sprintf("builds with seed %d", r.Seed), "promised", "%d rows, %d replicas, %d projects", r.Rows, r.Replicas, r.Projects)
	u := r.Uploads
	row("upload", "8 s a file of 1,000,000 rows, 100 MB", "%d files, %d MB, %.1f s, %.0f rows/s; slowest %.1f s; RSS %.0f MB",
		u.Files, u.Bytes>>20, u.Seconds, u.RowsPerSecond, u.Slowest, u.RSS)
	if b := r.Builds; len(b.Seconds) > 0 {
		row("build", "20 s for 1,000,000 nodes and edges, 1.2 GB", "first project %.1f s, last %.1f s; RSS %.0f MB",
			slices.Min(b.Seconds), slices.Max(b.Seconds), b.RSS)
		row("queue wait", "", "p50 %.3f s, max %.3f s", b.WaitP50, b.WaitMax)
		row("bytes a node; an edge", "250; 200", "%.0f; %.0f", b.BytesANode, b.BytesAnEdge)
	}
	row("click to completed elsewhere", "p50 60, p99 250 ms", "%s", r.Click)
	row("edits alone", "", "%s", r.Edits.Quiet)
	row("edits beside builds", "p99 1.25 times that alone", "%s: %.2f times", r.Edits.Meanwhile, r.Edits.Ratio())
	for _, f := range slices.Sorted(maps.Keys(r.Downloads)) {
		d := r.Downloads[f]
		promise := map[export.Format]string{"CSVNodes": "250,000", "DOT": "150,000", "GML": "150,000", "JSON": "80,000"}[f]
		row("download "+string(f), promise+" nodes/s", "%.1f s, %d MB, %.0f nodes/s", d.Seconds, d.Bytes>>20, d.NodesPerSecond)
	}
	row("downloads", "memory as the build", "RSS %.0f MB", r.DownloadRSS)
	for _, k := range r.Takeovers {
		row("killed at "+k.Table, "another builds after 7 s", "%.2f s, built after %.2f s", k.Seconds, k.Built)
	}
	row("cancelled", "1 s", "%.3f s", r.CancelSeconds)
	if c := r.Crowd; c.Graphs > 0 {
		row(fmt.Sprintf("%d small graphs", c.Graphs), "", "%.1f s", c.Seconds)
		row("one build beside them", "waits for at most 2", "waited for %d", c.Ahead)
		row("executed again", "50 ms, no event", "%.1f ms", c.AgainMs)
		row("one source of 20 replaced", "exactly its descendants", "%.2f s", c.ReplacedSeconds)
	}
	row("outputs compared", "equal to the pure engine's", "%d", r.Checked)
	row("done twice without a death", "0", "%d", r.Doubled)
	row("errors logged", "", "%d", r.ErrorsLogged)
	for _, p := range r.Problems {
		row("wrong", "", "%s", p)
	}
	verdict := "every output is what the pure engine computes, nothing was done twice, and nothing is left over"
	if !r.OK() {
		verdict = "FAILED"
	}
	row("verdict", "", "%s", verdict)
	return t.Flush()
}
