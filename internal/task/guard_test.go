package task_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		registry := prometheus.NewRegistry()
		guard := task.NewGuard(slog.New(slog.NewTextHandler(&log, nil)), registry, "here")
		lines := func() int { return strings.Count(log.String(), "\n") }

		failed := errors.New("failed")
		if err := guard.Do(func() error { return failed }); err != failed || lines() != 0 { //nolint:errorlint // the very one
			t.Errorf("got %v, and logged %s", err, &log)
		}
		boom := func() error { var nothing *int; *nothing = 1; return nil }
		for range 3 {
			var p *task.Panic
			if err := guard.Do(boom); !errors.As(err, &p) || !strings.Contains(string(p.Stack), "TestGuard") {
				t.Errorf("got %v", err)
			}
		}
		if text := log.String(); lines() != 1 || !strings.Contains(text, "guard_test.go") || !strings.Contains(text, "where=here") {
			t.Errorf("logged %s", text)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // of the bubble: until it is logged again
		_ = guard.Do(boom)
		if lines() != 2 {
			t.Errorf("logged %s", &log)
		}
		if n, err := testutil.GatherAndCount(registry, "layercake_panics_total"); n != 1 || err != nil {
			t.Errorf("%d series, %v", n, err)
		}
		const want = `# HELP layercake_panics_total Panics, each of which ended what it was about and nothing else.
# TYPE layercake_panics_total counter
layercake_panics_total{where="here"} 4
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}
