package ingest

import (
	"math/rand/v2"
	"testing"
)

func TestHashesAreASet(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var h hashes
	known := map[uint64]bool{1: !h.add(0)} // 0 counts as 1
	for range 100_000 {
		x := r.Uint64N(150_000) * 0x9E3779B97F4A7C15 // many are equal
		if r.IntN(1000) == 0 {
			x &^= 1<<40 - 1 // a few agree in their last bits
		}
		if x == 0 {
			x = 1
		}
		if _, ok := known[x]; h.add(x) == ok {
			t.Fatalf("%d was there: %t", x, !ok)
		}
		known[x] = true
	}
	if h.n != len(known) {
		t.Errorf("%d hashes, want %d", h.n, len(known))
	}
}
