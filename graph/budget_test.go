package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// Plans cost their real sizes: one is answered whatever its size, but several, or one several times, only when they are small.
func TestPlansCostTheirBytes(t *testing.T) {
	t.Parallel()
	s := online(t)
	large, small := s.newProject(t), s.newProject(t)
	config := fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", 99_000))
	for i := range 12 {
		node := nodeInput(fmt.Sprint("n", i), "GraphNode")
		node["config"] = config
		s.call(t, "AddPlanDagNode", vars{"projectId": large, "node": node}, new(any))
	}
	var out struct {
		Project struct{ Plan struct{ ID int } }
	}
	s.must(t, &out, `query ($p: Int!) { project(id: $p) { plan { id } } }`, vars{"p": small})
	s.must(t, nil, `mutation ($id: Int!, $y: String!) { updatePlan(id: $id, input: {name: "P", yamlContent: $y}) { id } }`,
		vars{"id": out.Project.Plan.ID, "y": strings.Repeat("y", 600_000)})
	const fields = `{ nodes { id config } }`
	cases := map[string]struct {
		document string
		refused  int // number of fields
	}{
		"a large one":            {`{ getPlanDag(projectId: $large) ` + fields + ` }`, 0},
		"a large one as JSON":    {`{ planDag(projectId: $large) ` + fields + ` }`, 0},
		"a large one twice":      {`{ a: getPlanDag(projectId: $large) ` + fields + ` b: planDag(projectId: $large) ` + fields + ` }`, 1},
		"a large one many times": {`{ ` + repeat(50, `a%d: getPlanDag(projectId: $large) { version }`) + ` }`, 49},
		"one field twice":        {`{ getPlanDag(projectId: $large) { nodes { a: config b: config } } }`, 1},
		"one list twice":         {`{ planDag(projectId: $large) { a: nodes { config } nodes { config } } }`, 1},
		"one field in pieces":    {`{ getPlanDag(projectId: $large) { nodes { config } nodes { config } ...F } } fragment F on PlanDag { nodes { config } }`, 0},
		"a text":                 {`{ project(id: $small) { plan { yamlContent } } }`, 0},
		"a text twice":           {`{ project(id: $small) { plan { yamlContent again: yamlContent } } }`, 1},
		"a text of many plans":   {`{ a: project(id: $small) { plan { yamlContent } } b: project(id: $small) { plan { yamlContent } } }`, 1},
		"many small ones":        {`{ ` + repeat(50, `a%d: getPlanDag(projectId: $small) `+fields) + ` }`, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.ask(t, strings.NewReplacer("$large", fmt.Sprint(large), "$small", fmt.Sprint(small)).Replace(c.document), nil)
			if len(r.Errors) != c.refused || c.refused > 0 && (r.Code() != "BAD_REQUEST" || !strings.Contains(r.Errors[0].Message, "one by one")) {
				t.Errorf("%d errors, want %d: %.300s", len(r.Errors), c.refused, r.Text)
			}
		})
	}
	// Subscribers are told by a snapshot that they missed events.
	for names, want := range map[string]string{"config": `"type":"next"`, "a: config b: config": `"type":"error"`} {
		socket := s.dial(t, nil)
		document := fmt.Sprintf(`subscription { planEvents(projectId: %d, after: "AAAA.9") { plan { nodes { %s } } } }`, large, names)
		say(t, socket, fmt.Sprintf(`{"id":"1","type":"subscribe","payload":{"query":%q}}`, document))
		if got := hear(t, socket); !strings.Contains(got, want) {
			t.Errorf("%s: got %.300s, want %s", names, got, want)
		}
	}
}
