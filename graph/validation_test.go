package graph_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"layercake/internal/client"
)

// Documents that the library's rules let pass and that it then failed on: they are refused, over either transport, and nothing is in
// the log, since nobody here has to look.
func TestDocumentsThatCannotBeExecutedAreRefused(t *testing.T) {
	t.Parallel()
	const onSubscription = ` fragment F on Subscription { `
	cases := map[string]struct {
		document  string
		variables vars
		want      string // in the message
	}{
		"two streams":            {`subscription { planEvents(projectId: 1) { version } planDagDeltaChanged(projectId: 1) { version } }`, nil, "must select only one top level field"},
		"one stream twice":       {`subscription S { planEvents(projectId: 1) { version } b: planEvents(projectId: 1) { version } }`, nil, `Subscription "S" must select only one`},
		"two through fragments":  {`subscription { ...F ... { b: planEvents(projectId: 2) { version } } }` + onSubscription + `planEvents(projectId: 1) { version } }`, nil, "only one"},
		"a stream left out":      {`subscription { planEvents(projectId: 1) @skip(if: true) { version } }`, nil, "must not use @skip at its top level"},
		"a stream by a variable": {`subscription($x: Boolean!) { planEvents(projectId: 1) @include(if: $x) { version } }`, vars{"x": true}, "must not use @include"},
		"a fragment left out":    {`subscription { ... @include(if: false) { planEvents(projectId: 1) { version } } }`, nil, "must not use @include"},
		"a spread left out":      {`subscription { ...F @skip(if: false) }` + onSubscription + `planEvents(projectId: 1) { version } }`, nil, "must not use @skip"},
		"left out in a fragment": {`subscription { ...F }` + onSubscription + `... { planEvents(projectId: 1) @skip(if: true) { version } } }`, nil, "must not use @skip"},
		"its type":               {`subscription { __typename }`, nil, "introspection"},
		"its type left out":      {`subscription { planEvents(projectId: 1) { version } __typename @skip(if: true) }`, nil, "must not use @skip"},
		"fragments in a circle":  {`subscription { ...F }` + onSubscription + `...G } fragment G on Subscription { ...F }`, nil, "within itself"},
		"a deferred fragment":    {`{ project(id: 1) { ... @defer { plan { id } } } }`, nil, `Unknown directive "@defer"`},
		"null beats a default":   {`query($x: Boolean = true) { __typename @skip(if: $x) }`, vars{"x": nil}, "Variable x: cannot be null here"},
		"null for a number":      {`query($p: Int = 1) { getPlanDag(projectId: $p) { version } }`, vars{"p": nil}, "Variable p: cannot be null here"},
		"null in a fragment":     {`query($p: Int = 1) { ...Q } fragment Q on Query { project(id: $p) { id } }`, vars{"p": nil}, "Variable p: cannot be null here"},
		"null in an object": {
			`mutation($n: String = "a") { createProject(input: {name: $n}) { id } }`, vars{"n": nil}, "Variable n: cannot be null here",
		},
		"a literal over 32 bits": {`mutation { deletePlan(id: 3000000000) }`, nil, "non 32-bit signed integer value: 3000000000"},
		"a default over 32 bits": {`query($p: Int = 3000000000) { project(id: $p) { id } }`, nil, "non 32-bit signed integer value: 3000000000"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := offline(t)
			for range 2 { // the second one is asked of the cache
				if r := s.ask(t, c.document, c.variables); r.Code() != "BAD_REQUEST" || !strings.Contains(r.Errors[0].Message, c.want) || r.Data != nil {
					t.Errorf("by POST: %s, want %q", r.Text, c.want)
				}
			}
			body, err := json.Marshal(map[string]any{"query": c.document, "variables": c.variables})
			if err != nil {
				t.Fatal(err)
			}
			accept := http.Header{"Accept": {"application/graphql-response+json"}}
			if r := s.post(t, strings.NewReader(string(body)), accept); r.Status != http.StatusBadRequest {
				t.Errorf("with the new media type: status %d, want 400", r.Status)
			}
			socket := s.dial(t, nil)
			say(t, socket, `{"id":"1","type":"subscribe","payload":`+string(body)+`}`)
			var got struct {
				ID, Type string
				Payload  []client.Refusal
			}
			frame := hear(t, socket)
			_ = json.Unmarshal([]byte(frame), &got) // a payload of another form is no error frame
			if got.ID != "1" || got.Type != "error" || len(got.Payload) == 0 ||
				got.Payload[0].Extensions["code"] != "BAD_REQUEST" || !strings.Contains(got.Payload[0].Message, c.want) {
				t.Errorf("over a socket: %s, want %q", frame, c.want)
			}
			if log := s.log.String(); log != "" {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// One field may be asked for in pieces: they make one stream.
func TestOneRootFieldInPieces(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	c := s.dial(t, nil)
	say(t, c, `{"id":"1","type":"subscribe","payload":{"query":"subscription($p: Int!) { a: planEvents(projectId: $p, after: \"AAAA.9\") { version } ...F ...F }`+
		` fragment F on Subscription { a: planEvents(projectId: $p, after: \"AAAA.9\") { snapshot } }","variables":{"p":`+jsonOf(t, p)+`}}}`)
	if got := hear(t, c); got != `{"id":"1","type":"next","payload":{"data":{"a":{"version":0,"snapshot":true}}}}` {
		t.Errorf("got %s", got)
	}
}

// Clients may not be told of what is not there.
func TestIntrospectionNamesNoDirectiveThatIsNotServed(t *testing.T) {
	t.Parallel()
	r := offline(t).ask(t, `{ __schema { directives { name } } }`, nil)
	if len(r.Errors) > 0 || strings.Contains(string(r.Data), "defer") || !strings.Contains(string(r.Data), "include") {
		t.Errorf("got %s", r.Text)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
