package deployment

import (
	"os"
	"testing"
)

// This process surely uses memory, and at no time less than now.
func TestReadUsage(t *testing.T) {
	t.Parallel()
	u, err := ReadUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.RSS < 1<<20 || u.Peak < u.RSS {
		t.Errorf("usage = %+v, want more than a megabyte, and a peak that is no less", u)
	}
	if _, err := ReadUsage(0); err == nil {
		t.Error("no error for a process that does not run")
	}
}
