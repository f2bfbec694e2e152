package oidc_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
)

// accessClaims are those of an honest access token.
func (d *deployment) accessClaims(changes ...any) map[string]any {
	claims := map[string]any{
		"iss": d.URL, "aud": []string{"account", d.urls[0] + "/mcp"}, "sub": "1", "client_id": "desktop", "jti": "j", "iat": time.Now().Unix(),
		"exp": time.Now().Add(time.Hour).Unix(), "scope": "openid layercake:read",
	}
	for i := 0; i < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if claims[name] = changes[i+1]; changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return claims
}

// program sends a request with a token, and returns the answer.
func program(t *testing.T, method, address, token, body string) (reply, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream, application/graphql-response+json")
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") && method == http.MethodGet {
		return reply{response.StatusCode, response.Header}, "" // it has no end
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header}, string(text)
}

// tool is a call of a tool.
func tool(name, arguments string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","arguments":` + arguments + `}}`
}

// A desktop client signs in by itself: the provider's tokens for /mcp act for the account, within their scopes.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	response, text := program(t, http.MethodGet, d.urls[1]+"/.well-known/oauth-protected-resource/mcp", "x", "")
	var metadata struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if err := json.Unmarshal([]byte(text), &metadata); err != nil || metadata.Resource != d.urls[0]+"/mcp" || len(metadata.Servers) != 1 ||
		metadata.Servers[0] != d.URL || strings.Join(metadata.Scopes, " ") != "layercake:read layercake:edit layercake:run" {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	honest := d.key.sign(t, "at+jwt", d.accessClaims())
	if response, text := program(t, http.MethodPost, d.urls[0]+"/mcp", honest, tool("list_projects", `{}`)); response.StatusCode != 401 {
		t.Errorf("somebody who never signed in: %d %s", response.StatusCode, text)
	}
	b := newBrowser(t)
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK { // replica 1 knows the keys from now on
		t.Fatal(text)
	}
	if text := b.asks(d.urls[0], `mutation { createProject(input: {name: "Ann's"}) { id } }`); strings.Contains(text, "errors") {
		t.Fatal(text)
	}
	project := `{"project_id":1,"operations":[{"op":"add_node","node_type":"GraphNode","label":"N"}]}`
	may := func(name, token string, read, edit bool) {
		t.Helper()
		for _, replica := range d.urls {
			response, text := program(t, http.MethodPost, replica+"/mcp", token, tool("list_projects", `{}`))
			if response.StatusCode != http.StatusOK || strings.Contains(text, `Ann's`) != read {
				t.Errorf("%s reads: %d %s", name, response.StatusCode, text)
			}
			response, text = program(t, http.MethodPost, replica+"/mcp", token, tool("edit_plan", project))
			if response.StatusCode != http.StatusOK || strings.Contains(text, `"isError":true`) == edit {
				t.Errorf("%s edits: %d %s", name, response.StatusCode, text)
			}
		}
	}
	may("a reader", honest, true, false)
	may("an editor", d.key.sign(t, "application/at+jwt", d.accessClaims("scope", "layercake:read layercake:edit", "aud", d.urls[0]+"/mcp")), true, true)
	may("an editor by a list", d.key.sign(t, "AT+JWT", d.accessClaims("scope", nil, "scp", []string{"layercake:edit"})), true, true)
	may("an editor as Keycloak says it", d.key.sign(t, "JWT", d.accessClaims("typ", "Bearer", "scope", "layercake:edit profile")), true, true)
	for name, scope := range map[string]any{"without scopes of ours": "openid profile READ", "without any": nil, "with a list of none": []string{}} {
		sort := map[bool]string{true: "scp", false: "scope"}[name == "with a list of none"]
		token := d.key.sign(t, "at+jwt", d.accessClaims("scope", nil, sort, scope))
		response, text := program(t, http.MethodPost, d.urls[1]+"/mcp", token, tool("list_projects", `{}`))
		challenge := response.Header.Get("WWW-Authenticate")
		if response.StatusCode != 403 || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="layercake:read `) {
			t.Errorf("%s: %d %s %s", name, response.StatusCode, text, challenge)
		}
	}
	if response, _ := program(t, http.MethodGet, d.urls[1]+"/mcp/sse", honest, ""); response.StatusCode != http.StatusOK {
		t.Errorf("the stream: %d", response.StatusCode)
	}
	// Nowhere else.
	for _, path := range []string{"/graphql", "/oidc/join"} {
		response, text := program(t, http.MethodPost, d.urls[0]+path, honest, `{"query":"{ projects { id } }"}`)
		if response.StatusCode != 401 && !strings.HasPrefix(text, `{"errors":`) || !strings.Contains(text, "UNAUTHENTICATED") {
			t.Errorf("%s: %d %s", path, response.StatusCode, text)
		}
	}
	// While the provider is away, those who have tokens go on.
	d.Close()
	may("a reader without the provider", honest, true, false)
	pgtest.Exec(t, d.conn, `UPDATE users SET disabled_at = now()`)
	if response, text := program(t, http.MethodPost, d.urls[0]+"/mcp", honest, tool("list_projects", `{}`)); response.StatusCode != 401 {
		t.Errorf("a disabled account: %d %s", response.StatusCode, text)
	}
}

// Nothing but an access token of the provider for /mcp, from now, lets a program in, and what is evidently none costs the provider nothing.
func TestForgedAccessTokens(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(cfg *server.Config) { cfg.OIDC.ACR = "gold" })
	d.set(func() { d.person["acr"] = "gold" })
	if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	stranger := newKey(t, "stranger")
	evil, asked := elsewhere(t, stranger)
	honest := d.accessClaims("acr", "gold")
	with := func(sort string, changes ...any) string {
		claims := maps.Clone(honest)
		for i := 0; i < len(changes); i += 2 {
			name, _ := changes[i].(string)
			if claims[name] = changes[i+1]; changes[i+1] == nil {
				delete(claims, name)
			}
		}
		return d.key.sign(t, sort, claims)
	}
	if response, text := program(t, http.MethodPost, d.urls[1]+"/mcp", with("at+jwt"), tool("list_projects", `{}`)); response.StatusCode != http.StatusOK {
		t.Fatalf("an honest one: %d %s", response.StatusCode, text)
	}
	refused := func(name, token string) {
		t.Helper()
		response, text := program(t, http.MethodPost, d.urls[1]+"/mcp", token, tool("list_projects", `{}`))
		if response.StatusCode != 401 || !strings.Contains(response.Header.Get("WWW-Authenticate"), "resource_metadata=") {
			t.Errorf("%s: %d %s", name, response.StatusCode, text)
		}
	}
	before := d.count("/keys") + d.count(discovery)
	unknown := func(name string, value any) string {
		return stranger.sign(t, "at+jwt", d.accessClaims("acr", "gold", name, value))
	}
	for name, token := range map[string]string{
		"another issuer, by an unknown key":       unknown("iss", "https://id.example.com"),
		"for another resource, by an unknown key": unknown("aud", clientID),
		"none":                    unsigned(t, honest),
		"HS256 by our secret":     symmetric(t, "first", []byte(clientSecret), honest),
		"the ID token":            d.last,
		"an ID token for /mcp":    with("JWT", "nonce", "x"),
		"one with a hash":         with("JWT", "at_hash", "x"),
		"one with another hash":   with("JWT", "c_hash", "x"),
		"an ID token of Keycloak": with("JWT", "typ", "ID"),
		"a refresh token":         with("JWT", "typ", "Refresh"),
		"a logout token":          with("logout+jwt"),
		"events":                  with("at+jwt", "events", map[string]any{logoutEvent: map[string]any{}}),
		"for another resource":    with("at+jwt", "aud", d.urls[0]),
		"for its other address":   with("at+jwt", "aud", d.urls[1]+"/mcp"),
		"for us as a client":      with("at+jwt", "aud", clientID),
		"for nobody":              with("at+jwt", "aud", nil),
		"another issuer":          with("at+jwt", "iss", "https://id.example.com"),
		"without a second factor": with("at+jwt", "acr", nil),
		"with another one":        with("at+jwt", "acr", "silver"),
		"large":                   with("at+jwt", "x", strings.Repeat("x", 8<<10)),
		"no JWT":                  "a.b.c",
	} {
		refused(name, token)
	}
	if n := d.count("/keys") + d.count(discovery) - before; n != 0 {
		t.Errorf("%d requests to the provider", n)
	}
	for name, token := range map[string]string{
		"over":                     with("at+jwt", "exp", time.Now().Add(-time.Second).Unix()),
		"without an end":           with("at+jwt", "exp", nil),
		"not yet":                  with("at+jwt", "nbf", time.Now().Add(time.Hour).Unix()),
		"of nobody":                with("at+jwt", "sub", nil),
		"of somebody unknown":      with("at+jwt", "sub", "2"),
		"another key of that name": newKey(t, "first").sign(t, "at+jwt", honest),
		"a key that is elsewhere":  stranger.sign(t, "at+jwt", honest, "jku", evil),
	} {
		refused(name, token)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests for keys where a token said", n)
	}
}
