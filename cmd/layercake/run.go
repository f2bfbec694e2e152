package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"layercake/internal/planfile"
)

type runCommand struct {
	File          string        `arg:"" optional:"" name:"file" help:"Plan file, in YAML."`
	Plan          string        `short:"p" placeholder:"FILE" help:"Plan file, in YAML."`
	Watch         bool          `short:"w" help:"Stay, and run again when the plan, a table or a template changes."`
	Render        string        `enum:",svg,png" default:"" placeholder:"svg|png" help:"Also draw DOT outputs with Graphviz."`
	RenderTimeout time.Duration `default:"1m" help:"Stop drawing one output after this time."`
}

// Validate wants exactly one plan file.
func (c *runCommand) Validate() error {
	if (c.File == "") == (c.Plan == "") {
		return errors.New("name one plan file: layercake run FILE, or layercake run --plan FILE")
	}
	return nil
}

// Run runs the plan file; with --watch until the process is told to stop.
func (c *runCommand) Run(ctx context.Context) error {
	what, stop := showProgress(os.Stderr)
	defer stop()
	opt := planfile.Options{
		Render: c.Render, RenderTimeout: c.RenderTimeout, Progress: what,
		Warn: func(text string) { fmt.Fprintln(os.Stderr, "warning:", text) },
	}
	plan := c.File + c.Plan
	if !c.Watch {
		return planfile.Run(ctx, plan, opt)
	}
	return planfile.Watch(ctx, plan, opt, 500*time.Millisecond, func(err error) {
		what("")
		now := time.Now().Format(time.TimeOnly)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s %v\n", now, err)
			return
		}
		fmt.Fprintf(os.Stderr, "%s done; waiting for changes\n", now)
	})
}

// showProgress prints what is being done once a second, so that short work prints nothing. The caller reports what begins, ""
// for nothing, and calls stop at the end.
func showProgress(w io.Writer) (report func(what string), stop func()) {
	var mu sync.Mutex
	var current string // guarded by mu
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		printed := ""
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			mu.Lock()
			what := current
			mu.Unlock()
			if what != printed && what != "" {
				fmt.Fprintln(w, what)
			}
			printed = what
		}
	})
	report = func(what string) {
		mu.Lock()
		defer mu.Unlock()
		current = what
	}
	return report, func() {
		close(done)
		wg.Wait()
	}
}

type initCommand struct {
	Plan  string `short:"p" required:"" placeholder:"FILE" help:"Plan file to write; its folder is created."`
	Force bool   `help:"Replace a file that exists."`
}

// Run writes an empty plan file.
func (c *initCommand) Run() error {
	err := planfile.WriteEmpty(c.Plan, c.Force)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already; --force replaces it", c.Plan)
	}
	return err
}
