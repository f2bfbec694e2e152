package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"layercake/internal/server/servertest"

	"github.com/alecthomas/kong"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A client that only starts programs starts the real one.
func TestAgentThatStartsPrograms(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for name, c := range map[string]struct {
		options []string
		allowed bool
	}{
		"everything":    {nil, true},
		"reading":       {[]string{"--read-only"}, false},
		"of no project": {[]string{"--project=7"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"mcp", "--name=Ada", "--url", url + "/mcp"}, c.options...)...)
			cmd.Env = []string{actAs + "=layercake"}
			cmd.Stderr = t.Output()
			client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
			session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
			if err != nil {
				t.Fatal(err)
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_project", Arguments: map[string]any{"name": "by an agent"}})
			if err != nil || result.IsError == c.allowed {
				t.Errorf("%+v, %v", result, err)
			}
			if err := session.Close(); err != nil {
				t.Errorf("the program ended with %v", err)
			}
		})
	}
}

func TestMCPOptions(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{
		"": true, "--name=Ada": true, "--project=7": true, "--name=" + strings.Repeat("é", 100): true,
		"--name=" + strings.Repeat("é", 101): false, "--name=a\nb": false, "--project=0": false, "--project=-1": false,
		"--project=x": false,
	} {
		var c struct {
			MCP mcpCommand `cmd:"" name:"mcp"`
		}
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"mcp"}
		if text != "" {
			args = append(args, text)
		}
		if _, err := parser.Parse(args); (err == nil) != valid {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if err := (&mcpCommand{URL: "127.0.0.1:3000"}).Run(context.Background()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:3000") {
		t.Errorf("an address that is none: %v", err)
	}
}
