package server_test

import (
	"log/slog"
	"testing"

	"layercake/internal/fanout"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"

	"github.com/prometheus/client_golang/prometheus"
)

// A core is not left half alive: when one part fails, the others end too, and the lease is given back.
func TestCoreEndsWhenAPartFails(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	core, err := server.OpenCore(t.Context(), server.Config{
		DatabaseURL: database, PoolMax: 2, Replicas: 8, WriteSlots: 1, Log: slog.New(slog.DiscardHandler),
	}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer core.DB.Close()
	core.Wire.Handle(fanout.Topic{}) // it is not complete
	if err := core.Run(t.Context(), "here"); err == nil {
		t.Error("it ended as if it had been stopped")
	}
	if n := pgtest.Count(t, pgtest.Connect(t, database), "SELECT count(*) FROM replicas"); n != 0 {
		t.Errorf("%d leases are left, want none", n)
	}
}
