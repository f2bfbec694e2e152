package operate

import (
	"testing"

	"layercake/internal/fanout"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCommandsWakeTheCommander(t *testing.T) {
	t.Parallel()
	c := NewCommander(CommanderConfig{Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry()})
	topic := c.topic()
	if err := topic.Hear(fanout.Line{Letter: letterCommand}); err == nil || len(c.wake) != 0 {
		t.Errorf("a command of no kind: %v", err)
	}
	for _, kind := range []string{"kick", "kick_user", "drain", "undrain", "one of a newer schema"} {
		if err := topic.Hear(fanout.Line{Letter: letterCommand, Text: kind}); err != nil || len(c.wake) != 1 {
			t.Errorf("%s: %v, woken: %d", kind, err, len(c.wake))
		}
	}
}
