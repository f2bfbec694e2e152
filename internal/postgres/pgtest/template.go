package pgtest

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"layercake/internal/embeddedpg"
	"layercake/internal/postgres"
	"layercake/migrations"
)

// templateLock keeps processes from making the same template at once.
const templateLock = 0x6c61796572 // any number of our own

// cacheAge is how long a cached cluster of other migrations is kept for the branch that may need it again.
const cacheAge = 24 * time.Hour

// templateName names the schema by the contents of the migrations and of the SQL contract, so that old templates are never taken
// for new ones.
var templateName = sync.OnceValue(func() string {
	hash := sha256.New()
	for _, files := range []embed.FS{migrations.FS, migrations.API} {
		err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := files.ReadFile(path)
			fmt.Fprintf(hash, "%s %d %s", path, len(b), b)
			return err
		})
		if err != nil {
			panic(err) // an embedded file system that cannot be read is a broken build
		}
	}
	return fmt.Sprintf("layercake_template_%x", hash.Sum(nil)[:6])
})

// makeTemplate makes the template database unless it is there.
func makeTemplate(ctx context.Context, admin string) error {
	// It gets its name when it is complete.
	unfinished := templateName() + "_unfinished"
	unfinishedURL, err := inDatabase(admin, unfinished)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("connect to test server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // gives the lock back
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return fmt.Errorf("lock template: %w", err)
	}
	var there bool
	const find = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, find, templateName()).Scan(&there); err != nil || there {
		return err
	}
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+unfinished); err != nil {
		return fmt.Errorf("make template: %w", err)
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+unfinished); err != nil {
		return fmt.Errorf("make template: %w", err)
	}
	if err := postgres.Migrate(ctx, unfinishedURL, slog.New(slog.DiscardHandler)); err != nil {
		return fmt.Errorf("make template: %w", err)
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+templateName()); err != nil {
		return fmt.Errorf("make template: %w", err)
	}
	return nil
}

// copyCluster returns the configuration of a server that has the template, on a data folder of its own.
func copyCluster(ctx context.Context) (embeddedpg.Config, error) {
	bin, err := embeddedpg.FindBinaries(os.Getenv("LAYERCAKE_PG_BIN"))
	if err != nil {
		return embeddedpg.Config{}, err
	}
	dir, err := newFolder()
	if err != nil {
		return embeddedpg.Config{}, err
	}
	cfg := embeddedpg.Config{
		BinDir:  bin,
		DataDir: dir,
		RunDir:  filepath.Dir(dir),
		Settings: map[string]string{
			// Nothing has to survive a crash of the machine, and a killed server loses nothing by these.
			"fsync":            "off",
			"full_page_writes": "off",
			"max_connections":  "400",
		},
	}
	cached, err := cacheFolder(bin)
	if err != nil {
		return cfg, err
	}
	cluster := filepath.Join(cfg.DataDir, "postgres")
	err = copyFolder(cluster, cached)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, fillCache(ctx, cfg, cluster, cached)
	}
	return cfg, err
}

// fillCache makes the cluster from nothing and keeps a copy.
func fillCache(ctx context.Context, cfg embeddedpg.Config, cluster, cached string) error {
	server, err := embeddedpg.Start(ctx, cfg)
	if err != nil {
		return err
	}
	if err := errors.Join(makeTemplate(ctx, server.URL()), server.Stop(ctx)); err != nil {
		return err
	}
	cache := filepath.Dir(cached)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return err
	}
	removeOld(cache)
	unfinished, err := os.MkdirTemp(cache, "unfinished-")
	if err != nil {
		return err
	}
	if err := os.CopyFS(unfinished, os.DirFS(cluster)); err != nil {
		return err
	}
	if err := os.Rename(unfinished, cached); err != nil {
		return os.RemoveAll(unfinished) // another process was faster
	}
	return nil
}

// removeOld removes cached clusters that nobody has used for a while. It is only tidiness: errors do not matter.
func removeOld(cache string) {
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > cacheAge {
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}

// cacheFolder names the cached cluster of these programs and these migrations.
func cacheFolder(bin string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program, err := os.Stat(filepath.Join(bin, "postgres"))
	if err != nil {
		return "", err
	}
	id := sha256.Sum256(fmt.Append(nil, bin, program.Size(), program.ModTime(), templateName()))
	return filepath.Join(cache, "layercake-test", fmt.Sprintf("%x", id[:6])), nil
}

// copyFolder copies a cached cluster; the server's account gets it with the first start.
func copyFolder(to, from string) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	now := time.Now()
	_ = os.Chtimes(from, now, now) // used; see removeOld
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy cached cluster: %w", err)
	}
	return os.Chmod(to, 0o700) // as postgres demands
}

var folders atomic.Int64

// newFolder makes a folder inside the folder of the process.
func newFolder() (string, error) {
	parent, err := processFolder()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, strconv.FormatInt(folders.Add(1), 10))
	if err := os.Mkdir(dir, 0o711); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) // regardless of the umask
}

// processFolder holds everything of this process. It goes when the process ends, even by SIGKILL: a shell waits for the
// end of a pipe that nobody else holds.
var processFolder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(fastFolder(), "layercake-test-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the account of root's server has to pass
		return "", err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer read.Close()
	untilClosed = write
	// The servers end at the same time; they get 20 s to do so in order.
	const script = `read _; i=0
		while [ $i -lt 200 ] && ls "$0"/*/postgres/postmaster.pid; do sleep 0.1; i=$((i+1)); done
		rm -rf "$0"`
	cmd := exec.Command("/bin/sh", "-c", script, dir)
	cmd.Stdin = read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return "", err
	}
	return dir, nil
})

// fastFolder is in memory where that is large enough: a database is some 300 files, which a disk may take 30 times as
// long to make. Containers have 64 MB by default, which is not enough.
func fastFolder() string {
	const memory, enough = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return os.TempDir()
	}
	return memory
}

// untilClosed is our end of the pipe that the shell of processFolder waits for.
var untilClosed *os.File
