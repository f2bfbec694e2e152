// Package servertest runs replicas of a deployment inside a test, on one database.
package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
)

// Replica is one running server.
type Replica struct {
	URL   string // such as http://127.0.0.1:34567
	Admin string // of metrics and profiles, when a test asked for an address

	cancel context.CancelFunc
	ended  chan struct{}
	err    error // read it after ended
}

// Start runs n replicas on a new database until the test ends. Configure, when it is not nil, changes what each is told.
func Start(t testing.TB, n int, configure func(*server.Config)) []*Replica {
	t.Helper()
	return StartOn(t, pgtest.New(t), n, configure)
}

// StartOn is Start on a database that the test has.
func StartOn(t testing.TB, database string, n int, configure func(*server.Config)) []*Replica {
	t.Helper()
	replicas := make([]*Replica, n)
	for i := range replicas {
		cfg := config(database)
		if configure != nil {
			configure(&cfg)
		}
		replicas[i] = start(t, cfg)
	}
	return replicas
}

// config is what replicas are told unless a test says otherwise.
func config(database string) server.Config {
	return server.Config{
		DatabaseURL: database, HTTPAddr: "127.0.0.1:0", Open: true, Migrate: true,
		PoolMax: 20, PoolMin: 1, Replicas: 8, WriteSlots: 16, Drain: 100 * time.Millisecond,
		EventRetention: time.Hour, CleanUp: time.Minute,
		Version: "test", Log: slog.New(slog.DiscardHandler),
	}
}

func start(t testing.TB, cfg server.Config) *Replica {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Replica{cancel: cancel, ended: make(chan struct{})}
	s := server.New(cfg)
	go func() {
		defer close(r.ended)
		r.err = s.Run(ctx)
	}()
	t.Cleanup(func() { r.Stop(t) })
	select {
	case <-s.Ready():
	case <-r.ended:
		t.Fatalf("replica ended: %v", r.err)
	case <-time.After(pgtest.Patience):
		t.Fatal("replica did not get ready")
	}
	r.URL = "http://" + s.Addr()
	if admin := s.AdminAddr(); admin != "" {
		r.Admin = "http://" + admin
	}
	return r
}

// Stop ends the replica in order and waits until all of it has ended. Stopping again does nothing.
func (r *Replica) Stop(t testing.TB) {
	t.Helper()
	r.cancel()
	select {
	case <-r.ended:
		if r.err != nil {
			t.Errorf("replica %s: %v", r.URL, r.err)
		}
	case <-time.After(pgtest.Patience):
		t.Errorf("replica %s did not end", r.URL)
	}
}

// URLs returns the replicas' addresses.
func URLs(replicas []*Replica) []string {
	urls := make([]string, len(replicas))
	for i, r := range replicas {
		urls[i] = r.URL
	}
	return urls
}

// addresses are those that Address has returned.
var addresses sync.Map

// Address returns an address of 127.0.0.1 that nobody uses, and whose port the system gives to nobody who lets it choose: a replica
// that is stopped finds it free when it starts again.
func Address(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(10_000))
		if _, taken := addresses.LoadOrStore(address, true); taken {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		_ = listener.Close() // it was only asked for
		return address
	}
	t.Fatal("no free address")
	return ""
}

// Fails returns why a replica of the database does not start.
func Fails(t testing.TB, database string, configure func(*server.Config)) error {
	t.Helper()
	cfg := config(database)
	configure(&cfg)
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	s := server.New(cfg)
	go func() {
		select {
		case <-s.Ready():
			cancel()
		case <-ctx.Done():
		}
	}()
	return s.Run(ctx)
}
