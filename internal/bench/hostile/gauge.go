package hostile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"
)

// usage is what a process uses.
type usage struct {
	cpu       time.Duration
	rss, peak int64 // bytes, now and at most
}

// tick is the unit in which Linux counts processor time for programs.
const tick = 10 * time.Millisecond

// readUsage reads what a process uses.
func readUsage(pid int) (u usage, err error) {
	folder := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return u, err
	}
	// The name of the program, in brackets, may have blanks. User and system time are the 12th and 13th field after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("%s/stat has %d fields after the name", folder, len(fields))
	}
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return u, fmt.Errorf("%s/stat: %w", folder, err)
		}
		u.cpu += time.Duration(ticks) * tick
	}
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return u, err
	}
	u.rss, u.peak = kilobytes(string(status), "VmRSS:"), kilobytes(string(status), "VmHWM:")
	return u, nil
}

// kilobytes returns the bytes in a line of /proc/PID/status, 0 for a process that ends.
func kilobytes(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(number, 10, 64) // 0 for none
	return n << 10
}

// forgetPeak makes Linux count the peak of a process anew.
func forgetPeak(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0o600) // without it the peak includes the past
}

const (
	samplePeriod = 20 * time.Millisecond
	// tooMuchMemory is where the bench ends a replica itself, for the sake of the machine. It is beyond what fails.
	tooMuchMemory = 3 * maxRSS
)

// gauge measures the replicas while they are attacked, through their restarts.
type gauge struct {
	replicas []*deployment.Replica
	before   int64 // largest replica at the beginning, bytes
	stop     context.CancelFunc
	running  sync.WaitGroup

	cpu    time.Duration
	peak   int64
	killed []string // replicas that the bench ended itself, in words
	last   map[int]usage
}

// newGauge begins to measure.
func newGauge(replicas []*deployment.Replica) *gauge {
	ctx, stop := context.WithCancel(context.Background())
	g := &gauge{replicas: replicas, stop: stop, last: map[int]usage{}}
	for _, r := range replicas {
		pid := r.PID()
		forgetPeak(pid)
		if u, err := readUsage(pid); err == nil {
			g.last[pid] = u
			g.before = max(g.before, u.rss)
		}
	}
	g.running.Go(func() {
		for bench.Wait(ctx, samplePeriod) == nil {
			g.sample()
		}
	})
	return g
}

// sample adds what was used since the last time. A process that was started meanwhile has used all of its time since then.
func (g *gauge) sample() {
	for _, r := range g.replicas {
		pid := r.PID()
		u, err := readUsage(pid)
		if err != nil {
			continue // the replica is away
		}
		g.cpu += u.cpu - g.last[pid].cpu
		g.peak = max(g.peak, u.peak, u.rss)
		g.last[pid] = u
		if u.rss > tooMuchMemory && r.Kill() {
			g.killed = append(g.killed, fmt.Sprintf("replica %d was ended by the bench when it used %d MB", r.Number, u.rss>>20))
		}
	}
}

// read ends the measurement.
func (g *gauge) read() *gauge {
	g.stop()
	g.running.Wait()
	g.sample()
	return g
}
