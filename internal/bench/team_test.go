package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
	"layercake/internal/server/servertest"
)

// Agents of all transports come and go, and everybody reads each edit once and in order.
func TestTeam(t *testing.T) {
	t.Parallel()
	const changes = 100
	replicas := servertest.Start(t, 3, nil)
	c := client.New(replicas[0].URL)
	defer c.Close()
	project, err := c.CreateProject(t.Context(), "agents")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bench.MaxRecovery)
	defer cancel()
	team, err := bench.StartTeam(ctx, servertest.URLs(replicas), project, 10*time.Millisecond, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	enough := errors.New("enough")
	err = client.New(replicas[0].URL).Watch(ctx, project, "", func(event json.RawMessage) error {
		var e struct{ Version int64 }
		if err := json.Unmarshal(event, &e); err != nil || e.Version < changes {
			return err
		}
		return enough
	}, func(error) {})
	if !errors.Is(err, enough) {
		t.Fatal("there were too few changes:", err)
	}
	r, err := team.Settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	// Each of six readers reads every change, and everybody came a first time.
	if !r.OK() || r.Snapshots > 0 || r.Edits < changes || r.Changes != 6*int64(r.Edits) || r.Visits < int64(r.Agents) {
		t.Errorf("%v: %q", r, r.Complaints)
	}
}
