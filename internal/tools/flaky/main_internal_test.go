package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// events are those of `go test -json`, in short: "run a/TestX", "fail a".
func events(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		action, subject, _ := strings.Cut(line, " ")
		pkg, name, _ := strings.Cut(subject, "/")
		fmt.Fprintf(&b, `{"Time":"2026-01-01T00:00:00Z","Action":%q,"Package":%q,"Test":%q,"Elapsed":0.1}`+"\n", action, pkg, name)
	}
	return b.String()
}

func TestReport(t *testing.T) {
	t.Parallel()
	const beyond = "these packages failed beyond their tests (TestMain, or the process ended): "
	cases := map[string]struct {
		events    string
		out, fail string
	}{
		"nothing":          {"", "", ""},
		"all pass":         {events("start a", "run a/TestX", "pass a/TestX", "pass a"), "", ""},
		"skipped":          {events("run a/TestX", "skip a/TestX", "pass a"), "", ""},
		"lines of a build": {"# a\n" + `{"ImportPath":"a","Action":"build-output"}` + "\n" + events("run a/TestX", "pass a/TestX", "pass a"), "", ""},
		"passes the second time": {
			events("run a/TestX", "fail a/TestX", "fail a", "run a/TestX", "pass a/TestX", "pass a"), "FLAKY TestX (a)\n", "",
		},
		"passes the third time": {
			events("run a/TestX", "fail a/TestX", "fail a", "run a/TestX", "fail a/TestX", "fail a", "run a/TestX", "pass a/TestX", "pass a"),
			"FLAKY TestX (a)\n", "",
		},
		"never passes": { // the runner fails
			events("run a/TestX", "fail a/TestX", "fail a", "run a/TestX", "fail a/TestX", "fail a"), "", "",
		},
		"a part of a test": {
			events("run a/TestX", "run a/TestX/one", "fail a/TestX/one", "fail a/TestX", "fail a",
				"run a/TestX", "run a/TestX/one", "pass a/TestX/one", "pass a/TestX", "pass a"), "FLAKY TestX/one (a)\n", "",
		},
		"two packages at once": {
			events("run a/TestX", "run b/TestX", "fail b/TestX", "fail b", "pass a/TestX", "pass a", "run b/TestX", "pass b/TestX", "pass b"),
			"FLAKY TestX (b)\n", "",
		},
		"TestMain fails, and running no test passes": {
			events("run a/TestX", "pass a/TestX", "fail a", "pass a"), "", beyond + "a",
		},
		"TestMain fails when a test is run again": {
			events("run a/TestX", "fail a/TestX", "fail a", "run a/TestX", "pass a/TestX", "fail a"), "FLAKY TestX (a)\n", beyond + "a",
		},
		"the process ends within a test, which passes alone": {
			events("run a/TestX", "fail a/TestX", "run a/TestY", "fail a", "run a/TestX", "pass a/TestX", "pass a"), "FLAKY TestX (a)\n", beyond + "a",
		},
		"a build fails": {events("start a", "fail a"), "", beyond + "a"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "events")
			if err := os.WriteFile(file, []byte(c.events), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			failure := ""
			if err := run(t.Context(), []string{"report", file}, &out); err != nil {
				failure = err.Error()
			}
			if out.String() != c.out || failure != c.fail {
				t.Errorf("%q, %q\nwant %q, %q", out.String(), failure, c.out, c.fail)
			}
		})
	}
}

func TestLoopCountsWhoFails(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	mark := filepath.Join(t.TempDir(), "mark")
	err := run(t.Context(), []string{"loop", "-n", "2", "--", "./testdata/sometimes", "-args", mark}, &out)
	if err == nil || err.Error() != "1 tests failed at least once" {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{
		"run 1 of 2: 1 failed", "run 2 of 2: 0 failed",
		"1       2     TestSometimes/part  layercake/internal/tools/flaky/testdata/sometimes", "2 of 2 runs done, 1 tests failed",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing %q in:\n%s", want, out.String())
		}
	}
}

func TestLoopIsBounded(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"report"}, {"loop", "-n", "0"}, {"loop", "-n", "1001"}, {"loop", "-n", "x"}, {"report", "nowhere"}} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
