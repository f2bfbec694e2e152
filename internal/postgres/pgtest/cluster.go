package pgtest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"layercake/internal/embeddedpg"
)

// Cluster is a server of one test's own, for tests that stop or kill it.
type Cluster struct {
	// URL names a database with the current schema. It stays the same when the server is started again.
	URL string

	t      testing.TB
	cfg    embeddedpg.Config
	server *embeddedpg.Server
}

// Config returns the configuration of a server of the test's own: fast settings and a data folder with a migrated database, which
// is removed when the test ends. It needs PostgreSQL's programs even where TEST_DATABASE_URL is set; without them it skips
// or fails as New does.
func Config(t testing.TB) embeddedpg.Config {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cfg, err := copyCluster(ctx)
	if err != nil {
		skipWithoutBinaries(t, err)
		t.Fatal(err)
	}
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	t.Cleanup(func() {
		if err := os.RemoveAll(cfg.DataDir); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

// Server starts a server for this test alone; it ends with the test. It skips or fails as Config does.
func Server(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, cfg: Config(t)}
	t.Cleanup(func() { c.end(context.Background()) })
	c.Start()
	var err error
	if c.URL, err = inDatabase(c.server.URL(), templateName()); err != nil {
		t.Fatal(err)
	}
	return c
}

// Standby starts a server that follows another one, which it is a copy of, until the test ends. It returns the URL of the same
// database there, which is read-only.
func Standby(t testing.TB, primary *Cluster) string {
	t.Helper()
	c := &Cluster{t: t, cfg: primary.cfg}
	c.cfg.DataDir, c.cfg.Primary = filepath.Join(Folder(t), "standby"), primary.URL
	t.Cleanup(func() { c.end(context.Background()) })
	c.Start()
	url, err := inDatabase(c.server.URL(), templateName())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Start starts the server after Stop or Kill and returns when it accepts connections.
func (c *Cluster) Start() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), Patience)
	defer cancel()
	var err error
	if c.server, err = embeddedpg.Start(ctx, c.cfg); err != nil {
		c.t.Fatal(err)
	}
}

// Stop ends the server in order and returns when it has ended.
func (c *Cluster) Stop() {
	c.t.Helper()
	c.end(c.t.Context())
}

// Kill ends the server as a crash would: committed transactions are kept. It returns when the server has ended.
func (c *Cluster) Kill() {
	c.t.Helper()
	if err := syscall.Kill(c.server.PID(), syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	<-c.server.Done()
}

// Restart stops the server and starts it again.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.Stop()
	c.Start()
}

func (c *Cluster) end(ctx context.Context) {
	c.t.Helper()
	if c.server == nil { // it never started
		return
	}
	select {
	case <-c.server.Done():
		return // stopped or killed
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if err := c.server.Stop(ctx); err != nil {
		c.t.Error(err)
	}
}
