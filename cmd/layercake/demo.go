package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"layercake/internal/child"
	"layercake/internal/embeddedpg"
)

const (
	stopGrace = 20 * time.Second // time for replicas to drain before they are killed
	minPause  = 200 * time.Millisecond
	maxPause  = 10 * time.Second
	stableAge = 30 * time.Second // age at which a replica counts as started
)

// demoCommand runs a whole deployment on this machine.
type demoCommand struct {
	Replicas    int    `default:"3" help:"How many replicas."`
	HTTPPort    int    `name:"http-port" default:"3001" help:"HTTP port of the first replica on 127.0.0.1; the others follow."`
	AdminPort   int    `default:"3101" help:"Admin port of the first replica on 127.0.0.1; the others follow."`
	DatabaseURL string `env:"LAYERCAKE_DATABASE_URL,DATABASE_URL" help:"PostgreSQL to use instead of an embedded one."`
	DataDir     string `env:"LAYERCAKE_DATA_DIR" help:"Data folder of the embedded PostgreSQL (default: demo in that of serve)."`
	PGBin       string `name:"pg-bin" env:"LAYERCAKE_PG_BIN" help:"Folder of PostgreSQL's programs."`
}

// Validate checks the flags.
func (c demoCommand) Validate() error {
	if c.Replicas < 1 || c.Replicas > 20 {
		return fmt.Errorf("--replicas=%d: 1 to 20 are possible", c.Replicas)
	}
	last := c.Replicas - 1
	for flag, port := range map[string]int{"--http-port": c.HTTPPort, "--admin-port": c.AdminPort} {
		if port < 1 || port+last > 65535 {
			return fmt.Errorf("%s=%d: ports go from 1 to 65535", flag, port)
		}
	}
	if c.HTTPPort <= c.AdminPort+last && c.AdminPort <= c.HTTPPort+last {
		return fmt.Errorf("--http-port=%d and --admin-port=%d overlap with %d replicas", c.HTTPPort, c.AdminPort, c.Replicas)
	}
	return nil
}

// Run serves until ctx ends, then stops the replicas and after them the database.
func (c demoCommand) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	for n := range c.Replicas {
		log.InfoContext(ctx, "replica", "replica", n+1, "url", "http://"+loopback(c.HTTPPort+n))
	}
	replicas := supervisor{
		log: log,
		out: child.NewLines(os.Stderr),
		command: func(ctx context.Context, n int) *exec.Cmd {
			cmd := exec.CommandContext(ctx, program, "serve")
			cmd.Env = append(os.Environ(), c.environment(n)...)
			return cmd
		},
	}
	if c.DatabaseURL != "" {
		return replicas.run(ctx, c.Replicas)
	}
	database, err := c.database(log)
	if err != nil {
		return err
	}
	return withDatabase(ctx, database, func(ctx context.Context, url string) error {
		c.DatabaseURL = url
		return replicas.run(ctx, c.Replicas)
	})
}

// environment returns the environment of replica n, counted from 0.
func (c demoCommand) environment(n int) []string {
	return []string{
		"LAYERCAKE_DATABASE_URL=" + c.DatabaseURL,
		"LAYERCAKE_HTTP_ADDR=" + loopback(c.HTTPPort+n),
		"LAYERCAKE_ADMIN_ADDR=" + loopback(c.AdminPort+n),
		"LAYERCAKE_REPLICAS=" + strconv.Itoa(c.Replicas),
		"LAYERCAKE_GUESTS_PER_ADDRESS=0", // everybody is on this machine, and layercake bench joins as many
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c demoCommand) database(log *slog.Logger) (embeddedpg.Config, error) {
	cfg := embeddedpg.Config{
		DataDir: c.DataDir,
		// 105 connections a replica are what serve may use; the rest is for people with psql.
		Settings: map[string]string{"max_connections": strconv.Itoa(110*c.Replicas + 20)},
		Log:      log,
	}
	var err error
	if cfg.BinDir, err = embeddedpg.FindBinaries(c.PGBin); err != nil {
		return cfg, err
	}
	if cfg.DataDir == "" {
		dir, err := embeddedpg.DefaultDataDir()
		if err != nil {
			return cfg, err
		}
		cfg.DataDir = filepath.Join(dir, "demo") // a server with its own database may run beside it
	}
	return cfg, nil
}

// withDatabase runs an embedded PostgreSQL while f runs. When the database dies, it is started again at the same URL.
func withDatabase(ctx context.Context, cfg embeddedpg.Config, f func(ctx context.Context, url string) error) error {
	server, err := embeddedpg.Start(ctx, cfg)
	switch {
	case err != nil && ctx.Err() != nil: // a start that is given up stops what it started
		cfg.Log.InfoContext(ctx, "stopped before the database was ready", "error", err)
		return nil //nolint:nilerr // it is in the log
	case err != nil:
		return err
	}
	url := server.URL()
	group, inner := errgroup.WithContext(ctx)
	// The database outlives ctx: f needs it until it has returned.
	keep, done := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		for {
			select {
			case <-keep.Done():
				stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
				defer cancel()
				return server.Stop(stop)
			case <-server.Done():
			}
			cfg.Log.ErrorContext(ctx, "the database ended, starting it again", "error", server.Wait())
			again, err := embeddedpg.Start(keep, cfg)
			switch {
			case keep.Err() != nil && errors.Is(err, keep.Err()):
				return nil // f has returned in the meantime; a start that is given up stops what it started
			case err != nil:
				return err
			}
			server = again
		}
	})
	group.Go(func() error {
		defer done()
		return f(inner, url)
	})
	return group.Wait()
}

// supervisor keeps replicas running.
type supervisor struct {
	log     *slog.Logger
	out     *child.Lines // gets what the replicas write
	command func(ctx context.Context, n int) *exec.Cmd
}

// run returns when ctx has ended and all replicas have, in order or, after stopGrace, killed.
func (s supervisor) run(ctx context.Context, replicas int) error {
	group, ctx := errgroup.WithContext(ctx)
	for n := range replicas {
		group.Go(func() error { return s.keep(ctx, n) })
	}
	return group.Wait()
}

// keep runs one replica again and again, after pauses that grow while it fails at once.
func (s supervisor) keep(ctx context.Context, n int) error {
	pause := minPause
	for {
		start := time.Now()
		err := s.once(ctx, n)
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("stop replica %d: %w", n+1, err)
		case time.Since(start) > stableAge:
			pause = minPause
		}
		s.log.WarnContext(ctx, "a replica ended, starting it again", "replica", n+1, "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

func (s supervisor) once(ctx context.Context, n int) error {
	cmd := s.command(ctx, n)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	out := s.out.Prefixed(fmt.Sprintf("%d | ", n+1))
	cmd.Stdout, cmd.Stderr = out, out
	return child.Run(cmd, syscall.SIGTERM)
}
