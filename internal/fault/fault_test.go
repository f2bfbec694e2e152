package fault_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"layercake/internal/fault"
)

// A fault hides its cause from clients, not from whoever reads the log.
func TestLogsSayTheCause(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	err := fault.New(fault.Unavailable, fault.Busy).Because(errors.New("too many connections for role"))
	slog.New(slog.NewTextHandler(&log, nil)).Info("failed", "error", err)
	if !strings.Contains(log.String(), fault.Busy+": too many connections for role") {
		t.Errorf("the log says %s", &log)
	}
	if err.Error() != fault.Busy {
		t.Errorf("clients are told %q", err)
	}
}
