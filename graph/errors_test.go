package graph_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// goWords are what texts of Go, of its libraries and of the database look like. Clients get none.
var goWords = regexp.MustCompile(`map\[|interface ?\{|struct ?\{|json:|strconv\.|unmarshal|Unmarshal|invalid character|unexpected E|nil pointer|` +
	`runtime error|goroutine|pgconn|pgx|SQLSTATE|%!|0x[0-9a-f]{8}|\.go:|\*[a-z]+\.[A-Z]|graph\.[A-Z]`)

// Whatever is wrong with a request, its errors are in our words, and say back only the beginning of what is long.
func TestErrorsAreInOurWords(t *testing.T) {
	t.Parallel()
	s := online(t)
	project := s.newProject(t)
	long := strings.Repeat("long", 100)
	const (
		add    = `mutation($p: Int!, $n: PlanDagNodeInput!) { addPlanDagNode(projectId: $p, node: $n) { id } }`
		edges  = `mutation($p: Int!, $e: PlanDagEdgeInput!) { addPlanDagEdge(projectId: $p, edge: $e) { id } }`
		check  = `query($d: PlanDagInput!) { validatePlanDag(planDag: $d) { isValid errors { message } warnings { message } } }`
		follow = `query($p: Int!) { getPlanDag(projectId: $p) { version } }`
	)
	node := func(id, kind, label, config any) map[string]any {
		return map[string]any{
			"id": id, "nodeType": kind, "position": vars{"x": 1, "y": 2}, "metadata": map[string]any{"label": label}, "config": config,
		}
	}
	edge := func(id, source, target string) map[string]any {
		return map[string]any{"id": id, "source": source, "target": target, "metadata": vars{"label": long, "dataType": "GRAPH_DATA"}}
	}
	plan := func(nodes, edges any) vars {
		return vars{"d": map[string]any{"version": "1", "metadata": map[string]any{"name": "x", "version": "1"}, "nodes": nodes, "edges": edges}}
	}
	for name, c := range map[string]struct {
		document  string
		variables vars
	}{
		"an object for a number":       {follow, vars{"p": map[string]any{"a": []any{1, map[string]any{"b": nil}}}}},
		"a list for an object":         {add, vars{"p": project, "n": []any{[]any{map[string]any{"x": 1}}}}},
		"a text for an object":         {add, vars{"p": project, "n": long}},
		"a long kind":                  {add, vars{"p": project, "n": node("a", long, "a", "{}")}},
		"a long id":                    {add, vars{"p": project, "n": node(long, "GRAPH", "a", "{}")}},
		"an object for a label":        {add, vars{"p": project, "n": node("a", "GRAPH", map[string]any{"a": 1}, "{}")}},
		"an object for a config":       {add, vars{"p": project, "n": node("a", "GRAPH", "a", map[string]any{"a": []any{1}})}},
		"a config that is a list":      {add, vars{"p": project, "n": node("a", "GRAPH", "a", "[1]")}},
		"a config that is no JSON":     {add, vars{"p": project, "n": node("a", "GRAPH", "a", "{x}")}},
		"a config that ends":           {add, vars{"p": project, "n": node("a", "GRAPH", "a", `{"a":`)}},
		"a label that is too long":     {add, vars{"p": project, "n": node("a", "GRAPH", long, "{}")}},
		"a member of no such type":     {add, vars{"p": project, "n": map[string]any{long: 1}}},
		"an end that does not exist":   {edges, vars{"p": project, "e": edge("e", "nowhere", long)}},
		"a plan with a long label":     {check, plan([]any{node("a", "GRAPH", long, "{}")}, []any{edge("e", long, "a")})},
		"a plan with a wrong config":   {check, plan([]any{node("a", "GRAPH", "a", "[]")}, []any{})},
		"a field that does not exist":  {"{ " + long + " }", nil},
		"a long literal":               {fmt.Sprintf(`{ getPlanDag(projectId: %q) { version } }`, long), nil},
		"an object as a literal":       {`{ getPlanDag(projectId: {a: [1, {b: "c"}]}) { version } }`, nil},
		"a list as an id":              {`mutation { deleteProject(id: [1, [2]]) }`, nil},
		"a wrong time":                 {`mutation { updateProject(id: 1, name: {a: 1}) { id } }`, nil},
		"an unknown operation":         {"query A { __typename } query B { __typename }", nil},
		"a long variable":              {"query($" + long + ": Int!) { getPlanDag(projectId: $" + long + ") { version } }", nil},
		"an unknown type":              {"query($a: " + long + ") { getPlanDag(projectId: $a) { version } }", nil},
		"a fragment that is not there": {"{ ..." + long + " }", nil},
		"a text that does not end":     {`{ getPlanDag(projectId: "` + long, nil},
		"a wrong cursor":               {`query { getPlanDag(projectId: 1) { version } ... on Subscription { planEvents(projectId: 1, after: "` + long + `") { version } } }`, nil},
		"a project id of letters":      {fmt.Sprintf("mutation { deleteProject(id: %q) }", long), nil},
		"an unknown directive":         {"{ projects @" + long + " { id } }", nil},
		"an unknown argument":          {"{ projects(" + long + ": 1) { id } }", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.ask(t, c.document, c.variables)
			text := string(a.Text)
			if c.document != check && len(a.Errors) == 0 {
				t.Errorf("no error: %s", text)
			}
			if found := goWords.FindString(text); found != "" {
				t.Errorf("%q is in %s", found, text)
			}
			if strings.Contains(text, long) {
				t.Errorf("all of a long text came back: %s", text)
			}
		})
	}
	for _, body := range []string{
		``, `[`, `[]`, `{"query":5}`, `{"query":["a"]}`, `{"variables":"x"}`, `{"query":"{__typename}","variables":[1]}`, `{"query":"{__typename}"`,
		`{"query":"{__typename}","extensions":7}`, `{"query":"{__typename}","operationName":{}}`, "\xff\xfe", `{"a":` + strings.Repeat("[", 20_000), `nul`,
		fmt.Sprintf(`{"query":"{__typename}","operationName":%q}`, long),
	} {
		a := s.post(t, strings.NewReader(body), nil)
		if found := goWords.FindString(string(a.Text)); found != "" || len(a.Errors) == 0 || strings.Contains(string(a.Text), long) {
			t.Errorf("%.80q: %q is in %s", body, found, a.Text)
		}
		if !json.Valid(a.Text) {
			t.Errorf("%.80q: the answer is no JSON: %s", body, a.Text)
		}
	}
}
