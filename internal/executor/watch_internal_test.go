package executor

import (
	"testing"

	"layercake/internal/db"
)

// How far builds are is asked beside the events, so what the last poll saw may be older than the event that ended the build.
func TestPollIsOlderThanEvent(t *testing.T) {
	t.Parallel()
	for state, told := range map[string]int{
		statePending: 1, stateProcessing: 1, stateCompleted: 0, stateError: 0, stateNotStarted: 0,
	} {
		got := 0
		w := watcher{
			known: map[string]Execution{"m": {NodeID: "m", GraphID: 1, State: state}},
			yield: func(Execution, error) bool { got++; return true },
		}
		w.poll(&progress{claims: map[int32]db.ListClaimsRow{1: {GraphID: 1, Phase: phaseWriting}}})
		if got != told {
			t.Errorf("a claim told %d executions of a graph that is %s, want %d", got, state, told)
		}
	}
}
