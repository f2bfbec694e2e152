package deployment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"layercake/internal/bench"
	"layercake/internal/child"
	"layercake/internal/client"
	"layercake/internal/server"
)

const (
	replicaStops = 20 * time.Second // for a replica to stop in order; then it is killed
	replicaPause = 100 * time.Millisecond
	replicaReady = time.Minute
)

// Replica is a process that is started again whenever it ends.
type Replica struct {
	Number     int    // number, from 1
	URL, Admin string // addresses, for clients and for operators

	required bool // whether everybody signs in there

	command func() *exec.Cmd // command that serves as its environment says
	out     *child.Lines     // receiver of the output

	mu      sync.Mutex
	env     []string
	cmd     *exec.Cmd // nil while none runs
	ended   chan struct{}
	killed  bool     // whether we ended the process
	away    bool     // whether it stays ended for now
	crashes int      // deaths that its environment asked for
	deaths  []string // deaths that nobody asked for
}

// run keeps the process running until ctx ends, and then stops it in order.
func (r *Replica) run(ctx context.Context) error {
	for ctx.Err() == nil {
		ended, err := r.start()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return r.stop(ended)
		case <-ended:
		}
		_ = bench.Wait(ctx, replicaPause) // the loop looks at ctx
		for ctx.Err() == nil && r.isAway() {
			_ = bench.Wait(ctx, replicaPause) // the loop looks at ctx
		}
	}
	return nil
}

// KeepAway decides whether the process is started again after its end.
func (r *Replica) KeepAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func (r *Replica) isAway() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

func (r *Replica) start() (ended chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cmd := r.command()
	cmd.Env = append(append(os.Environ(), cmd.Env...), r.env...)
	out := r.out.Prefixed(strconv.Itoa(r.Number) + " | ")
	cmd.Stdout, cmd.Stderr = out, out
	r.cmd, r.ended, r.killed = cmd, make(chan struct{}), false
	ended = r.ended
	// The signal is SIGKILL, because a suspended replica would not see another one.
	err = child.Start(cmd, syscall.SIGKILL, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.note(err)
		r.cmd = nil
		close(ended)
	})
	return ended, err
}

// note remembers how the process ended. A replica that serves must go on whatever the database does; one that starts without a database
// may give up.
func (r *Replica) note(err error) {
	exit := new(exec.ExitError)
	switch {
	case r.killed || !errors.As(err, &exit) || exit.ExitCode() == 1:
	case exit.ExitCode() == server.CrashStatus:
		r.crashes++
	default:
		r.deaths = append(r.deaths, fmt.Sprintf("replica %d ended by itself: %v", r.Number, err))
	}
}

// Died returns the deaths that nobody asked for.
func (r *Replica) Died() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.deaths)
}

// Crashes returns how often the process died because LAYERCAKE_FAULT_CRASH asked for it.
func (r *Replica) Crashes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.crashes
}

// stop ends the process in order, or kills it when that takes too long.
func (r *Replica) stop(ended <-chan struct{}) error {
	r.Signal(syscall.SIGCONT)
	r.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		return nil
	case <-time.After(replicaStops):
	}
	r.Kill()
	<-ended
	return fmt.Errorf("replica %d did not stop within %v", r.Number, replicaStops)
}

// PID returns the id of the process, 0 while none runs.
func (r *Replica) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// Restart ends the process, in order if it does so within patience, and returns when the next one is ready.
func (r *Replica) Restart(ctx context.Context, patience time.Duration) error {
	r.mu.Lock()
	ended := r.ended
	r.mu.Unlock()
	r.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		r.Kill()
		<-ended
	}
	return r.ready(ctx)
}

// Signal reports whether there was a process to signal.
func (r *Replica) Signal(sig syscall.Signal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd != nil && r.cmd.Process.Signal(sig) == nil
}

// Kill ends the process without a warning.
func (r *Replica) Kill() bool {
	r.mu.Lock()
	r.killed = true
	r.mu.Unlock()
	return r.Signal(syscall.SIGKILL)
}

// configure starts the process again in order, unless it has this environment already.
func (r *Replica) configure(ctx context.Context, env []string) error {
	r.mu.Lock()
	same := slices.Equal(env, r.env)
	r.env = env
	ended := r.ended
	r.mu.Unlock()
	if same {
		return nil
	}
	r.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		return nil
	case <-time.After(replicaStops):
		return fmt.Errorf("replica %d did not stop within %v", r.Number, replicaStops)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ready waits until the replica says that it should get requests.
func (r *Replica) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, replicaReady, fmt.Errorf("replica %d is not ready after %v", r.Number, replicaReady))
	defer cancel()
	for !r.Healthy(ctx) {
		if err := bench.Wait(ctx, replicaPause); err != nil {
			return err
		}
	}
	return nil
}

// Healthy reports whether the replica says within a second that it should get requests.
func (r *Replica) Healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer, err := client.Get(ctx, r.URL+"/health/ready")
	return err == nil && answer.Status == http.StatusOK
}

// ports are the ports of the deployments of this process, which keep them while their replicas are down.
var ports = struct {
	mu    sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

// freePorts returns ports of 127.0.0.1 that nobody uses, and that the system gives to nobody who lets it choose: a replica that
// is down must find its own again. The caller releases them.
func freePorts(n int) ([]int, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	var free []int
	for range 10_000 {
		port := 20_000 + rand.N(12_000)
		if ports.taken[port] {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = listener.Close() // it was only asked for
		ports.taken[port] = true
		if free = append(free, port); len(free) == n {
			return free, nil
		}
	}
	return nil, errors.New("no free ports")
}

// releasePorts lets others have ports that freePorts returned.
func releasePorts(free []int) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for _, port := range free {
		delete(ports.taken, port)
	}
}
