package oidc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
)

// until asks again until it is true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline, tick := time.After(pgtest.Patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatal(what)
		case <-tick.C:
		}
	}
}

// logsIn returns what a replica answers to somebody who wants to sign in.
func logsIn(t *testing.T, d *deployment) (status int, text string) {
	t.Helper()
	response, text := newBrowser(t).sends(http.MethodGet, d.urls[0]+"/oidc/login", "none", "", "")
	return response.StatusCode, text
}

const discovery = "/.well-known/openid-configuration"

// A provider that does not answer as it should makes nobody wait for long, is told in words, and is asked again.
func TestProviderThatLiesOrHangs(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(cfg *server.Config) { cfg.OIDC.Patience = time.Second })
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	evil, asked := elsewhere(t, d.key)
	redirects := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil, http.StatusFound) }
	hangs := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}
	honest, err := json.Marshal(d.metadata())
	if err != nil {
		t.Fatal(err)
	}
	huge := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 20 {
			_, _ = w.Write([]byte(strings.Repeat(" ", 100_000)))
		}
		_, _ = w.Write(honest) // right, but late
	}
	wrong := map[string]func(){
		"an issuer of another name":    func() { d.says = map[string]any{"issuer": "https://id.example.com"} },
		"an issuer with a slash":       func() { d.says = map[string]any{"issuer": d.URL + "/"} },
		"a token endpoint without TLS": func() { d.says = map[string]any{"token_endpoint": "http://id.example.com/token"} },
		"keys without TLS":             func() { d.says = map[string]any{"jwks_uri": "http://10.1.2.3/keys"} },
		"a script":                     func() { d.says = map[string]any{"authorization_endpoint": "javascript:alert(1)"} },
		"no token endpoint":            func() { d.says = map[string]any{"token_endpoint": ""} },
		"leads elsewhere":              func() { d.instead[discovery] = redirects },
		"hangs":                        func() { d.instead[discovery] = hangs },
		"has no end":                   func() { d.instead[discovery] = huge },
		"is no JSON": func() {
			d.instead[discovery] = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }
		},
	}
	mended := func() { d.says, d.instead = map[string]any{}, map[string]http.HandlerFunc{} }
	for name, make := range wrong {
		d.set(func() { mended(); make() })
		before := d.count(discovery)
		until(t, name+": the provider is not asked again", func() bool {
			status, text := logsIn(t, d)
			if status != http.StatusServiceUnavailable || !strings.Contains(text, "UNAVAILABLE") || !strings.Contains(text, `<a href="/login">`) {
				t.Fatalf("%s: %d %s", name, status, text)
			}
			return d.count(discovery) > before
		})
	}
	d.set(mended)
	until(t, "it does not count again", func() bool {
		status, _ := logsIn(t, d)
		return status == http.StatusSeeOther
	})
	// It is known from now on, and fails later.
	failing := map[string]func(){
		"tokens lead elsewhere": func() { d.instead["/token"] = redirects },
		"tokens hang":           func() { d.instead["/token"] = hangs },
		"tokens have no end":    func() { d.instead["/token"] = huge },
		"keys lead elsewhere":   func() { d.key = newKey(t, "unknown"); d.instead["/keys"] = redirects },
		"it does not know us":   func() { d.instead["/token"] = status(http.StatusUnauthorized, "invalid_client") },
		"it has failed":         func() { d.instead["/token"] = status(http.StatusInternalServerError, "server_error") },
		"userinfo has failed": func() {
			delete(d.person, "email")
			d.instead["/userinfo"] = status(http.StatusInternalServerError, "x")
		},
		"userinfo leads elsewhere": func() { delete(d.person, "email"); d.instead["/userinfo"] = redirects },
	}
	for name, make := range failing {
		d.set(func() { mended(); make() })
		if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", name, response.StatusCode, text)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func status(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, map[string]any{"error": code}) }
}

// A provider that is away keeps nobody from starting, and ends no session.
func TestProviderThatIsAway(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(cfg *server.Config) { cfg.OIDC.Patience = pgtest.Patience })
	b := newBrowser(t)
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	waiting := newBrowser(t)
	back := waiting.isSent(waiting.begins(d.urls[0], ""), d.urls[1])
	d.Close()
	if who := b.is(d.urls[1]); who != "ann" {
		t.Errorf("the session is of %q", who)
	}
	if response, text := waiting.returns(back); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the end of a sign-in: %d %s", response.StatusCode, text)
	}
	// A replica that starts now knows nothing of it.
	late := deploy(t, func(cfg *server.Config) { cfg.OIDC.Issuer = d.URL })
	if status, text := logsIn(t, late); status != http.StatusServiceUnavailable {
		t.Errorf("the beginning of one: %d %s", status, text)
	}
}

// Keys change. Who signs with the new one is believed at once, and nobody makes a replica ask for keys again and again.
func TestRotatedKeys(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	former := d.key
	d.set(func() { d.key = newRSAKey(t, "second") })
	if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatalf("the new key: %s", text)
	}
	d.set(func() { d.forge = func(claims map[string]any) string { return former.sign(t, "JWT", claims) } })
	if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the former key: %d %s", response.StatusCode, text)
	}
	before := d.count("/keys")
	for i := range 200 { // each by a key of another name
		former.id = fmt.Sprint("unknown ", i)
		if status, text := d.logsOut(0, former.sign(t, "logout+jwt", d.logoutClaims())); status != http.StatusBadRequest {
			t.Errorf("%d %s", status, text)
		}
	}
	if n := d.count("/keys") - before; n > 100 { // one in five seconds, after the first few
		t.Errorf("%d requests for keys", n)
	}
}
