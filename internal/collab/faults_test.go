package collab_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

const (
	countPresence = "SELECT count(*) FROM presence"
	countVisits   = "SELECT count(*) FROM layercake.presence_log"
	countVisiting = "SELECT count(*) FROM layercake.presence_log WHERE left_at IS NULL"
)

// longLease is for tests that end the lease of one replica.
func longLease(c *server.Config) { c.Lease = servertest.LongLease }

// crowd opens browsers on replicas and waits until all see all.
func crowd(t *testing.T, project int, urls ...string) []*browser {
	t.Helper()
	people := make([]*browser, len(urls))
	for n, url := range urls {
		people[n] = open(t, url, project)
		people[n].join(fmt.Sprintf("user-%d", n), "U", "project-global")
	}
	for _, b := range people {
		b.wait("everybody", func() bool { return len(b.users) == len(urls) })
	}
	return people
}

func TestKilledReplicaIsGone(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, longLease)
	victim := servertest.StartProcess(t, database)
	project := newProject(t, replicas[0].URL)
	people := crowd(t, project, replicas[0].URL, replicas[1].URL, victim.URL, victim.URL)
	survivors := people[:2]
	rows(t, database, 4, countPresence)

	victim.Kill()
	victim.Expire()
	for _, b := range survivors {
		b.wait("the dead to go", func() bool { return len(b.users) == 2 })
	}
	if n := countRows(t, database, countPresence); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	rows(t, database, 2, "SELECT count(*) FROM replicas")
	rows(t, database, 2, "SELECT count(*) FROM layercake.presence_log WHERE reason = 'replica died' AND left_at < now()")
	rows(t, database, 2, countVisiting)
	for _, b := range survivors {
		if n := b.wentOffline(); n != 2 {
			t.Errorf("%d were reported as gone, want the two dead", n)
		}
	}
}

func TestSuspendedReplicaRegistersAnew(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, longLease)[0]
	stalled := servertest.StartProcess(t, database)
	project := newProject(t, replica.URL)
	people := crowd(t, project, replica.URL, stalled.URL, stalled.URL)
	watcher := people[0]

	stalled.Suspend()
	stalled.Expire()
	watcher.wait("the stalled to go", func() bool { return len(watcher.users) == 1 })
	stalled.Resume()
	watcher.wait("the stalled to come back", func() bool { return len(watcher.users) == 3 })
	rows(t, database, 3, countPresence)
	rows(t, database, 3, countVisiting)
	rows(t, database, 3, countVisits) // nobody came twice
	for _, b := range people[1:] {
		if n := b.wentOffline(); n != 0 {
			t.Errorf("%d were reported as gone on the stalled replica", n)
		}
		b.send(cursor("plan-dag-canvas", 1, 1))
	}
	watcher.sees("user-1", "plan-dag-canvas", 1)
	watcher.sees("user-2", "plan-dag-canvas", 1)
	if n := watcher.wentOffline(); n != 2 {
		t.Errorf("%d were reported as gone, want the two stalled, once", n)
	}
}

func TestRestartedDatabaseReportsNobodyAsGone(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*pgtest.Cluster){
		"in order":      func(c *pgtest.Cluster) { c.Restart() },
		"after a crash": func(c *pgtest.Cluster) { c.Kill(); c.Start() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := pgtest.Server(t)
			replicas := servertest.StartOn(t, cluster.URL, 3, nil)
			project := newProject(t, replicas[0].URL)
			people := crowd(t, project, replicas[0].URL, replicas[1].URL, replicas[2].URL)
			rows(t, cluster.URL, 3, countPresence)
			restart(cluster)
			rows(t, cluster.URL, 3, countPresence)
			people[0].send(cursor("plan-dag-canvas", 7, 7)) // the wire is back when it arrives
			for _, b := range people[1:] {
				b.sees("user-0", "plan-dag-canvas", 7)
			}
			// What would be removed in error would be so when a lease has passed after the replicas are steady again.
			rows(t, cluster.URL, 0, "SELECT count(*) FROM replicas WHERE now() - pg_postmaster_start_time() < interval '6 s'")
			for _, b := range people {
				b.mu.Lock()
				if len(b.users) != 3 {
					t.Errorf("%d users, want 3", len(b.users))
				}
				b.mu.Unlock()
				if n := b.wentOffline(); n != 0 {
					t.Errorf("%d were reported as gone", n)
				}
			}
			rows(t, cluster.URL, 3, countPresence)
			rows(t, cluster.URL, 3, countVisiting)
			rows(t, cluster.URL, 3, countVisits)
		})
	}
}

func TestLostLinesAreReadFromTheTable(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	project := newProject(t, replicas[0].URL)
	watcher := open(t, replicas[0].URL, project)
	watcher.join("watcher", "W", "")
	other := open(t, replicas[1].URL, project)
	other.join("other", "O", "")
	watcher.wait("the other", func() bool { return len(watcher.users) == 2 })
	// The listener of one replica is cut off again and again, while somebody comes and goes: with fewer messages than a second may have.
	const rounds = 9 // two messages each, and the limit is 20
	for n := range rounds {
		countRows(t, database, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE '%/listener'`)
		other.send(`{"type":"leave_session","data":{}}`)
		other.join(fmt.Sprintf("other-%d", n), "O", "")
	}
	last := fmt.Sprintf("other-%d", rounds-1)
	watcher.wait("the last name", func() bool { return len(watcher.users) == 2 && watcher.users[last].IsOnline })
}

// Whoever opens the project on another replica reads the table. A cursor that came to rest meanwhile would stay where it was before, since
// the table is not compared with memory again here.
func TestNewcomersElsewhereSeeWhereCursorsRest(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, func(c *server.Config) {
		c.Presence = presence.DefaultTiming
		c.Presence.Correct = time.Hour
	})
	project := newProject(t, replicas[0].URL)
	people := crowd(t, project, replicas[0].URL, replicas[0].URL)
	for x := 1.0; x < 5; x++ {
		people[0].send(cursor("plan-dag-canvas", x, 1))
		people[1].sees("user-0", "plan-dag-canvas", x) // the line is under way, and nobody on the other replica hears it
		newcomer := open(t, replicas[1].URL, project)
		newcomer.join("newcomer", "N", "")
		newcomer.wait(fmt.Sprintf("the cursor at %v", x), func() bool {
			at := newcomer.users["user-0"].Documents["plan-dag-canvas"].Position
			return at != nil && at.X == x
		})
		newcomer.socket.CloseNow()
		people[0].wait("the newcomer to go", func() bool { return len(people[0].users) == 2 })
	}
}

func TestStalledReaderKeepsNobody(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	people := crowd(t, project, replica.URL, replica.URL)
	stalled := dial(t, replica.URL, project)
	if err := stalled.Send(t.Context(), client.MoveFrame("plan-dag-canvas", 0, 0)); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		people[0].send(cursor("plan-dag-canvas", float64(n+1), 1))
		people[1].sees("user-0", "plan-dag-canvas", float64(n+1))
	}
}

// With logged tables a hot standby answers what a DBA asks, and nothing else is different.
func TestPresenceWithLoggedTablesIsSeenOnAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	setPresence(t, primary.URL, true)
	standby := pgtest.Standby(t, primary)
	replicas := servertest.StartOn(t, primary.URL, 2, longLease)
	victim := servertest.StartProcess(t, primary.URL)
	project := newProject(t, replicas[0].URL)
	people := crowd(t, project, replicas[0].URL, replicas[1].URL, victim.URL)
	rows(t, standby, 3, "SELECT count(*) FROM layercake.who WHERE document_id = 'project-global' AND transport = 'collaboration'")
	rows(t, standby, 3, "SELECT count(*) FROM layercake.replicas WHERE state = 'live' AND sockets = 1")
	victim.Kill()
	victim.Expire()
	for _, b := range people[:2] {
		b.wait("the dead to go", func() bool { return len(b.users) == 2 })
		if n := b.wentOffline(); n != 1 {
			t.Errorf("%d were reported as gone, want the dead alone", n)
		}
	}
	rows(t, standby, 2, "SELECT count(*) FROM layercake.who")
	rows(t, standby, 1, "SELECT count(*) FROM layercake.presence_log WHERE reason = 'replica died'")

	// Back to where it was, while people are there: nobody notices.
	setPresence(t, primary.URL, false)
	people[1].send(cursor("plan-dag-canvas", 3, 3))
	people[0].sees("user-1", "plan-dag-canvas", 3)
	rows(t, primary.URL, 2, countPresence)
	if n := people[0].wentOffline(); n != 1 {
		t.Errorf("%d were reported as gone", n)
	}
}

func setPresence(t *testing.T, url string, logged bool) {
	t.Helper()
	if err := postgres.SetPresence(t.Context(), url, logged, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
		t.Fatal(err)
	}
	rows(t, url, 2, fmt.Sprintf(`SELECT count(*) FROM pg_class WHERE relname IN ('replicas', 'presence')
		AND relnamespace = 'public'::regnamespace AND (relpersistence = 'p') = %t`, logged))
}
