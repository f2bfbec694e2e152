// Package golden compares what tests get with files that people have read.
package golden

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// Updating reports whether the tests run with -update: what they get becomes what they want.
func Updating() bool { return *update }

// Compare fails the test unless got is what the file holds. With -update it writes the file first: look at the difference before it is
// committed.
func Compare(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); when that is meant, run the test with -update:\n%s", path, diff)
	}
}
