package outage

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// limitPause is the least time between two lines of one kind.
const limitPause = time.Second

// Limit returns a handler that passes warnings and errors on to next at most once a second for each message. Otherwise whoever finds a
// request that fails could fill the log with it. The next line of the kind says how many were suppressed since. Messages are constants, so
// there are few kinds; those of Go's HTTP server, which may name a client, are about panics that nothing else caught.
func Limit(next slog.Handler) slog.Handler {
	return limited{next, &kinds{of: make(map[string]*kind)}}
}

// limited passes on what is not too much. Handlers that are made of one for more attributes share its kinds.
type limited struct {
	slog.Handler

	kinds *kinds
}

type kinds struct {
	mu sync.Mutex
	of map[string]*kind // by message
}

type kind struct {
	passed     time.Time // time of the last line
	suppressed int       // lines since
}

// Handle passes a record on, unless one of its kind passed within the last second.
func (l limited) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		suppressed, passes := l.kinds.pass(r)
		if !passes {
			return nil
		}
		if suppressed > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("suppressed", suppressed))
		}
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler with more attributes, for which the same limit holds.
func (l limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limited{l.Handler.WithAttrs(attrs), l.kinds}
}

// WithGroup returns a handler with a group, for which the same limit holds.
func (l limited) WithGroup(name string) slog.Handler {
	return limited{l.Handler.WithGroup(name), l.kinds}
}

// pass reports whether a record passes, and how many of its kind were suppressed before it.
func (k *kinds) pass(r slog.Record) (suppressed int, passes bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.of[r.Message]
	switch {
	case known == nil:
		k.of[r.Message] = &kind{passed: r.Time}
		return 0, true
	case r.Time.Sub(known.passed).Abs() < limitPause: // a clock that was set back does not silence the log
		known.suppressed++
		return 0, false
	}
	suppressed = known.suppressed
	known.passed, known.suppressed = r.Time, 0
	return suppressed, true
}
