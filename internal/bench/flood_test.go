package bench_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

func TestFlood(t *testing.T) {
	t.Parallel()
	result, err := bench.Flood(t.Context(), bench.FloodConfig{
		URLs: servertest.URLs(servertest.Start(t, 2, nil)), Sockets: 10, Projects: 2, Duration: 2 * time.Second,
		// Far from the limit: what was sent evenly does not arrive so while other tests run, too.
		Rates: []float64{10, 100}, Within: pgtest.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
	if !result.OK() || len(result.Phases) != 2 {
		t.Errorf("result = %+v, want two phases without complaints", result)
	}
	for _, p := range result.Phases {
		if p.Sent == 0 || p.Got == 0 || p.Move.Count == 0 {
			t.Errorf("phase = %+v, want moves, sent and seen", p)
		}
	}
}

func TestFloodSaysThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	_, err := bench.Flood(t.Context(), bench.FloodConfig{
		URLs: []string{"http://127.0.0.1:1"}, Sockets: 2, Projects: 1, Rates: []float64{20}, Duration: time.Second, Within: time.Second,
	})
	if err == nil || !strings.Contains(err.Error(), "do the replicas run?") {
		t.Errorf("error = %v, want one that asks for the replicas", err)
	}
}
