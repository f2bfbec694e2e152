package fanout_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// former is a replica of the release before: it hears and says plain payloads only.
type former struct {
	*pgx.Conn
	seq   int
	last  int64 // number of the last payload of a replica that it listens to
	holes int   // in these numbers
}

// say sends lines about events under the next number.
func (f *former) say(t *testing.T, epoch, lines string) {
	t.Helper()
	f.seq++
	pgtest.Exec(t, f.Conn, "select pg_notify('layercake_events', $1)", fmt.Sprintf("1 old %s %d\n%s", epoch, f.seq, lines))
}

// hear returns the next payload of a replica on the channel of events that has a line.
func (f *former) hear(t *testing.T, replica, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for {
		n, err := f.WaitForNotification(ctx)
		if err != nil {
			t.Fatalf("no payload of %s with %q: %v", replica, line, err)
		}
		var epoch string
		var seq int64
		if n, _ := fmt.Sscanf(n.Payload, "1 "+replica+" %s %d", &epoch, &seq); n != 2 {
			continue // of another
		}
		if f.last != 0 && seq != f.last+1 {
			f.holes++
		}
		f.last = seq
		if strings.Contains(n.Payload, "\n"+line) {
			return n.Payload
		}
	}
}

// As long as a replica of the release before lives, it hears everything and is heard, and nobody hears anything twice.
func TestBesideAReplicaOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	var lives atomic.Bool
	beside := func(_ *replica, cfg *config) {
		often(nil, cfg)
		cfg.Former = lives.Load
	}
	a, b := start(t, url, "a", beside), start(t, url, "b", beside)
	talk(t, a, b)
	epoch := string(a.Epoch())
	old := &former{Conn: pgtest.Connect(t, url)}
	pgtest.Exec(t, old.Conn, "listen layercake_events")

	old.say(t, epoch, "e 1 1 {}")
	a.waitMetric(t, 1, "lines_total", `"plain"`)
	a.publish(2, 1, []byte(`{"said":"before anybody knew"}`))
	b.waitEvent(t, 2, 1)

	lives.Store(true)
	a.waitDoubts(t, "former", 1)
	b.waitDoubts(t, "former", 1)
	if first := old.hear(t, "a", ""); strings.Contains(first, "said") {
		t.Errorf("it heard %q, which was sealed", first)
	}
	a.publish(2, 2, []byte(`{"said":"to both"}`))
	payload := old.hear(t, "a", `e 2 2 {"said":"to both"}`)
	if again := fmt.Sprintf("1 a %s ", epoch); !strings.HasPrefix(payload, again) {
		t.Errorf("it heard %q, want a payload in the format of its release", payload)
	}
	if old.holes != 1 {
		t.Errorf("it saw %d holes in the numbers of a, want one for what it did not hear", old.holes)
	}
	b.waitEvent(t, 2, 2)
	old.say(t, epoch, "e 1 2 {}")
	a.waitEvent(t, 1, 2)
	b.waitEvent(t, 1, 2)
	pgtest.Exec(t, old.Conn, "select pg_notify('layercake_events', $1)", "1 a "+epoch+" 1000000\ne 2 9 {}") // in the name of a
	old.say(t, epoch, "e 1 3 {}")
	b.waitEvent(t, 1, 3)

	lives.Store(false)
	old.say(t, epoch, "e 1 4 {}")
	a.publish(2, 3, []byte(`{"said":"after it died"}`))
	b.waitEvent(t, 2, 3)
	b.mu.Lock()
	defer b.mu.Unlock()
	var heard []string
	for _, e := range b.events {
		heard = append(heard, fmt.Sprintf("%d.%d", e.Project, e.Version))
	}
	if got := strings.Join(heard, " "); got != "1001.1 2.1 2.2 1.2 1.3 2.3" {
		t.Errorf("b heard %s", got)
	}
}
