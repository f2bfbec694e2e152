package pgtest

import (
	"net/url"
	"testing"

	"layercake/internal/pgproxy"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy puts a network that can be lost between programs and a database until the test ends, and returns the URL that leads through it.
func Proxy(t testing.TB, database string) (proxy *pgproxy.Proxy, through string) {
	t.Helper()
	direct, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err = pgproxy.Start(pgconn.NetworkAddress(direct.Host, direct.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(direct.User, direct.Password), Host: proxy.Addr(), Path: direct.Database,
		RawQuery: "sslmode=disable",
	}
	return proxy, u.String()
}
