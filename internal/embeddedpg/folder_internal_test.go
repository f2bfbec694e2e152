package embeddedpg

import (
	"path/filepath"
	"syscall"
	"testing"
)

// While another goroutine starts a process, that has a copy of every file until it runs its program.
func TestLockIsGivenBackAlthoughAForkHoldsACopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	file, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	held, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(held) }()
	if err := unlock(file); err != nil {
		t.Fatal(err)
	}
	again, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(again); err != nil {
		t.Error(err)
	}
}
