package mcpserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// completed returns what a replica suggests for an argument.
func completed(t *testing.T, session *mcp.ClientSession, ref *mcp.CompleteReference, argument, typed string, others map[string]string) mcp.CompletionResultDetails {
	t.Helper()
	params := &mcp.CompleteParams{Ref: ref, Argument: mcp.CompleteParamsArgument{Name: argument, Value: typed}}
	if others != nil {
		params.Context = &mcp.CompleteContext{Arguments: others}
	}
	got, err := session.Complete(t.Context(), params)
	if err != nil {
		t.Fatalf("%+v, %s: %v", ref, argument, err)
	}
	if got.Completion.Values == nil {
		t.Errorf("%+v, %s: no list of values", ref, argument)
	}
	return got.Completion
}

func ofPrompt(name string) *mcp.CompleteReference {
	return &mcp.CompleteReference{Type: "ref/prompt", Name: name}
}

func ofResource(uri string) *mcp.CompleteReference {
	return &mcp.CompleteReference{Type: "ref/resource", URI: uri}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	url := replica.URL
	session := connect(t, url+"/mcp", "a", nil)
	for n := range 12 {
		use(t, session, "create_project", map[string]any{"name": fmt.Sprint("Cake ", 100-n)}, nil)
	}
	use(t, session, "create_plan", map[string]any{"project_id": 2, "name": "Bread", "yaml_content": "a: b"}, nil)
	addNodes(t, url, 2, "flour", "Wheat", "yeast", "FLOUR and water", "salt", "Sea")
	two := map[string]string{"project_id": "2"}
	for name, c := range map[string]struct {
		query           string
		ref             *mcp.CompleteReference
		argument, typed string
		others          map[string]string
		values          []string
	}{
		"projects by id":                 {"", ofPrompt("review_plan"), "project_id", "1", nil, []string{"1", "10", "11", "12"}},
		"projects by id, then name":      {"", ofPrompt("review_plan"), "project_id", "9", nil, []string{"9", "2", "3", "4", "5", "6", "7", "8", "10", "11", "12"}},
		"projects by name, in any case":  {"", ofPrompt("build_pipeline"), "project_id", "cAKE 10", nil, []string{"1"}},
		"no project":                     {"", ofPrompt("build_pipeline"), "project_id", "pie", nil, []string{}},
		"the project of the client":      {"?project=3", ofPrompt("review_plan"), "project_id", "", nil, []string{"3"}},
		"projects of a URI":              {"", ofResource("layercake://projects/{project_id}/plan"), "project_id", "12", nil, []string{"12"}},
		"plans of a URI":                 {"", ofResource("layercake://plans/{plan_id}"), "plan_id", "12", nil, []string{"12"}},
		"plans by name":                  {"", ofResource("layercake://plans/{plan_id}"), "plan_id", "bread", nil, []string{"2"}},
		"plans by their project's name":  {"", ofResource("layercake://plans/{plan_id}"), "plan_id", "cake 99", nil, []string{"2"}},
		"the plan of the client":         {"?project=2", ofResource("layercake://plans/{plan_id}"), "plan_id", "", nil, []string{"2"}},
		"formats of a URI":               {"", ofResource("layercake://graphs/{project_id}/{format}"), "format", "dot", nil, []string{"dot", "dothierarchy"}},
		"projects of a URI of two":       {"", ofResource("layercake://graphs/{project_id}/{format}"), "project_id", "12", nil, []string{"12"}},
		"nodes":                          {"", ofPrompt("analyze_paths"), "source_node", "", two, []string{"flour", "yeast", "salt"}},
		"nodes by id, then label":        {"", ofPrompt("analyze_paths"), "target_node", "Flour", two, []string{"flour", "yeast"}},
		"nodes of the client's project":  {"?project=2", ofPrompt("analyze_paths"), "target_node", "s", nil, []string{"salt"}},
		"nodes of no project":            {"", ofPrompt("analyze_paths"), "source_node", "", nil, []string{}},
		"nodes of a project not there":   {"", ofPrompt("analyze_paths"), "source_node", "", map[string]string{"project_id": "77"}, []string{}},
		"nodes of what is no project":    {"", ofPrompt("analyze_paths"), "source_node", "", map[string]string{"project_id": "two"}, []string{}},
		"nodes of another's project":     {"?project=3", ofPrompt("analyze_paths"), "source_node", "", two, []string{}},
		"an enumeration":                 {"", ofPrompt("analyze_paths"), "path_type", "", nil, []string{"shortest", "all", "optimal", "diverse"}},
		"an enumeration, typed":          {"", ofPrompt("recommend_transformations"), "transformation_goal", "Imp", nil, []string{"improve_connectivity", "improve_performance"}},
		"true or false":                  {"", ofPrompt("analyze_layers"), "include_cross_layer", "f", nil, []string{"false"}},
		"a number":                       {"", ofPrompt("analyze_layers"), "layer_count", "1", nil, []string{}},
		"an argument that is not there":  {"", ofPrompt("analyze_layers"), "plan_id", "1", nil, []string{}},
		"a prompt that is not there":     {"", ofPrompt("bake"), "project_id", "", nil, []string{}},
		"a template that is not there":   {"", ofResource("layercake://cakes/{project_id}"), "project_id", "", nil, []string{}},
		"a resource without variables":   {"", ofResource("layercake://health"), "project_id", "", nil, []string{}},
		"another variable of a template": {"", ofResource("layercake://plans/{plan_id}"), "project_id", "", nil, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := completed(t, connect(t, url+"/mcp"+c.query, "a", nil), c.ref, c.argument, c.typed, c.others)
			if !slices.Equal(got.Values, c.values) || got.HasMore || got.Total != len(c.values) {
				t.Errorf("%+v, want %s", got, c.values)
			}
		})
	}
}

func TestLongCompletion(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := connect(t, url+"/mcp", "a", nil)
	for n := range 101 {
		use(t, session, "create_project", map[string]any{"name": fmt.Sprint("Cake ", n)}, nil)
	}
	got := completed(t, session, ofPrompt("review_plan"), "project_id", "", nil)
	if len(got.Values) != 100 || !got.HasMore || got.Total != 101 || got.Values[99] != "100" {
		t.Errorf("%+v", got)
	}
}

// Of more nodes than an answer may have those are left out that fit worse.
func TestCompletionOfManyNodes(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := connect(t, url+"/mcp", "a", nil)
	use(t, session, "create_project", map[string]any{"name": "P"}, nil)
	nodes := []any{}
	for n := range 150 {
		nodes = append(nodes, map[string]any{"op": "add_node", "id": fmt.Sprint("n", n), "node_type": "DataSourceNode", "label": "Cake"})
	}
	use(t, session, "edit_plan", map[string]any{"project_id": 1, "operations": append(nodes, map[string]any{
		"op": "add_node", "id": "Cake-1", "node_type": "DataSourceNode", "label": "Last",
	})}, nil)
	one := map[string]string{"project_id": "1"}
	got := completed(t, session, ofPrompt("analyze_paths"), "source_node", "cAKE", one)
	if len(got.Values) != 100 || !got.HasMore || got.Values[0] != "Cake-1" || got.Values[1] != "n0" {
		t.Errorf("%+v", got)
	}
	for typed, want := range map[string]string{"N149": "n149", "%": "", "\x00": ""} {
		if got := completed(t, session, ofPrompt("analyze_paths"), "source_node", typed, one); strings.Join(got.Values, " ") != want {
			t.Errorf("%q: %+v, want %q", typed, got, want)
		}
	}
}

// addNodes puts data sources into a plan: ids and labels in pairs.
func addNodes(t *testing.T, url string, projectID int, nodes ...string) {
	t.Helper()
	for i := 0; i < len(nodes); i += 2 {
		mutation := fmt.Sprintf(`mutation { addPlanDagNode(projectId: %d, node: {id: %q, nodeType: DataSourceNode, position: {x: 0, y: 0}, `+
			`metadata: {label: %q}, config: "{}"}) { id } }`, projectID, nodes[i], nodes[i+1])
		got := post(t, url, "/graphql", fmt.Sprintf(`{"query":%q}`, mutation))
		if got.status != 200 || strings.Contains(got.text, "errors") {
			t.Fatalf("%d %s", got.status, got.text)
		}
	}
}
