package collab

import (
	"slices"
	"testing"

	"layercake/internal/socket"
)

func TestEveryCloseIsAReasonToLeave(t *testing.T) {
	t.Parallel()
	for _, reason := range slices.Concat(socket.CommonLabels, labels) {
		if leaveReasons[reason] == "" {
			t.Errorf("sockets that close as %q leave for no reason", reason)
		}
	}
}
