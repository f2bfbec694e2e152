package fanout_test

import (
	"bytes"
	"testing"

	"layercake/internal/postgres/pgtest"
)

// BenchmarkThroughput sends lines from one replica to another as fast as they are heard: there are never so many on their
// way that bodies would give way to hints.
func BenchmarkThroughput(b *testing.B) {
	url := pgtest.New(b)
	onTheirWay := make(chan struct{}, 2000)
	a := start(b, url, "a", func(_ *replica, cfg *config) { cfg.OnEvent = func(event) {} })
	heard, all := 0, make(chan struct{})
	start(b, url, "b", func(_ *replica, cfg *config) {
		cfg.OnEvent = func(e event) {
			<-onTheirWay
			if heard++; e.Version == int64(b.N) {
				close(all)
			}
		}
	})
	body := bytes.Repeat([]byte("x"), 400)
	b.ReportAllocs()
	b.ResetTimer()
	for v := range int64(b.N) {
		onTheirWay <- struct{}{}
		a.publish(1, v+1, body)
	}
	<-all
	b.StopTimer()
	if heard != b.N {
		b.Fatalf("heard %d of %d lines", heard, b.N)
	}
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)/seconds, "lines/s")
	b.ReportMetric(a.metric(b, "publisher_batch_payloads")/seconds, "statements/s")
}

// BenchmarkLatency sends one line at a time from one replica to another.
func BenchmarkLatency(b *testing.B) {
	url := pgtest.New(b)
	heard := make(chan struct{})
	a := start(b, url, "a", func(_ *replica, cfg *config) { cfg.OnEvent = func(event) {} })
	start(b, url, "b", func(_ *replica, cfg *config) { cfg.OnEvent = func(event) { heard <- struct{}{} } })
	body := bytes.Repeat([]byte("x"), 400)
	v := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		v++
		a.publish(1, v, body)
		<-heard
	}
}
