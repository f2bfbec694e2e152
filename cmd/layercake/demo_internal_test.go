package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"layercake/internal/child"
	"layercake/internal/postgres/pgtest"
)

// actAs makes the test binary another process: layercake with the arguments that it is given, layercake serve, a stand-in for that which
// says its number and waits for SIGTERM, or a supervisor.
const actAs = "LAYERCAKE_TEST_ACT_AS"

func TestMain(m *testing.M) {
	switch role := os.Getenv(actAs); role {
	case "":
		os.Exit(m.Run())
	case "serve":
		os.Args = []string{"layercake", "serve"}
		main()
	case "layercake":
		os.Args[0] = "layercake"
		main()
	case "supervisor":
		s := supervisor{log: slog.New(slog.DiscardHandler), out: child.NewLines(os.Stdout), command: standIn}
		if err := s.run(context.Background(), 2); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		fmt.Println("up", os.Getpid())
		<-terminated.Done()
		fmt.Println("bye")
	}
}

func standIn(ctx context.Context, n int) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), actAs+"=replica"+strconv.Itoa(n))
	return cmd
}

func TestSupervisorRestartsAndStopsReplicas(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	said := bufio.NewScanner(read)
	s := supervisor{log: slog.New(slog.NewTextHandler(t.Output(), nil)), out: child.NewLines(write), command: standIn}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.run(ctx, 2)
		write.Close()
	}()

	pids := map[string]int{}
	for range 2 {
		prefix, pid := nextUp(t, said)
		pids[prefix] = pid
	}
	if len(pids) != 2 {
		t.Fatalf("replicas = %v, want 1 and 2", pids)
	}
	if err := syscall.Kill(pids["2"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if prefix, pid := nextUp(t, said); prefix != "2" || pid == pids["2"] {
		t.Fatalf("replica %s is up as process %d, want 2 as a new one", prefix, pid)
	}

	cancel()
	var last []string
	for said.Scan() {
		last = append(last, said.Text())
	}
	slices.Sort(last)
	if want := []string{"1 | bye", "2 | bye"}; !slices.Equal(last, want) {
		t.Errorf("last lines = %q, want %q", last, want)
	}
	if err := <-ended; err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

func TestReplicasEndWithTheirSupervisor(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells children that their parent was killed")
	}
	// All processes inherit the writing end and nobody writes: its end of file says that the last one has ended.
	alive, inherited, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actAs+"=supervisor")
	cmd.ExtraFiles = []*os.File{inherited}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inherited.Close()
	said := bufio.NewScanner(out)
	nextUp(t, said)
	nextUp(t, said)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := alive.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("replicas live on: %v", err)
	}
}

// Whoever stops a program while its database begins gets no error, which a supervisor would take for a crash.
func TestStopBeforeTheDatabaseIsReady(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	cfg := pgtest.Config(t)
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	err := withDatabase(ctx, cfg, func(context.Context, string) error {
		t.Error("it went on")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDatabaseIsStartedAgainAndStopsLast(t *testing.T) {
	t.Parallel()
	var used string
	err := withDatabase(t.Context(), pgtest.Config(t), func(ctx context.Context, url string) error {
		used = url
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		var pid int
		if err := conn.QueryRow(ctx, "SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int").Scan(&pid); err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
		return connects(ctx, url, pid)
	})
	if err != nil {
		t.Error(err)
	}
	if conn, err := pgx.Connect(t.Context(), used); err == nil {
		t.Error("the database still runs", conn.Close(t.Context()))
	}
}

// connects waits until another server than the one of pid answers.
func connects(ctx context.Context, url string, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		now := pid
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			err = conn.QueryRow(ctx, "SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int").Scan(&now)
			conn.Close(ctx)
		}
		if now != pid {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database does not come back: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestDemoRefusesImpossiblePorts(t *testing.T) {
	t.Parallel()
	good := demoCommand{Replicas: 3, HTTPPort: 3001, AdminPort: 3101}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]demoCommand{
		"no replicas":           {Replicas: 0, HTTPPort: 3001, AdminPort: 3101},
		"port beyond the last":  {Replicas: 3, HTTPPort: 65534, AdminPort: 3101},
		"port zero":             {Replicas: 3, HTTPPort: 3001, AdminPort: 0},
		"overlapping ports":     {Replicas: 3, HTTPPort: 3001, AdminPort: 3003},
		"overlapping backwards": {Replicas: 3, HTTPPort: 3003, AdminPort: 3001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := bad.Validate(); err == nil {
				t.Errorf("%+v is accepted", bad)
			}
		})
	}
}

// nextUp reads "<prefix> | up <pid>".
func nextUp(t *testing.T, said *bufio.Scanner) (prefix string, pid int) {
	t.Helper()
	if !said.Scan() {
		t.Fatalf("nothing is said: %v", said.Err())
	}
	if _, err := fmt.Sscanf(said.Text(), "%s | up %d", &prefix, &pid); err != nil {
		t.Fatalf("%q: %v", said.Text(), err)
	}
	return prefix, pid
}
