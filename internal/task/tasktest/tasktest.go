// Package tasktest counts, for tests, the panics that package task keeps from others.
package tasktest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Panics returns how many panics the guard of a part has caught, from the metrics of that part.
func Panics(t testing.TB, metrics prometheus.Gatherer, where string) int {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "layercake_panics_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == where { // the only label
				return int(m.GetCounter().GetValue())
			}
		}
	}
	t.Fatalf("no guard %q counts its panics", where)
	return 0
}
