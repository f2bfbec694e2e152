package server_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

const query = "/graphql?query={__typename}"

// Pages of other sites may not drive a server that lets everybody on this machine in.
func TestOpenModeIsForThisMachine(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"no browser":                {nil, http.StatusOK},
		"page of this server":       {[]string{"Origin", url}, http.StatusOK},
		"page of this machine":      {[]string{"Origin", "http://localhost:1420"}, http.StatusOK},
		"desktop shell":             {[]string{"Origin", "tauri://localhost", "Sec-Fetch-Site", "cross-site"}, http.StatusOK},
		"page of another site":      {[]string{"Origin", "https://example.com"}, http.StatusForbidden},
		"page without an origin":    {[]string{"Origin", "null"}, http.StatusForbidden},
		"name pointed at this host": {[]string{"Origin", "http://example.com", "Host", "example.com"}, http.StatusMisdirectedRequest},
	} {
		if got := get(t, url+query, c.header...); got != c.want {
			t.Errorf("%s: status = %d, want %d", name, got, c.want)
		}
	}
	if got := get(t, url+"/nowhere"); got != http.StatusNotFound {
		t.Errorf("unknown path: %d, want 404", got)
	}
}

// A page of another site can make a browser send a GET without an Origin. Only somebody who follows a link gets an answer, and only a page.
func TestPagesOfOtherSites(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	until(t, "the listener", func() bool { return get(t, url+"/health") == http.StatusOK })
	link := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html,*/*;q=0.8"}
	frame := append(append([]string{}, link...), "Sec-Fetch-Dest", "iframe")
	picture := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "text/html,image/*"}
	for name, c := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"a link to the page":               {"/graphql", link, http.StatusOK},
		"a link to the list":               {"/", link, http.StatusOK},
		"a link to an editor":              {"/projects/7", link, http.StatusOK},
		"a frame with an editor":           {"/projects/7", frame, http.StatusForbidden},
		"a picture of an editor":           {"/projects/7", picture, http.StatusForbidden},
		"a link to a script of the page":   {"/client/index.js", link, http.StatusForbidden},
		"a link that would ask":            {query, link, http.StatusForbidden},
		"a link to what is no page":        {"/health", link, http.StatusForbidden},
		"a link to a socket":               {graphQLSocket, link, http.StatusForbidden},
		"a frame":                          {"/graphql", frame, http.StatusForbidden},
		"a picture":                        {query, picture, http.StatusForbidden},
		"a picture of the page":            {"/graphql", picture, http.StatusForbidden},
		"an address that somebody typed":   {query, []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, http.StatusOK},
		"another port of this site":        {query, []string{"Sec-Fetch-Site", "same-site"}, http.StatusOK},
		"a browser that says nothing":      {query, nil, http.StatusOK},
		"an allowed page that calls":       {query, []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://localhost:1"}, http.StatusOK},
		"a page that is not allowed calls": {query, []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://foreign.example"}, http.StatusForbidden},
	} {
		if got := get(t, url+c.path, c.header...); got != c.want {
			t.Errorf("%s: status = %d, want %d", name, got, c.want)
		}
	}
}

// Whoever can reach a replica from elsewhere might do so by a name of a foreign page's own making.
func TestNamesOfAServer(t *testing.T) {
	t.Parallel()
	public, err := url.Parse("https://Plans.example:8443")
	if err != nil {
		t.Fatal(err)
	}
	everywhere := func(configure func(*server.Config)) func(*server.Config) {
		return func(c *server.Config) {
			c.HTTPAddr = strings.Replace(c.HTTPAddr, "127.0.0.1", "0.0.0.0", 1)
			configure(c)
		}
	}
	for name, c := range map[string]struct {
		configure          func(*server.Config)
		allowed, forbidden []string
	}{
		"on loopback": {
			func(*server.Config) {},
			[]string{"localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:3000", "localhost."},
			[]string{"plans.example", "localhost.example", "127.0.0.1.example", "10.1.2.3", "[fe80::1]", "localhost.."},
		},
		"everywhere, by a name": {
			everywhere(func(c *server.Config) { c.Hosts = []string{"layercake.example", "10.1.2.3"} }),
			[]string{"layercake.example", "Layercake.example:3000", "10.1.2.3:3000", "layercake.example."},
			[]string{"localhost", "127.0.0.1", "a.layercake.example", "layercake.example.foreign", "10.1.2.4"},
		},
		"everywhere, by a URL": {
			everywhere(func(c *server.Config) { c.PublicURL = public }),
			[]string{"plans.example", "plans.example:3000"},
			[]string{"localhost", "layercake.example"},
		},
		"everywhere, as in docker-compose.yml": {
			everywhere(func(c *server.Config) { c.Hosts = []string{"localhost"} }),
			[]string{"localhost:3000", "127.0.0.1", "[::1]"},
			[]string{"plans.example", "10.1.2.3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := strings.Replace(servertest.Start(t, 1, c.configure)[0].URL, "0.0.0.0", "127.0.0.1", 1)
			until(t, "the listener", func() bool { return get(t, url+"/health", "Host", "any.example") == http.StatusOK })
			for _, host := range c.allowed {
				if got := get(t, url+query, "Host", host); got != http.StatusOK {
					t.Errorf("%s: %d", host, got)
				}
			}
			for _, host := range c.forbidden {
				if got := get(t, url+query, "Host", host); got != http.StatusMisdirectedRequest {
					t.Errorf("%s: %d, want 421", host, got)
				}
				for _, path := range []string{"/health", "/health/live", "/health/ready"} {
					if got := get(t, url+path, "Host", host); got != http.StatusOK {
						t.Errorf("%s of %s: %d", path, host, got)
					}
				}
			}
		})
	}
}

// What is shown to operators is for nobody's page, and says nothing of how the process was started.
func TestAdminAddress(t *testing.T) {
	t.Parallel()
	var log notes
	admin := servertest.Start(t, 1, func(c *server.Config) {
		c.AdminAddr, c.Hosts = "0.0.0.0:0", []string{"replica1"}
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})[0].Admin
	admin = strings.Replace(admin, "[::]", "127.0.0.1", 1)
	for name, c := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"a scraper, by address":  {"/metrics", []string{"Host", "10.1.2.3:3100"}, http.StatusOK},
		"a scraper, by name":     {"/metrics", []string{"Host", "replica1:3100"}, http.StatusOK},
		"a name that leads here": {"/metrics", []string{"Host", "foreign.example"}, http.StatusMisdirectedRequest},
		"a page that calls":      {"/metrics", []string{"Origin", "http://localhost:1"}, http.StatusForbidden},
		"a picture":              {"/debug/pprof/heap", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, http.StatusForbidden},
		"a link": {
			"/metrics", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, http.StatusOK,
		},
		"profiles":         {"/debug/pprof/", nil, http.StatusOK},
		"the command line": {"/debug/pprof/cmdline", nil, http.StatusNotFound},
	} {
		if got := get(t, admin+c.path, c.header...); got != c.want {
			t.Errorf("%s: status = %d, want %d", name, got, c.want)
		}
	}
	if !bytes.Contains([]byte(log.String()), []byte("other machines may reach the admin address")) {
		t.Errorf("the log does not say that everybody may see metrics:\n%s", &log)
	}
}
