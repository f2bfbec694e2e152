package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// Every route answers every method, whatever the answer is, with the headers by which browsers trust it no further than they must. Where
// everybody signs in, whoever did not is not told which version answers.
func TestHeadersOfRoutes(t *testing.T) {
	t.Parallel()
	const version = "9.8.7-told-to-nobody"
	configure := func(open bool) func(*server.Config) {
		return func(c *server.Config) { c.Open, c.Version, c.AdminAddr = open, version, "127.0.0.1:0" }
	}
	modes := map[string]*servertest.Replica{
		"open": servertest.Start(t, 1, configure(true))[0], "required": servertest.Start(t, 1, configure(false))[0],
	}
	methods := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace,
	}
	refusals := []int{http.StatusMethodNotAllowed, http.StatusNotFound, http.StatusUnauthorized} // of TRACE, which would show headers to scripts
	// Answers that browsers may keep, but ask again for, by paths and the beginnings of paths.
	kept := []string{"/login", "/schema.graphql", "/", "/icon.svg", "/client/", "/app"}
	paths := []string{"/", "/projects/7", "/icon.svg", "/client/index.js", "/nowhere.txt", "/login/nowhere", "/metrics", "/debug/pprof/", "/.env"}
	for _, pattern := range server.Patterns(t) {
		path := strings.NewReplacer("{id}", "1", "{node}", "n", "*", "login.js").Replace(pattern)
		paths = append(paths, path)
	}
	for mode, replica := range modes {
		for _, path := range paths {
			for _, method := range methods {
				for _, accept := range []string{"*/*", "text/html,*/*;q=0.8"} {
					response, body := sent(t, replica.URL, method, path, "", "Accept: "+accept)
					checkHeaders(t, mode+": "+method+" "+path+" for "+accept, response, body, kept)
					if method == http.MethodTrace && !slices.Contains(refusals, response.StatusCode) {
						t.Errorf("%s: TRACE %s: %d", mode, path, response.StatusCode)
					}
					if mode == "required" && told(response, body, version) {
						t.Errorf("%s %s tells the version: %v %s", method, path, response.Header, body)
					}
				}
			}
		}
		for _, path := range []string{"/health", "/health?verbose", "/metrics", "/debug/pprof/", "/nowhere"} {
			response, body := sent(t, replica.Admin, http.MethodGet, path, "")
			checkHeaders(t, mode+": admin "+path, response, body, nil)
		}
	}
	for mode, want := range map[string]bool{"open": true, "required": false} { // the check above can fail
		if response, body := sent(t, modes[mode].URL, http.MethodGet, "/health", ""); told(response, body, version) != want {
			t.Errorf("%s: the version is told: %v", mode, !want)
		}
	}
}

// checkHeaders looks at the headers of one answer.
func checkHeaders(t *testing.T, request string, response reply, body string, kept []string) {
	t.Helper()
	h := response.Header
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Server") != "" || h.Get("X-Powered-By") != "" {
		t.Errorf("%s: %d %v", request, response.StatusCode, h)
	}
	kind := h.Get("Content-Type")
	if body != "" && kind == "" || strings.HasPrefix(kind, "text/") && kind != "text/event-stream" && !strings.Contains(kind, "charset=utf-8") {
		t.Errorf("%s: %d has the content type %q", request, response.StatusCode, kind)
	}
	policy, caching := h.Get("Content-Security-Policy"), h.Get("Cache-Control")
	path, page := response.Path, strings.HasPrefix(h.Get("Content-Type"), "text/html") && response.StatusCode == http.StatusOK
	ours := h.Get("Etag") != "" && path != "/schema.graphql" // a file of the page
	switch {
	case !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'"):
		t.Errorf("%s: policy %q", request, policy)
	case !page && !ours && policy != "default-src 'none'; frame-ancestors 'none'":
		t.Errorf("%s: no page, but its policy is %q", request, policy)
	case page && strings.Contains(policy, "script-src") && (strings.Contains(strings.Split(policy, "style-src")[0], "unsafe") ||
		!strings.Contains(policy, "base-uri 'none'") || h.Get("Cross-Origin-Opener-Policy") != "same-origin"):
		t.Errorf("%s: policy %q, %v", request, policy, h)
	}
	if h.Get("Etag") != "" {
		if caching != "no-cache" && caching != "private, no-cache" {
			t.Errorf("%s: kept by %q", request, caching)
		}
		for _, prefix := range kept {
			if strings.HasPrefix(path, prefix) {
				return
			}
		}
	}
	if caching != "no-store" && caching != "no-store, no-transform" {
		t.Errorf("%s: %d, kept by %q: %.100s", request, response.StatusCode, caching, body)
	}
}

// told reports whether an answer has a text anywhere.
func told(response reply, body, text string) bool {
	if strings.Contains(body, text) {
		return true
	}
	for _, values := range response.Header {
		if strings.Contains(strings.Join(values, " "), text) {
			return true
		}
	}
	return false
}
