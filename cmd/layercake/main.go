// Command layercake is the command line of the whole product.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"layercake/internal/bench/chaos"
	"layercake/internal/bench/hostile"

	"github.com/alecthomas/kong"
)

// commands is the command line. Each command lives in a file of its own.
type commands struct {
	Serve    serveCommand    `cmd:"" help:"Run one replica."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database's schema up to date."`
	Doctor   doctorCommand   `cmd:"" help:"Say whether a deployment is well, and what to do about it if not."`
	Demo     demoCommand     `cmd:"" help:"Run three replicas over one embedded PostgreSQL on this machine."`
	Run      runCommand      `cmd:"" help:"Run a plan file: tables in, files out; without database or server."`
	Init     initCommand     `cmd:"" help:"Write an empty plan file."`
	Generate generateCommand `cmd:"" help:"Write samples, large graphs and templates."`
	Bench    benchCommand    `cmd:"" help:"Measure running replicas."`
	Watch    watchCommand    `cmd:"" help:"Print what happens to a project's plan, as it happens."`
	History  historyCommand  `cmd:"" help:"Print what was done to a project's plan, newest first."`
	Undo     undoCommand     `cmd:"" help:"Take a change of a project's plan back, or an undo."`
	MCP      mcpCommand      `cmd:"" name:"mcp" help:"Connect an agent that only starts programs: MCP on standard input and output, carried to a server."`
	User     userCommand     `cmd:"" help:"Manage the accounts of a deployment."`
	Token    tokenCommand    `cmd:"" help:"Manage the tokens by which programs act for accounts."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once: stop brings the default behaviour back.
	context.AfterFunc(ctx, stop)
	forgetEmpty("LAYERCAKE_DATABASE_URL", "LAYERCAKE_LISTEN_DATABASE_URL", "DATABASE_URL", "LAYERCAKE_POOLER")
	c := commands{Serve: newServeCommand()}
	k := kong.Parse(&c,
		kong.Name("layercake"),
		kong.Description("People and agents edit plans together: graphs of data sources, transforms and outputs."),
		kong.UsageOnError(),
		kong.Vars{"faults": strings.Join(chaos.FaultNames(), ", "), "attacks": strings.Join(hostile.AttackNames(), ", ")},
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "layercake:", err)
		os.Exit(1)
	}
}

// forgetEmpty unsets variables of the environment that are empty: compose files set them so when nobody gave a value. Other variables may
// have the empty text as their value.
func forgetEmpty(names ...string) {
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok && value == "" {
			_ = os.Unsetenv(name)
		}
	}
}

type versionCommand struct{}

// Run prints the module version, or the commit of a development build.
func (versionCommand) Run() error {
	fmt.Println(version())
	return nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "development"
}
