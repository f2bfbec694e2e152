package bench

import (
	"math"
	"time"
)

// Every bucket of a histogram is 2 % wider than the one before; the last takes all that is longer.
const (
	growth  = 1.02
	buckets = 1024 // 1.02^1024 us is 11 minutes
)

// histogram counts times in fixed memory, 2 % exact. It is not safe for concurrent use.
type histogram struct {
	counts [buckets]uint32
	count  int64
	max    time.Duration
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	if us := float64(d) / float64(time.Microsecond); us > 1 {
		i = min(int(math.Log(us)/math.Log(growth)), buckets-1)
	}
	h.counts[i]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// quantile returns a time that the share q of all times does not exceed, 0 without any.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.count)))
	var seen int64
	for i, n := range h.counts {
		if seen += int64(n); seen >= rank && n > 0 {
			return min(time.Duration(math.Pow(growth, float64(i+1))*float64(time.Microsecond)), h.max)
		}
	}
	return 0
}

// Latency sums up times, in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50Ms"`
	P95   float64 `json:"p95Ms"`
	P99   float64 `json:"p99Ms"`
	Max   float64 `json:"maxMs"`
}

func (h *histogram) latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{h.count, ms(h.quantile(0.5)), ms(h.quantile(0.95)), ms(h.quantile(0.99)), ms(h.max)}
}
