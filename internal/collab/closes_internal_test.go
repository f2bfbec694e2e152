package collab

import "testing"

func TestEveryCloseIsAReasonToLeave(t *testing.T) {
	t.Parallel()
	for _, reason := range closeReasons {
		if leaveReasons[reason] == "" {
			t.Errorf("sockets that close as %q leave for no reason", reason)
		}
	}
}
