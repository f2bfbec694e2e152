package golden

import (
	"os"
	"path/filepath"
	"testing"
)

// recorder is a test that only notes whether it failed.
type recorder struct {
	testing.TB

	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestCompare(t *testing.T) { //nolint:paralleltest // it sets the flag
	path := filepath.Join(t.TempDir(), "file")
	compare := func(got string, updating bool) (failed bool) {
		*update = updating
		defer func() { *update = false }()
		r := &recorder{TB: t}
		Compare(r, path, got)
		return r.failed
	}
	if compare("one\n", true) || compare("one\n", false) {
		t.Error("what was written is not what is read")
	}
	if !compare("two\n", false) {
		t.Error("a difference is not seen")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "one\n" {
		t.Errorf("a comparison leaves %q, %v", b, err)
	}
	if compare("two\n", true) {
		t.Error("an update is not taken")
	}
}
