package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"layercake/internal/fault"
	"layercake/internal/feed"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// slowLines holds back what the database answers about events whose body has a text, until the test lets it through.
type slowLines struct {
	text    []byte
	through chan struct{} // closed by release
	release func()
	held    chan struct{} // has an element while an answer is, or was, held back
}

func newSlowLines(text string) *slowLines {
	s := &slowLines{text: []byte(text), through: make(chan struct{}), held: make(chan struct{}, 1)}
	s.release = sync.OnceFunc(func() { close(s.through) })
	return s
}

func (s *slowLines) pass(piece []byte) []byte {
	if bytes.Contains(piece, s.text) {
		select {
		case s.held <- struct{}{}:
		default:
		}
		<-s.through
	}
	return piece
}

// Clients that come back from far behind, over a network that hardly carries what they ask for, take nothing from what keeps their
// replica in the deployment: its lease, its sweep, its health.
func TestResumingWatchersDoNotStarveTheReplica(t *testing.T) {
	t.Parallel()
	const projects, places, events, renewals = 50, 10, 20, 6
	direct := pgtest.New(t)
	proxy, through := pgtest.Proxy(t, direct)
	network := newSlowLines("far behind")
	t.Cleanup(network.release)
	proxy.Rewrite(nil, network.pass)
	core := servertest.StartCoreOn(t, through, func(c *server.Config) { c.PoolMax = 4 })
	admin := pgtest.Connect(t, direct)
	pgtest.Exec(t, admin, "INSERT INTO projects (id, name) SELECT n, 'Test' FROM generate_series(1, $1::int) n", projects)
	pgtest.Exec(t, admin, "INSERT INTO heads (project_id) SELECT n FROM generate_series(1, $1::int) n", projects)
	pgtest.Exec(t, admin, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT n, v, now(), '', v::text, '', '{"note":"far behind"}' FROM generate_series(1, $1::int) n, generate_series(1, $2::int) v`,
		projects, events)
	pgtest.Exec(t, admin, "UPDATE heads SET version = $1", events)

	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel()
	defer network.release()
	epoch := placeOf(ctx, t, core, 1).Epoch
	failed := make(chan error, projects*places)
	for i := range projects * places {
		after := feed.Cursor{Epoch: epoch, Version: int64(i / projects)}
		watchers.Go(func() { failed <- resume(ctx, core, int32(i%projects+1), after, events) })
	}
	<-network.held
	failure, _ := core.Replica.Outages()
	for range renewals {
		renewed := core.Replica.Renewed.Next()
		select {
		case <-renewed:
		case <-ctx.Done():
			t.Fatal("the lease is not renewed")
		}
		if err := core.DB.System.Ping(ctx); err != nil {
			t.Errorf("the check of health: %v", err)
		}
	}
	if now, _ := core.Replica.Outages(); now != failure {
		t.Error("a renewal of the lease failed")
	}
	network.release()
	for range projects * places {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// placeOf returns where a watch of a project begins.
func placeOf(ctx context.Context, t *testing.T, core *servertest.Core, project int32) feed.Cursor {
	t.Helper()
	for d, err := range core.Hub.Watch(ctx, project, feed.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		return d.At
	}
	t.Fatal("no watch")
	return feed.Cursor{}
}

// resume watches from a place until it has seen a version, and comes back like a client when the replica has no time for it.
func resume(ctx context.Context, core *servertest.Core, project int32, at feed.Cursor, until int64) error {
	for ctx.Err() == nil {
		for d, err := range core.Hub.Watch(ctx, project, at) {
			switch {
			case fault.Is(err, fault.Unavailable):
			case err != nil:
				return err
			case d.Missed:
				return errors.New("missed events")
			case d.Event != nil && d.At.Version != at.Version+1:
				return fmt.Errorf("version %d after %d", d.At.Version, at.Version)
			}
			if err == nil {
				at = d.At
			}
			if at.Version == until {
				return nil
			}
		}
	}
	return ctx.Err()
}
