package server

import (
	"cmp"
	"math"
	"runtime/debug"

	"layercake/internal/budget"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// requestMemory returns the bytes that all requests may hold: what is set, or a quarter of what the process may have. The garbage that the
// collector has not found yet, and everything but requests, needs the rest.
func (c Config) requestMemory() int64 {
	return cmp.Or(int64(c.RequestMemory), max(budget.Least, processMemory()/4))
}

// processMemory returns what the process may have, as far as anybody says: GOMEMLIMIT, the limit of its cgroup, or the machine's memory,
// whichever is the least; 0 when it cannot be found out.
func processMemory() int64 {
	least := debug.SetMemoryLimit(-1) // changes nothing; math.MaxInt64 without a limit
	for _, ask := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if limit, err := ask(); err == nil && limit < uint64(least) {
			least = int64(limit)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}
