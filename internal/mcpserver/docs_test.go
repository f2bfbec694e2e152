package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"layercake/internal/golden"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// example is a call in the documentation and its answer.
var example = regexp.MustCompile("(?s)`([a-z_]+)` with\n\n```json\n(.*?)\n```\n\nanswers\n\n```json\n(.*?)\n```\n")

// varying are the parts of answers that are others each time, and what the documentation shows.
var varying = []struct {
	part *regexp.Regexp
	show string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "2026-11-30T12:00:00Z"},
	{regexp.MustCompile(`"[0-9a-z-]+~[0-9a-f]*\.(\d+)"`), `"1f0c2-1~5e884898.$1"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "0b0f8f7e-6a0e-4d39-9c9e-6d3d1d4b7a11"},
	{regexp.MustCompile(`datasourcenode_\d+_`), "datasourcenode_1796040000000_"},
	{regexp.MustCompile(`"idle_seconds":\d+`), `"idle_seconds":0`},
}

// The answers in the documentation are those of the server. With -update they are written anew, for people to read.
func TestDocumentedCalls(t *testing.T) {
	t.Parallel()
	const path = "../../docs/agents.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	session := connect(t, servertest.Start(t, 1, nil)[0].URL+"/mcp", "Robo", nil)
	called := map[string]bool{}
	got := example.ReplaceAllStringFunc(string(text), func(found string) string {
		parts := example.FindStringSubmatch(found)
		var arguments map[string]any
		if err := json.Unmarshal([]byte(parts[2]), &arguments); err != nil {
			t.Fatalf("%s: %v", parts[1], err)
		}
		called[parts[1]] = true
		if parts[1] == "who_is_here" { // the agent comes, and points at the node, in the background
			eventually(t, "the agent to be seen", func() bool {
				var here struct {
					People []struct {
						NodeID string `json:"node_id"`
					}
				}
				use(t, session, parts[1], arguments, &here)
				return len(here.People) == 1 && here.People[0].NodeID != ""
			})
		}
		result := use(t, session, parts[1], arguments, nil)
		answer := result.Content[0].(*mcp.TextContent).Text
		for _, v := range varying {
			answer = v.part.ReplaceAllString(answer, v.show)
		}
		return fmt.Sprintf("`%s` with\n\n```json\n%s\n```\n\nanswers\n\n```json\n%s\n```\n", parts[1], parts[2], answer)
	})
	golden.Compare(t, path, got)
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		if !called[tool.Name] || !strings.Contains(got, "### "+tool.Name+"\n") {
			t.Errorf("the documentation lacks %s", tool.Name)
		}
	}
}
