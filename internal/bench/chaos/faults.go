package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/builds"
	"layercake/internal/bench/convergence"
	"layercake/internal/bench/deployment"
	"layercake/internal/client"
	"layercake/internal/embeddedpg"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// fault is one way to do harm.
type fault struct {
	name, summary string
	naps          time.Duration                      // naps of nappers; 0 for the usual
	env           []string                           // environment of the replicas during the fault
	hurry         bool                               // whether changes come as fast as possible, not at the usual rate
	do            func(*harm, context.Context) error // does the harm; fails when something happened that should not
	check         func(FaultResult) []string         // returns what should not have happened
	within        convergence.Patience               // limits for people to learn of others; 0 where nothing is promised
}

// faults are in the order in which they are done.
var faults = []fault{
	{
		name: "neighbours", summary: "nothing is harmed; replicas commit neighbouring versions of few projects as fast as they can", hurry: true,
		do: (*harm).wait, check: happened("gaps"), within: convergence.Patience{Gone: 5 * time.Second, Here: 5 * time.Second},
	},
	{
		name: "listeners-killed", summary: "the backends of all listeners are terminated each second",
		do: (*harm).killListeners, check: happened("listenerConnects"),
	},
	{name: "listener-stopped", summary: "the backend of a listener is stopped, and continued", do: (*harm).stopListener},
	{
		name: "publisher-silent", summary: "the connection of a publisher becomes half-open, twice",
		do: (*harm).silencePublishers, check: happened("publisherErrors"),
	},
	{name: "sessions-silent", summary: "all connections to the database become half-open", do: (*harm).silenceAll},
	{
		name: "lines-dropped", summary: "5 % of the payloads between replicas are dropped", env: []string{"LAYERCAKE_FAULT_LOSS=0.05"},
		do: (*harm).wait, check: happened("holes"),
	},
	{name: "replica-killed", summary: "a replica is killed in mid-burst, again and again", do: (*harm).killReplicas},
	{
		name: "replica-lost", summary: "a replica is killed, and stays away: its people are gone within 6 s, and nobody else is",
		do: (*harm).loseReplica, within: convergence.Patience{Gone: goneWithin, Here: goneWithin},
	},
	{
		name: "commit-unsaid", summary: "replicas die after a commit, before anybody knows of it", env: []string{"LAYERCAKE_FAULT_CRASH=0.01"},
		do: (*harm).wait, check: happened("crashes"),
	},
	{name: "replica-stopped", summary: "a replica is stopped, and continued", do: (*harm).stopReplica},
	{
		name: "builder-killed", summary: "a replica is killed while it writes a graph, and another one takes over",
		do: (*harm).killBuilders, check: happened("takeovers"),
	},
	{
		name: "builder-stopped", summary: "a replica is stopped while it writes a graph, and continued when another one has taken over",
		do: (*harm).stopBuilder, check: happened("takeovers"),
	},
	{name: "postgres-restarted", summary: "PostgreSQL is restarted in order, twice", do: (*harm).restartDatabase},
	{name: "postgres-crashed", summary: "PostgreSQL is ended at once and recovers, twice", do: (*harm).crashDatabase},
	{name: "standby-promoted", summary: "PostgreSQL dies and its synchronous standby is promoted: nothing is lost", do: (*harm).promote},
	{
		name: "standby-behind", summary: "PostgreSQL dies and a standby is promoted that had fallen behind: versions begin again",
		do: (*harm).promoteBehind, check: sawSnapshots,
	},
	{
		name: "queue-full", summary: "the database refuses all notifications, because its queue is full", do: (*harm).fillQueue,
		check: happened("publisherErrors"),
	},
	{
		name: "project-deleted", summary: "projects are deleted while half of the payloads are dropped",
		env: []string{"LAYERCAKE_FAULT_LOSS=0.5"},
		do:  (*harm).deleteProjects,
	},
	{
		// Replicas that were started again have no tail of events: they read the log.
		name: "log-trimmed", summary: "events are removed, and replicas killed, while watchers catch up", naps: 6 * time.Second,
		env: []string{"LAYERCAKE_EVENT_RETENTION=3s", "LAYERCAKE_CLEAN_UP=500ms"},
		do:  (*harm).killReplicas, check: sawSnapshots,
	},
	{
		name: "cables-pulled", summary: "people vanish without a word, and are gone when their sockets were silent for 90 s",
		do: (*harm).pullCables,
	},
	{name: "reader-stalled", summary: "clients subscribe and never read", do: (*harm).stallReaders},
	{
		name: "mixed", summary: "several of these at any time, for three times as long",
		env: []string{"LAYERCAKE_FAULT_LOSS=0.02", "LAYERCAKE_FAULT_CRASH=0.0005"}, do: (*harm).mix,
	},
}

// happened returns a check that a counter of the replicas grew: a fault without a trace did no harm, and proves nothing.
func happened(counter string) func(FaultResult) []string {
	return func(r FaultResult) []string {
		if r.Counters[counter] == 0 {
			return []string{"the fault left no trace: no " + counter}
		}
		return nil
	}
}

func sawSnapshots(r FaultResult) []string {
	if r.Snapshots == 0 {
		return []string{"the fault left no trace: no watcher was told to read the plan again"}
	}
	return nil
}

// wait lets time pass.
func (h *harm) wait(ctx context.Context) error { return bench.Wait(ctx, h.duration) }

// every does harm in each period until the time is over.
func (h *harm) every(ctx context.Context, period time.Duration, do func(ctx context.Context) error) error {
	for end := time.Now().Add(h.duration); time.Now().Before(end); {
		if err := do(ctx); err != nil {
			return err
		}
		if err := bench.Wait(ctx, period); err != nil {
			return err
		}
	}
	return nil
}

// killListeners ends the sessions of all listeners, and returns when all of them are back.
func (h *harm) killListeners(ctx context.Context) error {
	err := h.every(ctx, time.Second, func(ctx context.Context) error {
		return h.deployment.Query(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'layercake/%/listener'")
			return err
		})
	})
	if err != nil {
		return err
	}
	return h.deployment.Ready(ctx) // a replica that does not listen is not ready
}

func (h *harm) stopListener(ctx context.Context) error {
	var pid int
	err := h.deployment.Query(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx,
			"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'layercake/%/listener' ORDER BY random() LIMIT 1").Scan(&pid)
	})
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop backend %d: %w", pid, err)
	}
	// It may have ended meanwhile, with its server.
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	return bench.Wait(ctx, h.duration)
}

func role(name string) func(application string) bool {
	return func(application string) bool { return strings.HasSuffix(application, "/"+name) }
}

// silencePublishers cuts off the publisher of one replica without a word, and later that of another one or the same.
func (h *harm) silencePublishers(ctx context.Context) error {
	for range 2 {
		one := false
		n := h.deployment.Proxy.Silence(func(application string) bool {
			first := role("publisher")(application) && !one
			one = one || first
			return first
		})
		if n != 1 {
			return fmt.Errorf("%d publishers became silent, want 1", n)
		}
		if err := bench.Wait(ctx, max(h.duration/2, 4*time.Second)); err != nil {
			return err
		}
	}
	return nil
}

func (h *harm) silenceAll(ctx context.Context) error {
	n := h.deployment.Proxy.Silence(func(string) bool { return true })
	h.say("%d connections are silent", n)
	return bench.Wait(ctx, h.duration)
}

// any returns a random replica.
func (h *harm) any() *deployment.Replica {
	return h.deployment.Replicas[h.rand.IntN(len(h.deployment.Replicas))]
}

func (h *harm) killReplicas(ctx context.Context) error {
	return h.every(ctx, 2*time.Second, func(ctx context.Context) error {
		if r := h.any(); r.Kill() {
			h.say("replica %d is killed", r.Number)
		}
		return nil
	})
}

func (h *harm) stopReplica(ctx context.Context) error {
	return h.stop(ctx, h.any(), func() {}, h.duration)
}

// stop stops a replica for some time. Stopped is called when it has stopped.
func (h *harm) stop(ctx context.Context, r *deployment.Replica, stopped func(), during time.Duration) error {
	if !r.Signal(syscall.SIGSTOP) {
		return nil // the replica is being started again
	}
	h.say("replica %d is stopped", r.Number)
	h.crowd.Pause(r.Number-1, true)
	stopped()
	err := bench.Wait(ctx, during)
	r.Signal(syscall.SIGCONT)
	h.crowd.Pause(r.Number-1, false)
	// The replica reads at once what people sent meanwhile, so its limit may refuse what they send now.
	return errors.Join(err, bench.Wait(ctx, bench.LimitForgets))
}

// takenWithin is more than it takes until another replica builds what a dead one was building.
const takenWithin = 8 * time.Second

// killBuilders kills replicas that write a graph, each at another place. Until another one has taken over, the next one cannot be caught.
func (h *harm) killBuilders(ctx context.Context) error {
	for n, end := 0, time.Now().Add(max(h.duration, takenWithin)); time.Now().Before(end); n++ {
		place := builds.Places[n%len(builds.Places)]
		err := h.builds.WithoutCancels(func() error {
			c, err := builds.Catch(ctx, h.deployment, h.builds.Project(), place, func() {})
			if err != nil {
				return err
			}
			c.Replica.Kill()
			c.Release()
			h.say("replica %d is killed while it writes to %s", c.Replica.Number, place)
			return bench.Wait(ctx, takenWithin)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// stopBuilder stops a replica that writes a graph for longer than its lease. When it goes on, its result must not count any more.
func (h *harm) stopBuilder(ctx context.Context) error {
	place := builds.Places[h.rand.IntN(len(builds.Places))]
	return h.builds.WithoutCancels(func() error {
		c, err := builds.Catch(ctx, h.deployment, h.builds.Project(), place, func() {})
		if err != nil {
			return err
		}
		defer c.Release()
		h.say("replica %d writes to %s", c.Replica.Number, place)
		return h.stop(ctx, c.Replica, c.Release, max(h.duration, takenWithin))
	})
}

// goneWithin is the limit for everybody to know that the people of a killed replica are gone: 5 s for its lease, 1 s for others to
// notice.
const goneWithin = 6 * time.Second

// loseReplica kills one replica once all others could notice.
func (h *harm) loseReplica(ctx context.Context) error {
	err := h.deployment.Query(ctx, func(conn *pgx.Conn) error {
		return until(ctx, conn, "SELECT count(*) >= 3 AND bool_and(now() - started_at > interval '6 s') FROM replicas")
	})
	if err != nil {
		return err
	}
	r := h.any()
	r.KeepAway(true)
	defer r.KeepAway(false)
	r.Kill()
	h.say("replica %d is killed, and stays away", r.Number)
	return bench.Wait(ctx, max(h.duration, goneWithin+time.Second))
}

// pullCables takes people off the network.
func (h *harm) pullCables(ctx context.Context) error {
	silent := bench.Noticed(h.silence)
	n := 0
	// People who were cut off because the machine stalled stay away for a while, so there may be nobody to pull at first.
	for began := time.Now(); n == 0; n = h.crowd.Pull(silent) {
		if time.Since(began) > bench.MaxRecovery {
			return errors.New("nobody was there to be cut off")
		}
		if err := bench.Wait(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	h.say("%d people are cut off", n)
	return bench.Wait(ctx, silent)
}

func (h *harm) restartDatabase(ctx context.Context) error { return h.restarts(ctx, false) }
func (h *harm) crashDatabase(ctx context.Context) error   { return h.restarts(ctx, true) }

func (h *harm) restarts(ctx context.Context, atOnce bool) error {
	for range 2 {
		if err := h.deployment.RestartDatabase(ctx, atOnce); err != nil {
			return err
		}
		h.say("the database was restarted")
		if err := bench.Wait(ctx, h.duration/2); err != nil {
			return err
		}
	}
	return nil
}

// promote makes the standby synchronous before the primary dies, so that every answered change is on both.
func (h *harm) promote(ctx context.Context) error {
	err := h.deployment.Promote(ctx, func(ctx context.Context, primary, _ *embeddedpg.Server) error {
		err := deployment.On(ctx, primary, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'")
			if err == nil {
				_, err = conn.Exec(ctx, "SELECT pg_reload_conf()")
			}
			if err != nil {
				return err
			}
			return until(ctx, conn, "SELECT exists (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
		})
		if err != nil {
			return fmt.Errorf("make the standby synchronous: %w", err)
		}
		return bench.Wait(ctx, h.duration/2)
	}, func() {})
	if err == nil {
		h.say("the standby is promoted")
		err = bench.Wait(ctx, h.duration/2)
	}
	return err
}

// promoteBehind cuts the standby off before the primary dies. Changes that are answered in between are lost, and no others may be.
func (h *harm) promoteBehind(ctx context.Context) error {
	var kept, all, agentsKept, agentsAll bench.Answers
	var sourcesKept, sourcesAll builds.Sources
	err := h.deployment.Promote(ctx, func(ctx context.Context, primary, standby *embeddedpg.Server) error {
		kept, agentsKept, sourcesKept = h.storm.Answered(), h.agents.Answered(), h.builds.Answered()
		var lsn string
		err := deployment.On(ctx, primary, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&lsn)
		})
		if err != nil {
			return err
		}
		err = deployment.On(ctx, standby, func(conn *pgx.Conn) error {
			if err := until(ctx, conn, "SELECT pg_last_wal_receive_lsn() >= '"+lsn+"'"); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, "ALTER SYSTEM SET primary_conninfo = ''")
			if err == nil {
				_, err = conn.Exec(ctx, "SELECT pg_reload_conf()")
			}
			if err != nil {
				return err
			}
			return until(ctx, conn, "SELECT NOT exists (SELECT FROM pg_stat_wal_receiver)")
		})
		if err != nil {
			return fmt.Errorf("cut the standby off: %w", err)
		}
		return bench.Wait(ctx, h.duration/4)
	}, func() {
		// An answer that the primary gave may still be on its way. Requests that begin now fail until the standby is promoted.
		h.storm.BetweenRequests(func() { all = h.storm.Answered() })
		h.agents.BetweenEdits(func() { agentsAll = h.agents.Answered() })
		h.builds.BetweenRequests(func() { sourcesAll = h.builds.Answered() })
	})
	if err != nil {
		return err
	}
	lost := h.storm.Forget(kept, all) + h.agents.Forget(agentsKept, agentsAll) + h.builds.Forget(sourcesKept, sourcesAll)
	h.say("the standby is promoted; %d answered changes are lost with the primary", lost)
	return bench.Wait(ctx, h.duration/2)
}

// until asks again and again until the answer is true.
func until(ctx context.Context, conn *pgx.Conn, question string) error {
	for {
		var yes bool
		if err := conn.QueryRow(ctx, question).Scan(&yes); err != nil || yes {
			return err
		}
		if err := bench.Wait(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", question, err)
		}
	}
}

// fillQueue makes the database refuse what publishers send. The queue of a server takes 8 GB to fill, so sessions that begin now
// find a function before pg_catalog's that raises the error of pg_notify.
func (h *harm) fillQueue(ctx context.Context) error {
	run := func(ctx context.Context, sql string) error {
		return h.deployment.Query(ctx, func(conn *pgx.Conn) error { _, err := conn.Exec(ctx, sql); return err })
	}
	err := run(ctx, `CREATE SCHEMA IF NOT EXISTS fault;
		CREATE TABLE IF NOT EXISTS fault.full_queue ();
		CREATE OR REPLACE FUNCTION fault.pg_notify(channel text, payload text) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			IF EXISTS (SELECT FROM fault.full_queue) THEN
				RAISE EXCEPTION 'too many notifications in the NOTIFY queue' USING errcode = '54000';
			END IF;
			PERFORM pg_catalog.pg_notify(channel, payload);
		END $$;
		INSERT INTO fault.full_queue DEFAULT VALUES;
		ALTER DATABASE postgres SET search_path = fault, pg_catalog, public;
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'layercake/%/publisher'`)
	if err == nil {
		err = bench.Wait(ctx, h.duration)
	}
	undo := run(context.WithoutCancel(ctx), "DELETE FROM fault.full_queue; ALTER DATABASE postgres RESET search_path")
	return errors.Join(err, undo)
}

// deleteProjects makes projects beside those of the storm, follows and changes them, and deletes them. Each follower must be told within a
// sweep or two.
func (h *harm) deleteProjects(ctx context.Context) error {
	return h.every(ctx, 0, func(ctx context.Context) error {
		s, err := bench.StartStorm(ctx, bench.Config{
			URLs: h.deployment.URLs(), Mutators: 3, Duration: time.Hour, Projects: 1, Subscribers: 2, Deltas: 2, Rate: 50,
			Seed: h.rand.Uint64(), Settle: bench.MaxRecovery,
		})
		if err != nil {
			return err
		}
		defer s.Close(ctx)
		loading, enough := context.WithCancel(ctx)
		var load sync.WaitGroup
		load.Go(func() { s.Mutate(loading) })
		defer func() { enough(); load.Wait() }()
		if err := bench.Wait(ctx, time.Second); err != nil {
			return err
		}
		if err := s.DeleteProject(ctx, s.Projects()[0]); err != nil {
			return err
		}
		deleted := time.Now()
		tell, told := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("watchers of a deleted project were not told within 10 s"))
		defer told()
		failures, err := s.Failures(tell)
		if err != nil {
			return err
		}
		h.say("all watchers of a deleted project were told after %v", time.Since(deleted).Round(time.Millisecond))
		for _, failure := range failures {
			if r := new(client.Refusal); !errors.As(failure, &r) || r.Code() != "NOT_FOUND" {
				return fmt.Errorf("a watcher of a deleted project ended with %w, want NOT_FOUND", failure)
			}
		}
		return nil
	})
}

// stallReaders opens sockets that ask for much and never read. The replicas have to hang up on them.
func (h *harm) stallReaders(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, url := range h.deployment.URLs() { // elsewhere everybody signs in
		g.Go(func() error { return h.stallReader(ctx, url) })
	}
	return g.Wait()
}

func (h *harm) stallReader(ctx context.Context, url string) error {
	var conn *net.TCPConn
	var narrowed error
	dialer := client.Dialer{Timeout: 5 * time.Second, Wrap: func(c net.Conn) net.Conn {
		conn = c.(*net.TCPConn)
		narrowed = conn.SetReadBuffer(4 << 10)
		return c
	}}
	socket, err := dialer.GraphQL(ctx, url)
	if err != nil {
		return err
	}
	defer socket.CloseNow()
	if narrowed != nil {
		return narrowed
	}
	projects := h.storm.Projects()
	for n := range 50 {
		q, err := h.storm.Subscription(ctx, projects[n%len(projects)])
		if err != nil {
			return err
		}
		if err := socket.Subscribe(ctx, fmt.Sprint(n), q); err != nil {
			return err
		}
	}
	if err := bench.Wait(ctx, max(h.duration, stallTime)); err != nil {
		return err
	}
	// Frames in the system's buffers come first, then the end.
	late, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		return err
	}
	var got int64
	for {
		n, err := socket.Discard(late)
		got += n
		switch {
		case late.Err() != nil:
			return fmt.Errorf("%s bears with a client that has not read for %v, and sends it %d kB more",
				url, max(h.duration, stallTime), got>>10)
		case err != nil:
			h.say("%s hung up on a client that did not read; %d kB were on their way", url, got>>10)
			return nil
		}
	}
}

// stallTime is more than a replica lets a client not read: until the system's buffers are full, which takes up to 4 MB, and then
// 10 s.
const stallTime = 50 * time.Second

// mix keeps two faults going, one after the other, and a failover in the middle.
func (h *harm) mix(ctx context.Context) error {
	type part struct {
		name string
		do   func(*harm, context.Context) error
	}
	parts := []part{
		{"listeners are killed", (*harm).killListeners},
		{"a listener is stopped", (*harm).stopListener},
		{"publishers are silent", (*harm).silencePublishers},
		{"replicas are killed", (*harm).killReplicas},
		{"a replica is stopped", (*harm).stopReplica},
		{"PostgreSQL is restarted", (*harm).restartDatabase},
		{"PostgreSQL crashes", (*harm).crashDatabase},
		{"PostgreSQL fails over", (*harm).promote},
		{"projects are deleted", (*harm).deleteProjects},
		{"all connections are silent", (*harm).silenceAll},
	}
	end := time.Now().Add(3 * h.duration)
	g, ctx := errgroup.WithContext(ctx)
	for range 2 {
		one := *h
		one.rand = rand.New(rand.NewPCG(h.rand.Uint64(), h.rand.Uint64()))
		g.Go(func() error {
			for time.Now().Before(end) {
				p := parts[one.rand.IntN(len(parts))]
				one.duration = h.duration/5 + time.Duration(one.rand.Int64N(int64(h.duration/2)))
				one.say("%s", p.name)
				// Another fault may get in its way, such as a database that is away: only what watchers see counts.
				if err := p.do(&one, ctx); err != nil && ctx.Err() == nil {
					one.say("%s: %v", p.name, err)
				}
				if err := bench.Wait(ctx, time.Second); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
