package oidc_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"

	"github.com/go-jose/go-jose/v4"
)

// unsigned is a token that says that it needs no signature.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

// elsewhere counts who asks for keys where a token says they are.
func elsewhere(t *testing.T, key *signingKey) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.private.Public(), KeyID: key.id, Algorithm: "ES256"}}})
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// symmetric signs with what is no secret, or is one of ours: who takes a public key for a secret believes the first.
func symmetric(t *testing.T, id string, secret []byte, claims map[string]any) string {
	t.Helper()
	secret = append(secret, make([]byte, 64)...)[:64]
	key := jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: id}}
	return signed(t, key, (&jose.SignerOptions{}).WithType("JWT"), claims)
}

// No token but that of the provider, for this server and this sign-in, signs anybody in.
func TestForgedIDTokens(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	other, stranger := newKey(t, "first"), newKey(t, "second")
	evil, asked := elsewhere(t, stranger)
	public, err := json.Marshal(jose.JSONWebKey{Key: d.key.private.Public()})
	if err != nil {
		t.Fatal(err)
	}
	with := func(changes ...any) func(map[string]any) string {
		return func(claims map[string]any) string {
			for i := 0; i < len(changes); i += 2 {
				name, _ := changes[i].(string)
				if claims[name] = changes[i+1]; changes[i+1] == nil {
					delete(claims, name)
				}
			}
			return d.key.sign(t, "JWT", claims)
		}
	}
	now, hash := time.Now(), sha256.Sum256([]byte("opaque"))
	for name, forge := range map[string]func(map[string]any) string{
		"none":                     func(c map[string]any) string { return unsigned(t, c) },
		"HS256 by our secret":      func(c map[string]any) string { return symmetric(t, "first", []byte(clientSecret), c) },
		"HS256 by the public key":  func(c map[string]any) string { return symmetric(t, "first", public, c) },
		"another key of that name": func(c map[string]any) string { return other.sign(t, "JWT", c) },
		"another key":              func(c map[string]any) string { return stranger.sign(t, "JWT", c) },
		"a key that is elsewhere":  func(c map[string]any) string { return stranger.sign(t, "JWT", c, "jku", evil, "x5u", evil) },
		"a key that comes with it": func(c map[string]any) string {
			key := jose.SigningKey{Algorithm: jose.ES256, Key: stranger.private}
			return signed(t, key, &jose.SignerOptions{EmbedJWK: true}, c)
		},
		"a logout token":  func(c map[string]any) string { return d.key.sign(t, "logout+jwt", c) },
		"an access token": func(c map[string]any) string { return d.key.sign(t, "at+jwt", c) },
		"another one's signature": func(c map[string]any) string {
			honest := strings.Split(d.key.sign(t, "JWT", c), ".")
			c["sub"] = "2"
			changed := strings.Split(d.key.sign(t, "JWT", c), ".")
			return honest[0] + "." + changed[1] + "." + honest[2]
		},
		"no token":                        func(map[string]any) string { return "" },
		"no JWT":                          func(map[string]any) string { return "a.b.c" },
		"another issuer":                  with("iss", "https://id.example.com"),
		"the issuer with a slash":         with("iss", d.URL+"/"),
		"for another client":              with("aud", "other"),
		"for several, without azp":        with("aud", []string{clientID, "other"}),
		"for several, by another":         with("aud", []string{clientID, "other"}, "azp", "other"),
		"by another":                      with("azp", "other"),
		"another nonce":                   with("nonce", "x"),
		"no nonce":                        with("nonce", nil),
		"over":                            with("exp", now.Add(-time.Second).Unix()),
		"without an end":                  with("exp", nil),
		"not yet":                         with("nbf", now.Add(time.Hour).Unix()),
		"nobody":                          with("sub", nil),
		"events":                          with("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}),
		"another access token's":          with("at_hash", "x"),
		"a subject that no row can have":  with("sub", "a\x00b"),
		"a subject longer than there are": with("sub", strings.Repeat("x", 256)),
	} {
		d.set(func() { d.forge = forge })
		b := newBrowser(t)
		response, text := b.signsIn(d)
		if response.StatusCode != http.StatusUnauthorized || !strings.Contains(text, `<a href="/login">`) {
			t.Errorf("%s: %d %s", name, response.StatusCode, text)
		}
		if response.Header.Get("Set-Cookie") != "" || b.is(d.urls[0]) != "" {
			t.Errorf("%s: somebody is signed in", name)
		}
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions", n)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests for keys where a token said", n)
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM security_log WHERE event = 'login_failed' AND detail LIKE $1 || '%'`, d.URL); n == 0 {
		t.Error("the log of security has nothing of it")
	}
	// Honest ones: for several with azp, and with the right hash. So each failed for what is wrong with it.
	for name, forge := range map[string]func(map[string]any) string{
		"honest": nil, "for several, by us": with("aud", []string{"other", clientID}, "azp", clientID),
		"the right access token": with("at_hash", base64.RawURLEncoding.EncodeToString(hash[:16])), "no type": func(c map[string]any) string { return d.key.sign(t, "", c) },
	} {
		d.set(func() { d.forge = forge })
		if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, response.StatusCode, text)
		}
	}
}

// A browser ends a sign-in that it has begun, once, with what the provider sent it back with.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	ann, eve := newBrowser(t), newBrowser(t)
	back := ann.isSent(ann.begins(d.urls[0], ""), d.urls[1])
	at := func(changes ...string) string {
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		for i := 0; i < len(changes); i += 2 {
			if query.Set(changes[i], changes[i+1]); changes[i+1] == "" {
				query.Del(changes[i])
			}
		}
		u.RawQuery = query.Encode()
		return u.String()
	}
	refused := func(name string, b *browser, address string, status int, says string) {
		t.Helper()
		response, text := b.returns(address)
		if response.StatusCode != status || !strings.Contains(text, says) || !strings.Contains(text, `<a href="/login">`) || strings.Contains(text, "<script") {
			t.Errorf("%s: %d %s, want %d and %q", name, response.StatusCode, text, status, says)
		}
		if b.is(d.urls[0]) != "" {
			t.Errorf("%s: somebody is signed in", name)
		}
	}
	refused("in another browser", eve, back, 401, "began in another browser")
	eve.begins(d.urls[0], "") // it has begun one of its own
	refused("in another browser that has begun one", eve, back, 401, "began in another browser")
	refused("without a state", ann, at("state", ""), 401, "began in another browser")
	refused("with another state", ann, at("state", "x"), 401, "began in another browser")
	refused("of another provider", ann, at("iss", "https://id.example.com"), 401, "not from the identity provider")
	refused("of nobody", ann, at("iss", ""), 401, "not from the identity provider")
	if response, _ := ann.sends(http.MethodHead, back, "cross-site", "", ""); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", response.StatusCode)
	}
	if response, text := ann.returns(back); response.StatusCode != http.StatusOK || ann.is(d.urls[0]) != "ann" {
		t.Fatalf("the one who began it: %d %s", response.StatusCode, text)
	}
	used := newBrowser(t)
	used.Jar = ann.Jar
	if response, text := used.returns(back); response.StatusCode != 401 {
		t.Errorf("again: %d %s", response.StatusCode, text)
	}
	// A code of the first sign-in in the answer to another one.
	first, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	code := first.Query().Get("code")
	bob := newBrowser(t)
	back = bob.isSent(bob.begins(d.urls[0], ""), d.urls[1])
	refused("a code that was used", bob, at("code", code), 401, "begin again")
	// Errors of the provider.
	for sent, want := range map[string]struct {
		status int
		says   string
	}{
		"access_denied": {403, "did not let you in"}, "temporarily_unavailable": {503, "does not answer"}, "login_required": {403, "login_required"},
		"<script>": {403, "an error"},
	} {
		back = bob.isSent(bob.begins(d.urls[0], ""), d.urls[1])
		refused("the error "+sent, bob, at("error", sent, "code", ""), want.status, want.says)
	}
	// What is over is over, also before it is removed.
	back = bob.isSent(bob.begins(d.urls[0], ""), d.urls[1])
	pgtest.Exec(t, d.conn, `UPDATE oidc_flows SET expires_at = now()`)
	refused("after ten minutes", bob, back, 401, "is over")
	// One network does not fill the table.
	pgtest.Exec(t, d.conn, `INSERT INTO oidc_flows (state_hash, browser_hash, nonce, verifier, return_to, network, expires_at)
		SELECT sha256(n::text::bytea), sha256(''), repeat('n', 43), repeat('v', 43), '/', '127.0.0.1', now() + interval '1 hour' FROM generate_series(1, 1000) n`)
	response, text := bob.sends(http.MethodGet, d.urls[0]+"/oidc/login", "none", "", "")
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" {
		t.Errorf("after a thousand: %d %s", response.StatusCode, text)
	}
}

// Where a browser goes afterwards is never elsewhere.
func TestReturnPaths(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	for path, want := range map[string]string{
		"/projects/7?a=b&c=%22#x": "/projects/7?a=b&amp;c=%22#x", "": "/", "x": "/", "//evil.example": "/", "///evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/",
		"javascript:alert(1)": "/", "/\t/evil.example": "/", "\n//evil.example": "/", "/a\"><script>": "/a&#34;&gt;&lt;script&gt;",
		"/" + strings.Repeat("x", 2000): "/", "/ü": "/",
	} {
		b := newBrowser(t)
		response, text := b.returns(b.isSent(b.begins(d.urls[0], "?return="+url.QueryEscape(path)), d.urls[1]))
		if response.StatusCode != http.StatusOK || !strings.Contains(text, `content="0; url=`+want+`"`) {
			t.Errorf("%q: %d %s", path, response.StatusCode, text)
		}
	}
}

// Where a class of authentication is demanded, the provider is asked for it, and no other one counts.
func TestClassesOfAuthentication(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(cfg *server.Config) { cfg.OIDC.ACR = "gold silver" })
	for acr, want := range map[any]int{nil: 403, "bronze": 403, "": 403, "gold silver": 403, "silver": 200} {
		d.set(func() { d.person["acr"] = acr })
		b := newBrowser(t)
		address := b.begins(d.urls[0], "")
		if u, err := url.Parse(address); err != nil || u.Query().Get("acr_values") != "gold silver" {
			t.Errorf("the provider is asked by %s", address)
		}
		if response, text := b.returns(b.isSent(address, d.urls[1])); response.StatusCode != want {
			t.Errorf("%v: %d %s", acr, response.StatusCode, text)
		}
	}
}
