package fanout_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"layercake/internal/pgproxy"
)

// startProxy returns a proxy and the URL that leads through it.
func startProxy(t testing.TB, to string) (*pgproxy.Proxy, string) {
	t.Helper()
	parsed, err := pgx.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pgproxy.Start(pgconn.NetworkAddress(parsed.Host, parsed.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(parsed.User, parsed.Password), Host: p.Addr(),
		Path: parsed.Database, RawQuery: "sslmode=disable",
	}
	return p, u.String()
}

// of matches the sessions of a role, whatever the replica.
func of(role string) func(application string) bool {
	return func(application string) bool { return strings.HasSuffix(application, "/"+role) }
}
