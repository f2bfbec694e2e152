package server

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"layercake/graph"
	"layercake/internal/oidc"
	"layercake/internal/web"
)

// allowsOrigin reports whether pages of another origin may call this server. In open mode those on this machine may: the
// existing client is served from a port of its own, or by a desktop shell.
func (c Config) allowsOrigin(origin string) bool {
	if slices.Contains(c.AllowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if c.PublicURL != nil && u.Scheme == c.PublicURL.Scheme && u.Host == c.PublicURL.Host {
		return true
	}
	return c.Open && len(c.AllowedOrigins) == 0 && (origin == "tauri://localhost" || isLoopback(u.Hostname()))
}

// allowsHost reports whether clients may know this server by a name. The names of loopback lead to whoever asks, so nobody else can
// have made them; they are served where they were asked for, and where nobody but this machine can connect.
func (c Config) allowsHost(name string) bool {
	if c.PublicURL != nil && strings.EqualFold(name, c.PublicURL.Hostname()) {
		return true
	}
	if isLoopback(name) && (!c.BeyondLoopback() || slices.Contains(c.Hosts, "localhost")) {
		return true
	}
	return slices.ContainsFunc(c.Hosts, func(host string) bool { return strings.EqualFold(name, host) })
}

// hostOf returns the name in the Host header of a request, without a port.
func hostOf(r *http.Request) string {
	return strings.TrimSuffix((&url.URL{Host: r.Host}).Hostname(), ".")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkHost refuses names that somebody else made to point at this deployment: a page behind such a name would count as ours. What
// /health says does not depend on the name, and balancers ask for it by address.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isMisdirected(r) {
			http.Error(w, "This server is known by another name (LAYERCAKE_PUBLIC_URL, LAYERCAKE_HOSTS)", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) isMisdirected(r *http.Request) bool {
	health := r.URL.Path == "/health" || strings.HasPrefix(r.URL.Path, "/health/")
	return !health && !s.cfg.allowsHost(hostOf(r))
}

// checkOrigin refuses requests from pages that may not call, also those that a browser sends without an Origin, such as for a picture.
// CORS alone only keeps the answer from such a page.
func (s *Server) checkOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isForeign(r) {
			http.Error(w, "Pages of this origin may not call this server (LAYERCAKE_ALLOWED_ORIGINS)", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) isForeign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return crossSite(r) && !(follows(r) && s.isPage(r))
	}
	own := origin == "http://"+r.Host || origin == "https://"+r.Host
	return !own && !s.cfg.allowsOrigin(origin)
}

// crossSite reports whether a browser says that a page of another site sends a request. It does so only over TLS and to loopback.
func crossSite(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }

// isPage reports whether a request is for a page that people look at.
func (s *Server) isPage(r *http.Request) bool {
	switch r.URL.Path {
	case web.LoginPath, oidc.LoginPath, oidc.CallbackPath: // an identity provider is another site
		return true
	case "/graphql":
		return graph.IsPage(r)
	}
	return s.pages.IsPage(r)
}

// follows reports whether a browser says that somebody followed a link, so that the answer takes the place of the page.
func follows(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// checkAdminHost refuses names of the admin address that somebody else made to point at it. Programs that read metrics know a replica by an
// address, which nobody can make to point elsewhere, or by one of its names.
func (s *Server) checkAdminHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r)
		if _, err := netip.ParseAddr(host); err != nil && !isLoopback(host) && !s.cfg.allowsHost(host) {
			http.Error(w, "This server is known by another name (LAYERCAKE_HOSTS)", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusePages refuses what a page may make a browser of an operator ask.
func refusePages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || crossSite(r) && !follows(r) {
			http.Error(w, "Pages may not call the admin address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyOwnPage lets in what a browser says that the page of this very address asks for, and somebody who goes to the page itself. A form
// or a script of another page, also one of another port of this machine, says something else, and cannot help saying it; a browser that
// says nothing is too old, or was led here over plain HTTP from elsewhere. What changes something states its origin, too, and is JSON,
// which no form sends.
func onlyOwnPage(page string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if why := foreignTo(page, r); why != "" {
				http.Error(w, why, http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// foreignTo returns why a request does not come from a page of the server's own, or "" when it does.
func foreignTo(page string, r *http.Request) string {
	origin := r.Header.Get("Origin")
	own := origin == "http://"+r.Host || origin == "https://"+r.Host
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site == "same-origin" && origin == "" && r.Method != http.MethodPost, site == "same-origin" && own:
		return ""
	case site == "same-origin":
		return "Only the page of this address may ask this: its Origin is another one"
	case site == "none" && strings.TrimSuffix(r.URL.Path, "/") == page && follows(r):
		return ""
	case site == "":
		return "Only the page of this address may ask this, and no browser says where this request comes from (Sec-Fetch-Site). " +
			"Browsers do on loopback and over https only: forward a port of your machine to this address, and open that"
	}
	return "Only the page of this address may ask this. To go to it, type its address: links of other pages do not lead here"
}
