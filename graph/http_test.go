package graph_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"layercake/internal/client"
	"layercake/internal/npmtest"
)

func TestGraphQLOverHTTPAudits(t *testing.T) {
	t.Parallel()
	s := offline(t)
	out := npmtest.Run(t, "graphql-http.mjs", "URL="+s.url+"/graphql")
	if got := strings.TrimSpace(out); got != "61 of 61" {
		t.Errorf("audits passed: %s, want 61 of 61", got)
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	s := offline(t)
	const response = "application/graphql-response+json"
	cases := map[string]struct {
		method, query, body, contentType, accept string
		status                                   int
		code                                     string
	}{
		"a query":                {body: `{"query":"{__typename}"}`, status: 200},
		"unknown extensions":     {body: `{"query":"{__typename}","extensions":{"clientLibrary":{"name":"x"}}}`, status: 200},
		"no JSON":                {body: `{"query"`, status: 400, code: "BAD_REQUEST"},
		"two values":             {body: `{"query":"{__typename}"} {}`, status: 400, code: "BAD_REQUEST"},
		"a batch":                {body: `[{"query":"{__typename}"}]`, status: 400, code: "BAD_REQUEST"},
		"an empty body":          {body: ``, status: 400, code: "BAD_REQUEST"},
		"no query":               {body: `{"operationName":"x"}`, status: 400, code: "BAD_REQUEST"},
		"a hash alone, old type": {body: `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`, status: 200, code: "PERSISTED_QUERY_NOT_SUPPORTED"},
		"a hash alone, new type": {
			body:   `{"operationName":"Q","extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`,
			accept: response, status: 400, code: "PERSISTED_QUERY_NOT_SUPPORTED",
		},
		"a hash and an empty query": {body: `{"query":"","extensions":{"persistedQuery":{}}}`, status: 200, code: "PERSISTED_QUERY_NOT_SUPPORTED"},
		"a hash and its query":      {body: `{"query":"{__typename}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`, status: 200},
		"no hash after all":         {body: `{"extensions":{"persistedQuery":null}}`, status: 400, code: "BAD_REQUEST"},
		"a hash by GET": {
			method: "GET", query: `extensions={"persistedQuery":{"version":1,"sha256Hash":"x"}}`, status: 200, code: "PERSISTED_QUERY_NOT_SUPPORTED",
		},
		"a hash and its query by GET": {
			method: "GET", query: `query={__typename}&extensions={"persistedQuery":{"version":1,"sha256Hash":"x"}}`, status: 200,
		},
		"variables as text":          {body: `{"query":"{__typename}","variables":"x"}`, status: 400, code: "BAD_REQUEST"},
		"another type of body":       {body: `{}`, contentType: "text/plain", status: 415, code: "BAD_REQUEST"},
		"another charset":            {body: `{}`, contentType: "application/json; charset=latin1", status: 415, code: "BAD_REQUEST"},
		"another method":             {method: "PUT", status: 405, code: "BAD_REQUEST"},
		"an Accept that cannot be":   {body: `{"query":"{__typename}"}`, accept: "image/png", status: 406, code: "BAD_REQUEST"},
		"no document, old type":      {body: `{"query":"{"}`, status: 200, code: "BAD_REQUEST"},
		"no document, new type":      {body: `{"query":"{"}`, accept: response, status: 400, code: "BAD_REQUEST"},
		"an unknown field, old type": {body: `{"query":"{nothing}"}`, status: 200, code: "BAD_REQUEST"},
		"an unknown field, new type": {body: `{"query":"{nothing}"}`, accept: response, status: 400, code: "BAD_REQUEST"},
		"an unknown operation":       {body: `{"query":"query A {__typename}","operationName":"B"}`, accept: response, status: 400, code: "BAD_REQUEST"},
		"a variable missing": {
			body:   `{"query":"query($p: Int!) { getPlanDag(projectId: $p) { version } }"}`,
			accept: response, status: 400, code: "BAD_REQUEST",
		},
		"a variable of another type": {
			body:   `{"query":"query($p: Int!) { getPlanDag(projectId: $p) { version } }","variables":{"p":"x"}}`,
			accept: response, status: 400, code: "BAD_REQUEST",
		},
		"a number over 32 bits": {
			body:   `{"query":"query($p: Int!) { getPlanDag(projectId: $p) { version } }","variables":{"p":3000000000}}`,
			status: 200, code: "BAD_REQUEST",
		},
		"a literal over 32 bits": {body: `{"query":"{ getPlanDag(projectId: 3000000000) { version } }"}`, status: 200, code: "BAD_REQUEST"},
		"a fraction for a whole number": {
			body:   `{"query":"query($p: Int!) { getPlanDag(projectId: $p) { version } }","variables":{"p":1.5}}`,
			accept: response, status: 400, code: "BAD_REQUEST",
		},
		"an id that is no number":   {body: `{"query":"mutation { deleteProject(id: \"x\") }"}`, status: 200, code: "BAD_REQUEST"},
		"a subscription":            {body: `{"query":"subscription { planEvents(projectId: 1) { version } }"}`, status: 400, code: "BAD_REQUEST"},
		"a query by GET":            {method: "GET", query: "query={__typename}", status: 200},
		"a mutation by GET":         {method: "GET", query: "query=mutation{deletePlan(id:1)}", status: 405, code: "BAD_REQUEST"},
		"GET without a query":       {method: "GET", status: 400, code: "BAD_REQUEST"},
		"GET with broken variables": {method: "GET", query: "query={__typename}&variables={", status: 400, code: "BAD_REQUEST"},
		"a panic":                   {body: `{"query":"{ projects { id } }"}`, status: 200, code: "INTERNAL"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method, contentType := cmp.Or(c.method, http.MethodPost), cmp.Or(c.contentType, "application/json")
			r, err := http.NewRequestWithContext(t.Context(), method, s.url+"/graphql?"+strings.ReplaceAll(c.query, "{", "%7B"),
				strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", contentType)
			if c.accept != "" {
				r.Header.Set("Accept", c.accept)
			}
			got := s.do(t, r)
			if got.Status != c.status || got.Code() != c.code {
				t.Errorf("status %d, want %d, code %q, want %q: %s", got.Status, c.status, got.Code(), c.code, got.Text)
			}
			if c.code != "" && got.Errors[0].Extensions["requestId"] != got.Header.Get("X-Request-Id") {
				t.Errorf("request %s, error %v", got.Header.Get("X-Request-Id"), got.Errors[0].Extensions)
			}
		})
	}
}

// Clients that send the hash of a document first fall back to the document.
func TestPersistedQueriesWithTheClientsOfOthers(t *testing.T) {
	t.Parallel()
	s := online(t)
	s.newProject(t)
	if out := npmtest.Run(t, "persisted.mjs", "URL="+s.url); !strings.HasSuffix(out, "passed\n") {
		t.Errorf("the script said %q", out)
	}
	if r := s.post(t, strings.NewReader(`{"extensions":{"persistedQuery":{}}}`), nil); r.Errors[0].Message != "PersistedQueryNotSupported" {
		t.Errorf("clients know the message, too: %s", r.Text)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s := offline(t)
	for given, kept := range map[string]bool{"abc-123": true, "a b": false, "": false, strings.Repeat("x", 129): false} {
		r := s.post(t, strings.NewReader(`{"query":"{nothing}"}`), http.Header{"X-Request-Id": {given}})
		got := r.Header.Get("X-Request-Id")
		if got == "" || (got == given) != kept {
			t.Errorf("request id %q became %q", given, got)
		}
	}
}

func TestPanicIsLoggedWithTheRequestAndNotTold(t *testing.T) {
	t.Parallel()
	s := offline(t)
	r := s.ask(t, `{ projects { id } }`, nil)
	if r.Errors[0].Message != "Internal server error" || string(r.Data) != "null" {
		t.Errorf("got %s", r.Text)
	}
	if log := s.log.String(); !strings.Contains(log, r.Header.Get("X-Request-Id")) || !strings.Contains(log, "nil pointer") {
		t.Errorf("logged %s", log)
	}
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	s := offline(t)
	const limit = 4 << 20
	s.LimitBodies(limit)
	spaces := io.LimitReader(blank{}, limit+1)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/graphql", spaces) // chunked: no length is told
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if got := s.do(t, r); got.Status != http.StatusRequestEntityTooLarge || got.Code() != "BAD_REQUEST" {
		t.Errorf("chunked: status %d: %s", got.Status, got.Text)
	}
	body := io.MultiReader(strings.NewReader(`{"query":"{__typename}"}`), io.LimitReader(blank{}, 2<<20))
	if got := s.post(t, body, nil); got.Status != http.StatusOK || len(got.Errors) > 0 {
		t.Errorf("2 MB: status %d: %s", got.Status, got.Text)
	}
}

type blank struct{}

func (blank) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Each of these took the library's own rules seconds to minutes, or is an ordinary document.
func TestLimitsOfDocuments(t *testing.T) {
	t.Parallel()
	s := offline(t)
	deep := func(levels int) string { // of fields, below the root field
		return `{ project(id: 1) ` + strings.Repeat(`{ plan { project `, levels/2) + `{ id }` + strings.Repeat(` } }`, levels/2) + ` }`
	}
	bomb := func(levels int) string {
		var b strings.Builder
		b.WriteString(`{ project(id: 1) { ...f0 } }`)
		for i := range levels {
			fmt.Fprintf(&b, ` fragment f%d on Project { ...f%d ...f%d }`, i, i+1, i+1)
		}
		fmt.Fprintf(&b, ` fragment f%d on Project { id }`, levels)
		return b.String()
	}
	aliases := func(levels int) string {
		var b strings.Builder
		b.WriteString(`{ project(id: 1) { ...f0 } }`)
		for i := range levels {
			fmt.Fprintf(&b, ` fragment f%d on Project { a: plan { project { ...f%d } } b: plan { project { ...f%d } } }`, i, i+1, i+1)
		}
		fmt.Fprintf(&b, ` fragment f%d on Project { id }`, levels)
		return b.String()
	}
	circle := func(fragments int) string {
		var b strings.Builder
		b.WriteString(`{ project(id: 1) { ...f0 } }`)
		for i := range fragments {
			fmt.Fprintf(&b, ` fragment f%d on Project { ...f%d ...f%d }`, i, (i+1)%fragments, (i+1)%fragments)
		}
		return b.String()
	}
	cases := map[string]struct {
		document string
		want     string // in the message; "" when it is accepted
	}{
		"introspection":          {introspection, ""},
		"many tokens":            {`{` + strings.Repeat(` __typename`, 15_001) + `}`, "token limit"},
		"20 levels":              {deep(18), ""},
		"22 levels":              {deep(20), "too deep"},
		"lists in lists":         {`{` + repeat(20, `a%d: projects { plan { project { plan { project { id name description createdAt } } } } createdAt updatedAt }`) + `}`, ""},
		"many lists":             {`{` + repeat(150, `a%d: projects { plan { id name } }`) + `}`, "too complex"},
		"fragments that explode": {bomb(60), "too complex"},
		"one field many times":   {`{ project(id: 1) { ` + strings.Repeat(`id `, 9_000) + `} }`, "more than 100 times"},
		"many fragments":         {`{ project(id: 1) { ` + repeat(5_000, `...f%d`) + `} }`, "more than 100 times"},
		"fields that multiply":   {aliases(40), "too complex"},
		"spreads in a circle":    {circle(20), "within itself"},
		"many unknown fields":    {`{` + repeat(9_000, `x%d`) + `}`, "Cannot query field"},
		"a fragment in itself":   {`{ project(id: 1) { ...f } } fragment f on Project { plan { project { ...f } } }`, "Cannot spread"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.ask(t, c.document, nil)
			if len(r.Errors) > 100 {
				t.Errorf("%d errors", len(r.Errors))
			}
			switch {
			case c.want == "":
				if r.Code() == "BAD_REQUEST" { // INTERNAL: there is no core behind it
					t.Errorf("refused: %s", r.Text)
				}
			case r.Code() != "BAD_REQUEST" || !strings.Contains(r.Errors[0].Message, c.want):
				t.Errorf("got %.300s, want %q", r.Text, c.want)
			}
		})
	}
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\n", i)
	}
	return b.String()
}

// introspection is as deep as the one that tools send.
const introspection = `{ __schema { queryType { name } types { kind name fields(includeDeprecated: true) { name args { name type { ...T } }
	type { ...T } } inputFields { name type { ...T } } enumValues { name } } directives { name args { name } } } }
	fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
	ofType { kind name ofType { kind name } } } } } } } }`

// A message names the value that is wrong, but does not send back a large one.
func TestMessagesAreShort(t *testing.T) {
	t.Parallel()
	s := offline(t)
	long := strings.Repeat("x", 100_000)
	for name, r := range map[string]*client.Answer{
		"a literal":         s.ask(t, `{ project(id: "`+long+`") { id } }`, nil),
		"a variable":        s.ask(t, `query($p: Int!) { project(id: $p) { id } }`, vars{"p": long}),
		"a field":           s.ask(t, `mutation($i: CreateProjectInput!) { createProject(input: $i) { id } }`, vars{"i": vars{long: 1}}),
		"a variable's name": s.ask(t, `query($`+long+`: Int!) { project(id: $`+long+`) { id } }`, nil),
	} {
		if r.Code() != "BAD_REQUEST" || len(r.Errors[0].Message) > 1100 {
			t.Errorf("%s: %d bytes: %.200s", name, len(r.Errors[0].Message), r.Text)
		}
	}
}

func TestMessagesSuggestNothing(t *testing.T) {
	t.Parallel()
	s := offline(t)
	for _, document := range []string{
		`{ project(id: 1) { nam } }`,
		`{ project(ids: 1) { id } }`,
		`{ ...F } fragment F on Quer { __typename }`,
		`mutation { addPlanDagNode(projectId: 1, node: {nodeType: GraphNod}) { id } }`,
	} {
		if r := s.ask(t, document, nil); len(r.Errors) == 0 || strings.Contains(string(r.Text), "Did you mean") {
			t.Errorf("got %s", r.Text)
		}
	}
}

func TestGraphiQLIsForBrowsersInOpenMode(t *testing.T) {
	t.Parallel()
	page := func(open bool) *client.Answer {
		s := offline(t, func(o *setting) {
			o.callers.Open = open
			o.GraphiQL = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "graphiql") }
		})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/graphql", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		return s.do(t, r)
	}
	if got := page(true); got.Status != http.StatusOK || !strings.Contains(string(got.Text), "graphiql") {
		t.Errorf("open: status %d: %.200s", got.Status, got.Text)
	}
	if got := page(false); got.Status != http.StatusUnauthorized || got.Code() != "UNAUTHENTICATED" {
		t.Errorf("not open: status %d: %.200s", got.Status, got.Text)
	}
}

// Any number of large requests leaves processors to small ones: they wait for turns to be decoded and checked.
func TestLargeRequestsTakeTurns(t *testing.T) {
	t.Parallel()
	s := offline(t)
	large := func() io.Reader {
		return strings.NewReader(`{"query":"{ __typename }","variables":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`)
	}
	release := sync.OnceFunc(s.TakeTurns(t))
	defer release()
	gone, hangUp := context.WithCancel(t.Context())
	left := make(chan error, 1)
	answered := make(chan *client.Answer, 1)
	go func() {
		_, err := s.client.Post(gone, large(), nil)
		left <- err
	}()
	go func() { answered <- s.post(t, large(), nil) }()
	for range 20 {
		if a := s.ask(t, "{ __typename }", vars{"a": strings.Repeat("x", 60<<10)}); len(a.Errors) > 0 {
			t.Errorf("a small request beside large ones: %s", a.Text)
		}
	}
	select {
	case a := <-answered:
		t.Fatalf("a large request did not wait: %s", a.Text)
	default:
	}
	hangUp()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up got %v", err)
	}
	release()
	if a := <-answered; string(a.Text) != `{"data":{"__typename":"Query"}}` {
		t.Errorf("a large request, when its turn came: %s", a.Text)
	}
}
