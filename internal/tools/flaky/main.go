// Command flaky finds tests that fail now and then.
//
//	flaky report FILE              name the tests that had to be run again, from the events of `make test`
//	flaky loop [-n N] -- ARGS...   run `go test ARGS` again and again under load, and count who fails
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"layercake/internal/child"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "flaky:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "report":
		return report(args[1], out)
	case len(args) > 0 && args[0] == "loop":
		return loop(ctx, args[1:], out)
	}
	return errors.New("usage: flaky report FILE, or flaky loop [-n N] -- ARGS")
}

// report names the tests that failed and passed when they were run again. Its error names the packages that failed without a failed
// test: gotestsum runs only failed tests again, so it would pass over such a failure.
func report(file string, out io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := read(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	for _, t := range r.tests() {
		if results := r.results[t]; results.failed > 0 && results.passed > 0 && !r.hasFailedPart(t) {
			fmt.Fprintf(out, "FLAKY %s\n", t)
		}
	}
	if len(r.broken) > 0 {
		return fmt.Errorf("these packages failed beyond their tests (TestMain, or the process ended): %s", strings.Join(r.broken, ", "))
	}
	return nil
}

// The bounds of a loop.
const (
	maxRuns   = 1000
	busyLoops = 2
	runTime   = time.Hour // limit of one run
)

// loop runs `go test` so many times while some goroutines of this process keep processors busy: they end with it, however it ends.
func loop(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("flaky loop", flag.ContinueOnError)
	runs := flags.Int("n", 3, fmt.Sprintf("how many `runs`, 1 to %d", maxRuns))
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 || *runs > maxRuns {
		return fmt.Errorf("-n is %d: it is from 1 to %d", *runs, maxRuns)
	}
	endLoad := load()
	defer endLoad()
	failures, done := map[test]int{}, 0
	for ; done < *runs && ctx.Err() == nil; done++ {
		start := time.Now()
		failed, err := once(ctx, flags.Args())
		if ctx.Err() != nil {
			break // an unfinished run says nothing
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "run %d of %d: %d failed (%v)\n", done+1, *runs, len(failed), time.Since(start).Round(time.Second))
		for _, t := range failed {
			failures[t]++
		}
	}
	table(out, failures, done, *runs)
	if len(failures) > 0 {
		return fmt.Errorf("%d tests failed at least once", len(failures))
	}
	return context.Cause(ctx)
}

// load keeps processors busy until the returned function is called.
func load() (end func()) {
	var stop atomic.Bool
	var busy sync.WaitGroup
	for range busyLoops {
		busy.Go(func() {
			for !stop.Load() {
			}
		})
	}
	return func() {
		stop.Store(true)
		busy.Wait()
	}
}

// once runs `go test` and returns what failed. What failed tests printed goes to standard error.
func once(ctx context.Context, args []string) ([]test, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) } // the tests, too
	cmd.WaitDelay = time.Minute
	events, output := io.Pipe()
	cmd.Stdout = output
	ended := make(chan error, 1)
	go func() {
		err := child.Run(cmd, syscall.SIGINT)
		_ = output.Close()
		ended <- err
	}()
	r, err := read(events)
	_, _ = io.Copy(io.Discard, events) // after an error, lest the tests wait for a reader
	exit := <-ended
	if err != nil {
		return nil, fmt.Errorf("read the events of go test: %w", err)
	}
	var failed []test
	for _, t := range r.tests() {
		if r.results[t].failed > 0 && !r.hasFailedPart(t) {
			failed = append(failed, t)
			fmt.Fprintf(os.Stderr, "--- %s\n%s", t, r.output[t])
		}
	}
	for _, name := range r.broken {
		failed = append(failed, test{pkg: name})
		fmt.Fprintf(os.Stderr, "--- %s\n%s", test{pkg: name}, r.output[test{pkg: name}])
	}
	if exit != nil && len(failed) == 0 {
		return nil, fmt.Errorf("go test: %w", exit)
	}
	return failed, nil
}

// table writes who failed, most often first.
func table(out io.Writer, failures map[test]int, done, runs int) {
	var failed []test
	for t := range failures {
		failed = append(failed, t)
	}
	slices.SortFunc(failed, func(a, b test) int {
		return cmp.Or(failures[b]-failures[a], strings.Compare(a.pkg, b.pkg), strings.Compare(a.name, b.name))
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FAILED\tRUNS\tTEST\tPACKAGE")
	for _, t := range failed {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\n", failures[t], done, cmp.Or(t.name, "(beyond its tests)"), t.pkg)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "%d of %d runs done, %d tests failed\n", done, runs, len(failures))
}
