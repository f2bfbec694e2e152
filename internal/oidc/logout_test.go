package oidc_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are those of an honest logout token for the session of an honest ID token.
func (d *deployment) logoutClaims(changes ...any) map[string]any {
	claims := map[string]any{
		"iss": d.URL, "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(), "jti": "j1", "sid": "s1",
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	for i := 0; i < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if claims[name] = changes[i+1]; changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return claims
}

// logsOut tells a replica of a logout.
func (d *deployment) logsOut(replica int, token string) (status int, text string) {
	d.t.Helper()
	b := newBrowser(d.t)
	response, text := b.sends(http.MethodPost, d.urls[replica]+"/oidc/logout", "", "application/x-www-form-urlencoded", url.Values{"logout_token": {token}}.Encode())
	if caching := response.Header.Get("Cache-Control"); caching != "no-store" {
		d.t.Errorf("the answer may be kept: %q", caching)
	}
	return response.StatusCode, text
}

// session returns the secret of a browser's session.
func (b *browser) session(replica string) string {
	b.t.Helper()
	u, err := url.Parse(replica)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range b.Jar.Cookies(u) {
		if cookie.Name == "layercake" {
			return cookie.Value
		}
	}
	b.t.Fatal("no session")
	return ""
}

// A logout at the provider, told to one replica, ends the session and its sockets on the other one, also when no line between them tells.
func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]float64{"lines": 0, "no lines": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, func(cfg *server.Config) { cfg.Loss = loss })
			var browsers []*browser
			var sockets []client.GraphQLSocket
			for _, session := range []string{"s1", "s2"} {
				d.set(func() { d.person["sid"] = session })
				b := newBrowser(t)
				if response, text := b.signsIn(d); response.StatusCode != http.StatusOK {
					t.Fatal(text)
				}
				header := http.Header{"Authorization": {"Bearer " + b.session(d.urls[0])}}
				s, err := client.Dialer{Timeout: pgtest.Patience, Header: header}.GraphQL(t.Context(), d.urls[1])
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.CloseNow() })
				browsers, sockets = append(browsers, b), append(sockets, s)
			}
			token := d.key.sign(t, "logout+jwt", d.logoutClaims())
			if status, text := d.logsOut(0, token); status != http.StatusOK || text != "" {
				t.Fatalf("%d %s", status, text)
			}
			if code := servertest.CloseCode(t, sockets[0].Socket); code != 4401 {
				t.Errorf("the socket closed with %d", code)
			}
			if who := browsers[0].is(d.urls[1]); who != "" {
				t.Errorf("the session lives on as %q", who)
			}
			if who := browsers[1].is(d.urls[1]); who != "ann" {
				t.Errorf("the other session is of %q", who)
			}
			if status, text := d.logsOut(1, token); status != http.StatusBadRequest {
				t.Errorf("told again: %d %s", status, text)
			}
			// By the subject: all of its sessions.
			if status, text := d.logsOut(1, d.key.sign(t, "JWT", d.logoutClaims("jti", "j2", "sid", nil, "sub", "1"))); status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			if code := servertest.CloseCode(t, sockets[1].Socket); code != 4401 {
				t.Errorf("the socket closed with %d", code)
			}
		})
	}
}

// Nothing but a logout token of the provider for this server ends a session.
func TestForgedLogoutTokens(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	b := newBrowser(t)
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	now, other := time.Now(), newKey(t, "first")
	with := func(changes ...any) string { return d.key.sign(t, "logout+jwt", d.logoutClaims(changes...)) }
	id := d.claims("nonce")
	withEvents := maps.Clone(d.logoutClaims("nonce", "x"))
	for name, token := range map[string]string{
		"none":                    unsigned(t, d.logoutClaims()),
		"HS256 by our secret":     symmetric(t, "first", []byte(clientSecret), d.logoutClaims()),
		"another key":             other.sign(t, "logout+jwt", d.logoutClaims()),
		"an ID token":             d.key.sign(t, "JWT", id),
		"the ID token":            d.last,
		"an ID token with events": d.key.sign(t, "JWT", withEvents),
		"an access token":         d.key.sign(t, "at+jwt", d.logoutClaims()),
		"another issuer":          with("iss", "https://id.example.com"),
		"for another client":      with("aud", "other"),
		"of nobody":               with("sid", nil),
		"without events":          with("events", nil),
		"with another event":      with("events", map[string]any{"x": map[string]any{}}),
		"with a text as event":    with("events", map[string]any{logoutEvent: "x"}),
		"with a nonce":            with("nonce", "x"),
		"with an empty nonce":     with("nonce", ""),
		"without an id":           with("jti", nil),
		"with a long id":          with("jti", strings.Repeat("x", 501)),
		"over":                    with("exp", now.Add(-time.Second).Unix()),
		"without an end":          with("exp", nil),
		"old":                     with("iat", now.Add(-time.Hour).Unix(), "exp", now.Add(time.Hour).Unix()),
		"of tomorrow":             with("iat", now.Add(time.Hour).Unix(), "exp", now.Add(2*time.Hour).Unix()),
		"without a beginning":     with("iat", nil),
		"no token":                "",
		"large":                   strings.Repeat("x", 20_000),
	} {
		if status, text := d.logsOut(1, token); status != http.StatusBadRequest || !strings.Contains(text, `"error":"invalid_request"`) {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if who := b.is(d.urls[0]); who != "ann" {
			t.Fatalf("%s: the session is of %q", name, who)
		}
	}
	// Another one's session; and the provider away, at a replica that does not know its keys yet.
	if status, text := d.logsOut(0, with("sid", "s9")); status != http.StatusOK || b.is(d.urls[0]) != "ann" {
		t.Errorf("another session: %d %s", status, text)
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM oidc_logouts`); n != 1 {
		t.Errorf("%d logouts are noted", n)
	}
	if status, text := d.logsOut(0, with()); status != http.StatusBadRequest || b.is(d.urls[0]) != "ann" {
		t.Errorf("its id was used: %d %s", status, text)
	}
	if status, text := d.logsOut(0, with("jti", "j2")); status != http.StatusOK || b.is(d.urls[0]) != "" {
		t.Errorf("an honest one: %d %s", status, text)
	}
}
