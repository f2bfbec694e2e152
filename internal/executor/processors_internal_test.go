package executor

import (
	"runtime"
	"testing"
)

func TestAddProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "") // so no other test is under way
	runtime.SetDefaultGOMAXPROCS()
	cores := runtime.GOMAXPROCS(0)
	want := func(n int) {
		t.Helper()
		if now := runtime.GOMAXPROCS(0); now != n {
			t.Errorf("there are %d processors, want %d", now, n)
		}
	}
	first, second := addProcessors(), addProcessors()
	want(2 * cores)
	first()
	want(2 * cores)
	second()
	want(cores)
	t.Setenv("GOMAXPROCS", "3")
	runtime.GOMAXPROCS(3)
	third := addProcessors()
	want(6)
	third()
	want(3)
	runtime.SetDefaultGOMAXPROCS()
}
