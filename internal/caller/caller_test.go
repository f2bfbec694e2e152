package caller_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/go-chi/chi/v5/middleware"
)

// serve sends one request through the middleware, and returns its caller and its response.
func serve(t *testing.T, cfg caller.Config, headers map[string]string) (c caller.Caller, response *httptest.ResponseRecorder) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "192.0.2.1:4711"
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	response = httptest.NewRecorder()
	caller.Middleware(cfg)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c = caller.From(r.Context())
	})).ServeHTTP(response, r)
	return c, response
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	for stated, kept := range map[string]bool{
		"abc-1": true, "a/b:c+d=e._": true, "": false, "with blank": false, "line\nbreak": false,
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false,
	} {
		c, response := serve(t, caller.Config{}, map[string]string{caller.RequestIDHeader: stated})
		switch {
		case response.Header().Get(caller.RequestIDHeader) != c.RequestID:
			t.Errorf("%q: the response names %q, the context %q", stated, response.Header().Get(caller.RequestIDHeader), c.RequestID)
		case (c.RequestID == stated) != kept || c.RequestID == "":
			t.Errorf("%q became %q", stated, c.RequestID)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	forwarded := map[string]string{"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
	for name, c := range map[string]struct {
		trusted []string
		want    string
	}{
		"nobody is trusted":                    {nil, "192.0.2.1"},
		"the proxy is trusted":                 {[]string{"192.0.2.0/24"}, "203.0.113.9"},
		"the proxy and one behind it, trusted": {[]string{"192.0.2.0/24", "203.0.113.0/24"}, "198.51.100.7"},
	} {
		got, _ := serve(t, caller.Config{TrustedProxies: c.trusted}, forwarded)
		if got.Address.String() != c.want {
			t.Errorf("%s: %s, want %s", name, got.Address, c.want)
		}
	}
	if got, _ := serve(t, caller.Config{TrustedProxies: []string{"192.0.2.0/24"}}, nil); got.Address.IsValid() {
		t.Errorf("a trusted proxy named nobody: %s", got.Address)
	}
}

// Some proxies write the port, too. An entry that is no address hides all before it, with a port or without.
func TestAddressesWithPorts(t *testing.T) {
	t.Parallel()
	for forwarded, want := range map[string]string{
		"203.0.113.7:4711":                           "203.0.113.7",
		"[2001:db8::1]:4711":                         "2001:db8::1",
		"[fe80::1%eth0]:4711":                        "fe80::1",
		"[::ffff:203.0.113.7]:4711":                  "203.0.113.7",
		"198.51.100.7 , 203.0.113.7:1\t,192.0.2.9:2": "203.0.113.7", // the last one is a trusted proxy
		"198.51.100.7:1,[::ffff:192.0.2.9]:2":        "198.51.100.7",
		"2001:db8::1:4711":                           "2001:db8::1:4711",
		"203.0.113.7:4711:1":                         "",
		"203.0.113.7:":                               "",
		"203.0.113.7:65536":                          "",
		"203.0.113.7:-1":                             "",
		"[203.0.113.7]:1":                            "",
		"[2001:db8::1]":                              "",
		"198.51.100.7, unknown":                      "",
		"198.51.100.7, unknown:4711":                 "",
		"198.51.100.7:1, :4711":                      "",
	} {
		got, _ := serve(t, caller.Config{TrustedProxies: []string{"192.0.2.0/24"}}, map[string]string{"X-Forwarded-For": forwarded})
		if found := got.Address; found.IsValid() != (want != "") || found.IsValid() && found.String() != want {
			t.Errorf("%q: %v, want %q", forwarded, found, want)
		}
	}
}

// FuzzForwarded reads anything as X-Forwarded-For: where the library finds a client, it is that one, and it is never a proxy.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"203.0.113.7:4711", "[2001:db8::1]:4711", "198.51.100.7 , 203.0.113.7:1,192.0.2.9:2", "198.51.100.7, unknown", ",,", "[::ffff:192.0.2.9]:1",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		const trusted = "192.0.2.0/24"
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = "192.0.2.1:4711"
		r.Header["X-Forwarded-For"] = []string{first, second}
		var want, got netip.Addr
		middleware.ClientIPFromXFF(trusted)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			want = middleware.GetClientIPAddr(r.Context())
		})).ServeHTTP(httptest.NewRecorder(), r)
		caller.Middleware(caller.Config{TrustedProxies: []string{trusted}})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = caller.From(r.Context()).Address
		})).ServeHTTP(httptest.NewRecorder(), r)
		if want.IsValid() && got != want {
			t.Errorf("%q, %q: %v, want %v", first, second, got, want)
		}
		if netip.MustParsePrefix(trusted).Contains(got) || got.Is4In6() || got.Zone() != "" {
			t.Errorf("%q, %q: %v", first, second, got)
		}
		if got.IsValid() && !want.IsValid() && !strings.Contains(first+second, ":") {
			t.Errorf("%q, %q: %v, where the library finds nobody", first, second, got)
		}
	})
}

func TestWhoMayGoOn(t *testing.T) {
	t.Parallel()
	open, _ := serve(t, caller.Config{Open: true}, nil)
	if err := open.Check(); err != nil {
		t.Errorf("open mode: %v", err)
	}
	closed, _ := serve(t, caller.Config{}, nil)
	for name, c := range map[string]caller.Caller{
		"without a credential": closed, "outside of a request": caller.From(t.Context()),
		"for several callers": caller.From(caller.WithNobody(t.Context())),
	} {
		if err := c.Check(); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v, want %s", name, err, fault.Unauthenticated)
		}
	}
}

func TestActors(t *testing.T) {
	t.Parallel()
	var actors [][3]auth.Actor
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		actors = append(actors, [...]auth.Actor{caller.From(ctx).Actor, caller.Principal(ctx, "").Actor, caller.Principal(ctx, "x").Actor})
	})
	for range 2 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		caller.Middleware(caller.Config{Open: true})(next).ServeHTTP(httptest.NewRecorder(), r)
	}
	switch a, b := actors[0], actors[1]; {
	case a[0].ID == "" || a[0] == b[0]:
		t.Errorf("two requests are of %q and %q", a[0].ID, b[0].ID)
	case a[0] != a[1] || b[0] != b[1]:
		t.Error("who states no id is not the caller")
	case a[2] != b[2] || a[2] == a[0]:
		t.Error("the id that a client states does not decide who it is")
	}
}

func TestEveryCodeHasAnAnswer(t *testing.T) {
	t.Parallel()
	retried := map[fault.Code]bool{fault.RateLimited: true, fault.Unavailable: true}
	seen := map[int]fault.Code{}
	for _, code := range fault.Codes() {
		a := caller.AnswerTo(code)
		if a.Status < 400 || (a.Retry > 0) != retried[code] {
			t.Errorf("%s: %+v", code, a)
		}
		if other, ok := seen[a.Status]; ok {
			t.Errorf("%s and %s share status %d", code, other, a.Status)
		}
		seen[a.Status] = code
	}
	if got := caller.AnswerTo("A_TRANSPORTS_OWN").Status; got != http.StatusBadRequest {
		t.Errorf("a code of a transport's own is %d", got)
	}
}

// A name is told to people, and changes nothing else of a caller.
func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 100)
	for header, want := range map[string]string{
		"": "Anonymous User", "Amber%20Otter": "Amber Otter", "Zo%C3%AB+1": "Zoë+1", "Zoë": "Zoë", "%F0%9F%A6%A6": "🦦",
		url.PathEscape(long): long, url.PathEscape(" A "): " A ",
		url.PathEscape(long + "x"): "", "%20": "", "%09": "", "%C2%A0": "", "A%00": "", "A%0AB": "", "A%E2%80%AEB": "", "%EF%BB%BFA": "",
		"%FF": "", "%": "", "%zz": "", "100%": "",
	} {
		c, _ := serve(t, caller.Config{Open: true}, map[string]string{caller.NameHeader: header})
		switch err := c.Check(); {
		case want == "" && !fault.Is(err, fault.BadRequest):
			t.Errorf("%q is answered with %v, want %s", header, err, fault.BadRequest)
		case want != "" && (err != nil || c.Actor.Name != want):
			t.Errorf("%q became %q, %v", header, c.Actor.Name, err)
		case c.Actor.Kind != auth.KindAnonymous || c.Actor.OpActor() != "":
			t.Errorf("%q became %+v", header, c.Actor)
		}
	}
	if c, _ := serve(t, caller.Config{}, map[string]string{caller.NameHeader: "%"}); !fault.Is(c.Check(), fault.Unauthenticated) {
		t.Errorf("who may not go on is told %v", c.Check())
	}
}

// The name belongs to the caller, whatever client id an argument states, and not to anybody with a credential.
func TestNamesOfActors(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, caller.Config{Open: true}, map[string]string{caller.NameHeader: "Ann"})
	ctx := caller.With(t.Context(), c)
	if a, unnamed := caller.Principal(ctx, "tab"), auth.Anonymous("tab"); a.Name != "Ann" || a.ID != unnamed.ID || a.Kind != unnamed.Kind {
		t.Errorf("got %+v", a)
	}
	if a := caller.Principal(caller.WithNobody(ctx), "tab"); a.Actor != (auth.Actor{}) {
		t.Errorf("of nobody: %+v", a)
	}
	again, err := c.Named("Bob")
	if err != nil || again.Actor.Name != "Bob" || again.Actor.ID != c.Actor.ID || c.Actor.Name != "Ann" {
		t.Errorf("renamed: %+v, %v", again.Actor, err)
	}
	user := caller.Caller{Principal: auth.Principal{Actor: auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}}}
	for _, name := range []string{"Bob", " ", "A\n"} {
		if got, err := user.Named(name); err != nil || !reflect.DeepEqual(got, user) {
			t.Errorf("with a credential, %q: %+v, %v", name, got.Actor, err)
		}
	}
	if p := caller.Principal(caller.With(ctx, user), "tab"); p.Actor != user.Actor {
		t.Errorf("a client id beside a credential: %+v", p)
	}
}
