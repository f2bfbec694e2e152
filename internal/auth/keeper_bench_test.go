package auth

import (
	"runtime"
	"testing"
)

// BenchmarkHolds measures what a socket adds that is held for a session and for a role.
func BenchmarkHolds(b *testing.B) {
	const sockets = 5000
	for b.Loop() {
		k := NewKeeper(KeeperConfig{})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for id := range int32(sockets) {
			k.Hold(Principal{Credential: Credential{Kind: SessionSecret, ID: id}}, func(error) {})
			k.add(held{kind: roleOf, id: id, project: 1}, &hold{ended: func(error) {}})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(2*sockets), "B/hold")
		runtime.KeepAlive(k)
	}
}
