package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/pytest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// The conformance suites of the protocol's authors: the next one knows the newest version of the protocol, the other is released.
const (
	nextSuite     = "conformance/dist/index.js"
	releasedSuite = "conformance-0.1/dist/index.js"
)

// TestConformance runs whole suites against replicas that have what the suites call.
func TestConformance(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(c *server.Config) { c.Fixtures = addFixtures })
	for _, suite := range []struct {
		name, program string
		args          []string
		scenarios     int // that count
	}{
		{"2026-07-28", nextSuite, []string{"--requirements", "2026-07-28"}, 37},
		{"2025-11-25", nextSuite, []string{"--requirements", "2025-11-25"}, 30},
		{"released", releasedSuite, nil, 30},
	} {
		t.Run(suite.name, func(t *testing.T) {
			t.Parallel()
			r := runSuite(t, d.url, suite.program, suite.args...)
			for name := range r.unscored {
				delete(r.scenarios, name)
			}
			if len(r.scenarios) != suite.scenarios {
				t.Errorf("%d scenarios count, want %d", len(r.scenarios), suite.scenarios)
			}
			if r.check(t) && r.Status != 0 {
				t.Errorf("the suite ended with status %d:\n%s", r.Status, r.Stdout)
			}
		})
	}
}

// TestConformanceOfTheProduct looks at the scenarios of the suites that need no fixtures.
func TestConformanceOfTheProduct(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(*server.Config) {})
	for version, scenarios := range map[string][]string{
		"2026-07-28": {
			"completion-complete", "tools-list", "resources-list", "prompts-list", "sep-2164-resource-not-found", "dns-rebinding-protection", "caching",
			"http-header-validation", "server-sse-multiple-streams", "input-required-result-unsupported-methods",
		},
		"2025-11-25": {
			"server-initialize", "ping", "completion-complete", "tools-list", "resources-list", "resources-subscribe", "resources-unsubscribe",
			"prompts-list", "dns-rebinding-protection", "server-session-lifecycle",
		},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := runSuite(t, d.url, nextSuite, "--requirements", version)
			maps.DeleteFunc(r.scenarios, func(name string, _ int) bool { return !slices.Contains(scenarios, name) })
			if len(r.scenarios) != len(scenarios) {
				t.Errorf("the suite has %q, want %q", slices.Sorted(maps.Keys(r.scenarios)), scenarios)
			}
			r.check(t)
		})
	}
}

// TestClientsOfAgents runs clients of other people, each with every tool, and each with what it has beyond tools.
func TestClientsOfAgents(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(*server.Config) {})
	url := "LAYERCAKE_URL=" + d.url
	t.Run("JavaScript", func(t *testing.T) {
		t.Parallel()
		npmtest.RunMCP(t, "clients-test.mjs", url)
	})
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		pytest.Run(t, "clients.py", url)
	})
	t.Run("inspector", func(t *testing.T) {
		t.Parallel()
		bridge := program(t) + " mcp --url "
		for _, target := range []string{d.url + "/mcp", d.url + "/mcp/sse", bridge + d.url + "/mcp"} {
			inspectAll(t, target)
			inspect(t, target, "--method tools/list --strict --protocol-era auto").expect(t, 0)
		}
		nobody := "http://" + servertest.Address(t) + "/mcp"
		inspect(t, nobody, "--method initialize").expect(t, 4)
		inspect(t, bridge+nobody, "--method initialize").expect(t, 4)
	})
	t.Run("tokens", func(t *testing.T) {
		t.Parallel()
		t.Log(npmtest.RunMCP(t, "tokens-test.mjs", url))
	})
}

// inspection is how the protocol's inspector ended.
type inspection struct {
	npmtest.Outcome
	args string
}

// inspect runs the inspector as it is used in a shell. The target is an address, or a command.
func inspect(t *testing.T, target, args string) inspection {
	t.Helper()
	const inspector = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
	return inspection{npmtest.MCP(t, inspector, append([]string{"--cli"}, strings.Fields(target+" "+args)...)...), target + " " + args}
}

func (i inspection) expect(t *testing.T, status int) {
	t.Helper()
	if i.Status != status {
		t.Errorf("%s: status %d, want %d\n%s%s", i.args, i.Status, status, i.Stdout, i.Stderr)
	}
}

// list decodes the list that the inspector was asked for.
func (i inspection) list(t *testing.T) (l struct {
	Resources []struct{ URI string }
	Prompts   []struct{ Name string }
},
) {
	t.Helper()
	i.expect(t, 0)
	if err := json.Unmarshal([]byte(i.Stdout), &l); err != nil {
		t.Fatalf("%s: %v\n%s", i.args, err, i.Stdout)
	}
	return l
}

// inspectAll asks for everything that the inspector has a method for.
func inspectAll(t *testing.T, target string) {
	t.Helper()
	for args, status := range map[string]int{
		"initialize":          0,
		"tools/list --strict": 0, // strict about what some models do not understand in schemas
		"tools/call --tool-name create_project --tool-arg name=Tea":     0,
		"tools/call --tool-name get_project --tool-arg project_id=4711": 5,
	} {
		inspect(t, target, "--method "+args).expect(t, status)
	}
	if resources := inspect(t, target, "--method resources/list").list(t).Resources; len(resources) > 0 {
		inspect(t, target, "--method resources/read --uri "+resources[0].URI).expect(t, 0)
	}
	for _, p := range inspect(t, target, "--method prompts/list").list(t).Prompts {
		if p.Name == "review_plan" {
			inspect(t, target, "--method prompts/get --prompt-name review_plan --prompt-args project_id=1").expect(t, 0)
		}
	}
}

// results are what a suite found.
type results struct {
	npmtest.Outcome
	scenarios  map[string]int  // number of checks that passed; 0 for a scenario that failed, or checked nothing
	unscored   map[string]bool // scenarios that do not count
	complaints string          // about each check that failed
}

// The lines of a suite's summary, and those about scenarios that do not count.
var (
	summaryLine  = regexp.MustCompile(`(?m)^[✓✗] (\S+): (\d+) passed, (\d+) failed$`)
	unscoredLine = regexp.MustCompile(`(?m)^ +[✓✗] (\S+) \([a-z-]+\)$`)
)

func runSuite(t *testing.T, url, program string, args ...string) results {
	t.Helper()
	folder := t.TempDir()
	r := results{scenarios: map[string]int{}, unscored: map[string]bool{}}
	r.Outcome = npmtest.MCP(t, program, append([]string{"server", "--url", url + "/mcp", "--output-dir", folder}, args...)...)
	for _, line := range summaryLine.FindAllStringSubmatch(r.Stdout, -1) {
		r.scenarios[line[1]] = 0
		if line[3] == "0" {
			r.scenarios[line[1]], _ = strconv.Atoi(line[2])
		}
	}
	for _, line := range unscoredLine.FindAllStringSubmatch(r.Stdout, -1) {
		r.unscored[line[1]] = true
	}
	r.complaints = complaints(t, folder)
	return r
}

// complaints returns what a suite wrote about the checks that failed.
func complaints(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(content, &checks); err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if c.Status == "FAILURE" || c.Status == "WARNING" {
				fmt.Fprintf(&text, "%s: %s %s: %s\n", filepath.Base(filepath.Dir(file)), c.Status, c.ID, c.ErrorMessage)
			}
		}
	}
	return text.String()
}

// check reports whether all scenarios passed.
func (r results) check(t *testing.T) bool {
	t.Helper()
	checks, failed := 0, 0
	for name, passed := range r.scenarios {
		checks += passed
		if passed == 0 {
			failed++
			t.Errorf("%s failed; the suite says:\n%s%s", name, r.complaints, r.Stderr)
		}
	}
	t.Logf("%d of %d scenarios, %d checks passed", len(r.scenarios)-failed, len(r.scenarios), checks)
	return failed == 0
}
