package servertest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"layercake/internal/child"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/socket"
)

// The variables of a process that is to be a replica: the URL of its database, and what else it is told.
const (
	environment     = "LAYERCAKE_SERVERTEST_DATABASE"
	toldEnvironment = "LAYERCAKE_SERVERTEST_TOLD"
)

// Told is what a replica in a process of its own is told beside its database. Zero values stand for what every replica of a test has.
type Told struct {
	HTTPAddr  string // such as one of Address, for a replica that comes back there
	AdminAddr string
	Streams   socket.Timing
	Deployed  bool // whether its patience and its pool are those of a deployment
}

// Variable is what StartProcess is given.
func (o Told) Variable() string {
	text, _ := json.Marshal(o) //nolint:errchkjson // texts and numbers
	return toldEnvironment + "=" + string(text)
}

// Process is a replica in a process of its own, for tests that kill or suspend it.
type Process struct {
	URL string

	t        testing.TB
	database string
	cmd      *exec.Cmd
	ended    chan struct{}
}

// IsProcess reports whether this process is to be a replica rather than to run tests. Packages that call StartProcess ask
// in their TestMain, and then exit with RunProcess.
func IsProcess() bool { return os.Getenv(environment) != "" }

// RunProcess is a replica until standard input ends. It returns the status to exit with.
func RunProcess() int {
	cfg := config(os.Getenv(environment))
	var told Told
	_ = json.Unmarshal([]byte(os.Getenv(toldEnvironment)), &told) // it was written by Variable, or is absent
	cfg.HTTPAddr, cfg.AdminAddr, cfg.Streams = cmp.Or(told.HTTPAddr, cfg.HTTPAddr), told.AdminAddr, told.Streams
	if told.Deployed {
		cfg.Patience, cfg.Database, cfg.Changes, cfg.PoolMax = 0, postgres.DefaultTiming, plan.DefaultTiming, 100
	}
	cfg.Lease, cfg.Log = LongLease, slog.New(slog.NewTextHandler(os.Stderr, nil))
	s := server.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it
		cancel()
	}()
	go func() {
		<-s.Ready()
		fmt.Fprintln(os.Stdout, "http://"+s.Addr())
	}()
	if err := s.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// StartProcess runs a replica of the database in a process of its own, with a LongLease, until the test ends. Variables such as
// GOMEMLIMIT=512MiB are added to its environment.
func StartProcess(t testing.TB, database string, variables ...string) *Process {
	t.Helper()
	p := &Process{t: t, database: database, ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(append(os.Environ(), environment+"="+database), variables...)
	p.cmd.Stderr = t.Output()
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	err = child.Start(p.cmd, syscall.SIGKILL, func(error) { close(p.ended) })
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		url <- strings.TrimSpace(line)
	}()
	t.Cleanup(func() {
		p.Resume()
		_ = stdin.Close()
		select {
		case <-p.ended:
		case <-time.After(pgtest.Patience):
			t.Error("the process of a replica did not end")
			p.Kill()
		}
	})
	select {
	case p.URL = <-url:
	case <-time.After(pgtest.Patience):
	}
	if p.URL == "" {
		t.Fatal("the process of a replica did not get ready")
	}
	return p
}

// Kill ends the replica as a crash of its machine would. It returns when the process has ended.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// Suspend stops the process where it is; its connections stay open.
func (p *Process) Suspend() { p.signal(syscall.SIGSTOP) }

// Resume lets a suspended process go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Expire ends the lease of a process that was killed or suspended, as time would. It returns when another replica has removed it.
func (p *Process) Expire() {
	p.t.Helper()
	const expire = `WITH expired AS (UPDATE replicas SET renewed_at = now() - interval '2 s', expires_at = now() - interval '1 s'
		WHERE address = $1 RETURNING 1) SELECT count(*) FROM expired` // again and again: a renewal may have been under way
	pgtest.AwaitCount(p.t, pgtest.Connect(p.t, p.database), 0, expire, strings.TrimPrefix(p.URL, "http://"))
}

func (p *Process) signal(sig syscall.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// PeakMemory is the most memory that the process had so far, in bytes. It is 0 where there is no /proc.
func (p *Process) PeakMemory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		if _, err := os.Stat("/proc/self/status"); err == nil {
			p.t.Fatal("the process of a replica has ended")
		}
		return 0
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes := 0
	if _, err := fmt.Sscanf(peak, "%d kB", &kilobytes); err != nil {
		p.t.Fatal(err)
	}
	return kilobytes << 10
}

// PID is the id of the process, for tests that measure it.
func (p *Process) PID() int { return p.cmd.Process.Pid }
