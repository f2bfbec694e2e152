package embeddedpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"layercake/internal/task"

	"layercake/internal/child"
)

const (
	pollInterval = 10 * time.Millisecond // how often files and processes are looked at that cannot be waited for
	quitGrace    = 10 * time.Second      // limit of an immediate shutdown; postgres itself needs at most 5 s
)

// Config says which PostgreSQL runs where. DataDir is required.
type Config struct {
	BinDir   string            // folder of initdb and postgres; empty for the one that FindBinaries finds
	DataDir  string            // data folder, which is made when missing; see DefaultDataDir
	RunDir   string            // folder in which the private folder of the socket is made; empty for the temporary folder
	Settings map[string]string // server settings, as in postgresql.conf; with fsync off, initdb does not sync either
	Primary  string            // URL of a server that a new data folder is a copy of, and that this one follows; empty: none
	Log      *slog.Logger      // receiver of the server's log: errors as warnings, the rest at debug; nil for none
}

// errSessionsRemain is passed when sessions of a killed postmaster still use the data folder.
var errSessionsRemain = errors.New("sessions of a killed server still run")

// Server is a running PostgreSQL.
type Server struct {
	cmd      *exec.Cmd
	folder   *folder
	stopping atomic.Bool
	output   *output
	done     chan struct{} // closed after exit is set
	exit     error
}

// Start runs PostgreSQL on cfg.DataDir and returns when it accepts connections; ctx limits the start, not the server's
// life. A new data folder is initialised; one of another major version, or one that another process uses, is refused
// and left alone. As root the server runs as the folder's owner, postgres or nobody. The caller ends it with Stop.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.BinDir == "" {
		dir, err := FindBinaries("")
		if err != nil {
			return nil, err
		}
		cfg.BinDir = dir
	}
	for {
		s, err := startOnce(ctx, cfg)
		// They end by themselves, but a busy one only after its statement.
		if !errors.Is(err, errSessionsRemain) || !task.Pause(ctx, pollInterval) {
			return s, err
		}
	}
}

func startOnce(ctx context.Context, cfg Config) (*Server, error) {
	f, err := openFolder(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s, err := launch(ctx, f, cfg)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	// From here on the end of the process closes the folder.
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	cfg.Log.InfoContext(ctx, "private database", "url", s.URL()) // for psql
	return s, nil
}

// launch starts the server's process.
func launch(ctx context.Context, f *folder, cfg Config) (*Server, error) {
	if err := f.prepare(ctx, cfg); err != nil {
		return nil, err
	}
	if err := f.stopOrphan(ctx, cfg.Log); err != nil {
		return nil, err
	}
	if err := f.makeSocketDir(cfg.RunDir); err != nil {
		return nil, err
	}
	s := &Server{folder: f, output: &output{log: cfg.Log}, done: make(chan struct{})}
	s.cmd = f.account.command(cfg.BinDir, "postgres", serverArgs(f, cfg.Settings)...)
	s.cmd.Stderr = s.output
	// Sessions that outlive a killed postmaster keep the pipe open; its end must not wait for theirs.
	s.cmd.WaitDelay = time.Second
	if err := child.Start(s.cmd, syscall.SIGINT, s.ended); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return s, nil
}

func serverArgs(f *folder, settings map[string]string) []string {
	all := map[string]string{
		"listen_addresses":        "",
		"port":                    "5432", // part of the socket's name
		"unix_socket_directories": `"` + f.sockets + `"`,
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"log_line_prefix":         "", // the severity comes first
	}
	maps.Copy(all, settings)
	args := []string{"-D", f.cluster}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

// ended records how the server ended.
func (s *Server) ended(err error) {
	switch {
	case !s.stopping.Load():
		s.exit = fmt.Errorf("postgres ended: %s%s", s.cmd.ProcessState, s.output.tail())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		s.exit = fmt.Errorf("postgres ended uncleanly: %w%s", err, s.output.tail())
	}
	s.exit = errors.Join(s.exit, s.folder.close())
	close(s.done)
}

// awaitReady returns when the server accepts connections. After an error it runs no more. A server that is ready when the time is
// over is late.
func (s *Server) awaitReady(ctx context.Context) error {
	for ctx.Err() != nil || !s.accepts() {
		select {
		case <-s.done:
			if s.output.contains("pre-existing shared memory block") {
				return fmt.Errorf("%w: %w", errSessionsRemain, s.exit)
			}
			return s.exit
		case <-ctx.Done():
			stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quitGrace)
			defer cancel()
			return errors.Join(fmt.Errorf("postgres does not accept connections: %w", context.Cause(ctx)), s.Stop(stopCtx))
		case <-time.After(pollInterval):
		}
	}
	return nil
}

// accepts looks where pg_ctl looks: connecting would fill the log with refusals.
func (s *Server) accepts() bool {
	b, err := os.ReadFile(s.folder.pidFile())
	if err != nil {
		return false
	}
	lines := strings.Split(string(b), "\n")
	const pidLine, statusLine = 0, 7
	return len(lines) > statusLine && lines[pidLine] == fmt.Sprint(s.cmd.Process.Pid) &&
		strings.TrimSpace(lines[statusLine]) == "ready"
}

// URL is the connection string of the database postgres, as the superuser postgres, over the Unix socket.
func (s *Server) URL() string {
	// Everything is named, so that no PGPORT or PGSSLMODE of the environment gets in the way.
	q := url.Values{"host": {s.folder.sockets}, "port": {"5432"}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + q.Encode()
}

// PID is the process id of the postmaster.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Done is closed when the server has ended, for whatever reason; the data folder is free again then.
func (s *Server) Done() <-chan struct{} { return s.done }

// Wait returns when the server has ended: nil after a Stop in time, else why it ended, with its last words.
func (s *Server) Wait() error {
	<-s.done
	return s.exit
}

// Stop ends the server: sessions are cut off, their transactions rolled back. When ctx ends before the server, it is
// told to end at once and the next Start recovers; that is an error. Stop may be called again and after the end.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	s.output.quiet.Store(true)
	if err := s.signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-s.done:
		return s.exit
	case <-ctx.Done():
	}
	if err := s.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	// No SIGKILL: it would leave sessions and shared memory behind.
	select {
	case <-s.done:
		return errors.Join(fmt.Errorf("postgres was told to end at once: %w", context.Cause(ctx)), s.exit)
	case <-time.After(quitGrace):
		return fmt.Errorf("postgres (pid %d) does not end", s.PID())
	}
}

func (s *Server) signal(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgres (pid %d): %w", s.PID(), err)
	}
	return nil
}
