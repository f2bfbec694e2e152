package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"

	"layercake/internal/bench/builds"
)

// buildsCommand runs a deployment, and lets it build.
type buildsCommand struct {
	Rows     int    `default:"100000" help:"Nodes of each project, and edges."`
	Replicas int    `default:"3" help:"How many replicas."`
	Projects int    `default:"1" help:"How many projects are built at once."`
	Kills    int    `default:"3" help:"How many builders are killed, one after the other."`
	Clicks   int    `default:"100" help:"How often a few rows are built, to measure how soon another replica tells."`
	Crowd    int    `default:"500" help:"Small graphs of one more project, which another build has to pass. 0: none."`
	Seed     uint64 `default:"0" help:"Of the tables, and of what is chosen. 0: another one each time."`
	JSON     string `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	PGBin    string `name:"pg-bin" env:"LAYERCAKE_PG_BIN" placeholder:"DIR" help:"Folder of PostgreSQL's programs."`
}

// Run returns an error when an output is not what the pure engine computes, or something was done twice or left over.
func (c buildsCommand) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	result, err := builds.Run(ctx, builds.Config{
		Serve:    func() *exec.Cmd { return exec.Command(program, "serve") },
		Binaries: c.PGBin, Rows: c.Rows, Replicas: c.Replicas, Projects: c.Projects, Kills: c.Kills, Clicks: c.Clicks, Crowd: c.Crowd,
		Seed: c.Seed, Progress: os.Stderr,
	})
	if result.Uploads.Files > 0 {
		err = errors.Join(err, result.Write(os.Stdout), saveJSON(c.JSON, result))
	}
	return err
}
