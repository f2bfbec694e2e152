package bench

import (
	"math/rand/v2"
	"testing"
)

// Growth counts when it is more than what is allowed, and more than noise.
func TestTrends(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	tests := []struct {
		name         string
		slope, noise float64
		want         bool
	}{
		{"steady", 0, 0, false},
		{"steady but noisy", 0, 50, false},
		{"one more each sample", 1, 0, true},
		{"one more each sample, in noise", 1, 30, true},
		{"within what is allowed", 0.05, 0, false},
		{"sinking", -1, 5, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values := make([]float64, 200)
			for i := range values {
				values[i] = 100 + tt.slope*float64(i) + tt.noise*r.NormFloat64()
			}
			if got := trendOf(1, "things", values, 20); got.Grows != tt.want {
				t.Errorf("trend = %+v, want %t", got, tt.want)
			}
		})
	}
}
