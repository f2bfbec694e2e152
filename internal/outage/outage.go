// Package outage keeps what repeats itself out of the log.
package outage

import (
	"context"
	"errors"
	"log/slog"
	"strings"
)

// Log warns when something begins to fail, and again only after it has succeeded in between. Otherwise a loop that tries several times a
// second would fill the log. A Log belongs to one goroutine.
type Log struct {
	log          *slog.Logger
	begins, ends string
	failing      bool // whether the warning was given
}

// New returns a Log that is not failing. The end of an outage is logged unless ends is empty.
func New(log *slog.Logger, begins, ends string) *Log {
	return &Log{log: log, begins: begins, ends: ends}
}

// Note takes the error of one try, with facts for the log. A try that fails after ctx was cancelled failed because of that, which is no
// outage.
func (l *Log) Note(ctx context.Context, err error, facts ...any) {
	switch {
	case err == nil && l.failing:
		l.failing = false
		if l.ends != "" {
			l.log.InfoContext(ctx, l.ends, facts...) //nolint:sloglint // New is given a constant
		}
	case err != nil && !l.failing && ctx.Err() == nil:
		l.failing = true
		l.log.WarnContext(ctx, l.begins, append(facts, "error", Logged(err))...) //nolint:sloglint // New is given a constant
	}
}

// Logged returns what the log says of an error. One that it wraps may say more to the log than elsewhere, as faults do of their causes.
func Logged(err error) slog.Value {
	var wrapped interface {
		error
		slog.LogValuer
	}
	if !errors.As(err, &wrapped) {
		return slog.AnyValue(err)
	}
	return slog.StringValue(strings.Replace(err.Error(), wrapped.Error(), wrapped.LogValue().String(), 1))
}
