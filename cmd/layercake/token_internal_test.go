package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Where everybody signs in, a command acts for the account whose token the environment has; without one it says what is missing, and ends.
func TestCommandsSignIn(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	required := func(cfg *server.Config) { cfg.Open = false }
	url := servertest.StartOn(t, database, 1, required)[0].URL
	accounts := servertest.StartCoreOn(t, database, required).Accounts
	ann, _, err := accounts.CreateUser(t.Context(), auth.RegisterInput{Username: "ann", DisplayName: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := accounts.CreateToken(t.Context(), auth.From{}, accounts.For(ann), auth.NewTokenInput{
		Name: "CI", Scopes: []auth.Scope{auth.ScopeEdit}, Days: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	command := func(token string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = []string{actAs + "=layercake", "LAYERCAKE_TOKEN=" + token}
		return cmd
	}
	agent := func(token string) (*mcp.ClientSession, error) {
		cmd := command(token, "mcp", "--name=Ada", "--url", url)
		cmd.Stderr = t.Output()
		return mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	}
	session, err := agent(secret)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	made, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_project", Arguments: map[string]any{"name": "by an agent"}})
	if err != nil || made.IsError {
		t.Fatalf("%+v, %v", made, err)
	}
	var project struct{ ID json.Number }
	if text, err := json.Marshal(made.StructuredContent); err != nil || json.Unmarshal(text, &project) != nil {
		t.Fatalf("%s, %v", text, err)
	}
	if out, err := command(secret, "history", project.ID.String(), "--url", url).CombinedOutput(); err != nil {
		t.Errorf("history: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"watch", project.ID.String()}, {"history", project.ID.String()}, {"undo", project.ID.String(), "1"}} {
		out, err := command("", append(args, "--url", url)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "LAYERCAKE_TOKEN") {
			t.Errorf("%q without a token: %v\n%s", args, err, out)
		}
	}
	if nobody, err := agent(""); err == nil {
		_ = nobody.Close()
		t.Error("an agent without a token was let in")
	}
}
