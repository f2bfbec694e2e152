package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestGoClientOfAgents lets the Go SDK's client do in each version of the protocol what the clients of other people do.
func TestGoClientOfAgents(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(*server.Config) {})
	http, bridge := d.url+"/mcp", program(t)+" mcp --url "+d.url+"/mcp"
	for name, tt := range map[string]struct{ version, target string }{
		"2026-07-28":           {"2026-07-28", http},
		"2025-11-25":           {"2025-11-25", http},
		"2025-06-18":           {"2025-06-18", http},
		"2025-03-26":           {"2025-03-26", http},
		"2024-11-05":           {"2024-11-05", http + "/sse"},
		"2026-07-28, by stdio": {"2026-07-28", bridge},
		"2025-11-25, by stdio": {"2025-11-25", bridge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			updates := make(chan string, 100)
			c := goClient(t, tt.target, tt.version, &mcp.ClientOptions{
				ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { updates <- r.Params.URI },
			})
			if got := c.InitializeResult().ProtocolVersion; got != tt.version {
				t.Errorf("the client speaks version %s, want %s", got, tt.version)
			}
			callEveryTool(t, c)

			project := c.call(t, "create_project", `{"name":"Tea"}`)["id"]
			uri := fmt.Sprintf("layercake://projects/%v/plan", project)
			if err := c.Subscribe(t.Context(), &mcp.SubscribeParams{URI: uri}); err != nil {
				t.Fatal(err)
			}
			editor := goClient(t, http, "2026-07-28", nil) // its calls go round
			for i := range 3 {
				for len(updates) > 0 {
					<-updates
				}
				editor.call(t, "edit_plan", fmt.Sprintf(`{"project_id":%v,"operations":[{"op":"add_node","node_type":"GraphNode","label":"%d"}]}`, project, i))
				select {
				case got := <-updates:
					if got != uri {
						t.Errorf("%s was updated, want %s", got, uri)
					}
				case <-time.After(pgtest.Patience):
					t.Fatal("no update came")
				}
			}

			asked := make(chan string, 100)
			says := func(action string) session {
				return goClient(t, tt.target, tt.version, &mcp.ClientOptions{
					ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
						asked <- r.Params.Message
						return &mcp.ElicitResult{Action: action}, nil
					},
				})
			}
			deletion := fmt.Sprintf(`{"project_id":%v}`, project)
			if code := says("decline").fail(t, "delete_project", deletion); code != "FORBIDDEN" {
				t.Errorf("declined: %s", code)
			}
			says("accept").call(t, "delete_project", deletion)
			if code := c.fail(t, "get_project", deletion); code != "NOT_FOUND" {
				t.Errorf("deleted: %s", code)
			}
			if n := len(asked); n != 2 {
				t.Errorf("%d questions, want 2", n)
			}
		})
	}
}

// session is a client's connection.
type session struct{ *mcp.ClientSession }

// goClient connects a client until the test ends. The target is an address, or a command.
func goClient(t *testing.T, target, version string, options *mcp.ClientOptions) session {
	t.Helper()
	own := &http.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, options)
	s, err := client.Connect(t.Context(), transportTo(target, own), &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // its error is what the transport was closed with
	return session{s}
}

// transportTo returns the way of the SDK to a target.
func transportTo(target string, over *http.Transport) mcp.Transport {
	if words := strings.Fields(target); len(words) > 1 {
		return &mcp.CommandTransport{Command: exec.Command(words[0], words[1:]...)}
	}
	if strings.HasSuffix(target, "/sse") {
		return &mcp.SSEClientTransport{Endpoint: target, HTTPClient: &http.Client{Transport: over}}
	}
	return &mcp.StreamableClientTransport{Endpoint: target, HTTPClient: &http.Client{Transport: over}}
}

// send calls a tool and returns whether it failed, and its text, after it has compared the text with the structure.
func (s session) send(t *testing.T, tool, arguments string) (failed bool, text string) {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(arguments)})
	if err != nil {
		t.Fatalf("%s %s: %v", tool, arguments, err)
	}
	content, ok := result.Content[0].(*mcp.TextContent)
	if !ok || len(result.Content) != 1 || result.IsError != (result.StructuredContent == nil) {
		t.Fatalf("%s %s: %+v", tool, arguments, result)
	}
	var said any
	if err := json.Unmarshal([]byte(content.Text), &said); err != nil || !result.IsError && !reflect.DeepEqual(said, result.StructuredContent) {
		t.Errorf("%s %s: %v, text %s, structure %v", tool, arguments, err, content.Text, result.StructuredContent)
	}
	return result.IsError, content.Text
}

// call returns the result of a call that succeeds.
func (s session) call(t *testing.T, tool, arguments string) (result map[string]any) {
	t.Helper()
	failed, text := s.send(t, tool, arguments)
	if err := json.Unmarshal([]byte(text), &result); failed || err != nil {
		t.Fatalf("%s %s: %s", tool, arguments, text)
	}
	return result
}

// fail returns the code of a call that fails.
func (s session) fail(t *testing.T, tool, arguments string) (code string) {
	t.Helper()
	failed, text := s.send(t, tool, arguments)
	var said struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(text), &said); !failed || err != nil {
		t.Fatalf("%s %s: %s, want a failure", tool, arguments, text)
	}
	return said.Error.Code
}

// callEveryTool makes the calls that every client makes.
func callEveryTool(t *testing.T, s session) {
	t.Helper()
	file, err := os.ReadFile("../npmtest/mcp/calls.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []struct {
		Tool, Beside string
		Arguments    json.RawMessage
		Learn        map[string]string
	}
	if err := json.Unmarshal(file, &calls); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for tool, err := range s.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, tool.Name)
	}
	called, known := map[string]bool{}, map[string]any{}
	for _, c := range calls {
		if !slices.Contains(listed, c.Tool) || c.Beside != "" && !slices.Contains(listed, c.Beside) {
			continue
		}
		known["new"] = uuid.NewString()
		arguments := string(c.Arguments)
		for name, value := range known {
			encoded, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			arguments = strings.ReplaceAll(arguments, `"$`+name+`"`, string(encoded))
		}
		result := s.call(t, c.Tool, arguments)
		called[c.Tool] = true
		for name, path := range c.Learn {
			var value any = result
			for key := range strings.SplitSeq(path, ".") {
				if list, ok := value.([]any); ok {
					i, err := strconv.Atoi(key)
					if err != nil || i >= len(list) {
						t.Fatalf("%s has nothing at %s", c.Tool, path)
					}
					value = list[i]
					continue
				}
				value = value.(map[string]any)[key]
			}
			known[name] = value
		}
	}
	for _, tool := range listed {
		if !called[tool] {
			t.Errorf("calls.json has no call of %s", tool)
		}
	}
}
