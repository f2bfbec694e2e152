package auth_test

import (
	"context"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus"
)

// A keeper whose connections to the database are half-open gives them up and asks again.
func TestKeeperOverHalfOpenConnections(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	proxy, through := pgtest.Proxy(t, direct)
	db, err := postgres.Open(t.Context(), postgres.Config{
		URL: through, DirectURL: through, Replica: "test", PoolMax: 2, Replicas: 1, Metrics: prometheus.NewRegistry(),
		Timing: postgres.Timing{Acquire: pgtest.Patience, Statement: pgtest.Patience, Lock: pgtest.Patience, IdleInTransaction: pgtest.Patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	dba := pgtest.Connect(t, direct)
	pgtest.Exec(t, dba, `INSERT INTO users (username, display_name, avatar_color) VALUES ('ann', 'Ann', '')`)
	pgtest.Exec(t, dba, `INSERT INTO sessions (user_id, secret_hash, expires_at) SELECT id, sha256('x'), now() + interval '1 h' FROM users`)
	session := int32(pgtest.Count(t, dba, `SELECT id FROM sessions`))
	if proxy.Silence(func(string) bool { return true }) == 0 {
		t.Fatal("the pool has no connection yet")
	}
	pgtest.Exec(t, dba, `SELECT layercake.end_sessions('ann')`)
	k := auth.NewKeeper(auth.KeeperConfig{DB: db.System, Every: time.Hour})
	ended := make(chan error, 1)
	p := auth.Principal{Credential: auth.Credential{Kind: auth.SessionSecret, ID: session}}
	release := k.Hold(p, func(err error) { ended <- err })
	defer release()
	running := task.Go(t.Context(), k.Run)
	defer func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
	}()
	k.Wake()
	waiting, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	select {
	case err := <-ended:
		if err != auth.ErrEnded { //nolint:errorlint // it is handed on as it is
			t.Errorf("%v", err)
		}
	case <-waiting.Done():
		t.Error("what has ended is still open")
	}
}
