// Package deployment runs replicas as processes over a PostgreSQL of their own, for benches that harm or attack them.
package deployment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"layercake/internal/child"
	"layercake/internal/embeddedpg"
	"layercake/internal/pgproxy"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

const (
	databaseStops = 20 * time.Second // limit for the database to stop in order
	connectTime   = 5 * time.Second  // limit for connecting to a live database or replica
	queryTime     = 10 * time.Second // limit of a session with all its queries
)

// Config is the size of a deployment, and its programs.
type Config struct {
	Replicas int
	Required int              // how many of them let in only whoever signs in: the last ones
	Serve    func() *exec.Cmd // the command that runs one replica, which its environment configures
	Binaries string           // folder of PostgreSQL's programs; "" to look for them
}

// Deployment is replicas as processes, which reach a PostgreSQL of their own through a proxy.
type Deployment struct {
	Log      *slog.Logger   // log of the database and of the bench, which those of the replicas are mixed into
	Proxy    *pgproxy.Proxy // network between the replicas and their database
	Replicas []*Replica

	folder   string
	binaries string // folder of PostgreSQL's programs

	errors atomic.Int64 // lines of the level ERROR in the log

	harming  sync.Mutex // held while the server is restarted or replaced
	mu       sync.Mutex
	database *embeddedpg.Server
	servers  int // data folders so far
}

// Run runs a deployment until use returns. It leaves nothing behind except, when use fails, its log.
func Run(ctx context.Context, cfg Config, use func(context.Context, *Deployment) error) (err error) {
	d := &Deployment{}
	if d.binaries, err = embeddedpg.FindBinaries(cfg.Binaries); err != nil {
		return err
	}
	if d.folder, err = os.MkdirTemp("", "layercake-deployment-"); err != nil {
		return err
	}
	// The server may run as another user than we do.
	if err := os.Chmod(d.folder, 0o711); err != nil {
		return err
	}
	written, err := os.Create(filepath.Join(d.folder, "log"))
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, written.Close(), d.removeServers())
		if err == nil {
			err = os.RemoveAll(d.folder)
		} else {
			err = fmt.Errorf("%w\n(the log of replicas and database is in %s)", err, d.folder)
		}
	}()
	out := child.NewLines(counting{written, &d.errors})
	d.Log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))

	if d.database, err = embeddedpg.Start(ctx, d.serverConfig(cfg.Replicas)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stopDatabase(ctx)) }()
	if d.Proxy, err = pgproxy.Start(serverAddress(d.database)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Proxy.Close()) }()
	free, err := freePorts(2 * cfg.Replicas)
	if err != nil {
		return err
	}
	defer releasePorts(free)
	d.addReplicas(free, cfg, out)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	processes, running := errgroup.WithContext(running)
	for _, r := range d.Replicas {
		processes.Go(func() error { return r.run(running) })
	}
	err = d.Ready(ctx)
	if err == nil {
		err = use(ctx, d)
	}
	stop()
	return errors.Join(err, processes.Wait())
}

// counting counts the lines of replicas that somebody has to look at. It is given whole lines.
type counting struct {
	io.Writer
	errors *atomic.Int64
}

func (c counting) Write(b []byte) (int, error) {
	c.errors.Add(int64(bytes.Count(b, []byte(" level=ERROR "))))
	return c.Writer.Write(b)
}

// Errors returns how many lines of the level ERROR the replicas have logged.
func (d *Deployment) Errors() int64 { return d.errors.Load() }

func (d *Deployment) serverConfig(replicas int) embeddedpg.Config {
	d.servers++
	return embeddedpg.Config{
		BinDir: d.binaries, DataDir: d.serverFolder(d.servers), RunDir: d.folder,
		Settings: map[string]string{
			// Without fsync nothing is lost here, since processes die but never the machine.
			"fsync": "off", "max_connections": strconv.Itoa(40*replicas + 40), "shared_buffers": "64MB",
		},
		Log: d.Log,
	}
}

func (d *Deployment) serverFolder(n int) string {
	return filepath.Join(d.folder, "server"+strconv.Itoa(n))
}

func (d *Deployment) removeServers() error {
	var errs []error
	for n := range d.servers {
		errs = append(errs, os.RemoveAll(d.serverFolder(n+1)))
	}
	return errors.Join(errs...)
}

// serverAddress returns the address of a server's socket.
func serverAddress(s *embeddedpg.Server) (network, address string) {
	cfg, err := pgx.ParseConfig(s.URL())
	if err != nil {
		panic(err) // the server made it
	}
	return pgconn.NetworkAddress(cfg.Host, cfg.Port)
}

// addReplicas adds a replica for every two ports.
func (d *Deployment) addReplicas(ports []int, cfg Config, out *child.Lines) {
	n := len(ports) / 2
	for i := range n {
		required := i >= n-cfg.Required
		http, admin := "127.0.0.1:"+strconv.Itoa(ports[2*i]), "127.0.0.1:"+strconv.Itoa(ports[2*i+1])
		d.Replicas = append(d.Replicas, &Replica{
			Number: i + 1, URL: "http://" + http, Admin: "http://" + admin, out: out, required: required,
			command: func() *exec.Cmd {
				cmd := cfg.Serve()
				cmd.Env = append(cmd.Env,
					"LAYERCAKE_DATABASE_URL="+d.databaseURL(), "LAYERCAKE_HTTP_ADDR="+http, "LAYERCAKE_ADMIN_ADDR="+admin,
					"LAYERCAKE_REPLICAS="+strconv.Itoa(n), "LAYERCAKE_POOL_MAX=30", "LAYERCAKE_DRAIN=0s", "LAYERCAKE_LOG_LEVEL=debug",
					"LAYERCAKE_GUESTS_PER_ADDRESS=0",
				)
				if required {
					cmd.Env = append(cmd.Env, requiredMode...)
				}
				return cmd
			},
		})
	}
}

// databaseURL returns the URL of the database through the proxy.
func (d *Deployment) databaseURL() string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: d.Proxy.Addr(), Path: "postgres", RawQuery: "sslmode=disable"}
	return u.String()
}

// URLs returns the addresses for clients of the replicas that let everybody in.
func (d *Deployment) URLs() []string { return d.urls(false) }

// RequiredURLs returns the addresses for clients of the replicas where everybody signs in.
func (d *Deployment) RequiredURLs() []string { return d.urls(true) }

func (d *Deployment) urls(required bool) []string {
	var urls []string
	for _, r := range d.Replicas {
		if r.required == required {
			urls = append(urls, r.URL)
		}
	}
	return urls
}

// Admins returns the addresses of the replicas for operators.
func (d *Deployment) Admins() []string {
	admins := make([]string, len(d.Replicas))
	for i, r := range d.Replicas {
		admins[i] = r.Admin
	}
	return admins
}

// Ready waits until every replica is ready.
func (d *Deployment) Ready(ctx context.Context) error {
	for _, r := range d.Replicas {
		if err := r.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Configure gives all replicas an environment beyond what they need, and waits until they are ready.
func (d *Deployment) Configure(ctx context.Context, env []string) error {
	g, inner := errgroup.WithContext(ctx)
	for _, r := range d.Replicas {
		g.Go(func() error { return r.configure(inner, env) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return d.Ready(ctx)
}

// Server returns the current PostgreSQL.
func (d *Deployment) Server() *embeddedpg.Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.database
}

// Query uses a session of its own, which no proxy harms.
func (d *Deployment) Query(ctx context.Context, use func(*pgx.Conn) error) error {
	return On(ctx, d.Server(), use)
}

var benchSession = postgres.Session{Application: "layercake bench"}

// Connect opens a session for looking at what replicas do.
func (d *Deployment) Connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return benchSession.Connect(ctx, d.Server().URL())
}

// On uses a session of a server, for a limited time.
func On(ctx context.Context, s *embeddedpg.Server, use func(*pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	conn, err := benchSession.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the result is complete
	return use(conn)
}

func (d *Deployment) stopDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseStops)
	defer cancel()
	return d.Server().Stop(ctx)
}

// crash ends a server at once: it recovers when it starts again.
func crash(ctx context.Context, s *embeddedpg.Server) error {
	if err := syscall.Kill(s.PID(), syscall.SIGQUIT); err != nil {
		return fmt.Errorf("stop the database at once: %w", err)
	}
	select {
	case <-s.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RestartDatabase ends the server, in order or at once, and starts it again. Once begun it does not stop half way.
func (d *Deployment) RestartDatabase(ctx context.Context, atOnce bool) error {
	d.harming.Lock()
	defer d.harming.Unlock()
	ctx = context.WithoutCancel(ctx) // not half
	stop := d.stopDatabase
	if atOnce {
		stop = func(ctx context.Context) error { return crash(ctx, d.Server()) }
	}
	if err := stop(ctx); err != nil {
		d.Log.WarnContext(ctx, "the database did not stop in order", "error", err) // a session of it may be stopped
	}
	d.servers-- // the same folder again
	server, err := embeddedpg.Start(ctx, d.serverConfig(len(d.Replicas)))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.database = server
	return nil
}

// Promote replaces the server by a copy that follows it. Before the server dies, at once, cut may do something with both; gone is
// called after that, before anybody can write to the copy.
func (d *Deployment) Promote(
	ctx context.Context, cut func(ctx context.Context, primary, standby *embeddedpg.Server) error, gone func(),
) error {
	d.harming.Lock()
	defer d.harming.Unlock()
	ctx = context.WithoutCancel(ctx) // not half
	primary := d.Server()
	cfg := d.serverConfig(len(d.Replicas))
	cfg.Primary = primary.URL()
	standby, err := embeddedpg.Start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("start a standby: %w", err)
	}
	if err := cut(ctx, primary, standby); err != nil {
		return errors.Join(err, standby.Stop(ctx))
	}
	d.mu.Lock()
	d.database = standby
	d.mu.Unlock()
	if err := crash(ctx, primary); err != nil {
		return err
	}
	gone()
	err = On(ctx, standby, func(conn *pgx.Conn) error {
		var promoted bool
		err := conn.QueryRow(ctx, "SELECT pg_promote()").Scan(&promoted)
		if err == nil && !promoted {
			err = errors.New("it takes more than a minute")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	d.Proxy.Switch(serverAddress(standby))
	return nil
}
