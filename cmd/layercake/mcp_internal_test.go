package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

// A program that writes into a closed pipe is ended by the system, unless it says otherwise; then the session would stay.
func TestSessionEndsWithTheClient(t *testing.T) {
	t.Parallel()
	deleted := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodDelete:
			deleted <- r.Header.Get("Mcp-Session-Id")
		case http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Mcp-Session-Id", "s1")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}`)
		}
	}))
	t.Cleanup(server.Close)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "mcp", "--url", server.URL)
	cmd.Env = []string{actAs + "=layercake"}
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	say := func(method string) {
		if _, err := io.WriteString(in, `{"jsonrpc":"2.0","id":1,"method":"`+method+`"}`+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	say("initialize")
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	say("ping")
	_ = cmd.Wait() // it says that the client takes no more
	select {
	case id := <-deleted:
		if id != "s1" {
			t.Errorf("ended session %q", id)
		}
	default:
		t.Error("the session was not ended")
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
