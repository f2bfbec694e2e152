package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"
)

// benchCommand measures replicas.
type benchCommand struct {
	Storm   stormCommand   `cmd:"" help:"Let many change plans of running replicas at once, and check that every subscriber gets every change."`
	Soak    soakCommand    `cmd:"" help:"Load replicas and a database of its own for minutes, and check that nothing grows."`
	Chaos   chaosCommand   `cmd:"" help:"Do harm to replicas and a database of its own, and check that nothing is lost."`
	Hostile hostileCommand `cmd:"" help:"Attack replicas and a database of its own, and check that honest people notice nothing."`
	Builds  buildsCommand  `cmd:"" help:"Upload tables, build graphs of them and kill those that build, over replicas and a database of its own, and check every result."`
	Joins   joinsCommand   `cmd:"" help:"Let many people join running replicas at once, and check that each is answered and sees all others."`
	Flood   floodCommand   `cmd:"" help:"Let many cursors move in running replicas, and check that everybody sees them all."`
	Agents  agentsCommand  `cmd:"" help:"Let many agents edit plans of running replicas and wait for changes, and check that each is told of every one."`
}

// stormCommand runs storms against replicas on this machine.
type stormCommand struct {
	URL         []string      `name:"url" default:"http://127.0.0.1:3001,http://127.0.0.1:3002,http://127.0.0.1:3003" help:"Replicas of one deployment."`
	Mutators    int           `default:"50" help:"How many change at the same time."`
	Duration    time.Duration `default:"20s" help:"How long they do, per mode."`
	Changes     int64         `default:"0" help:"End a mode early after so many changes. 0: only by time."`
	Projects    int           `default:"0" help:"How many projects are changed. 0: first one (hot), then 20 (spread)."`
	Subscribers int           `default:"-1" help:"Subscribers per replica and project. -1: 2 to one project, 1 to each of many."`
	Rate        float64       `default:"0" help:"Changes per second in all. 0: as fast as possible."`
	Accounts    bool          `help:"Give each mutator an account. The replicas need LAYERCAKE_REGISTRATION=open and LAYERCAKE_ACCOUNT_REQUESTS=0."`
	Compare     int           `default:"0" help:"Compare LAYERCAKE_AUTH=open and required, so often in turn, in a deployment of its own."`
	Seed        uint64        `default:"0" help:"Of what the mutators choose. 0: another one each time."`
	Settle      time.Duration `default:"20s" help:"How long subscribers may take to get the last change."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the results to this file, too."`
	PGBin       string        `name:"pg-bin" env:"LAYERCAKE_PG_BIN" placeholder:"DIR" help:"Folder of PostgreSQL's programs, to compare."`
	Progress    bool          `help:"Say each second how it goes, even when that is not read on a terminal."`
	AllowRemote bool          `help:"Load replicas on other machines, too. They should be yours."`
}

const spreadProjects = 20

// Run returns an error when a subscriber did not get every change, once and in order.
func (c stormCommand) Run(ctx context.Context) error {
	modes := map[int][]int{0: {1, spreadProjects}}[c.Projects]
	if modes == nil {
		modes = []int{c.Projects}
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	if c.Compare > 0 {
		return c.compare(ctx, modes)
	}
	record := stormRecord{Started: time.Now().UTC(), Version: version(), URLs: c.URL, Seed: c.Seed}
	var failed error
	for _, projects := range modes {
		if ctx.Err() != nil {
			break
		}
		result, err := bench.Storm(ctx, c.config(projects))
		if err != nil {
			return errors.Join(err, saveJSON(c.JSON, record))
		}
		record.Results = append(record.Results, result)
		if err := result.Write(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
		if !result.OK() {
			failed = fmt.Errorf("the storm failed (seed %d)", c.Seed)
		}
	}
	return errors.Join(failed, saveJSON(c.JSON, record))
}

// compare measures what it costs that everybody signs in, with one project and then with many.
func (c stormCommand) compare(ctx context.Context, modes []int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var all []deployment.Comparison
	for _, projects := range modes {
		cfg := c.config(projects)
		result, err := deployment.CompareAuth(ctx, deployment.Config{
			Replicas: len(c.URL), Serve: func() *exec.Cmd { return exec.Command(program, "serve") }, Binaries: c.PGBin,
		}, cfg, c.Compare)
		if err != nil {
			return errors.Join(err, saveJSON(c.JSON, all))
		}
		all = append(all, result)
		if err := result.Write(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
	}
	return saveJSON(c.JSON, all)
}

func (c stormCommand) config(projects int) bench.Config {
	cfg := bench.Config{
		URLs: c.URL, AllowRemote: c.AllowRemote, Accounts: c.Accounts, Mutators: c.Mutators, Duration: c.Duration, Changes: c.Changes,
		Projects: projects, Subscribers: c.Subscribers, Rate: c.Rate, Seed: c.Seed, Settle: c.Settle,
	}
	if cfg.Subscribers == -1 {
		cfg.Subscribers = 1
		if projects == 1 {
			cfg.Subscribers = 2
		}
	}
	cfg.Progress = progress(c.Progress)
	return cfg
}

// progress returns where progress is written: for people at a terminal, and where it was asked for.
func progress(asked bool) io.Writer {
	if stat, err := os.Stderr.Stat(); asked || err == nil && stat.Mode()&os.ModeCharDevice != 0 {
		return os.Stderr
	}
	return nil
}

// floodCommand moves cursors in replicas on this machine.
type floodCommand struct {
	URL         []string      `name:"url" default:"http://127.0.0.1:3001,http://127.0.0.1:3002,http://127.0.0.1:3003" help:"Replicas of one deployment."`
	Admin       []string      `default:"http://127.0.0.1:3101,http://127.0.0.1:3102,http://127.0.0.1:3103" help:"Their admin addresses, which tell what they use."`
	Sockets     int           `default:"100" help:"How many move."`
	Projects    int           `default:"1" help:"In how many projects."`
	Rate        []float64     `default:"20,40" help:"Messages per second of each: one rate after the other. Up to 20 are allowed."`
	For         time.Duration `default:"30s" help:"How long, at each rate."`
	Within      time.Duration `default:"1s" help:"How soon everybody has to see the last position of everybody."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	Progress    bool          `help:"Say each second how it goes, even when that is not read on a terminal."`
	AllowRemote bool          `help:"Load replicas on other machines, too. They should be yours."`
}

// Run returns an error when a socket did not see a last position, or the limit refused messages below its rate.
func (c floodCommand) Run(ctx context.Context) error {
	result, err := bench.Flood(ctx, bench.FloodConfig{
		URLs: c.URL, Admins: c.Admin, AllowRemote: c.AllowRemote, Sockets: c.Sockets, Projects: c.Projects, Rates: c.Rate,
		Duration: c.For, Within: c.Within, Progress: progress(c.Progress),
	})
	if err != nil {
		return err
	}
	err = errors.Join(result.Write(os.Stdout), saveJSON(c.JSON, result))
	if !result.OK() {
		err = errors.Join(err, errors.New("the flood failed"))
	}
	return err
}

// joinsCommand joins replicas on this machine.
type joinsCommand struct {
	URL         []string      `name:"url" default:"http://127.0.0.1:3001,http://127.0.0.1:3002,http://127.0.0.1:3003" help:"Replicas of one deployment."`
	Rounds      int           `default:"20" help:"How often people join a new project by a mutation. 0: not at all."`
	Together    int           `default:"50" help:"How many do at once."`
	Within      time.Duration `default:"2s" help:"How soon each has to be answered."`
	Sockets     int           `default:"2000" help:"How many collaboration sockets join at once after that. 0: none."`
	Each        int           `default:"50" help:"How many of them are in a project."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	Progress    bool          `help:"Say how it goes, even when that is not read on a terminal."`
	AllowRemote bool          `help:"Load replicas on other machines, too. They should be yours."`
}

// Run returns an error when a mutation was not answered in time, or a socket did not see everybody.
func (c joinsCommand) Run(ctx context.Context) error {
	result, err := bench.Joins(ctx, bench.JoinsConfig{
		URLs: c.URL, AllowRemote: c.AllowRemote, Rounds: c.Rounds, Together: c.Together, Within: c.Within, Sockets: c.Sockets, Each: c.Each,
		Progress: progress(c.Progress),
	})
	if err != nil {
		return err
	}
	err = errors.Join(result.Write(os.Stdout), saveJSON(c.JSON, result))
	if !result.OK() {
		err = errors.Join(err, errors.New("the joins failed"))
	}
	return err
}

// agentsCommand lets agents work with replicas on this machine.
type agentsCommand struct {
	URL         []string      `name:"url" default:"http://127.0.0.1:3001,http://127.0.0.1:3002,http://127.0.0.1:3003" help:"Replicas of one deployment."`
	Admin       []string      `default:"http://127.0.0.1:3101,http://127.0.0.1:3102,http://127.0.0.1:3103" help:"Their admin addresses, which tell what they hold."`
	Agents      int           `default:"1000" help:"How many follow a project each, of every version of MCP in turn."`
	Projects    int           `default:"50" help:"Over how many projects they are spread."`
	Rate        float64       `default:"20" help:"Changes per second in all."`
	For         time.Duration `default:"30s" help:"How long they change."`
	Changes     int64         `default:"0" help:"End early after so many changes. 0: only by time."`
	Listeners   int           `default:"-1" help:"How many also listen to one more project. -1: all, up to 1000."`
	Updates     int           `default:"50" help:"How often that project is changed."`
	Posts       int           `default:"300" help:"Calls on /mcp/sse by posts to another replica than that with the stream, and as many to the same."`
	Seed        uint64        `default:"0" help:"Of who changes what. 0: another one each time."`
	Settle      time.Duration `default:"20s" help:"How long agents may take to be told of the last change."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the result to this file, too."`
	Progress    bool          `help:"Say each second how it goes, even when that is not read on a terminal."`
	AllowRemote bool          `help:"Load replicas on other machines, too. They should be yours."`
}

// Run returns an error when an agent was not told of every change, once and in order.
func (c agentsCommand) Run(ctx context.Context) error {
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	if c.Listeners == -1 {
		c.Listeners = min(c.Agents, bench.MaxListeners)
	}
	result, err := bench.Agents(ctx, bench.AgentsConfig{
		URLs: c.URL, Admins: c.Admin, AllowRemote: c.AllowRemote, Agents: c.Agents, Projects: c.Projects, Rate: c.Rate, Duration: c.For,
		Changes: c.Changes, Listeners: c.Listeners, Updates: c.Updates, Posts: c.Posts, Seed: c.Seed, Settle: c.Settle,
		Progress: progress(c.Progress),
	})
	if err != nil {
		return err
	}
	err = errors.Join(result.Write(os.Stdout), saveJSON(c.JSON, result))
	if !result.OK() {
		err = errors.Join(err, fmt.Errorf("the agents failed (seed %d)", c.Seed))
	}
	return err
}

// stormRecord is what the JSON file holds.
type stormRecord struct {
	Started time.Time      `json:"started"`
	Version string         `json:"version"`
	URLs    []string       `json:"urls"`
	Seed    uint64         `json:"seed"`
	Results []bench.Result `json:"results"`
}

// saveJSON writes a result to a file, unless its name is empty.
func saveJSON(file string, result any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
