package hostile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"
)

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
	last   map[int]deployment.Usage
}

// newGauge begins to measure.
func newGauge(replicas []*deployment.Replica) *gauge {
	ctx, stop := context.WithCancel(context.Background())
	g := &gauge{replicas: replicas, stop: stop, last: map[int]deployment.Usage{}}
	for _, r := range replicas {
		pid := r.PID()
		deployment.ForgetPeak(pid)
		if u, err := deployment.ReadUsage(pid); err == nil {
			g.last[pid] = u
			g.before = max(g.before, u.RSS)
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
		u, err := deployment.ReadUsage(pid)
		if err != nil {
			continue // the replica is away
		}
		g.cpu += u.CPU - g.last[pid].CPU
		g.peak = max(g.peak, u.Peak, u.RSS)
		g.last[pid] = u
		if u.RSS > tooMuchMemory && r.Kill() {
			g.killed = append(g.killed, fmt.Sprintf("replica %d was ended by the bench when it used %d MB", r.Number, u.RSS>>20))
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
