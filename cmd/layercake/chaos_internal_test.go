package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/chaos"
	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
)

// serveAs makes the test binary a replica: the real one, as a process of its own.
func serveAs() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{actAs + "=serve"}
	return cmd
}

// One deployment after the other: two at once are more than a small machine can carry.
func TestChaos(t *testing.T) {
	t.Parallel()
	t.Run("cheap faults", testCheapFaults)
	t.Run("with pages", testChaosWithPages)
}

// The cheap faults, for a short time each; `make chaos` does all of them.
func testCheapFaults(t *testing.T) {
	result, err := chaos.Run(t.Context(), chaos.Config{
		Serve: serveAs, Binaries: pgtest.Binaries(t), Duration: time.Second, Rate: 50, Projects: 2, Seed: 1, Progress: t.Output(),
		Faults:  []string{"listeners-killed", "replica-lost", "builder-killed", "postgres-crashed", "standby-behind", "cables-pulled"},
		Silence: 3 * time.Second, Slack: 10 * time.Second, // other tests run, too
	})
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", &table)
	if err != nil || !result.OK() {
		t.Errorf("chaos failed: %v", err)
	}
	for _, f := range result.Faults {
		if f.Answered < 12 {
			t.Errorf("%s: %d changes were answered, want one of each mutator at least", f.Name, f.Answered)
		}
		if f.People.Browsers != 12 || f.People.Stays < 12 {
			t.Errorf("%s: %d people came %d times, want 12, each at least once", f.Name, f.People.Browsers, f.People.Stays)
		}
		if b := f.Builds; b.Uploads == 0 || b.Executed == 0 || b.Read == 0 || b.Inputs < 3 || b.Nodes != 100 || b.Edges != 100 {
			t.Errorf("%s: %v, want uploads, builds, readers, and the nodes and edges of the first tables", f.Name, b)
		}
	}
}

// Pages in a browser are among the clients, and show the plans in the end as the rows are.
func testChaosWithPages(t *testing.T) {
	npmtest.Package(t, "playwright-core")
	result, err := chaos.Run(t.Context(), chaos.Config{
		Serve: serveAs, Binaries: pgtest.Binaries(t), Duration: 2 * time.Second, Rate: 50, Projects: 1, Seed: 1, Progress: t.Output(),
		Faults: []string{"replica-killed"}, Slack: 10 * time.Second, Pages: 2, Web: "../../internal/web",
	})
	if err != nil || !result.OK() {
		t.Errorf("chaos failed: %v", err)
	}
	for _, f := range result.Faults {
		if f.Pages.Pages != 2 || f.Pages.Events == 0 {
			t.Errorf("%s: %v, want two that were told of changes", f.Name, f.Pages)
		}
	}
}

// A short life: what grows takes minutes to tell.
func TestSoak(t *testing.T) {
	t.Parallel()
	result, err := chaos.Soak(t.Context(), serveAs, pgtest.Binaries(t), bench.SoakConfig{
		Duration: 20 * time.Second, Sample: 250 * time.Millisecond, Rate: 20, Projects: 1,
		People: 9, Within: 10 * time.Second, Compress: true, Seed: 1, Progress: t.Output(),
	})
	if !result.Result.OK() || len(result.Trends) == 0 {
		t.Errorf("%v; result = %+v, want changes that everybody got, and trends", err, result)
	}
	// A busy machine lives fewer rounds. In each all nine are there in the end, and some have come again.
	if p := result.People; !p.OK() || result.Rounds == 0 || p.Stays <= 9*result.Rounds {
		t.Errorf("%d rounds of %v: %q, want some in which everybody was told who was there", result.Rounds, p, append(p.Errors, p.Complaints...))
	}
}

func TestChaosRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	good := chaos.Config{Serve: serveAs, Duration: time.Second, Rate: 1, Projects: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*chaos.Config){
		"fault":    func(c *chaos.Config) { c.Faults = []string{"meteor"} },
		"duration": func(c *chaos.Config) { c.Duration = time.Millisecond },
		"rate":     func(c *chaos.Config) { c.Rate = 0 },
		"projects": func(c *chaos.Config) { c.Projects = 0 },
	} {
		bad := good
		spoil(&bad)
		if _, err := chaos.Run(t.Context(), bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
