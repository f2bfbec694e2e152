package bench_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// agentsConfig is of agents who end by the number of changes: how long they take depends on the machine.
func agentsConfig(replicas []*servertest.Replica) bench.AgentsConfig {
	return bench.AgentsConfig{
		URLs: servertest.URLs(replicas), Agents: 18, Projects: 3, Rate: 20, Duration: time.Minute, Changes: 40, Listeners: 12, Updates: 2,
		Posts: 4, Seed: 1, Settle: time.Minute,
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 3, func(c *server.Config) { c.AdminAddr = "127.0.0.1:0" })
	cfg := agentsConfig(replicas)
	for _, r := range replicas {
		cfg.Admins = append(cfg.Admins, r.Admin)
	}
	result, err := bench.Agents(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
	if !result.OK() {
		t.Errorf("not every agent was told of every change: %q", result.Complaints)
	}
	each := int64(cfg.Agents / cfg.Projects) // agents are told of a change
	if result.Answered < cfg.Changes || result.Has.Count != each*result.Answered || len(result.ByEra) != len(client.Eras) {
		t.Errorf("%d changes, told %d times, to %d eras: want %d or more, and %d times as many", result.Answered, result.Has.Count,
			len(result.ByEra), cfg.Changes, each)
	}
	if want := int64(cfg.Listeners * cfg.Updates); result.Told.Count != want {
		t.Errorf("%d updates, want %d", result.Told.Count, want)
	}
	if here, elsewhere := result.PostedHere.Count, result.PostedElsewhere.Count; here != int64(cfg.Posts) || elsewhere != here {
		t.Errorf("%d and %d calls by posts, want %d each", here, elsewhere, cfg.Posts)
	}
	if len(result.Memory) != 2 || result.Memory[0].Bytes == 0 || result.Memory[1].Goroutines == 0 {
		t.Errorf("memory = %v, want that before and while agents wait", result.Memory)
	}
}

func TestAgentsOfOneReplica(t *testing.T) {
	t.Parallel()
	cfg := agentsConfig(servertest.Start(t, 1, nil))
	cfg.Agents, cfg.Listeners, cfg.Updates = 5, 0, 0
	result, err := bench.Agents(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() || result.PostedHere.Count != 0 || result.Told.Count != 0 {
		t.Errorf("result = %+v, want changes and nothing else", result)
	}
}

func TestAgentsSayThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	cfg := agentsConfig(nil)
	cfg.URLs = []string{"http://127.0.0.1:1"}
	if _, err := bench.Agents(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "do the replicas run?") {
		t.Errorf("error = %v, want one that asks for the replicas", err)
	}
}

func TestCheckOfAgents(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*bench.AgentsConfig){
		"":                                   func(*bench.AgentsConfig) {},
		"--allow-remote":                     func(c *bench.AgentsConfig) { c.Admins = []string{"http://192.0.2.1:3101"} },
		"no URL":                             func(c *bench.AgentsConfig) { c.URLs = nil },
		"agents is 0":                        func(c *bench.AgentsConfig) { c.Agents = 0 },
		"projects is 19: it is from 1 to 18": func(c *bench.AgentsConfig) { c.Projects = 19 },
		"listeners is 19":                    func(c *bench.AgentsConfig) { c.Listeners = 19 },
		"updates is -1":                      func(c *bench.AgentsConfig) { c.Updates = -1 },
		"posts is -1":                        func(c *bench.AgentsConfig) { c.Posts = -1 },
		"rate is 0":                          func(c *bench.AgentsConfig) { c.Rate = 0 },
		"duration is 0s":                     func(c *bench.AgentsConfig) { c.Duration = 0 },
		"changes is -1":                      func(c *bench.AgentsConfig) { c.Changes = -1 },
		"settle is 0s":                       func(c *bench.AgentsConfig) { c.Settle = 0 },
	} {
		cfg := agentsConfig(nil)
		cfg.URLs = []string{"http://127.0.0.1:3001"}
		spoil(&cfg)
		if err := cfg.Check(); (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}
