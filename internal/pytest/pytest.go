// Package pytest runs test scripts in Python, against clients of other people. `setup.sh test` installs what they import.
package pytest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// timeout is for one script. Pipes that its children keep open are closed a little later.
const (
	timeout   = 4 * time.Minute
	pipesTime = 5 * time.Second
)

// Run runs a script of this folder, with "NAME=value" added to its environment. The test fails with all its output when it exits with an
// error. Without the packages the test is skipped, or fails where CI is set.
func Run(t testing.TB, script string, env ...string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Dir(here)
	python := filepath.Join(dir, "venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		const why = "run `internal/tools/setup.sh test` first, for Python's packages"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = pipesTime
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("python %s: %v\n%s", script, err, output)
	}
}
