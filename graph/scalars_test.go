package graph_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"layercake/graph"
	"layercake/internal/plan"
)

func TestArgumentsHaveScalarsAsResponsesHaveThem(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 2, 28, 23, 59, 59, 123e6, time.UTC)
	for _, text := range []string{"2026-02-28T23:59:59.123Z", "2026-03-01T01:29:59.123000+01:30", plan.FormatTime(want)} {
		if at, err := graph.UnmarshalDateTime(text); err != nil || !at.Equal(want) {
			t.Errorf("%s is read as %v, %v", text, at, err)
		}
	}
	for v, want := range map[any]string{
		"yesterday": "offset", 1: "offset", nil: "offset", "2026-02-28T23:59:59": "offset", "2026-02-28": "offset",
		"2026-02-28 23:59:59Z": "offset", "2026-02-28T23:59:59,5Z": "offset", "2026-02-29T00:00:00Z": "offset",
		"2026-02-28T23:59:59.1234567Z": "microseconds", "2026-02-28T23:59:59.12345600000000000000+01:00": "microseconds",
	} {
		if at, err := graph.UnmarshalDateTime(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v is read as %v, %v", v, at, err)
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
