package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"layercake/internal/bench/hostile"
	"layercake/internal/postgres/pgtest"
)

// layercakeAs makes the test binary the command line: the real one, as a process of its own.
func layercakeAs(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), actAs+"=layercake")
	return cmd
}

// Cheap attacks: beside honest people, alone, and on the command line; `make hostile` does all of them. Whether they hold says `make hostile`,
// too: here other tests run.
func TestHostile(t *testing.T) {
	t.Parallel()
	result, err := hostile.Run(t.Context(), hostile.Config{
		Layercake: layercakeAs, Binaries: pgtest.Binaries(t), Duration: 500 * time.Millisecond, Seed: 1, Progress: t.Output(),
		Attacks: []string{"sockets-many", "texts-reflected", "yaml-aliased"},
	})
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Error(err)
	}
	t.Logf("%v\n%s", err, &table)
	if (err == nil) != result.OK() {
		t.Errorf("error %v, OK %v: want an error when an attack succeeded, and only then", err, result.OK())
	}
	most := map[string]int64{"quiet": 1, "sockets-many": 600, "texts-reflected": 19, "yaml-aliased": 1}
	if len(result.Rows) != len(most) {
		t.Fatalf("%d rows, want %d", len(result.Rows), len(most))
	}
	for _, row := range result.Rows {
		if row.Requests < 1 || row.Requests > most[row.Attack] { // an attack ends with its time
			t.Errorf("%s: %d requests, want 1 to %d", row.Attack, row.Requests, most[row.Attack])
		}
		if !row.Alone && (row.Changes == 0 || row.P99 == 0 || row.RSSBefore == 0 || row.RSSPeak < row.RSSBefore) {
			t.Errorf("%+v: want honest changes, and the memory of replicas", row)
		}
	}
}

func TestHostileRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]hostile.Config{
		"attack":   {Attacks: []string{"meteor"}, Duration: time.Second},
		"duration": {Duration: time.Millisecond},
	} {
		if _, err := hostile.Run(t.Context(), bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
