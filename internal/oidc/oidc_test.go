package oidc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"layercake/internal/oidc"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
)

// deployment is two replicas with single sign-on.
type deployment struct {
	*idp
	urls     []string
	database string // its URL
	conn     *pgx.Conn
}

// deploy starts two replicas at fixed addresses, of which the first one's is public.
func deploy(t *testing.T, configure func(*server.Config)) *deployment {
	t.Helper()
	d := &deployment{idp: startIDP(t)}
	d.database = pgtest.New(t)
	addresses := []string{servertest.Address(t), servertest.Address(t)}
	public, err := url.Parse("http://" + addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		replicas := servertest.StartOn(t, d.database, 1, func(cfg *server.Config) {
			cfg.HTTPAddr, cfg.PublicURL, cfg.Open, cfg.Registration = address, public, false, "open"
			cfg.OIDC = oidc.Config{
				Issuer: d.URL, ClientID: clientID, ClientSecret: clientSecret, Scopes: "openid profile email", Patience: pgtest.Patience,
			}
			if configure != nil {
				configure(cfg)
			}
		})
		d.urls = append(d.urls, replicas[0].URL)
	}
	d.conn = pgtest.Connect(t, d.database)
	return d
}

// browser is a browser of somebody: it keeps cookies, and follows no redirect by itself.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is the head of an answer.
type reply struct {
	StatusCode int
	Header     http.Header
}

// sends sends a request from a site, as a browser calls it, and returns the answer.
func (b *browser) sends(method, address, site, mediaType, body string) (reply, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html, application/json;q=0.9", "Content-Type": mediaType,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	response, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header}, string(text)
}

// begins begins a sign-in at a replica, and returns the address at the provider.
func (b *browser) begins(url, query string) string {
	b.t.Helper()
	response, text := b.sends(http.MethodGet, url+"/oidc/login"+query, "same-origin", "", "")
	if response.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("login: %d %s", response.StatusCode, text)
	}
	return response.Header.Get("Location")
}

// isSent goes to the provider, and returns the address that it sends the browser to, at a replica.
func (b *browser) isSent(address, replica string) string {
	b.t.Helper()
	response, text := b.sends(http.MethodGet, address, "cross-site", "", "")
	if response.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("the provider: %d %s", response.StatusCode, text)
	}
	to, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	return replica + to.RequestURI()
}

// returns goes where the provider sent it.
func (b *browser) returns(address string) (reply, string) {
	b.t.Helper()
	return b.sends(http.MethodGet, address, "cross-site", "", "")
}

// signsIn does all of it: it begins at the first replica, and comes back to the second.
func (b *browser) signsIn(d *deployment) (reply, string) {
	b.t.Helper()
	return b.returns(b.isSent(b.begins(d.urls[0], "?return=/projects/7"), d.urls[1]))
}

// is returns the user name of whom a replica takes it for, "" for nobody.
func (b *browser) is(replica string) string {
	b.t.Helper()
	_, text := b.sends(http.MethodPost, replica+"/graphql", "same-origin", "application/json", `{"query":"{ me { username } }"}`)
	var answer struct {
		Data struct{ Me struct{ Username string } }
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&answer); err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
	return answer.Data.Me.Username
}

// A sign-in begins on one replica and ends on another one.
func TestSignIn(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	b := newBrowser(t)
	// Another site cannot begin it: its user is shown our page.
	response, _ := b.sends(http.MethodGet, d.urls[0]+"/oidc/login?return=/a%3Fb", "cross-site", "", "")
	if location := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || location != "/login?return=%2Fa%3Fb" {
		t.Errorf("led by another site: %d %s", response.StatusCode, location)
	}
	response, text := b.signsIn(d)
	if response.StatusCode != http.StatusOK || !strings.Contains(text, `content="0; url=/projects/7"`) {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	if all := fmt.Sprint(response.Header, text); strings.Contains(all, "opaque") || strings.Contains(all, d.last) {
		t.Error("a token of the provider reaches the browser")
	}
	for _, replica := range d.urls {
		if who := b.is(replica); who != "ann" {
			t.Errorf("signed in as %q", who)
		}
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM oidc_flows`); n != 0 {
		t.Errorf("%d flows are left", n)
	}
	// Again: the same account, and the session that the browser had ends.
	if response, text := b.signsIn(d); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM users`); n != 1 {
		t.Errorf("%d accounts", n)
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM sessions WHERE ended_at IS NULL AND subject = '1' AND issuer_session = 's1'`); n != 1 {
		t.Errorf("%d sessions of the browser live on", n)
	}
}

// The cookie that binds a sign-in to a browser is one that no other site can set.
func TestFlowCookie(t *testing.T) {
	t.Parallel()
	for scheme, name := range map[string]string{"https": "__Host-layercake-flow", "http": "layercake-flow"} {
		d := deploy(t, func(cfg *server.Config) { cfg.PublicURL = &url.URL{Scheme: scheme, Host: cfg.PublicURL.Host} })
		ask := func(cookies ...string) *http.Cookie {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.urls[0]+"/oidc/login", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, cookie := range cookies {
				r.Header.Add("Cookie", cookie)
			}
			response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			set := response.Cookies()
			if len(set) != 1 || set[0].Name != name || set[0].Secure != (scheme == "https") || !set[0].HttpOnly || set[0].SameSite != http.SameSiteLaxMode ||
				set[0].MaxAge != 600 || set[0].Path != "/" || set[0].Domain != "" {
				t.Fatalf("%s: %v", scheme, set)
			}
			return set[0]
		}
		value := ask().Value
		if again := ask(name + "=" + value).Value; again != value {
			t.Error("another tab gets another secret")
		}
		for _, planted := range []string{name + "=short", map[string]string{"https": "layercake-flow", "http": "__Host-layercake-flow"}[scheme] + "=" + value} {
			if got := ask(planted).Value; len(got) != len(value) || strings.HasSuffix(planted, got) {
				t.Errorf("%s: %s is taken", scheme, planted)
			}
		}
	}
}
