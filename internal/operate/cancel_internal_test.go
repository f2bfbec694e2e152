package operate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// Of all replicas, one cancels a build. When it fails, another look cancels it, on whichever replica.
func TestOneReplicaCancelsABuild(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	pg, err := postgres.Open(t.Context(), postgres.Config{
		URL: url, DirectURL: url, Replica: "test", PoolMax: 2, Replicas: 1, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Close)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'One')")
	pgtest.Exec(t, conn, `INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, requested_by)
		VALUES (1, 'a', 'A', 1, 1, 'pending', 'Ann')`)
	pgtest.Exec(t, conn, "SELECT layercake.cancel_build(1, 'a')")

	var mu sync.Mutex
	var cancelled []string
	fail := true
	replica := func(address string) *Commander {
		c := NewCommander(CommanderConfig{
			DB: pg.System, Wire: fanout.New(fanout.Config{}), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
			Address: func() string { return address }, Incarnation: uuid.New,
			CancelBuild: func(_ context.Context, project int32, node string) error {
				mu.Lock()
				defer mu.Unlock()
				if fail {
					return errors.New("no database")
				}
				cancelled = append(cancelled, fmt.Sprint(project, node))
				return nil
			},
		})
		c.began = time.Now().Add(-time.Minute)
		return c
	}
	first, second := replica("first"), replica("second")
	if err := first.poll(t.Context()); err == nil {
		t.Error("the failure of a cancel is not told")
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM commands WHERE acted_at IS NULL"); n != 1 {
		t.Error("it counts as done")
	}
	fail = false
	unwired := replica("unwired")
	unwired.cfg.CancelBuild = nil
	var polls sync.WaitGroup
	for _, c := range []*Commander{unwired, first, second} {
		polls.Go(func() {
			if err := c.poll(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	polls.Wait()
	for range 2 {
		for _, c := range []*Commander{first, second} {
			if err := c.poll(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if !slices.Equal(cancelled, []string{"1a"}) {
		t.Errorf("cancelled %q, want one", cancelled)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM layercake.commands WHERE cardinality(acted_by) = 1 AND target = '1 a'"); n != 1 {
		t.Error("the command does not say that one replica acted")
	}
}
