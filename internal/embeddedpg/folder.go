package embeddedpg

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"layercake/internal/task"

	"layercake/internal/child"
)

// maxSocketPath is what every supported system can address, without the closing zero byte.
const maxSocketPath = 103

// DefaultDataDir returns the data folder when none is configured: /var/lib/layercake for root, else layercake in the
// user's data folder ($XDG_DATA_HOME or ~/.local/share). It does not make the folder.
func DefaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/layercake", nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) { // a relative one is invalid, says the specification
		return filepath.Join(data, "layercake"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no data folder: %w; set LAYERCAKE_DATA_DIR", err)
	}
	return filepath.Join(home, ".local", "share", "layercake"), nil
}

// folder is a data folder that this process has locked.
type folder struct {
	path    string
	cluster string
	sockets string // empty until makeSocketDir
	account *account
	lock    *os.File
}

func openFolder(path string) (*folder, error) {
	if path == "" {
		return nil, errors.New("no data folder given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeDataDir(path); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	// Links are resolved once, so that the checks and the server see the same folder.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	f := &folder{path: path, cluster: filepath.Join(path, "postgres")}
	if f.account, err = accountFor(f.cluster); err != nil {
		return nil, err
	}
	if err := f.account.reach(path); err != nil {
		return nil, err
	}
	f.lock, err = lock(f.cluster + ".lock")
	return f, err
}

// makeDataDir makes the folder, and those above it that are missing, so that the account can pass, whatever the umask.
func makeDataDir(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDataDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil || os.Geteuid() != 0 {
		return err
	}
	return os.Chmod(path, 0o711)
}

// close lets others use the folder.
func (f *folder) close() error {
	var err error
	if f.sockets != "" {
		err = os.RemoveAll(f.sockets)
	}
	return errors.Join(err, unlock(f.lock))
}

func (f *folder) pidFile() string { return filepath.Join(f.cluster, "postmaster.pid") }

// lock holds a file until it is closed or the process ends, and writes into it who does.
func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := make([]byte, 256)
		n, _ := file.Read(holder) // the name is a help, not needed
		return nil, errors.Join(fmt.Errorf("data folder %s is in use by %s", filepath.Dir(path),
			strings.TrimSpace(string(holder[:n]))), file.Close())
	}
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(file, "process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0]))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", filepath.Dir(path), err), file.Close())
	}
	return file, nil
}

// unlock gives a lock back at once: a process that is being forked holds a copy of the file until it runs its program, and the
// lock with it.
func unlock(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}

// prepare sees to it that there is a cluster of the right version.
func (f *folder) prepare(ctx context.Context, cfg Config) error {
	major, err := majorVersion(f.account, cfg.BinDir)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(f.cluster, "PG_VERSION"))
	switch version := strings.TrimSpace(string(b)); {
	case errors.Is(err, fs.ErrNotExist):
		return f.initialise(ctx, cfg)
	case err != nil:
		return fmt.Errorf("read version of data folder: %w", err)
	case version != strconv.Itoa(major):
		return fmt.Errorf("data folder %s is of PostgreSQL %s, but the programs in %s are of PostgreSQL %d; nothing was "+
			"changed: set LAYERCAKE_PG_BIN to the programs of PostgreSQL %[2]s (Debian: package postgresql-%[2]s, "+
			"/usr/lib/postgresql/%[2]s/bin), move the data with pg_upgrade, or choose another LAYERCAKE_DATA_DIR",
			f.cluster, version, cfg.BinDir, major)
	}
	return f.account.ownTree(f.cluster)
}

// initialise makes a new cluster under a temporary name: an initdb that was killed leaves nothing that looks complete.
func (f *folder) initialise(ctx context.Context, cfg Config) error {
	if there, err := os.ReadDir(f.cluster); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if len(there) > 0 {
		return fmt.Errorf("%s is there, but is no database of PostgreSQL: move it away", f.cluster)
	}
	unfinished := f.cluster + ".init"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return fmt.Errorf("initialise data folder: %w", err)
	}
	if err := f.account.own(unfinished); err != nil {
		return fmt.Errorf("initialise data folder: %w", err)
	}
	program, args := "initdb", []string{
		"--pgdata", unfinished, "--username", "postgres", "--encoding", "UTF8", "--locale", locale,
		"--auth-local", "trust", "--auth-host", "reject",
	}
	if cfg.Primary != "" {
		program, args = "pg_basebackup", []string{
			"--pgdata", unfinished, "--dbname", cfg.Primary, "--write-recovery-conf", "--checkpoint", "fast",
		}
	}
	if cfg.Settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	cfg.Log.InfoContext(ctx, "initialising database", "folder", f.cluster, "program", program)
	var out bytes.Buffer
	cmd := f.account.command(cfg.BinDir, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Run(cmd, syscall.SIGINT); err != nil {
		return fmt.Errorf("%s%s: %w: %s", program, f.account, err, &out)
	}
	if err := os.Rename(unfinished, f.cluster); err != nil {
		return fmt.Errorf("name the new database: %w", err)
	}
	return syncDir(f.path)
}

// syncDir makes a rename in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// stopOrphan ends a server that has outlived the process that ran it. We hold the lock, so nobody needs it.
func (f *folder) stopOrphan(ctx context.Context, log *slog.Logger) error {
	path := f.pidFile()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 0 {
		// A crash cut it short; postgres would wait for somebody to remove it.
		return os.Remove(path)
	}
	running := func() bool { return strings.Contains(commandLine(pid), "-D "+f.cluster+" ") }
	if running() {
		log.WarnContext(ctx, "stopping a database that outlived its parent", "pid", pid, "folder", f.cluster)
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop the server (pid %d) that runs in %s: %w", pid, f.cluster, err)
		}
		for running() {
			if !task.Pause(ctx, pollInterval) {
				return fmt.Errorf("a server (pid %d) still runs in %s: %w", pid, f.cluster, context.Cause(ctx))
			}
		}
		return nil
	}
	if syscall.Kill(pid, 0) == nil {
		// The number belongs to another process by now, for which postgres would wait. It never waits for its parent,
		// and the rest of the file lets it look for sessions that still run.
		return f.replace(path, fmt.Sprintf("%d\n%s", os.Getpid(), rest))
	}
	return nil
}

// replace writes a file of the cluster in one step.
func (f *folder) replace(path, content string) error {
	next := path + ".next"
	err := os.WriteFile(next, []byte(content), 0o600)
	if err == nil {
		err = f.account.own(next)
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	return err
}

// makeSocketDir makes a private folder for the server's socket, with a path short enough for one.
func (f *folder) makeSocketDir(runDir string) error {
	name := fmt.Sprintf("layercake-pg-%x", sha256.Sum256([]byte(f.path)))[:len("layercake-pg-")+12]
	var reasons []error
	for _, parent := range []string{cmp.Or(runDir, os.TempDir()), "/tmp"} {
		dir := filepath.Join(parent, name)
		if socket := filepath.Join(dir, ".s.PGSQL.5432"); len(socket) > maxSocketPath {
			reasons = append(reasons, fmt.Errorf("%s is longer than %d bytes", socket, maxSocketPath))
			continue
		}
		if err := f.account.reach(parent); err != nil {
			reasons = append(reasons, err)
			continue
		}
		// What a killed server left goes. A folder that is new is ours, whoever else may write into its parent.
		err := os.RemoveAll(dir)
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err == nil {
			err = f.account.own(dir)
		}
		if err == nil {
			f.sockets = dir
			return nil
		}
		reasons = append(reasons, err)
	}
	return fmt.Errorf("no folder for the socket: %w", errors.Join(reasons...))
}
