package hostile

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// What a foreign page can make somebody's browser do.
var browserAttacks = []attack{
	{
		name: "cross-site", threat: "W12", alone: true, summary: "a foreign page embeds queries as pictures and scripts, and links to them",
		do: (*assault).crossSites,
	},
	{
		name: "names-foreign", threat: "W12", alone: true, summary: "a foreign name points at this machine",
		do: (*assault).rebind,
	},
	{
		name: "operators-pages", threat: "W12", alone: true, summary: "the pages of operators, by a foreign name and at the address for clients",
		do: (*assault).askForOperatorsPages,
	},
}

// visitPage sends a GET as a browser does.
func (a *assault) visitPage(ctx context.Context, c *http.Client, address, host string, header map[string]string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return reply{}, err
	}
	r.Host = host
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return a.send(c, r)
}

func (a *assault) crossSites(ctx context.Context) error {
	c := a.http()
	query := a.urls[0] + "/graphql?query=" + url.QueryEscape("{ projects { id name } }")
	embedded := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script", "Accept": "*/*"}
	link := map[string]string{
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*;q=0.8",
	}
	for name, header := range map[string]map[string]string{"an embedded query": embedded, "a link to a query": link} {
		got, err := a.visitPage(ctx, c, query, "", header)
		if err != nil {
			return err
		}
		if strings.Contains(string(got.text), `"data":{"projects"`) {
			a.wrong("%s of a foreign page was executed", name)
		}
	}
	got, err := a.visitPage(ctx, c, a.urls[0]+"/graphql", "", link)
	if err == nil && got.status != http.StatusOK {
		a.wrong("a link from elsewhere to a page was answered with %d", got.status)
	}
	return err
}

func (a *assault) rebind(ctx context.Context) error {
	c := a.http()
	for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:3000"} {
		got, err := a.visitPage(ctx, c, a.urls[0]+"/graphql?query="+url.QueryEscape("{ projects { id } }"), host, nil)
		if err != nil {
			return err
		}
		if got.status < http.StatusBadRequest {
			a.wrong("a query to %s was executed", host)
		}
		if got, err = a.visitPage(ctx, c, a.urls[0]+"/health", host, nil); err != nil {
			return err
		}
		if got.status != http.StatusOK {
			a.wrong("/health depends on the name: it answered %d to %s", got.status, host)
		}
	}
	return nil
}

func (a *assault) askForOperatorsPages(ctx context.Context) error {
	c := a.http()
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/health?verbose", "/ops", "/ops/api/all"} {
		got, err := a.visitPage(ctx, c, a.urls[0]+path, "", nil)
		if err != nil {
			return err
		}
		verbose := strings.HasSuffix(path, "?verbose") && strings.Contains(string(got.text), "diagnosis")
		if verbose || !strings.HasPrefix(path, "/health") && got.status == http.StatusOK {
			a.wrong("clients see %s", path)
		}
		if got, err = a.visitPage(ctx, c, a.admins[0]+path, "evil.example", nil); err != nil {
			return err
		}
		if got.status == http.StatusOK {
			a.wrong("the address for operators answered %s to evil.example", path)
		}
	}
	for name, header := range map[string]map[string]string{
		"of another site": {"Sec-Fetch-Site": "cross-site"}, "of another port": {"Sec-Fetch-Site": "same-site"},
		"in a browser that does not say where it is from": {"Origin": "http://evil.example"},
	} {
		got, err := a.visitPage(ctx, c, a.admins[0]+"/ops/api/all", "", header)
		if err != nil {
			return err
		}
		if got.status == http.StatusOK {
			a.wrong("a page %s sees what operators see", name)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.admins[0]+"/ops/api/kick_user", strings.NewReader(`{"user_id":"x"}`))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "http://evil.example")
		for name, value := range header {
			r.Header.Set(name, value)
		}
		if got, err = a.send(c, r); err != nil {
			return err
		}
		if got.status != http.StatusForbidden {
			a.wrong("a page %s commands: %d", name, got.status)
		}
	}
	got, err := a.visitPage(ctx, c, a.admins[0]+"/debug/pprof/cmdline", "", nil)
	if err == nil && got.status == http.StatusOK {
		a.wrong("/debug/pprof/cmdline shows the settings of the process")
	}
	return err
}
