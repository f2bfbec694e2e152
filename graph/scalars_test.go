package graph_test

import (
	"math"
	"testing"
	"time"

	"layercake/graph"
)

func TestArgumentsHaveScalarsAsResponsesHaveThem(t *testing.T) {
	t.Parallel()
	const text = "2026-02-28T23:59:59.123Z"
	if at, err := graph.UnmarshalDateTime(text); err != nil || !at.Equal(time.Date(2026, 2, 28, 23, 59, 59, 123e6, time.UTC)) {
		t.Errorf("%s is read as %v, %v", text, at, err)
	}
	for _, v := range []any{"yesterday", 1, nil} {
		if at, err := graph.UnmarshalDateTime(v); err == nil {
			t.Errorf("%v is read as %v", v, at)
		}
	}
	for _, n := range []int64{0, math.MinInt32, math.MaxInt32} {
		if got, err := graph.UnmarshalInt64(t.Context(), n); err != nil || got != n {
			t.Errorf("%d is read as %d, %v", n, got, err)
		}
		if got, err := graph.UnmarshalInt(t.Context(), n); err != nil || got != int(n) {
			t.Errorf("%d is read as %d, %v", n, got, err)
		}
	}
}
