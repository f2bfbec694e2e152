package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// resident returns the bytes of memory that a replica's process holds itself.
func resident(b *testing.B, p *servertest.Process) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		b.Skip("there is no /proc here")
	}
	_, line, _ := strings.Cut(string(status), "RssAnon:")
	kilobytes := 0
	if _, err := fmt.Sscanf(line, "%d kB", &kilobytes); err != nil {
		b.Fatal(err)
	}
	return float64(kilobytes << 10)
}

// account makes an account in a replica, and returns its secret.
func account(b *testing.B, url, name string) string {
	b.Helper()
	c := client.New(url)
	defer c.Close()
	a, err := c.Register(b.Context(), name, password)
	if err != nil {
		b.Fatal(err)
	}
	return a.Secret
}

// BenchmarkLogins measures what others notice of 200 logins a second: how long a request of somebody who is signed in takes, beside logins and
// without, in turn, and how much more memory the replica has.
func BenchmarkLogins(b *testing.B) {
	const phase, pause, rounds, logins = 5 * time.Second, 10 * time.Millisecond, 2, 200
	for b.Loop() {
		p := servertest.StartProcess(b, pgtest.New(b), servertest.Told{Deployed: true}.Variable())
		me := client.New(p.URL).As(account(b, p.URL, "ann"))
		for n := range people {
			account(b, p.URL, fmt.Sprint("somebody", n))
		}
		ask := func(during time.Duration, into *[]time.Duration) {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
				began := time.Now()
				if err := me.Do(b.Context(), client.Request{Query: `{ projects { id } }`}, nil); err != nil {
					b.Fatal(err)
				}
				*into = append(*into, time.Since(began))
			}
		}
		var alone, beside []time.Duration
		ask(time.Second, new([]time.Duration))
		before, most := resident(b, p), 0.0
		for range rounds {
			ask(phase, &alone)
			storming, stop := context.WithCancel(b.Context())
			var storm sync.WaitGroup
			storm.Go(func() { logIn(storming, p.URL, logins) })
			ask(phase, &beside)
			most = max(most, resident(b, p))
			stop()
			storm.Wait()
		}
		me.Close()
		b.ReportMetric(float64(at99(alone).Microseconds())/1000, "p99-ms-alone")
		b.ReportMetric(float64(at99(beside).Microseconds())/1000, "p99-ms-beside")
		b.ReportMetric((most-before)/(1<<20), "MB-more")
	}
}

// people is how many sign in, with the right password: a network may have a hundred logins under way.
const people = 20

// logIn sends so many logins a second, whatever becomes of them.
func logIn(ctx context.Context, url string, perSecond int) {
	c := client.New(url)
	defer c.Close()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all.Go(func() {
			body := fmt.Sprintf(`{"query":"mutation { login(input: {email: \"somebody%d\", password: \"%s\"}) { sessionId } }"}`, n%people, password)
			_, _ = c.Post(ctx, bytes.NewReader([]byte(body)), http.Header{})
		})
	}
}

// at99 returns the time that a hundredth of all exceeds.
func at99(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)*99/100]
}

// BenchmarkIdleSockets measures what an idle socket of an account takes beyond one of nobody, and how many transactions a second keep 5,000 of
// them.
func BenchmarkIdleSockets(b *testing.B) {
	const sockets, quiet = 5000, 10 * time.Second
	for b.Loop() {
		var memory, transactions [2]float64
		for kind := range 2 {
			database := pgtest.New(b)
			p := servertest.StartProcess(b, database, "GOGC=10") // little beside what is alive
			secret := account(b, p.URL, "ann")
			if kind == 0 {
				secret = ""
			}
			before := resident(b, p)
			all := make([]client.GraphQLSocket, sockets)
			var opening errgroup.Group
			opening.SetLimit(20)
			for i := range all {
				opening.Go(func() (err error) {
					all[i], err = client.Dialer{Header: client.Signed(secret)}.GraphQL(b.Context(), p.URL)
					return err
				})
			}
			if err := opening.Wait(); err != nil {
				b.Fatal(err)
			}
			time.Sleep(quiet) //nolint:forbidigo // until what opening took is gone, as far as it goes
			memory[kind] = resident(b, p) - before
			begun := committed(b, database)
			time.Sleep(quiet) //nolint:forbidigo // what is measured is a time in which nothing happens
			transactions[kind] = (committed(b, database) - begun) / quiet.Seconds()
			for _, s := range all {
				s.CloseNow()
			}
			p.Kill()
		}
		b.ReportMetric((memory[1]-memory[0])/sockets, "B-more/socket")
		b.ReportMetric(transactions[1]-transactions[0], "transactions-more/s")
	}
}

// committed returns how many transactions of a database were committed.
func committed(b *testing.B, database string) (n float64) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), database)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	err = conn.QueryRow(b.Context(), `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
