package caller_test

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
)

// lookAnn knows one secret.
func lookAnn(_ context.Context, _ auth.From, secret string) (auth.Principal, error) {
	switch secret {
	case "lcs_ann":
		return auth.Principal{Actor: auth.Actor{ID: "1", Kind: auth.KindUser, Name: "Ann", Account: 1}}, nil
	case "lcs_away":
		return auth.Principal{}, fault.New(fault.Unavailable, fault.Busy)
	}
	return auth.Principal{}, fault.New(fault.Unauthenticated, "The session has ended")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	public, err := url.Parse("https://plans.example")
	if err != nil {
		t.Fatal(err)
	}
	const plain, cookie = "layercake=lcs_ann", "__Host-layercake=lcs_ann"
	for name, c := range map[string]struct {
		host    string // "" for example.com
		path    string
		headers []string // name: value
		public  *url.URL
		account int32
		code    fault.Code // "" when the caller may go on in open mode
	}{
		"none":                        {},
		"bearer":                      {headers: []string{"Authorization: Bearer lcs_ann"}, account: 1},
		"bearer in lower case":        {headers: []string{"Authorization: bearer lcs_ann"}, account: 1},
		"header":                      {headers: []string{"X-Layercake-Session: lcs_ann"}, account: 1},
		"a wrong header":              {headers: []string{"X-Layercake-Session: lcs_bob"}, code: fault.Unauthenticated},
		"a wrong token in the header": {headers: []string{"X-Layercake-Session: lc_bob"}, code: fault.Unauthenticated},
		"an id that a client made up": {headers: []string{"X-Layercake-Session: session_1"}},
		"such an id and a bearer":     {headers: []string{"X-Layercake-Session: session_1", "Authorization: Bearer lcs_ann"}, account: 1},
		"such an id and a cookie": {
			headers: []string{"X-Layercake-Session: session_1", "Cookie: " + cookie, "Origin: http://example.com"}, account: 1,
		},
		"the same twice":                {headers: []string{"X-Layercake-Session: lcs_ann", "Authorization: Bearer lcs_ann"}, account: 1},
		"two":                           {headers: []string{"X-Layercake-Session: lcs_bob", "Authorization: Bearer lcs_ann"}, code: fault.BadRequest},
		"wrong":                         {headers: []string{"Authorization: Bearer lcs_bob"}, code: fault.Unauthenticated},
		"nobody can look":               {headers: []string{"Authorization: Bearer lcs_away"}, code: fault.Unavailable},
		"another scheme":                {headers: []string{"Authorization: Basic eDp5"}, code: fault.Unauthenticated},
		"an empty bearer":               {headers: []string{"Authorization: Bearer "}, code: fault.Unauthenticated},
		"in the address":                {path: "/?token=lcs_ann", code: fault.BadRequest},
		"as OAuth has it":               {path: "/?access_token=lcs_ann", code: fault.BadRequest},
		"cookie of an own page":         {headers: []string{"Cookie: " + cookie, "Origin: http://example.com"}, account: 1},
		"cookie of an opened page":      {headers: []string{"Cookie: " + cookie, "Sec-Fetch-Site: none"}, account: 1},
		"cookie of the same origin":     {headers: []string{"Cookie: " + cookie, "Sec-Fetch-Site: same-origin"}, account: 1},
		"cookie of another site":        {headers: []string{"Cookie: " + cookie, "Sec-Fetch-Site: cross-site"}},
		"cookie of the same site":       {headers: []string{"Cookie: " + cookie, "Sec-Fetch-Site: same-site"}},
		"cookie of a foreign page":      {headers: []string{"Cookie: " + cookie, "Origin: https://evil.example"}},
		"a foreign page that says more": {headers: []string{"Cookie: " + cookie, "Origin: https://evil.example", "Sec-Fetch-Site: same-origin"}},
		"cookie of a page without one":  {headers: []string{"Cookie: " + cookie, "Origin: null"}},
		"cookie of no browser":          {headers: []string{"Cookie: " + cookie}},
		"cookie by the public name":     {headers: []string{"Cookie: " + cookie, "Origin: https://plans.example"}, public: public, account: 1},
		"cookie by another name":        {headers: []string{"Cookie: " + cookie, "Origin: http://example.com"}, public: public},
		"plain cookie of this machine":  {host: "127.0.0.1:3000", headers: []string{"Cookie: " + plain, "Sec-Fetch-Site: same-origin"}, account: 1},
		"plain cookie, maybe planted":   {headers: []string{"Cookie: " + plain, "Sec-Fetch-Site: same-origin"}},
		"plain cookie, planted":         {headers: []string{"Cookie: " + plain, "Origin: https://plans.example"}, public: public},
		"cookie and another bearer": {
			headers: []string{"Cookie: " + cookie, "Sec-Fetch-Site: same-origin", "Authorization: Bearer lcs_bob"}, code: fault.BadRequest,
		},
	} {
		for _, open := range []bool{true, false} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+cmp.Or(c.host, "example.com")+c.path, nil)
			for _, header := range c.headers {
				key, value, _ := strings.Cut(header, ": ")
				r.Header.Set(key, value)
			}
			var got caller.Caller
			next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = caller.From(r.Context()) })
			caller.Middleware(caller.Config{Open: open})(caller.Authenticate(lookAnn, c.public)(next)).ServeHTTP(httptest.NewRecorder(), r)
			want := c.code
			if want == "" && !open && c.account == 0 {
				want = fault.Unauthenticated
			}
			err := got.Check()
			if want == "" && err != nil || want != "" && !fault.Is(err, want) {
				t.Errorf("%s, open %v: %v, want %q", name, open, err, want)
			}
			if got.Account != c.account {
				t.Errorf("%s: account %d, want %d", name, got.Account, c.account)
			}
		}
	}
}

// A connection may be moved to another session of its account, and to none of another one.
func TestProveAgain(t *testing.T) {
	t.Parallel()
	c, err := caller.Caller{}.Prove(t.Context(), lookAnn, "lcs_ann")
	if err != nil || c.Check() != nil || c.Account != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	if again, err := c.Prove(t.Context(), lookAnn, "lcs_ann"); err != nil || again.Account != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	other := c
	other.Account = 2
	if _, err := other.Prove(t.Context(), lookAnn, "lcs_ann"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("another account: %v", err)
	}
	if same, err := c.Prove(t.Context(), lookAnn, "lcs_bob"); !fault.Is(err, fault.Unauthenticated) || same.Account != 1 {
		t.Errorf("a wrong one: %+v, %v", same, err)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	public, err := url.Parse("https://plans.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		address string
		public  *url.URL
		want    string
	}{
		"loopback":     {"http://127.0.0.1:3000/", nil, "layercake=s; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; SameSite=Lax"},
		"localhost":    {"http://localhost:3000/", nil, "layercake=s; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; SameSite=Lax"},
		"IPv6":         {"http://[::1]:3000/", nil, "layercake=s; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; SameSite=Lax"},
		"another host": {"http://plans.example/", nil, "__Host-layercake=s; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax"},
		"a proxy's":    {"http://127.0.0.1:3000/", public, "__Host-layercake=s; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.address, nil)
		caller.SetSession(w, r, c.public, "s", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if got := w.Header().Get("Set-Cookie"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		w = httptest.NewRecorder()
		if caller.ClearSession(w, r, c.public); !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("%s: %s clears nothing", name, w.Header().Get("Set-Cookie"))
		}
	}
}
