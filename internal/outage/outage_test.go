package outage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"layercake/internal/fault"
	"layercake/internal/outage"

	"github.com/google/go-cmp/cmp"
)

func TestNote(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	busy := fmt.Errorf("ask: %w", fault.New(fault.Unavailable, "busy").Because(lost))
	for name, c := range map[string]struct {
		ends  string
		tries []error
		want  []string
	}{
		"an outage is logged once":         {"", []error{nil, lost, lost, lost}, []string{"WARN cannot reason=x error=lost"}},
		"its end need not be":              {"", []error{lost, nil, nil}, []string{"WARN cannot reason=x error=lost"}},
		"its end is, once, where asked to": {"can again", []error{nil, lost, nil, nil}, []string{"WARN cannot reason=x error=lost", `INFO "can again" reason=x`}},
		"the log says why":                 {"", []error{busy}, []string{`WARN cannot reason=x error="ask: busy: lost"`}},
		"the next outage is another": {
			"",
			[]error{lost, nil, lost},
			[]string{"WARN cannot reason=x error=lost", "WARN cannot reason=x error=lost"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, lines := record()
			l := outage.New(log, "cannot", c.ends)
			for _, err := range c.tries {
				l.Note(t.Context(), err, "reason", "x")
			}
			if diff := cmp.Diff(c.want, lines()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whoever stops cancels queries in hand. That is no outage, and does not hide one.
func TestStopping(t *testing.T) {
	t.Parallel()
	log, lines := record()
	l := outage.New(log, "cannot", "")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	l.Note(stopped, stopped.Err())
	if got := lines(); len(got) > 0 {
		t.Errorf("%q was logged while stopping", got)
	}
	l.Note(t.Context(), errors.New("lost"))
	if got := lines(); len(got) != 1 {
		t.Errorf("%q, want the outage", got)
	}
}

// record returns a log and its lines without what is the same in all of them.
func record() (log *slog.Logger, lines func() []string) {
	var text strings.Builder
	log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return log, func() []string {
		plain := strings.NewReplacer("level=", "", "msg=", "").Replace(text.String())
		return strings.FieldsFunc(plain, func(r rune) bool { return r == '\n' })
	}
}
