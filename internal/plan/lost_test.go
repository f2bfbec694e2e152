package plan_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// cutter stands between a replica and its database. It lets everything through until a text has passed towards the database so
// many times; then it breaks that connection: before passing the text on, or after the database has answered it.
type cutter struct {
	url   string
	text  []byte
	after bool   // the database gets the text, and its answer is lost
	early func() // unless nil, what to wait for instead of that answer

	mu    sync.Mutex
	seen  int      // times that the text passed
	times int      // the pass at which to cut; 0 for never
	first net.Conn // the connection that the text passed on first
	trips int      // round trips on that connection, since then
}

// turn counts a round trip each time that the replica speaks after the database, and the first time. Only the connection that the
// text passes on first counts: the text passes on the publisher's later, in the line to the other replicas.
func (c *cutter) turn(conn net.Conn, sent []byte, answered *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil && len(c.text) > 0 && bytes.Contains(sent, c.text) {
		c.first, *answered = conn, true
	}
	if c.first == conn && *answered {
		c.trips++
		*answered = false
	}
}

func newCutter(t *testing.T, url string) *cutter {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", cfg.User, listener.Addr(), cfg.Database)}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			replica, err := listener.Accept()
			if err != nil {
				return
			}
			database, err := net.Dial(network, address)
			if err != nil {
				_ = replica.Close()
				continue
			}
			running.Go(func() { c.pass(replica, database) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return c
}

// cancelRequest is how pgx asks the database to end what a broken connection was doing: its length and its code.
var cancelRequest = []byte{0, 0, 0, 16, 4, 210, 22, 46}

func (c *cutter) pass(replica, database net.Conn) {
	var lost sync.Once
	answered := make(chan struct{}) // closed when the answer to the text is there, and lost
	losing := make(chan struct{})   // closed when answers are lost
	var back sync.WaitGroup
	spoken := false // guarded by c.mu
	back.Go(func() {
		defer func() { _ = replica.Close() }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := database.Read(buffer)
			c.mu.Lock()
			spoken = true
			c.mu.Unlock()
			select {
			case <-losing:
				lost.Do(func() { close(answered) })
				return
			default:
			}
			if err != nil {
				return
			}
			if _, err := replica.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := replica.Read(buffer)
		if err != nil {
			break
		}
		if bytes.HasPrefix(buffer[:n], cancelRequest) {
			break // the replica must find out without its help
		}
		c.turn(replica, buffer[:n], &spoken)
		if c.cuts(buffer[:n]) {
			if c.after {
				close(losing)
				_, _ = database.Write(buffer[:n])
				if c.early != nil {
					c.early()
				} else {
					<-answered
				}
			}
			break
		}
		if _, err := database.Write(buffer[:n]); err != nil {
			break
		}
	}
	_ = database.Close()
	back.Wait()
}

func (c *cutter) cuts(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == 0 || !bytes.Contains(b, c.text) {
		return false
	}
	c.seen++
	return c.seen == c.times
}

// slowCommits makes changes that are committed from now on take until somebody waits for one. It returns what waits until a
// commit is under way.
func slowCommits(t *testing.T, url string) (underWay func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), `
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
			AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
		SELECT pg_advisory_lock(1)`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pgtest.Patience)
	until := func(lock string) {
		for waits := false; !waits && ctx.Err() == nil; {
			_ = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE wait_event_type = 'Lock' AND wait_event = $1 AND datname = current_database())`, lock).Scan(&waits)
		}
	}
	var releasing sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		releasing.Wait()
		_ = conn.Close(context.Background())
	})
	return func() {
		until("advisory")
		releasing.Go(func() {
			until("transactionid")
			_, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock(1)")
		})
	}
}

// When the answer to COMMIT is lost, the caller is told what really happened.
func TestAnswerToCommitIsLost(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"after it took effect": true, "while it takes effect": true, "before it arrived": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			cut := newCutter(t, url)
			r := startReplica(t, cut.url, 0)
			p := r.create(t)
			r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})

			// The operation id goes to the database when it is looked up, and again in the batch that commits.
			cut.mu.Lock()
			cut.text, cut.times, cut.after = []byte("the-lost-one"), 2, committed
			cut.mu.Unlock()
			if name == "while it takes effect" {
				cut.early = slowCommits(t, url)
			}
			c := plan.Change{OpID: "the-lost-one", Edits: []plan.Edit{plan.AddNode{Node: node("b", plan.GraphNode)}}}
			result, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), c)
			cut.mu.Lock()
			seen := cut.seen
			cut.mu.Unlock()
			if seen < 2 {
				t.Fatalf("the connection was not cut: the id passed %d times", seen)
			}
			if committed {
				if err != nil || result.At.Version != 2 {
					t.Errorf("result = %+v, %v, want version 2: it was committed", result, err)
				}
			} else {
				f := fault.From(err)
				if f == nil || f.Code != fault.Unavailable || f.Details["opId"] != "the-lost-one" {
					t.Errorf("error = %v, want UNAVAILABLE with the operation id", err)
				}
				if v := r.dag(t, p).At.Version; v != 1 {
					t.Errorf("version = %d, want 1: nothing was committed", v)
				}
			}
			again, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), c)
			if err != nil || again.At.Version != 2 || again.Event == nil {
				t.Fatalf("the same request again = %+v, %v, want version 2", again, err)
			}
			if committed {
				if diff := cmp.Diff(result, again); diff != "" {
					t.Errorf("the answers differ (-first +again):\n%s", diff)
				}
			}
			if v := r.dag(t, p).At.Version; v != 2 {
				t.Errorf("version = %d, want 2: it happened once", v)
			}
		})
	}
}

// A change is two round trips: lock and read, write and commit.
func TestChangeIsTwoRoundTrips(t *testing.T) {
	t.Parallel()
	count := newCutter(t, pgtest.New(t))
	r := startReplica(t, count.url, 0)
	p := r.create(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)})
	for name, edit := range map[string]func(i int) plan.Edit{
		"move": func(i int) plan.Edit { return plan.UpdateNode{ID: "a", Position: &plan.Position{X: float64(i + 1)}} },
		"add":  func(i int) plan.Edit { return plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)} },
	} {
		// Each statement is prepared once on each connection; the pool may choose among some.
		best := 0
		for i := range 20 {
			id := fmt.Sprintf("trips-of-%s-%d.", name, i)
			count.mu.Lock()
			count.text, count.first, count.trips = []byte(id), nil, 0
			count.mu.Unlock()
			if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{OpID: id, Edits: []plan.Edit{edit(i)}}); err != nil {
				t.Fatal(err)
			}
			count.mu.Lock()
			if best == 0 || count.trips < best {
				best = count.trips
			}
			count.mu.Unlock()
		}
		if best != 2 {
			t.Errorf("%s: %d round trips, want 2", name, best)
		}
	}
}
