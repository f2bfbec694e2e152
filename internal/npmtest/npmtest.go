// Package npmtest runs test scripts in Node, against clients of other people. `npm ci` here installs what they import.
package npmtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// timeout is for one script.
const timeout = 4 * time.Minute

// Run runs a script of this folder, with "NAME=value" added to its environment, and returns what it wrote to standard output.
// The test fails with all its output when it exits with an error. Without Node, or before `npm ci`, the test is skipped, or
// fails where CI is set.
func Run(t testing.TB, script string, env ...string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Dir(here)
	node, err := exec.LookPath("node")
	if err != nil {
		unavailable(t, "node is not installed")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		unavailable(t, "run `npm ci` in internal/npmtest first")
	}

	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s%s", script, err, &stdout, &stderr)
	}
	return stdout.String()
}

func unavailable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
