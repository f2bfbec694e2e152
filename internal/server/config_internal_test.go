package server

import (
	"math"
	"runtime/debug"
	"testing"
	"time"

	"layercake/internal/budget"
)

// The memory of requests is a quarter of what the process may have, and never less than the least.
func TestRequestMemory(t *testing.T) { //nolint:paralleltest // it sets the limit of the process
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for limit, want := range map[int64]int64{512 << 20: budget.Least, 2 << 30: 512 << 20} {
		debug.SetMemoryLimit(limit)
		if processMemory() > limit {
			t.Errorf("the process may have %d with a limit of %d", processMemory(), limit)
		}
		if got := (Config{}).requestMemory(); processMemory() == limit && got != want {
			t.Errorf("with a limit of %d: %d, want %d", limit, got, want)
		}
		if got := (Config{RequestMemory: 300 << 20}).requestMemory(); got != 300<<20 {
			t.Errorf("what is set became %d", got)
		}
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if got := processMemory(); got < 0 || got == math.MaxInt64 {
		t.Errorf("this machine has %d", got)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "256MB": 256 << 20, "2GB": 2 << 30} {
		if got, err := parseSize(text); err != nil || got != want || checkMemory(got) != nil {
			t.Errorf("%q: %d, %v, %v", text, got, err, checkMemory(got))
		}
	}
	for _, text := range []string{"256", "MB", "-1MB", "0MB", "1.5GB", "1TB", "9999999999MB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	if checkMemory(255<<20) == nil {
		t.Error("255MB is enough")
	}
}

// A use is noted once a minute, so shorter times would end sessions that are in use.
func TestIdleTimes(t *testing.T) {
	t.Parallel()
	for idle, ok := range map[time.Duration]bool{
		0: true, 5 * time.Minute: true, 365 * 24 * time.Hour: true,
		time.Second: false, 5*time.Minute - 1: false, -time.Hour: false, 366 * 24 * time.Hour: false,
	} {
		if err := checkIdle(idle); (err == nil) != ok {
			t.Errorf("%v: %v", idle, err)
		}
	}
}
