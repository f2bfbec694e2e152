package oidc_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
)

const password = "correct horse 7 battery"

// asks sends a document to a replica from a page of its own, and returns the answer.
func (b *browser) asks(replica, query string) string {
	b.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		b.t.Fatal(err)
	}
	_, text := b.sends(http.MethodPost, replica+"/graphql", "same-origin", "application/json", string(body))
	return text
}

// registers makes an account with a password, and signs in.
func (b *browser) registers(replica, name string) {
	b.t.Helper()
	text := b.asks(replica, fmt.Sprintf(`mutation { register(input: {email: "%s@example.com", username: %q, displayName: %q, password: %q}) { expiresAt } }`,
		name, name, name, password))
	if strings.Contains(text, `"errors"`) {
		b.t.Fatal(text)
	}
	b.logsIn(replica, name)
}

func (b *browser) logsIn(replica, name string) {
	b.t.Helper()
	text := b.asks(replica, fmt.Sprintf(`mutation { login(input: {email: %q, password: %q}, cookie: true) { expiresAt } }`, name, password))
	if strings.Contains(text, `"errors"`) || b.is(replica) != name {
		b.t.Fatal(text)
	}
}

// joins asks to join single sign-on to its account, and returns the status and where to go, or why not.
func (b *browser) joins(replica, current string) (status int, address string) {
	b.t.Helper()
	response, text := b.sends(http.MethodPost, replica+"/oidc/join", "same-origin", "application/json", fmt.Sprintf(`{"currentPassword":%q,"return":"/login"}`, current))
	var answer struct{ URL string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
	return response.StatusCode, cmp.Or(answer.URL, text)
}

// Who has an account joins single sign-on to it, and has one account by both.
func TestJoin(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	ann, eve := newBrowser(t), newBrowser(t)
	if status, text := ann.joins(d.urls[0], password); status != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", status, text)
	}
	ann.registers(d.urls[0], "ann")
	// Before that an e-mail is no proof.
	if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusForbidden || !strings.Contains(text, "join single sign-on there") {
		t.Errorf("by the e-mail: %d %s", response.StatusCode, text)
	}
	if status, text := ann.joins(d.urls[0], "wrong"); status != http.StatusUnauthorized || !strings.Contains(text, "The current password is wrong") {
		t.Errorf("by a session alone: %d %s", status, text)
	}
	for site, want := range map[string]int{"cross-site": 403, "same-site": 401} { // a page of another site has no session here
		if response, text := ann.sends(http.MethodPost, d.urls[0]+"/oidc/join", site, "application/json", `{}`); response.StatusCode != want {
			t.Errorf("by a page that is %s: %d %s", site, response.StatusCode, text)
		}
	}
	if response, text := ann.sends(http.MethodPost, d.urls[0]+"/oidc/join", "same-origin", "text/plain", `{}`); response.StatusCode != 400 {
		t.Errorf("as a form could be sent: %d %s", response.StatusCode, text)
	}
	status, address := ann.joins(d.urls[0], password)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, address)
	}
	back := ann.isSent(address, d.urls[1])
	// The session that asked has to be there still; another account's is not.
	eve.registers(d.urls[0], "eve")
	jar := ann.Jar
	session := ann.session(d.urls[0])
	ann.asks(d.urls[0], `mutation { logout(sessionId: "") }`)
	if response, text := ann.returns(back); response.StatusCode != 401 || !strings.Contains(text, "not signed in any more") {
		t.Errorf("after signing out: %d %s", response.StatusCode, text)
	}
	ann.logsIn(d.urls[0], "ann")
	if ann.Jar != jar || ann.session(d.urls[0]) == session {
		t.Fatal("the same session")
	}
	_, address = ann.joins(d.urls[1], password)
	if response, text := ann.returns(ann.isSent(address, d.urls[0])); response.StatusCode != http.StatusOK || !strings.Contains(text, "joined to your account") {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	b := newBrowser(t)
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK || b.is(d.urls[0]) != "ann" {
		t.Errorf("by single sign-on: %d %s", response.StatusCode, text)
	}
	_, address = eve.joins(d.urls[0], password)
	if response, text := eve.returns(eve.isSent(address, d.urls[1])); response.StatusCode != http.StatusConflict || !strings.Contains(text, "belongs to another account") {
		t.Errorf("of somebody else: %d %s", response.StatusCode, text)
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM users`); n != 2 {
		t.Errorf("%d accounts", n)
	}
}

// What needs a proof a moment ago needs one at the provider: a session there that is older is none, and neither is one of which nobody knows.
func TestProofAtTheProvider(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	now := time.Now()
	for name, c := range map[string]struct {
		at    any
		email string
		ok    bool
	}{
		"a moment ago":    {now.Add(-time.Minute).Unix(), "a@example.com", true},
		"an hour ago":     {now.Add(-time.Hour).Unix(), "b@example.com", false},
		"it does not say": {nil, "c@example.com", false},
	} {
		d.set(func() { d.person["auth_time"] = c.at })
		b := newBrowser(t)
		if response, text := b.signsIn(d); response.StatusCode != http.StatusOK {
			t.Fatal(text)
		}
		id := pgtest.Texts(t, d.conn, `SELECT id::text FROM users`)[0]
		text := b.asks(d.urls[0], fmt.Sprintf(`mutation { updateUser(userId: %s, input: {email: %q}) { email } }`, id, c.email))
		if strings.Contains(text, "Sign in again for this") == c.ok || strings.Contains(text, c.email) != c.ok {
			t.Errorf("%s: %s", name, text)
		}
		if status, text := b.joins(d.urls[0], ""); (status == http.StatusOK) != c.ok {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	// Who is told to sign in again is asked there, whatever session there is.
	u, err := url.Parse(newBrowser(t).begins(d.urls[0], "?again=true"))
	if err != nil || u.Query().Get("prompt") != "login" || u.Query().Get("max_age") != "0" {
		t.Errorf("the provider is asked by %s", u)
	}
}

// Some providers say an e-mail only when they are asked for more, and only of whom they named before.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	d.set(func() {
		d.person = map[string]any{"sub": "1"}
		d.userInfo = map[string]any{"sub": "2", "email": "ann@example.com", "email_verified": true, "preferred_username": "annie"}
	})
	if response, text := newBrowser(t).signsIn(d); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("about somebody else: %d %s", response.StatusCode, text)
	}
	d.set(func() { d.userInfo["sub"] = "1"; d.userInfo["email_verified"] = "true" })
	b := newBrowser(t)
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK || b.is(d.urls[0]) != "annie" {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if emails := pgtest.Texts(t, d.conn, `SELECT email FROM users`); len(emails) != 1 || emails[0] != "ann@example.com" {
		t.Errorf("%q", emails)
	}
}

// Without passwords there is one way in.
func TestPasswordsOff(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(cfg *server.Config) { cfg.NoPasswords = true })
	b := newBrowser(t)
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	for _, mutation := range []string{
		`login(input: {email: "ann", password: "x"}) { expiresAt }`, `redeemCode(code: "lcc_x", password: "x") { expiresAt }`,
		`register(input: {email: "a@example.com", username: "abc", displayName: "A", password: "x"}) { expiresAt }`, `changePassword(current: "x", new: "x")`,
	} {
		if text := b.asks(d.urls[0], "mutation { "+mutation+" }"); !strings.Contains(text, `"FORBIDDEN"`) || !strings.Contains(text, "Passwords are off here") {
			t.Errorf("%s: %s", mutation, text)
		}
	}
	_, text := b.sends(http.MethodGet, d.urls[0]+"/login/options", "same-origin", "", "")
	if strings.TrimSpace(text) != `{"open":false,"passwords":false,"singleSignOn":"127.0.0.1"}` {
		t.Errorf("the page learns %s", text)
	}
}
