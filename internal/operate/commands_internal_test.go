package operate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/fanout"
	"layercake/internal/task"
	"layercake/internal/task/tasktest"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

func TestCommandsWakeTheCommander(t *testing.T) {
	t.Parallel()
	c := NewCommander(CommanderConfig{Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry()})
	topic := c.topic()
	if err := topic.Hear(fanout.Line{Letter: letterCommand}); err == nil || len(c.wake) != 0 {
		t.Errorf("a command of no kind: %v", err)
	}
	if err := topic.Hear(fanout.Line{Letter: letterCommand, Text: strings.Repeat("k", maxKind+1)}); err == nil || len(c.wake) != 0 {
		t.Errorf("a command of a long kind: %v", err)
	}
	for _, kind := range []string{"kick", "kick_user", "drain", "undrain", "one of a newer schema"} {
		if err := topic.Hear(fanout.Line{Letter: letterCommand, Text: kind}); err != nil || len(c.wake) != 1 {
			t.Errorf("%s: %v, woken: %d", kind, err, len(c.wake))
		}
	}
}

// A round of these loops that panics is over, and the next one comes. Here all panic, because there is no database.
func TestLoopsSurvivePanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		registry := prometheus.NewRegistry()
		c := NewCommander(CommanderConfig{
			Wire: fanout.New(fanout.Config{}), Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: registry, Incarnation: uuid.New,
			SendAway: func(context.Context, string, time.Duration) { panic("drain") },
		})
		cleaner := NewCleaner(CleanerConfig{Every: time.Second, Log: c.cfg.Log, Metrics: registry})
		commands, cleaning := task.Go(t.Context(), c.Run), task.Go(t.Context(), cleaner.Run)
		<-time.After(5 * time.Second) // of the bubble
		if err := errors.Join(commands.Stop(), cleaning.Stop()); err != nil {
			t.Error(err)
		}
		c.startDrain(t.Context(), "test", time.Second)
		if err := c.drain.Wait(); !errors.As(err, new(*task.Panic)) {
			t.Errorf("the drain ended with %v", err)
		}
		for _, where := range []string{"commands", "cleanup"} {
			if n := tasktest.Panics(t, registry, where); n < 3 {
				t.Errorf("%d panics of %s were caught", n, where)
			}
		}
		if n := strings.Count(log.String(), "stack="); n != 2 {
			t.Errorf("logged %s", &log)
		}
	})
}

// FuzzCommandLine hears anything, as every role of the database can say it: only a line with the name of a kind causes a look, and however
// many come, one.
func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"", "kick", "drain\x00", strings.Repeat("k", maxKind), strings.Repeat("k", maxKind+1), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &Commander{wake: make(chan struct{}, 1)}
		for range 2 {
			err := c.topic().Hear(fanout.Line{Letter: letterCommand, Text: text})
			want := 0
			if text != "" && len(text) <= maxKind {
				want = 1
			}
			if len(c.wake) != want || (err == nil) != (want == 1) {
				t.Fatalf("%q: %v, %d looks", text, err, len(c.wake))
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("%d bytes are refused in %d", len(text), len(err.Error()))
			}
		}
	})
}
