package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"
)

// lc runs a command line as main does, and returns its error.
func lc(ctx context.Context, t *testing.T, args ...string) error {
	t.Helper()
	var c struct {
		Run      runCommand      `cmd:""`
		Init     initCommand     `cmd:""`
		Generate generateCommand `cmd:""`
	}
	parser, err := kong.New(&c, kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return k.Run()
}

func TestPlanFilesFromTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // outputs go to the working directory
	ctx := t.Context()
	for _, args := range []string{
		"generate sample shop shop", "generate graph --nodes 50 --edges 60 big", "init -p new/plan.yaml",
		"init --force --plan new/plan.yaml",
		"run shop/plan.yaml", "run -p big/plan.yaml", "run --plan new/plan.yaml", "generate template DOT",
	} {
		if err := lc(ctx, t, strings.Fields(args)...); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	for _, name := range []string{"out/shop.md", "out/generated.json", "out/overview-matrix.csv"} {
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
			t.Error(err)
		}
	}
	for args, want := range map[string]string{
		"run":                          "name one plan file",
		"run a -p b":                   "name one plan file",
		"run nothing.yaml":             "no such file",
		"run --render gif x":           `must be one of`,
		"init -p new/plan.yaml":        "--force replaces it",
		"generate sample shop shop":    "exists",
		"generate sample kvm x":        `no sample "kvm", only shop, tiny`,
		"generate template visio":      `"visio" is none of dot`,
		"generate graph --nodes 0 x":   "from 2 to",
		"generate graph --edges -1 x":  "",
		"generate graph --nodes 2 big": "exists",
	} {
		if err := lc(ctx, t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestWatchEndsWithoutAnError(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := lc(t.Context(), t, "generate", "sample", "tiny", "."); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- lc(ctx, t, "run", "--watch", "plan.yaml") }()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for written := false; !written; {
		select {
		case <-tick.C:
			_, err := os.Stat(filepath.Join("out", "tiny-width-1.json"))
			written = err == nil
		case <-deadline:
			t.Fatal("nothing was written")
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-deadline:
		t.Fatal("still running")
	}
}

// Short work prints nothing; long work prints what it is at, once.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		report, stop := showProgress(&out)
		report("first")
		<-time.After(900 * time.Millisecond)
		report("second")
		<-time.After(5 * time.Second)
		report("")
		<-time.After(5 * time.Second)
		report("third")
		stop()
		if out.String() != "second\n" {
			t.Errorf("%q", out.String())
		}
	})
}
