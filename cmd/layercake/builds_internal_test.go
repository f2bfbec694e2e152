package main

import (
	"bytes"
	"testing"

	"layercake/internal/bench/builds"
	"layercake/internal/postgres/pgtest"
)

// Few rows, and one builder that is killed; `make builds` measures many.
func TestBuilds(t *testing.T) {
	t.Parallel()
	result, err := builds.Run(t.Context(), builds.Config{
		Serve: serveAs, Binaries: pgtest.Binaries(t), Rows: 200, Replicas: 2, Projects: 1, Kills: 1, Clicks: 5, Crowd: 40, Seed: 1,
		Progress: t.Output(),
	})
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", &table)
	if err != nil || !result.OK() {
		t.Fatalf("builds failed: %v", err)
	}
	// The outputs of both kinds are compared after the first build, the takeover and the cancelled build.
	if result.Checked != 6 || len(result.Takeovers) != 1 || result.Click.Count != 5 || result.Crowd.Graphs != 40 || len(result.Downloads) != 4 {
		t.Errorf("result = %+v, want 6 outputs compared, 1 takeover, 5 clicks, 40 small graphs and 4 downloads", result)
	}
}

func TestBuildsRefuseWhatTheyCannotDo(t *testing.T) {
	t.Parallel()
	good := builds.Config{Rows: 200, Replicas: 2, Projects: 1, Clicks: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*builds.Config){
		"rows":     func(c *builds.Config) { c.Rows = 2_000_000 },
		"replicas": func(c *builds.Config) { c.Replicas = 1 },
		"projects": func(c *builds.Config) { c.Projects = 0 },
		"kills":    func(c *builds.Config) { c.Kills = -1 },
		"clicks":   func(c *builds.Config) { c.Clicks = 0 },
		"crowd":    func(c *builds.Config) { c.Crowd = 1000 },
	} {
		bad := good
		spoil(&bad)
		if _, err := builds.Run(t.Context(), bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
