package embeddedpg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"layercake/internal/embeddedpg"
	"layercake/internal/postgres/pgtest"
)

// parentOf makes the test binary a process that runs a server in the folder it names, until it is killed.
const parentOf = "EMBEDDEDPG_TEST_PARENT_OF"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentOf); dir != "" {
		if err := beParent(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func beParent(dir string) error {
	ctx := context.Background()
	s, err := embeddedpg.Start(ctx, embeddedpg.Config{DataDir: dir, RunDir: filepath.Dir(dir)})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "create table kept as select 42 as answer"); err != nil {
		return err
	}
	fmt.Println(s.PID())
	return s.Wait()
}

func TestDataOutlivesAStop(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	s := start(t, cfg)
	query(t, s, "create table kept as select 42 as answer")
	stop(t, s)
	if err := s.Wait(); err != nil {
		t.Errorf("Wait after Stop = %v, want nil", err)
	}
	stop(t, s) // again is allowed

	s = start(t, cfg)
	if got := query(t, s, "select answer from kept"); got != 42 {
		t.Errorf("answer = %d, want 42", got)
	}
}

func TestSettingsReachTheServer(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DataDir = filepath.Join(cfg.DataDir, "folders", "to", "make")
	cfg.Settings["max_connections"] = "37"
	s := start(t, cfg)
	if got := query(t, s, "select current_setting('max_connections')::int"); got != 37 {
		t.Errorf("max_connections = %d, want 37", got)
	}
	if got := query(t, s, "select count(*)::int from pg_settings where name = 'listen_addresses' and setting = ''"); got != 1 {
		t.Error("the server listens on TCP")
	}
}

func TestWrongSettingIsInTheError(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Config(t)
	cfg.Settings["max_connections"] = "many"
	_, err := embeddedpg.Start(t.Context(), cfg)
	wantError(t, err, "max_connections", "many")
	cfg.Settings["max_connections"] = "37"
	start(t, cfg) // the folder is free and good
}

func TestSecondStartOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Config(t)
	s := start(t, cfg)
	_, err := embeddedpg.Start(t.Context(), cfg)
	wantError(t, err, cfg.DataDir, "in use", strconv.Itoa(os.Getpid()))
	if got := query(t, s, "select 1"); got != 1 {
		t.Error("the first server was disturbed")
	}
}

func TestTwoFoldersRunSideBySide(t *testing.T) {
	t.Parallel()
	a, b := start(t, pgtest.Config(t)), start(t, pgtest.Config(t))
	query(t, a, "create table kept as select 1 as answer")
	query(t, b, "create table kept as select 2 as answer")
	if got := query(t, a, "select answer from kept"); got != 1 {
		t.Errorf("answer of the first server = %d, want 1", got)
	}
}

// killed returns a server that was killed after it had stored the answer 42, and its configuration.
func killed(t *testing.T) (embeddedpg.Config, *embeddedpg.Server) {
	t.Helper()
	cfg := pgtest.Config(t)
	s := start(t, cfg)
	query(t, s, "create table kept as select 42 as answer")
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, s.Done())
	return cfg, s
}

func TestKilledServerIsReportedAndRecovers(t *testing.T) {
	t.Parallel()
	cfg, s := killed(t)
	wantError(t, s.Wait(), "killed")

	s = start(t, cfg)
	if got := query(t, s, "select answer from kept"); got != 42 {
		t.Errorf("answer = %d, want 42", got)
	}
}

func TestKilledParentLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	for name, alsoServer := range map[string]bool{"parent": false, "parent and server": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := pgtest.Config(t)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), parentOf+"="+cfg.DataDir)
			cmd.Stderr = os.Stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatalf("the parent says nothing: %v, %v", err, cmd.Wait())
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			if alsoServer {
				// First, and while the parent cannot see it: the end of the parent tells the server to stop.
				if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed

			s := start(t, cfg)
			if got := query(t, s, "select answer from kept"); got != 42 {
				t.Errorf("answer = %d, want 42", got)
			}
		})
	}
}

// A process that has nothing to do with the server may have got the number of a postmaster that was killed.
func TestStalePidFileOfAnotherProcessIsNoObstacle(t *testing.T) {
	t.Parallel()
	// A parent of ours would not do: postgres knows that its ancestors are no servers.
	other := exec.CommandContext(t.Context(), "sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Wait() }) // killed by the test's context
	for name, content := range map[string]string{
		"another process": fmt.Sprintf("%d\n", other.Process.Pid),
		"cut short":       "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, _ := killed(t)
			path := filepath.Join(cfg.DataDir, "postgres", "postmaster.pid")
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, rest, _ := strings.Cut(string(old), "\n"); content != "" {
				content += rest
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, cfg)
			if got := query(t, s, "select answer from kept"); got != 42 {
				t.Errorf("answer = %d, want 42", got)
			}
		})
	}
}

func TestOtherMajorVersionIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Config(t)
	stop(t, start(t, cfg))
	cluster := filepath.Join(cfg.DataDir, "postgres")
	if err := os.WriteFile(filepath.Join(cluster, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, cluster)
	_, err := embeddedpg.Start(t.Context(), cfg)
	wantError(t, err, cluster, "PostgreSQL 9", cfg.BinDir, "LAYERCAKE_PG_BIN")
	if diff := cmp.Diff(before, listing(t, cluster)); diff != "" {
		t.Errorf("the folder was changed (-before +after):\n%s", diff)
	}
}

func TestForeignFolderIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	file := filepath.Join(cfg.DataDir, "postgres", "diary.txt")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := embeddedpg.Start(t.Context(), cfg)
	wantError(t, err, filepath.Dir(file), "no database")
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestUnfinishedInitdbIsRepeated(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	if err := os.MkdirAll(filepath.Join(cfg.DataDir, "postgres.init", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}

func TestServerThatIsNotReadyInTimeIsStopped(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Config(t)
	stop(t, start(t, cfg))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := embeddedpg.Start(ctx, cfg)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Start = %v, want context.Canceled", err)
	}
	start(t, cfg) // the folder is free
}

func TestFolderOutOfReachOfTheAccount(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as somebody else")
	}
	cfg := config(t)
	closed := filepath.Join(cfg.DataDir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.DataDir = filepath.Join(closed, "data")
	_, err := embeddedpg.Start(t.Context(), cfg)
	wantError(t, err, closed, "may not enter", "LAYERCAKE_DATA_DIR")
}

func TestNoBinaries(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	_, err := embeddedpg.FindBinaries(empty)
	wantError(t, err, empty, "LAYERCAKE_PG_BIN")
	_, err = embeddedpg.Start(t.Context(), embeddedpg.Config{BinDir: empty, DataDir: pgtest.Folder(t)})
	wantError(t, err, empty)
	for _, help := range []string{"apt-get install postgresql", "LAYERCAKE_DATABASE_URL"} {
		wantError(t, embeddedpg.ErrNoBinaries, help)
	}
}

// config is like pgtest.Config, with an empty data folder.
func config(t *testing.T) embeddedpg.Config {
	t.Helper()
	return embeddedpg.Config{
		BinDir: pgtest.Binaries(t), DataDir: pgtest.Folder(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Settings: map[string]string{"fsync": "off", "shared_buffers": "4MB"},
	}
}

func start(t *testing.T, cfg embeddedpg.Config) *embeddedpg.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := embeddedpg.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.Stop(ctx) // some tests kill it
	})
	return s
}

func stop(t *testing.T, s *embeddedpg.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// query runs one statement and returns its number, or 0 when it has no result.
func query(t *testing.T, s *embeddedpg.Server, sql string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var n int
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func waitFor(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the server has not ended within a minute")
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// listing is every file below dir with its size and time.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, fmt.Sprint(path, info.Size(), info.ModTime()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestStandbyFollowsAndCanBePromoted(t *testing.T) {
	t.Parallel()
	primary := start(t, config(t))
	query(t, primary, "create table kept as select 42 as answer")
	cfg := config(t)
	cfg.Primary = primary.URL()
	standby := start(t, cfg)
	if got := query(t, standby, "select answer + pg_is_in_recovery()::int from kept"); got != 43 {
		t.Errorf("answer = %d, want 43: that of the primary, and 1 because this is no primary", got)
	}
	stop(t, primary)
	if got := query(t, standby, "select pg_promote()::int"); got != 1 {
		t.Fatalf("promoted = %d, want 1", got)
	}
	query(t, standby, "insert into kept values (1)")
}
