package hostile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"layercake/internal/bench"
	"layercake/internal/child"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// The wire between replicas, to a role of the database that may connect and nothing else. What its channels are called and its lines look
// like is no secret; the epoch and the version of a project stand in cursors.
var wireAttacks = []attack{
	{
		name: "wire-heard", threat: "D2", summary: "LISTEN on every channel, for texts, ids and names of others",
		do: (*assault).eavesdrop,
	},
	{
		name: "presence-year", threat: "D1", summary: "lines say that somebody joined in the year 10000",
		do: (*assault).joinLate,
	},
	{
		name: "presence-lies", threat: "D2", summary: "lines say that strangers joined and others left",
		do: (*assault).lieAboutPeople,
	},
	{
		name: "event-index", threat: "D1", summary: "the next event of a plan, with operations that lack their index",
		do: (*assault).forgeWithoutIndex,
	},
	{
		name: "event-lies", threat: "D2", summary: "the next event of a plan, with a node that nobody added",
		do: (*assault).forgeEvents,
	},
	{
		name: "hints-far", threat: "D2", summary: "hints say that plans are at a version far ahead",
		do: (*assault).hintFar,
	},
	{
		name: "heartbeats", threat: "D4", summary: "heartbeats of others, from the past and the future, under every name that was heard",
		do: (*assault).beat, lasts: 6 * time.Second, // more than a lease
	},
	{
		name: "wire-format", threat: "D2", summary: "payloads of a newer format, garbage, and notices of commands",
		do: (*assault).confuse,
	},
	{
		name: "wire-replayed", threat: "D2", summary: "what was heard is said again, with the same and with the next numbers",
		do: (*assault).replay,
	},
	{
		name: "room-crowded", threat: "D5", summary: "lines say that 5,000 people joined one project",
		do: (*assault).crowd,
	},
	{
		name: "wire-flood", threat: "D2", summary: "the largest payloads on every channel",
		do: (*assault).flood,
	},
	{
		name: "locks-held", threat: "D5", summary: "every advisory lock that anybody could take is held while somebody migrates",
		do: (*assault).holdLocks, lasts: 4 * time.Second,
	},
}

const notifyPause = 2 * time.Millisecond // pause between two statements of a stranger

var (
	eventChannels    = []string{"layercake_events", "layercake_sealed_events"}
	presenceChannels = []string{"layercake_presence", "layercake_sealed_presence"}
	everyChannel     = slices.Concat(eventChannels, presenceChannels)
)

// forger speaks on the wire in the name of a replica that does not exist.
type forger struct {
	*assault
	conn    *pgx.Conn
	replica string
	seq     int64
}

func (a *assault) forger(ctx context.Context) (*forger, error) {
	conn, err := a.session(ctx, a.stranger)
	return &forger{assault: a, conn: conn, replica: uuid.NewString()}, err
}

// place is where the honest plan is, as its cursor says.
type place struct {
	epoch, hash string
	version     int64
}

// place asks a replica, as anybody may.
func (f *forger) place(ctx context.Context, replica int) (p place, err error) {
	plan, err := f.honest.storm.Cursor(ctx, f.honest.plan(), replica)
	if err != nil {
		return p, err
	}
	where, version, _ := strings.Cut(plan, ".")
	p.epoch, p.hash, _ = strings.Cut(where, "~")
	_, err = fmt.Sscan(version, &p.version)
	return p, err
}

// notify sends a payload on each of the channels.
func (f *forger) notify(ctx context.Context, channels []string, payload string) error {
	for _, channel := range channels {
		if _, err := f.conn.Exec(ctx, "SELECT pg_notify($1, $2)", channel, payload); err != nil {
			return err
		}
		f.sent("notified")
	}
	return nil
}

// say sends lines with a header, and what looks like sealed lines.
func (f *forger) say(ctx context.Context, channels []string, epoch string, lines ...string) error {
	f.seq++
	payload := fmt.Sprintf("1 %s %s %d\n%s", f.replica, epoch, f.seq, strings.Join(lines, "\n"))
	if err := f.notify(ctx, channels, payload); err != nil {
		return err
	}
	return f.notify(ctx, channels, base64.RawStdEncoding.EncodeToString([]byte(payload)))
}

// repeat calls f until ctx ends or it fails.
func repeat(ctx context.Context, pause time.Duration, f func() error) error {
	for bench.Wait(ctx, pause) == nil {
		if err := f(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// joined is a line that says that somebody joined.
func joined(project int, when time.Time, name string) string {
	body, err := json.Marshal(map[string]any{
		"i": uuid.NewString(), "r": 1, "u": name, "n": name, "k": "#000000", "v": "collaboration", "j": when.UnixMilli(),
		"m": when.UnixMilli(), "a": when.UnixMilli(), "d": canvas, "t": "canvas", "p": map[string]any{"type": "canvas", "x": 1, "y": 1},
	})
	if err != nil {
		panic(err) // texts and numbers
	}
	return fmt.Sprintf("j %d %s %s", project, uuid.NewString(), body)
}

func (a *assault) joinLate(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	at, err := f.place(ctx, 0)
	if err != nil {
		return err
	}
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	return repeat(ctx, 100*time.Millisecond, func() error {
		return f.say(ctx, presenceChannels, at.epoch, joined(a.honest.people, late, forged+"-late"),
			joined(a.honest.people, time.Unix(1<<50, 0), forged+"-later"))
	})
}

func (a *assault) lieAboutPeople(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	at, err := f.place(ctx, 0)
	if err != nil {
		return err
	}
	heard, err := a.listen(ctx, everyChannel)
	if err != nil {
		return err
	}
	return repeat(ctx, 20*time.Millisecond, func() error {
		lines := []string{joined(a.honest.people, time.Now(), forged+"-person"), fmt.Sprintf("n %d %s {}", a.honest.people, uuid.NewString())}
		for _, payload := range heard.latest() {
			lines = append(lines, leaves(payload)...)
		}
		return f.say(ctx, presenceChannels, at.epoch, lines...)
	})
}

// leaves returns lines that say of every connection in a payload that it left.
func leaves(payload string) (lines []string) {
	for line := range strings.SplitSeq(payload, "\n") {
		parts := strings.SplitN(line, " ", 4)
		if len(parts) < 4 || parts[0] != "j" && parts[0] != "c" {
			continue
		}
		var body struct{ I string }
		if json.Unmarshal([]byte(parts[3]), &body) == nil {
			lines = append(lines, fmt.Sprintf("l %s %s %s", parts[1], parts[2], body.I))
		}
	}
	return lines
}

func (a *assault) forgeWithoutIndex(ctx context.Context) error {
	return a.forge(ctx, []map[string]any{
		{"kind": "NODE_ADDED", "id": forged}, {"kind": "NODE_UPDATED", "id": forged}, {"kind": "EDGE_REMOVED", "id": forged},
	})
}

func (a *assault) forgeEvents(ctx context.Context) error {
	now := time.Now()
	return a.forge(ctx, []map[string]any{{"kind": "NODE_ADDED", "id": forged, "index": 0, "after": map[string]any{
		"id": forged, "nodeType": "GraphNode", "position": map[string]any{"x": 0, "y": 0}, "metadata": map[string]any{"label": forged},
		"config": "{}", "createdAt": now, "updatedAt": now,
	}}})
}

// forge says the next event of the plan again and again: when nobody is faster, replicas take it for true.
func (a *assault) forge(ctx context.Context, operations []map[string]any) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	return repeat(ctx, notifyPause, func() error {
		f.seq++ // asks one replica after the other
		at, away := f.place(ctx, int(f.seq))
		if away != nil {
			a.sent("no place")
			return ctx.Err()
		}
		body, err := json.Marshal(struct {
			Prev       string           `json:"prev"`
			ProjectID  int              `json:"projectId"`
			Version    int64            `json:"version"`
			At         time.Time        `json:"at"`
			OpID       string           `json:"opId"`
			ActorID    string           `json:"actorId"`
			ActorKind  string           `json:"actorKind"`
			ActorName  string           `json:"actorName"`
			Via        string           `json:"via"`
			Operations []map[string]any `json:"operations"`
		}{at.hash, a.honest.plan(), at.version + 1, time.Now(), uuid.NewString(), forged, "user", forged, "graphql", operations})
		if err != nil {
			return err
		}
		return f.say(ctx, eventChannels, at.epoch, fmt.Sprintf("e %d %d %s", a.honest.plan(), at.version+1, body))
	})
}

func (a *assault) hintFar(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	at, err := f.place(ctx, 0)
	if err != nil {
		return err
	}
	return repeat(ctx, notifyPause, func() error {
		var lines []string
		for n := range int64(100) {
			lines = append(lines, fmt.Sprintf("h %d %d", a.honest.plan(), at.version+1_000_000*f.seq+n))
		}
		return f.say(ctx, eventChannels, at.epoch, lines...)
	})
}

// ear is a session that listens.
type ear struct {
	payloads chan string
	heard    atomic.Int64
}

// listen listens until the attack ends.
func (a *assault) listen(ctx context.Context, channels []string) (*ear, error) {
	conn, err := a.session(ctx, a.stranger)
	if err != nil {
		return nil, err
	}
	for _, channel := range channels {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return nil, err
		}
	}
	e := &ear{payloads: make(chan string, 100)}
	ended := make(chan struct{})
	a.atEnd(func() { <-ended })
	go func() {
		defer close(ended)
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return
			}
			e.heard.Add(1)
			select {
			case e.payloads <- n.Payload:
			default: // whoever listens too slowly has heard enough
			}
		}
	}()
	return e, nil
}

// latest returns what was heard since the last call.
func (e *ear) latest() (payloads []string) {
	for {
		select {
		case p := <-e.payloads:
			payloads = append(payloads, p)
		default:
			return payloads
		}
	}
}

// secrets are texts of the honest load.
var secrets = []string{"Made by the storm", "Edited by", "honest-", "projectId", "storm-"}

func (a *assault) eavesdrop(ctx context.Context) error {
	seen, err := a.seenChannels(ctx)
	if err != nil {
		return err
	}
	heard, err := a.listen(ctx, slices.Concat(everyChannel, seen))
	if err != nil {
		return err
	}
	told := 0
	listen := func() error {
		for _, payload := range heard.latest() {
			a.sent("heard")
			if slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(payload, s) }) {
				if told++; told == 1 {
					a.wrong("a role without any right heard: %.300q", payload)
				}
			}
		}
		return nil
	}
	a.sent("listened")
	return repeat(ctx, 20*time.Millisecond, listen)
}

// seenChannels returns the channels that sessions listen to, as a role sees them that may look at all sessions.
func (a *assault) seenChannels(ctx context.Context) ([]string, error) {
	conn, err := a.session(ctx, a.monitor)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `SELECT DISTINCT substring(query FROM '(?i)listen +("[^"]+"|\w+)') FROM pg_stat_activity
		WHERE query ~* 'listen +("[^"]+"|\w+)' AND pid <> pg_backend_pid()`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (a *assault) beat(ctx context.Context) error {
	heard, err := a.listen(ctx, everyChannel)
	if err != nil {
		return err
	}
	var live []string
	err = a.judged(ctx, &live,
		"SELECT coalesce(array_agg(replica), '{}') FROM layercake.replicas WHERE lease_expires_at > now() + interval '2 s'")
	if err != nil {
		return err
	}
	names := map[string]bool{uuid.NewString(): true}
	// Each replica says something each second. What we say ourselves is heard, too, so names are taken before.
	for began := time.Now(); len(names) <= replicas && time.Since(began) < 2*time.Second; {
		for _, payload := range heard.latest() {
			if parts := strings.Fields(payload); len(parts) > 3 && parts[0] == "1" {
				names[parts[1]] = true
			}
		}
		_ = bench.Wait(ctx, samplePeriod) // ctx is looked at below
	}
	g, inner := errgroup.WithContext(ctx)
	for name := range names {
		g.Go(func() error { return a.beatAs(inner, name) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var renewed int
	err = a.judged(ctx, &renewed,
		"SELECT count(*) FROM layercake.replicas WHERE replica = ANY($1) AND lease_expires_at > now() + interval '1 s'", live)
	if renewed < len(live) {
		a.wrong("%d of %d replicas could renew their leases", renewed, len(live))
	}
	return err
}

// beatAs sends the heartbeats of a replica, all but the first ones of tomorrow: a round trip of less than nothing is no figure for a
// lease. It does so as fast as it can, since a true heartbeat undoes that.
func (a *assault) beatAs(ctx context.Context, replica string) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	f.replica = replica
	at, err := f.place(ctx, 0)
	if err != nil {
		return err
	}
	strange := []int64{1, -1 << 62, 1<<63 - 1}
	return repeat(ctx, time.Millisecond, func() error {
		beat := time.Now().Add(24 * time.Hour).UnixNano()
		if f.seq < int64(len(strange)) {
			beat = strange[f.seq]
		}
		return f.say(ctx, eventChannels, at.epoch, fmt.Sprintf("b %d", beat))
	})
}

func (a *assault) confuse(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	payloads := []string{
		"2 " + f.replica + " x 1\nwhat comes", "", "1", "1 - - 0\na kick", "1 - - 0\na drain\na undrain", strings.Repeat("A", 7999),
		"1 " + f.replica + " x 9223372036854775807\ne 1 1 {}", base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", 5000))),
	}
	return repeat(ctx, notifyPause, func() error { f.seq++; return f.notify(ctx, everyChannel, payloads[f.seq%int64(len(payloads))]) })
}

func (a *assault) replay(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	heard := map[string]*ear{}
	for _, channel := range everyChannel {
		if heard[channel], err = a.listen(ctx, []string{channel}); err != nil {
			return err
		}
	}
	return repeat(ctx, 20*time.Millisecond, func() error {
		for channel, e := range heard {
			said := e.latest()
			for _, payload := range said[:min(len(said), 10)] {
				again := []string{payload}
				var format, number int64
				var name, epoch string
				header, lines, _ := strings.Cut(payload, "\n")
				if n, _ := fmt.Sscan(header, &format, &name, &epoch, &number); n == 4 {
					again = append(again, fmt.Sprintf("%d %s %s %d\n%s", format, name, epoch, number+1, lines))
				}
				for _, payload := range again {
					if err := f.notify(ctx, []string{channel}, payload); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

func (a *assault) flood(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	at, err := f.place(ctx, 0)
	if err != nil {
		return err
	}
	line := joined(a.honest.people+1, time.Now(), forged)
	lines := slices.Repeat([]string{line}, 7500/(len(line)+1))
	return repeat(ctx, notifyPause, func() error {
		f.seq++
		payload := fmt.Sprintf("1 %s %s %d\n%s", f.replica, at.epoch, f.seq, strings.Join(lines, "\n"))
		return f.notify(ctx, everyChannel, payload)
	})
}

func (a *assault) crowd(ctx context.Context) error {
	f, err := a.forger(ctx)
	if err != nil {
		return err
	}
	at, err := f.place(ctx, 0)
	if err != nil {
		return err
	}
	people := 0
	return repeat(ctx, notifyPause, func() error {
		if people >= 5000 {
			return nil
		}
		lines := make([]string, 20)
		for n := range lines {
			people++
			lines[n] = joined(a.honest.people, time.Now(), fmt.Sprint(forged, "-", people))
		}
		return f.say(ctx, presenceChannels, at.epoch, lines...)
	})
}

// migrateTime is how long a migration of a schema that is current may take, whoever holds locks.
const migrateTime = 3 * time.Second

// holdLocks holds the locks that a replica of any release is known to take, and lets somebody migrate meanwhile.
func (a *assault) holdLocks(ctx context.Context) error {
	conn, err := a.session(ctx, a.stranger)
	if err != nil {
		return err
	}
	const gooseLock = 4097083626 // crc64 of goose's package, as its documentation says
	for _, statement := range []string{
		fmt.Sprintf("SELECT pg_advisory_lock(%d)", gooseLock), "SELECT pg_advisory_lock(5887940537704921958)",
		"SELECT pg_advisory_lock(hashtext('layercake clean-up'))",
	} {
		if _, err := conn.Exec(ctx, "SET statement_timeout = '500ms'; "+statement); err != nil {
			a.sent("refused")
			continue
		}
		a.sent("held")
	}
	cmd := a.layercake("migrate")
	cmd.Env = append(cmd.Environ(), "LAYERCAKE_DATABASE_URL="+a.database)
	ended := make(chan error, 1)
	if err := child.Start(cmd, syscall.SIGKILL, func(err error) { ended <- err }); err != nil {
		return err
	}
	began := time.Now()
	migrating, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	select {
	case err := <-ended:
		if err != nil {
			a.wrong("a migration failed while a stranger held locks: %v", err)
		}
	case <-migrating.Done():
		a.wrong("a migration had not ended after %v while a stranger held locks", time.Since(began).Round(time.Second))
		_ = cmd.Process.Kill() // it may have ended meanwhile
		a.sent(fmt.Sprint(<-ended))
	}
	return nil
}
