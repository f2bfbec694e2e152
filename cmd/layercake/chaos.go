package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/chaos"
)

// chaosCommand runs a deployment, and does it harm.
type chaosCommand struct {
	Faults   []string      `help:"What to do: ${faults}. None: all of it." placeholder:"NAME,..."`
	Duration time.Duration `default:"10s" help:"How long each fault lasts."`
	Rate     float64       `default:"150" help:"Changes per second in all."`
	Projects int           `default:"4" help:"How many projects are changed."`
	Seed     uint64        `default:"0" help:"Of what is chosen. 0: another one each time."`
	Silence  time.Duration `default:"0s" help:"After how long replicas cut off silent sockets. 0: the protocol's 90s."`
	Slack    time.Duration `default:"0s" help:"How much later than promised people may learn of each other, on a busy machine."`
	Pages    int           `default:"2" help:"Pages in browsers among the clients, each at the next replica, where there are Node and Chromium."`
	Web      string        `default:"internal/web" placeholder:"DIR" help:"Folder of the page's sources, whose packages drive the browsers."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	PGBin    string        `name:"pg-bin" env:"LAYERCAKE_PG_BIN" placeholder:"DIR" help:"Folder of PostgreSQL's programs."`
}

// Run returns an error when something was lost, doubled, reordered, or differs in the end.
func (c chaosCommand) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	result, err := chaos.Run(ctx, chaos.Config{
		Serve:    func() *exec.Cmd { return exec.Command(program, "serve") },
		Binaries: c.PGBin, Faults: c.Faults, Duration: c.Duration, Rate: c.Rate, Projects: c.Projects, Seed: c.Seed,
		Silence: c.Silence, Slack: c.Slack, Pages: c.Pages, Web: c.Web, Progress: os.Stderr,
	})
	if len(result.Faults) > 0 {
		err = errors.Join(err, result.Write(os.Stdout), saveJSON(c.JSON, result))
	}
	return err
}

// soakCommand runs a deployment for some time.
type soakCommand struct {
	For      time.Duration `default:"5m" help:"How long."`
	Compress bool          `help:"Let people live in seconds what takes them minutes: connect, move, idle, die, come back."`
	Within   time.Duration `default:"1s" help:"How soon everybody has to see the last position of everybody."`
	People   int           `default:"24" help:"How many come and go."`
	Sample   time.Duration `default:"1s" help:"Time between two samples."`
	Rate     float64       `default:"150" help:"Changes per second in all."`
	Projects int           `default:"4" help:"How many projects are changed."`
	Seed     uint64        `default:"0" help:"Of what the mutators choose. 0: another one each time."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	PGBin    string        `name:"pg-bin" env:"LAYERCAKE_PG_BIN" placeholder:"DIR" help:"Folder of PostgreSQL's programs."`
}

// Run returns an error when file descriptors, goroutines or the heap of a replica grow, or somebody was told wrongly who was there.
func (c soakCommand) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	serve := func() *exec.Cmd { return exec.Command(program, "serve") }
	result, err := chaos.Soak(ctx, serve, c.PGBin, bench.SoakConfig{
		Duration: c.For, Sample: c.Sample, Rate: c.Rate, Projects: c.Projects, People: c.People,
		Within: c.Within, Compress: c.Compress, Seed: c.Seed, Progress: os.Stderr,
	})
	if len(result.Trends) > 0 {
		err = errors.Join(err, result.Write(os.Stdout), saveJSON(c.JSON, result))
	}
	return err
}
