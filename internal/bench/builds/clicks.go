package builds

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
)

// clicked is a plan of a few rows.
type clicked struct {
	id     int
	source client.Source
	text   string // the table of nodes
	clicks int
}

// clicks lets somebody execute a plan of a few rows, and measures when another replica tells that it is completed.
func (r *run) clicks(ctx context.Context) error {
	p := &built{number: r.cfg.Projects}
	id, err := r.next().CreateProject(ctx, "clicks")
	if err != nil {
		return err
	}
	var tables []table
	for i, t := range []struct {
		name, kind string
		rows       int
		each       rowsOf
	}{
		{"nodes", "nodes", 10, nodeTable(10, dice(r.cfg.Seed, p.number, 0))},
		{"edges", "edges", 10, edgeTable(10, 10, "e", dice(r.cfg.Seed, p.number, 1))},
		{"layers", "layers", layerCount, layerTable},
	} {
		made, err := r.make(p, i, t.name, t.kind, t.rows, t.each)
		if err != nil {
			return err
		}
		tables = append(tables, made)
	}
	sources, err := upload(ctx, r.next(), id, "clicks", tables...)
	if err != nil {
		return err
	}
	if err := r.connect(ctx, id, sources); err != nil {
		return err
	}
	text, err := os.ReadFile(tables[0].path)
	if err != nil {
		return err
	}
	r.small = &clicked{id: id, source: sources[0], text: string(text)}
	plan, err := readPlan(ctx, r.clients[0], id)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	completed := make(chan time.Time, 1)
	watched := make(chan struct{})
	var ended error // read once watched is closed
	go func() {
		defer close(watched)
		ended = r.clients[1].Watch(watching, id, plan.Cursor, func(event json.RawMessage) error {
			if completes(event, graphNode) {
				select {
				case completed <- time.Now():
				case <-watching.Done():
				}
			}
			return nil
		}, func(error) {})
	}()
	defer func() {
		stop()
		<-watched
	}()
	var times []time.Duration
	for range r.cfg.Clicks {
		if err := r.change(ctx); err != nil {
			return err
		}
		began := time.Now()
		r.turn = len(r.clients) - 1 // the next one is the first
		r.ask(ctx, id, graphNode)
		select {
		case at := <-completed:
			times = append(times, at.Sub(began))
		case <-watched:
			return fmt.Errorf("the watcher was cut off: %w", ended)
		case <-time.After(killTime):
			return fmt.Errorf("nobody told of the end of a build within %v: %s", killTime, r.states(ctx, id))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.result.Click = latencyOf(times)
	r.say("from click to completed at another replica: %v", r.result.Click)
	return nil
}

// change makes the plan of a few rows stale.
func (r *run) change(ctx context.Context) error {
	s := r.small
	s.clicks++
	var text bytes.Buffer
	text.WriteString(strings.ReplaceAll(s.text, "Service ", "Service "+strconv.Itoa(s.clicks)+" "))
	return replaceFile(ctx, r.next(), s.source.ID, fmt.Sprintf("click-%d", s.clicks), s.source.Filename, text.Bytes())
}

// completes reports whether an event says that a build of a node is completed.
func completes(event json.RawMessage, node string) bool {
	var e struct {
		Operations []struct {
			Kind, ID string
			After    json.RawMessage
		}
	}
	if json.Unmarshal(event, &e) != nil {
		return false
	}
	for _, op := range e.Operations {
		var after struct{ ExecutionState string }
		if op.Kind == "EXECUTION_CHANGED" && op.ID == node && json.Unmarshal(op.After, &after) == nil && after.ExecutionState == "completed" {
			return true
		}
	}
	return false
}

// latencyOf sums up times.
func latencyOf(times []time.Duration) bench.Latency {
	if len(times) == 0 {
		return bench.Latency{}
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[min(int(share*float64(len(times))), len(times)-1)].Microseconds()) / 1000
	}
	return bench.Latency{Count: int64(len(times)), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: at(1)}
}
