package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"layercake/internal/bench/hostile"
)

// hostileCommand runs a deployment, and attacks it.
type hostileCommand struct {
	Attack   []string      `help:"What to do: ${attacks}. None: all of it." placeholder:"NAME,..."`
	List     bool          `help:"Only say what each attack does."`
	Duration time.Duration `default:"800ms" help:"How long each attack lasts, at most; some need longer."`
	Seed     uint64        `default:"0" help:"Of what is chosen. 0: another one each time."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	PGBin    string        `name:"pg-bin" env:"LAYERCAKE_PG_BIN" placeholder:"DIR" help:"Folder of PostgreSQL's programs."`
}

// Run returns an error when an attack succeeded, once all of them were tried.
func (c hostileCommand) Run(ctx context.Context) error {
	if c.List {
		return hostile.List(os.Stdout)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	result, err := hostile.Run(ctx, hostile.Config{
		Layercake: func(args ...string) *exec.Cmd { return exec.Command(program, args...) },
		Binaries:  c.PGBin, Attacks: c.Attack, Duration: c.Duration, Seed: c.Seed, Progress: os.Stderr,
	})
	if len(result.Rows) > 0 {
		err = errors.Join(err, result.Write(os.Stdout), saveJSON(c.JSON, result))
	}
	return err
}
