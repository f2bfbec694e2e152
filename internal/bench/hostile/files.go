package hostile

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"
	"layercake/internal/child"
)

// Plan files that somebody else wrote. They harm the process that runs them, not the replicas.
var fileAttacks = []attack{
	{
		name: "yaml-merged", threat: "F14", alone: true, summary: "a plan of 1 kB whose merge keys refer to 10^9 others",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 2 * time.Second}, map[string]string{"plan.yaml": mergedPlan("<<: [", "]")})
		}, lasts: fileTime,
	},
	{
		name: "yaml-aliased", threat: "F14", alone: true, summary: "a plan of 1 kB whose aliases stand for 10^9 values",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 2 * time.Second}, map[string]string{"plan.yaml": mergedPlan("x: [", "]")})
		}, lasts: fileTime,
	},
	{
		name: "file-stopped", threat: "F14", alone: true, summary: "a template that may take half a minute is told to end, twice",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 2 * time.Second, signals: true}, loopingPlan(30))
		}, lasts: fileTime,
	},
	{
		name: "fifos", threat: "F14", alone: true, summary: "a plan names a pipe, to which nobody writes, as a table",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 2 * time.Second, pipe: "nodes.csv"}, smallPlan(""))
		}, lasts: fileTime,
	},
	{
		name: "devices", threat: "F14", alone: true, summary: "a plan names /dev/zero as a table",
		do: func(a *assault, ctx context.Context) error {
			files := smallPlan("")
			files["plan.yaml"] = strings.Replace(files["plan.yaml"], "nodes.csv", "/dev/zero", 1)
			return a.runFiles(ctx, run{within: 2 * time.Second}, files)
		}, lasts: fileTime,
	},
	{
		name: "templates", threat: "F14", alone: true,
		summary: "templates that loop within loops for as long as they may, for which they ask for an hour",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 3 * time.Second}, loopingPlan(3600))
		}, lasts: fileTime,
	},
	{
		name: "templates-timely", threat: "F14", alone: true, summary: "the same, but they ask for a second",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 3 * time.Second}, loopingPlan(1))
		}, lasts: fileTime,
	},
	{
		name: "csv-formulas", threat: "F14", alone: true, summary: "labels that spreadsheets would run, in a plan that asks for their guard",
		do: func(a *assault, ctx context.Context) error {
			return a.runFiles(ctx, run{within: 3 * time.Second, made: a.checkFormulas}, formulaPlan())
		}, lasts: fileTime,
	},
}

const fileTime = 4 * time.Second

// run is how a plan file is run.
type run struct {
	within  time.Duration             // limit for the process to end by itself
	signals bool                      // whether it is told to end before that, twice
	pipe    string                    // name of a table that is a pipe; "" for none
	made    func(folder string) error // looks at what it made; nil for nothing
}

// runFiles runs a plan file as a process of its own, and judges that.
func (a *assault) runFiles(ctx context.Context, r run, files map[string]string) error {
	folder, err := os.MkdirTemp("", "layercake-hostile-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // what stays behind does no harm
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if r.pipe != "" {
		pipe := filepath.Join(folder, r.pipe)
		if err := os.Remove(pipe); err != nil {
			return err
		}
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			return err
		}
	}
	cmd := a.layercake("run", "plan.yaml")
	cmd.Dir = folder
	ended := make(chan error, 1)
	if err := child.Start(cmd, syscall.SIGKILL, func(err error) { ended <- err }); err != nil {
		return err
	}
	if r.signals {
		for range 2 {
			_ = bench.Wait(ctx, 300*time.Millisecond) // the process is ended below
			_ = cmd.Process.Signal(syscall.SIGINT)    // it may have ended by itself
		}
	}
	a.awaitFile(ctx, cmd, r, ended)
	if r.made != nil {
		return r.made(folder)
	}
	return nil
}

// awaitFile waits for the end of a process, and notes what it used.
func (a *assault) awaitFile(ctx context.Context, cmd *exec.Cmd, r run, ended <-chan error) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	var err error
	var used deployment.Usage // as of the last look: what Linux says of ended processes includes ours, which they were forked from
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-ctx.Done():
			a.wrong("a plan file had not ended after %v", r.within)
			_ = cmd.Process.Kill() // it may have ended meanwhile
			err, running = <-ended, false
		case <-time.After(samplePeriod):
			if u, err := deployment.ReadUsage(cmd.Process.Pid); err == nil && u.Peak > 0 {
				used = u
			}
			if used.RSS > tooMuchMemory {
				_ = cmd.Process.Kill() // it may have ended meanwhile
			}
		}
	}
	if err == nil {
		a.sent("done")
	} else {
		a.sent(err.Error())
	}
	used.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	a.mu.Lock()
	a.process = used
	a.mu.Unlock()
}

// smallPlan returns a plan with three tables, all small.
func smallPlan(export string) map[string]string {
	return map[string]string{
		"plan.yaml": `meta: { name: "p" }
import:
  profiles:
    - { filename: "nodes.csv", filetype: "Nodes" }
    - { filename: "edges.csv", filetype: "Edges" }
    - { filename: "layers.csv", filetype: "Layers" }
export:
  profiles:
    - { filename: "out/a.dot", exporter: "DOT" }
` + export,
		"nodes.csv":  "id,label,layer,is_partition,belongs_to\nroot,Root,l,true,\n" + manyNodes(200),
		"edges.csv":  "id,source,target,label,layer\ne1,n0,n1,e,l\n",
		"layers.csv": "id,label,background,border,text\nl,L,ffffff,000000,000000\n",
	}
}

// formulas are what spreadsheets take for a formula.
var formulas = []string{"=1+1", "+1+1", "-1+1", "@SUM(1)"}

// formulaPlan returns a plan whose nodes have formulas for labels.
func formulaPlan() map[string]string {
	files := smallPlan(`    - filename: "out/nodes.csv"
      exporter: "CSVNodes"
      render_config: { csv_guard_formulas: true }
`)
	for n, formula := range formulas {
		files["nodes.csv"] += fmt.Sprintf("f%d,%s,l,false,root\n", n, formula)
	}
	return files
}

// checkFormulas notes each cell of the table that was made that still begins like a formula.
func (a *assault) checkFormulas(folder string) error {
	file, err := os.Open(filepath.Join(folder, "out", "nodes.csv"))
	if err != nil {
		return err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return err
	}
	guarded := 0
	for _, row := range rows {
		for _, cell := range row {
			switch {
			case slices.Contains(formulas, cell):
				a.wrong("the table has the formula %s", cell)
			case slices.Contains(formulas, strings.TrimPrefix(cell, "'")):
				guarded++
			}
		}
	}
	if guarded != len(formulas) {
		a.wrong("the table has %d guarded formulas, not %d", guarded, len(formulas))
	}
	return nil
}

func manyNodes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d,N,l,false,root\n", i)
	}
	return b.String()
}

// loopingPlan returns a plan with a template that loops over all nodes for each node, six times over.
func loopingPlan(seconds int) map[string]string {
	files := smallPlan(fmt.Sprintf(`    - filename: "out/b.txt"
      exporter: !Custom { template: "loop.hbs" }
      render_config: { template_timeout_seconds: %d }
`, seconds))
	const loops = 6
	files["loop.hbs"] = strings.Repeat("{{#each @root.flow_nodes}}", loops) + "{{#if no}}{{/if}}" + strings.Repeat("{{/each}}", loops)
	return files
}

// mergedPlan returns a plan in which each of nine maps refers ten times to the one before it.
func mergedPlan(begin, end string) string {
	var b strings.Builder
	b.WriteString("meta: { name: \"p\" }\nimport: { profiles: [] }\nexport:\n  profiles:\n")
	for n := range 9 {
		fmt.Fprintf(&b, "    - filename: \"out/%d.txt\"\n      exporter: !Custom { template: \"t.hbs\", partials: &m%d { k%d: \"v\"", n, n, n)
		if n > 0 {
			b.WriteString(", " + begin + strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*m%d, ", n-1), 10), ", ") + end)
		}
		b.WriteString(" } }\n")
	}
	return b.String()
}
