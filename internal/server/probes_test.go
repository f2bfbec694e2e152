package server_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"layercake/internal/server/servertest"
)

// attempt is a request by which tools that look for weak GraphQL servers find out what one gives away.
type attempt struct {
	method, path, mediaType, body string
	code                          string // of the errors in the answer; "" for UNAUTHENTICATED
}

// attempts are what graphql-cop sends, and some more, by what it looks for.
func attempts() map[string]attempt {
	posted := func(mediaType, body, code string) attempt {
		return attempt{http.MethodPost, "/graphql", mediaType, body, code}
	}
	document := func(query string) attempt {
		body, _ := json.Marshal(map[string]string{"query": query, "operationName": "cop"}) //nolint:errchkjson // texts
		return posted("application/json", string(body), "")
	}
	shown := func(path string) attempt { return attempt{method: http.MethodGet, path: path} }
	aliases := &strings.Builder{}
	for n := range 101 {
		fmt.Fprintf(aliases, "alias%d:__typename ", n)
	}
	nested := strings.Repeat("fields { type { ", 5) + "name" + strings.Repeat(" } }", 5)
	doubled := &strings.Builder{}
	for n := range 60 {
		fmt.Fprintf(doubled, "fragment f%d on Query { ...f%d ...f%d } ", n, n+1, n+1)
	}
	mistaken := document(`mutation cop { login(inputt: {emai: "a", password: "b"}) { expiresA } }`)
	mistaken.code = "BAD_REQUEST" // the only way in says what is wrong with a request for it
	stored := `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + strings.Repeat("0", 64) + `"}}}`
	return map[string]attempt{
		"aliases":                 document("query cop { " + aliases.String() + "}"),
		"aliases of a look-up":    document("query cop { " + strings.ReplaceAll(aliases.String(), "__typename", "me { id }") + "}"),
		"aliases in a fragment":   document("query cop { ...f } fragment f on Query { " + aliases.String() + "}"),
		"a batch":                 posted("application/json", "["+strings.Repeat(`{"query":"{ __typename }"},`, 9)+`{}]`, "BAD_REQUEST"),
		"directives":              document("query cop { __typename " + strings.Repeat("@aa", 10) + " }"),
		"directives that exist":   document("query cop { __typename " + strings.Repeat("@include(if: true)", 10) + " }"),
		"directives in a login":   document(`mutation cop { login(input: {email: "a@b", password: "b"}) { expiresAt @aa @aa } }`),
		"directives of fragments": document("query cop { ...f @aa ... @aa { __typename } } fragment f on Query @aa { __typename }"),
		"a repeated field":        document("query cop { " + strings.Repeat("__typename ", 500) + "}"),
		"circles of types":        document("query cop { __schema { types { " + nested + " } } }"),
		"circles of fragments":    document("query cop { ...a } fragment a on Query { ...b } fragment b on Query { ...a }"),
		"doubled fragments":       document("query cop { ...f0 } " + doubled.String() + "fragment f60 on Query { __typename me { id } }"),
		"suggestions":             document("query cop { __schema { directive } }"),
		"suggestions of a field":  document("query cop { project(idd: 1) { nam } }"),
		"suggestions in a login":  mistaken,
		"introspection":           document("query cop { __schema { types { name fields { name } } } }"),
		"introspection of a type": document(`query cop { __type(name: "Query") { name } }`),
		"introspection beside":    document("query cop { me { id } __schema { types { name } } }"),
		"GET":                     shown("/graphql?query=" + url.QueryEscape("query cop { __typename }")),
		"a mutation by GET":       shown("/graphql?query=" + url.QueryEscape("mutation cop { __typename }")),
		"a form":                  posted("application/x-www-form-urlencoded", "query="+url.QueryEscape("{ __typename }"), "BAD_REQUEST"),
		"a form of parts": posted("multipart/form-data; boundary=x",
			"--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n{ __typename }\r\n--x--\r\n", "BAD_REQUEST"),
		"text":                 posted("text/plain", `{"query":"query cop { __typename }"}`, "BAD_REQUEST"),
		"a raw error":          document("qwerty cop { abc }"),
		"a raw error of JSON":  posted("application/json", `{"query":`, "BAD_REQUEST"),
		"a document by a hash": posted("application/json", stored, "PERSISTED_QUERY_NOT_SUPPORTED"),
		"a subscription":       document("subscription cop { planEvents(projectId: 1) { version } }"),
		"a page for queries":   shown("/graphql"),
		"GraphiQL":             shown("/graphiql"),
		"GraphiQL's page":      shown("/graphiql.html"),
		"a playground":         shown("/playground"),
		"a console":            shown("/console"),
		"the schema":           shown("/schema.graphql"),
	}
}

// Where everybody signs in, whoever has no credential learns nothing by what tools for finding weak servers send.
func TestProbesFindNothing(t *testing.T) {
	t.Parallel()
	at := servertest.Start(t, 1, required)[0].URL
	for name, p := range attempts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, body := sent(t, at, p.method, p.path, p.body, "Accept: text/html,*/*;q=0.8", "Content-Type: "+p.mediaType)
			location := response.Header.Get("Location")
			switch {
			case response.StatusCode == http.StatusSeeOther && strings.HasPrefix(location, "/login?return="):
				return
			case response.StatusCode >= 400 && response.StatusCode < 500, response.StatusCode == http.StatusOK:
			default:
				t.Errorf("status %d: %s", response.StatusCode, body)
			}
			var answer struct {
				Data       any
				Errors     []struct{ Extensions map[string]any }
				Extensions any
			}
			_ = json.Unmarshal([]byte(body), &answer) // what is no JSON has none of these
			if answer.Data != nil || answer.Extensions != nil || len(answer.Errors) > 3 {
				t.Errorf("status %d: %s", response.StatusCode, body)
			}
			for _, e := range answer.Errors {
				want := cmp.Or(p.code, "UNAUTHENTICATED")
				if code := e.Extensions["code"]; code != want {
					t.Errorf("code %v, want %s: %s", code, want, body)
				}
			}
			for _, hint := range []string{
				"Did you mean", "goroutine", ".go:", "panic", "GraphiQL", "exception", "stacktrace", "__schema", "tracing",
			} {
				if strings.Contains(body, hint) {
					t.Errorf("it says %q: %s", hint, body)
				}
			}
		})
	}
}

// reply is a response whose body was read and closed.
type reply struct {
	StatusCode int
	Header     http.Header
	Path       string // that was asked for
	Cookies    []*http.Cookie
}

// sent sends a request with these headers, and returns the response and its body, unless that is a stream.
func sent(t *testing.T, at, method, path, body string, lines ...string) (reply, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	head := reply{response.StatusCode, response.Header, request.URL.Path, response.Cookies()}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return head, "" // it has no end
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head, string(answer)
}
