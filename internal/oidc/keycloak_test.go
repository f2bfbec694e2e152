package oidc_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"layercake/internal/child"
	"layercake/internal/oidc"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// keycloak is a running Keycloak with one realm.
type keycloak struct {
	t      *testing.T
	url    string
	client http.Client
}

// keycloakReady is how long a Keycloak may take until it answers: it builds itself first.
const keycloakReady = 8 * time.Minute

// startKeycloak runs the Keycloak in a folder until the test ends, with a realm.
func startKeycloak(t *testing.T, folder, address string, realm map[string]any) *keycloak {
	t.Helper()
	text, err := json.Marshal(realm)
	if err != nil {
		t.Fatal(err)
	}
	imports := filepath.Join(folder, "data", "import")
	if err := os.MkdirAll(imports, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(folder, "data", "h2")); err != nil { // what a former test left
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(imports, "realm.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(address, ":")
	cmd := exec.Command(filepath.Join(folder, "bin", "kc.sh"), "start-dev", "--import-realm", "--http-host="+host, "--http-port="+port)
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD=admin", "JAVA_OPTS_KC_HEAP=-Xms64m -Xmx512m")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ended := make(chan struct{})
	if err := child.Start(cmd, syscall.SIGKILL, func(error) { close(ended) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the script and what it runs
		<-ended
	})
	k := &keycloak{t: t, url: "http://" + address, client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	deadline, tick := time.After(keycloakReady), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			t.Fatal("Keycloak has ended")
		case <-deadline:
			t.Fatal("Keycloak did not get ready")
		case <-tick.C:
		}
		response, err := k.client.Get(k.url + "/realms/all/.well-known/openid-configuration")
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return k
		}
	}
}

// form sends a form, and decodes the answer.
func (k *keycloak) form(path string, fields url.Values, into any) {
	k.t.Helper()
	response, err := k.client.PostForm(k.url+path, fields)
	if err != nil {
		k.t.Fatal(err)
	}
	k.decode(response, into)
}

func (k *keycloak) decode(response *http.Response, into any) {
	k.t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		k.t.Fatalf("%s: %d %s %v", response.Request.URL, response.StatusCode, text, err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			k.t.Fatal(err)
		}
	}
}

// administers does something as the administrator.
func (k *keycloak) administers(method, path string, body, into any) {
	k.t.Helper()
	var admin struct {
		Token string `json:"access_token"`
	}
	k.form("/realms/master/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"},
	}, &admin)
	text, err := json.Marshal(body)
	if err != nil {
		k.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(k.t.Context(), method, k.url+"/admin/realms/all"+path, strings.NewReader(string(text)))
	if err != nil {
		k.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+admin.Token)
	r.Header.Set("Content-Type", "application/json")
	response, err := k.client.Do(r)
	if err != nil {
		k.t.Fatal(err)
	}
	k.decode(response, into)
}

var loginForm = regexp.MustCompile(`(?s)<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"`)

// signsInAt goes to the provider as somebody, who gives a password where that is asked for, and comes back to a replica. It reports whether
// it was asked for.
func (b *browser) signsInAt(address, name, replica string) (response reply, text string, asked bool) {
	b.t.Helper()
	for range 10 {
		to, err := url.Parse(address)
		if err != nil {
			b.t.Fatal(err)
		}
		if to.Path == "/oidc/callback" {
			response, text = b.returns(replica + to.RequestURI())
			return response, text, asked
		}
		response, text := b.sends(http.MethodGet, address, "same-origin", "", "")
		if form := loginForm.FindStringSubmatch(text); form != nil {
			asked = true
			fields := url.Values{"username": {name}, "password": {name}}
			response, text = b.sends(http.MethodPost, html.UnescapeString(form[1]), "same-origin", "application/x-www-form-urlencoded", fields.Encode())
		}
		if address = response.Header.Get("Location"); address == "" {
			b.t.Fatalf("Keycloak: %d %s", response.StatusCode, text)
		}
	}
	b.t.Fatal("Keycloak leads on and on")
	return reply{}, "", false
}

// A large provider: a sign-in, classes of authentication, keys that change, access tokens, and a logout that an administrator commands.
// `make idp` gets it, and says where it is.
func TestKeycloak(t *testing.T) {
	folder := os.Getenv("KEYCLOAK")
	if folder == "" {
		t.Skip("KEYCLOAK names no folder: make idp gets one")
	}
	t.Parallel()
	address := servertest.Address(t)
	configure := func(client string) func(*server.Config) {
		return func(cfg *server.Config) {
			cfg.OIDC = oidc.Config{
				Issuer: "http://" + address + "/realms/all", ClientID: client, ClientSecret: clientSecret, Scopes: "openid profile email",
				Patience: time.Minute,
			}
		}
	}
	d := deploy(t, configure("layercake"))
	weak := deploy(t, func(cfg *server.Config) {
		configure("weak")(cfg)
		cfg.OIDC.ACR = "gold" // which this realm does not have
	})
	strict := deploy(t, func(cfg *server.Config) {
		configure("strict")(cfg)
		cfg.OIDC.ACR = "1" // of Keycloak, for a password
	})
	client := func(id, url, logout string) map[string]any {
		return map[string]any{
			"clientId": id, "secret": clientSecret, "redirectUris": []string{url + "/oidc/callback"}, "standardFlowEnabled": true,
			"defaultClientScopes": []string{"basic", "acr", "profile", "email"},
			"attributes": map[string]any{
				"backchannel.logout.url": logout + "/oidc/logout", "backchannel.logout.session.required": "true", "pkce.code.challenge.method": "S256",
			},
		}
	}
	person := func(name string) map[string]any {
		return map[string]any{
			"username": name, "enabled": true, "email": name + "@example.com", "emailVerified": true, "firstName": name, "lastName": "B.",
			"credentials": []any{map[string]any{"type": "password", "value": name, "temporary": false}},
		}
	}
	k := startKeycloak(t, folder, address, map[string]any{
		"realm": "all", "enabled": true, "sslRequired": "none", "users": []any{person("ann"), person("bob")},
		"clients": []any{
			client("layercake", d.urls[0], d.urls[1]), client("strict", strict.urls[0], strict.urls[1]),
			client("weak", weak.urls[0], weak.urls[1]),
			map[string]any{
				"clientId": "desktop", "publicClient": true, "directAccessGrantsEnabled": true, "standardFlowEnabled": false,
				"optionalClientScopes": []string{"layercake:read"}, "defaultClientScopes": []string{"basic", "acr"},
			},
		},
		"clientScopes": []any{
			map[string]any{
				"name": "layercake:read", "protocol": "openid-connect", "attributes": map[string]any{"include.in.token.scope": "true"},
				"protocolMappers": []any{map[string]any{
					"name": "resource", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
					"config": map[string]any{"included.custom.audience": d.urls[0] + "/mcp", "access.token.claim": "true"},
				}},
			},
			mapped("basic", "sub", "oidc-sub-mapper", nil), mapped("acr", "acr loa level", "oidc-acr-mapper", map[string]any{"id.token.claim": "true", "access.token.claim": "true"}),
			mapped("profile", "username", "oidc-usermodel-attribute-mapper", map[string]any{
				"user.attribute": "username", "claim.name": "preferred_username", "jsonType.label": "String", "id.token.claim": "true",
			}),
			mapped("email", "email", "oidc-usermodel-attribute-mapper", map[string]any{
				"user.attribute": "email", "claim.name": "email", "jsonType.label": "String", "id.token.claim": "true",
			}),
		},
	})
	ann, bob := newBrowser(t), newBrowser(t)
	for name, b := range map[string]*browser{"ann": ann, "bob": bob} {
		if response, text, asked := b.signsInAt(b.begins(d.urls[0], ""), name, d.urls[1]); response.StatusCode != http.StatusOK || !asked || b.is(d.urls[0]) != name {
			t.Fatalf("%s: %d %s", name, response.StatusCode, text)
		}
	}
	// The session there is enough, unless a proof now is asked for.
	for query, want := range map[string]bool{"": false, "?again=true": true} {
		if response, text, asked := ann.signsInAt(ann.begins(d.urls[0], query), "ann", d.urls[1]); response.StatusCode != http.StatusOK || asked != want {
			t.Errorf("again, by %q: %d %v %s", query, response.StatusCode, asked, text)
		}
	}
	for want, c := range map[int]*deployment{http.StatusForbidden: weak, http.StatusOK: strict} {
		b := newBrowser(t)
		if response, text, _ := b.signsInAt(b.begins(c.urls[0], ""), "ann", c.urls[1]); response.StatusCode != want {
			t.Errorf("a class of authentication: %d, want %d: %s", response.StatusCode, want, text)
		}
	}
	// A program.
	var granted struct {
		Token string `json:"access_token"`
	}
	for scope, want := range map[string]int{"layercake:read": 200, "openid": 401} {
		k.form("/realms/all/protocol/openid-connect/token", url.Values{
			"grant_type": {"password"}, "client_id": {"desktop"}, "username": {"ann"}, "password": {"ann"}, "scope": {scope},
		}, &granted)
		if response, text := program(t, http.MethodPost, d.urls[1]+"/mcp", granted.Token, tool("list_projects", `{}`)); response.StatusCode != want {
			t.Errorf("scope %q: %d %s", scope, response.StatusCode, text)
		}
	}
	// Another key, with precedence.
	k.administers(http.MethodPost, "/components", map[string]any{
		"name": "new", "providerId": "ecdsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
		"config": map[string]any{"priority": []string{"500"}, "enabled": []string{"true"}, "active": []string{"true"}, "ecdsaEllipticCurveKey": []string{"P-256"}},
	}, nil)
	k.administers(http.MethodPost, "/components", map[string]any{
		"name": "new RSA", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
		"config": map[string]any{"priority": []string{"500"}, "enabled": []string{"true"}, "active": []string{"true"}},
	}, nil)
	if response, text, _ := bob.signsInAt(bob.begins(d.urls[0], ""), "bob", d.urls[1]); response.StatusCode != http.StatusOK || bob.is(d.urls[1]) != "bob" {
		t.Errorf("another key: %d %s", response.StatusCode, text)
	}
	// A logout there.
	var users []struct{ ID string }
	k.administers(http.MethodGet, "/users?username=bob&exact=true", nil, &users)
	if len(users) != 1 {
		t.Fatalf("%v", users)
	}
	k.administers(http.MethodPost, fmt.Sprintf("/users/%s/logout", users[0].ID), nil, nil)
	until(t, "a logout there is none here", func() bool { return bob.is(d.urls[0]) == "" })
	if who := ann.is(d.urls[0]); who != "ann" {
		t.Errorf("the other one is %q", who)
	}
}

// mapped is a scope of clients that says one thing.
func mapped(scope, name, mapper string, config map[string]any) map[string]any {
	all := map[string]any{"access.token.claim": "true", "introspection.token.claim": "true"}
	for key, value := range config {
		all[key] = value
	}
	return map[string]any{
		"name": scope, "protocol": "openid-connect", "attributes": map[string]any{"include.in.token.scope": "true"},
		"protocolMappers": []any{map[string]any{"name": name, "protocol": "openid-connect", "protocolMapper": mapper, "config": all}},
	}
}
