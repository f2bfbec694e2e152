package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/embeddedpg"
	"layercake/internal/fanout"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// witness is a core that notes its doubts, and what a watcher of project 1 is shown.
type witness struct {
	*server.Core
	metrics *prometheus.Registry
	changed testsignal.Signal

	mu     sync.Mutex
	doubts []string
	shown  []*plan.Update
}

// startWitness runs a core until the test ends.
func startWitness(t *testing.T, database string) *witness {
	t.Helper()
	w := &witness{metrics: prometheus.NewRegistry()}
	var err error
	w.Core, err = server.OpenCore(t.Context(), server.Config{
		DatabaseURL: database, PoolMax: 4, Replicas: 8, WriteSlots: 2, Lease: servertest.Lease, Log: slog.New(slog.DiscardHandler),
	}, w.metrics)
	if err != nil {
		t.Fatal(err)
	}
	for channel, letter := range map[fanout.Channel]byte{fanout.Events: '<', fanout.Presence: '>'} {
		w.Wire.Handle(fanout.Topic{
			Channel: channel, Kinds: map[byte]string{letter: "test"}, Hear: func(fanout.Line) error { return nil },
			Doubt: func(reason string) { w.note(func() { w.doubts = append(w.doubts, string(channel)+" "+reason) }) },
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	begun := make(chan struct{})
	w.Replica.OnBegin(func(uuid.UUID) { close(begun) }) // a second incarnation would panic: the lease was lost
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, "here") }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w.DB.Close()
	})
	<-w.Wire.Ready()
	<-begun
	return w
}

func (w *witness) note(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	w.changed.Say()
}

// await returns when what holds, which is asked under the mutex.
func (w *witness) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	w.changed.Await(t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return holds()
	})
}

// watch notes what a watcher of a project is shown, until the test ends.
func (w *witness) watch(t *testing.T, project int32) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for u, err := range w.Plans.Watch(ctx, auth.Unchecked(auth.Anonymous(""), project), plan.Cursor{}) {
			if err != nil {
				t.Errorf("the watch ended: %v", err)
				return
			}
			w.note(func() { w.shown = append(w.shown, u) })
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// count returns the value of a counter of the wire whose labels have a value, or of all labels.
func (w *witness) count(t *testing.T, name, label string) (sum int) {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "layercake_fanout_"+name && (label == "" || strings.Contains(m.String(), `"`+label+`"`)) {
				sum += int(m.GetCounter().GetValue())
			}
		}
	}
	return sum
}

func (w *witness) addNode(t *testing.T, project int32, id, label string) {
	t.Helper()
	n := plan.Node{ID: id, NodeType: plan.GraphNode, Metadata: plan.NodeMetadata{Label: label}, Config: "{}"}
	if _, err := w.Plans.Change(t.Context(), auth.Unchecked(auth.Anonymous(""), project), plan.Change{Edits: []plan.Edit{plan.AddNode{Node: n}}}); err != nil {
		t.Fatal(err)
	}
}

func (w *witness) newProject(t *testing.T) int32 {
	t.Helper()
	p, err := w.Projects.Create(t.Context(), auth.UncheckedReach(auth.Anonymous("")), project.Input{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// enter enters a project's room, until the test ends.
func (w *witness) enter(t *testing.T, project int32) *presence.Room {
	t.Helper()
	room, err := w.Presence.Enter(t.Context(), auth.Unchecked(auth.Actor{}, project))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(room.Exit)
	t.Cleanup(room.Watch(func() { w.changed.Say() }))
	return room
}

// record is a log that is read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// ownServer starts a server, whose log it returns beside the URL of a migrated database. Roles belong to the whole server.
func ownServer(t *testing.T) (database string, log *record) {
	t.Helper()
	log = &record{}
	cfg := pgtest.Config(t)
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := embeddedpg.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + pgtest.Texts(t, pgtest.Connect(t, s.URL()), "SELECT datname FROM pg_database WHERE datname LIKE 'layercake%'")[0]
	return u.String(), log
}

// channels are all that replicas listen to.
var channels = []string{"layercake_events", "layercake_presence", "layercake_sealed_events", "layercake_sealed_presence"}

// stranger is a session of a role that cannot read the tables.
type stranger struct {
	*pgx.Conn
	heard []string // payloads of sealed channels
	plain []string // and of the others
}

// strangers returns sessions of roles that may do little: connect, read the contract, look at what the server does.
func strangers(t *testing.T, database string) map[string]*stranger {
	t.Helper()
	all := make(map[string]*stranger)
	owner := pgtest.Connect(t, database)
	for name, may := range map[string]string{
		"connects": "SELECT 1", "reads": "SELECT layercake.grant_reader('reads')", "monitors": "GRANT pg_monitor TO monitors",
	} {
		pgtest.Exec(t, owner, "CREATE ROLE "+name+" LOGIN")
		pgtest.Exec(t, owner, may)
		u, err := url.Parse(database)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("user", name)
		u.RawQuery, u.User = q.Encode(), nil
		all[name] = &stranger{Conn: pgtest.Connect(t, u.String())}
		if got := pgtest.Texts(t, all[name].Conn, "SELECT session_user::text")[0]; got != name {
			t.Fatalf("connected as %s, want %s", got, name)
		}
		for _, channel := range channels {
			pgtest.Exec(t, all[name].Conn, "LISTEN "+channel)
		}
	}
	return all
}

// listen hears what comes until a text was said on all channels.
func (s *stranger) listen(t *testing.T, end string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for left := len(channels); left > 0; {
		n, err := s.WaitForNotification(ctx)
		switch {
		case err != nil:
			t.Fatal(err)
		case n.Payload == end:
			left--
		case strings.Contains(n.Channel, "sealed"):
			s.heard = append(s.heard, n.Payload)
		default:
			s.plain = append(s.plain, n.Payload)
		}
	}
}

// What replicas tell each other is for them alone: a role that cannot read the tables neither hears nor is heard.
func TestStrangersOnTheWire(t *testing.T) {
	t.Parallel()
	database, log := ownServer(t)
	a, b := startWitness(t, database), startWitness(t, database)
	owner := pgtest.Connect(t, database)
	p := a.newProject(t)
	b.watch(t, p)
	room := b.enter(t, p)
	roles := strangers(t, database)

	// They listen while somebody comes and something changes.
	secrets := []string{"ann@private.example", "Ann Private", "private-node", "a private label", "private-document"}
	ann := presence.Identity{UserID: secrets[0], Name: secrets[1], Color: "#123456", Transport: "collaboration"}
	connection := uuid.New()
	if err := a.enter(t, p).Join(connection, ann, &presence.Place{Document: secrets[4], Type: "canvas"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	a.addNode(t, p, "first", "")
	a.addNode(t, p, secrets[2], secrets[3])
	b.await(t, "the second change", func() bool { return len(b.shown) > 0 && b.shown[len(b.shown)-1].At.Version == 2 })
	b.changed.Await(t, "Ann", func() bool { return room.Size() == 1 })
	key := []byte(pgtest.Texts(t, owner, "SELECT encode(key, 'hex') FROM wire_keys")[0])
	raw, err := hex.DecodeString(string(key))
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, connection.String(), string(key), base64.StdEncoding.EncodeToString(raw), string(raw))
	const end = "the end"
	for _, channel := range channels {
		pgtest.Exec(t, owner, "SELECT pg_notify($1, $2)", channel, end)
	}
	tells := func(what, text string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %q:\n%.1000q", what, secret, text)
			}
		}
	}
	for name, s := range roles {
		s.listen(t, end)
		if len(s.heard) < 3 || len(s.plain) > 0 {
			t.Errorf("%s heard %d sealed payloads, want some, and these: %q", name, len(s.heard), s.plain)
		}
		for _, payload := range s.heard {
			opened, err := base64.RawStdEncoding.DecodeString(payload)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			tells(name, payload+string(opened))
		}
		tells(name, strings.Join(pgtest.Texts(t, s.Conn, "SELECT a::text FROM pg_stat_activity a"), "\n"))
		tells(name, strings.Join(pgtest.Texts(t, s.Conn, "SELECT pg_listening_channels()"), "\n"))
		for _, sql := range []string{
			"SELECT key FROM wire_keys", "SELECT 1 FROM cleanups FOR UPDATE", "SELECT 1 FROM goose_lock FOR UPDATE", "INSERT INTO guest_makers VALUES ('x')",
		} {
			if _, err := s.Exec(t.Context(), sql); postgres.State(err) != postgres.InsufficientPrivilege {
				t.Errorf("%s: %s: %v, want permission denied", name, sql, err)
			}
		}
	}

	// Then they speak: as a replica that has another name, and as one that there is.
	for _, w := range []*witness{a, b} {
		w.note(func() { w.doubts, w.shown = nil, nil })
	}
	sealed, plain := 2, 2 // the ends
	for _, s := range roles {
		for _, payload := range slices.Concat(s.heard, forged(t, owner, a.Replica.Incarnation(), p)) {
			for _, channel := range channels {
				pgtest.Exec(t, s.Conn, "SELECT pg_notify($1, $2)", channel, payload)
			}
			sealed, plain = sealed+2, plain+2
		}
		for range 100 {
			pgtest.Exec(t, s.Conn, "SELECT pg_notify('layercake_presence', E'1 - - 0\na kick')") // which anybody may say
		}
	}
	after := pgtest.Texts(t, owner, "SELECT clock_timestamp()::text")[0]
	for _, w := range []*witness{a, b} {
		until(t, "all that was forged", func() bool {
			return w.count(t, "lines_total", "forged") == sealed && w.count(t, "lines_total", "plain") == plain
		})
	}
	pgtest.AwaitCount(t, owner, 2, "SELECT count(*) FROM replicas WHERE renewed_at > $1::timestamptz", after)
	for name, w := range map[string]*witness{"a": a, "b": b} {
		if n := w.count(t, "listener_connects_total", ""); n != 1 {
			t.Errorf("the listener of %s connected %d times, want once", name, n)
		}
		w.mu.Lock()
		if len(w.doubts)+len(w.shown) > 0 {
			t.Errorf("%s doubts %q, and shows %v", name, w.doubts, w.shown)
		}
		w.mu.Unlock()
	}
	if people := room.Roster().People; len(people) != 1 || people[0].Entries[0].Name != ann.Name {
		t.Errorf("there are %d people, want Ann alone", len(people))
	}
	a.addNode(t, p, "third", "")
	b.await(t, "the third change", func() bool { return len(b.shown) > 0 })
	if u := b.shown[0]; len(b.shown) != 1 || u.At.Version != 3 || u.Event == nil {
		t.Errorf("%d updates, the first %+v, want the third change", len(b.shown), u)
	}
	tells("the log of the server", log.String())

	// A session that has the name of one of ours is not ours.
	for _, s := range roles {
		pgtest.Exec(t, s.Conn, "SET application_name = 'layercake/x/listener'")
	}
	if err := postgres.RenewWireKey(t.Context(), database, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, s := range roles {
		pgtest.Exec(t, s.Conn, "SELECT 1")
	}
}

// forged returns payloads that somebody who knows the formats makes up: the next event of a project, somebody in it, a heartbeat of a
// replica from the future, another format, and nonsense.
func forged(t *testing.T, owner *pgx.Conn, incarnation uuid.UUID, project int32) []string {
	t.Helper()
	epoch, err := postgres.ReadEpoch(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	body := pgtest.Texts(t, owner, "SELECT body::text FROM events WHERE project_id = $1 ORDER BY version DESC LIMIT 1", project)[0]
	var event struct {
		Version int64
		Prev    string
	}
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(body))
	next := strings.Replace(body, fmt.Sprintf(`"version":%d`, event.Version), fmt.Sprintf(`"version":%d`, event.Version+1), 1)
	next = strings.Replace(next, event.Prev, hex.EncodeToString(hash[:4]), 1)
	now := time.Now()
	somebody := fmt.Sprintf(`j %d %s {"i":%q,"r":1,"u":"mallory","n":"Mallory","v":"collaboration","j":%d,"m":%d}`,
		project, uuid.New(), incarnation, now.UnixMilli(), now.UnixMilli())
	var payloads []string
	for _, replica := range []string{"mallory", incarnation.String()} {
		for _, lines := range []string{
			fmt.Sprintf("e %d %d %s", project, event.Version+1, next), fmt.Sprintf("h %d 1000000", project), somebody,
			fmt.Sprintf("b %d", now.Add(time.Hour).UnixNano()),
		} {
			payloads = append(payloads, fmt.Sprintf("1 %s %s 1000000\n%s", replica, epoch, lines), fmt.Sprintf("1 %s elsewhere-1 1000002\n%s", replica, lines))
		}
	}
	return append(payloads, "2 another format", "", "garbage", strings.Repeat("x", 7999))
}

// The key can be renewed while replicas run: whatever they tell each other meanwhile, everybody knows everything in the end.
func TestRenewWireKey(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a, b := startWitness(t, database), startWitness(t, database)
	p := a.newProject(t)
	b.watch(t, p)
	room, other := b.enter(t, p), a.enter(t, p)
	conn := pgtest.Connect(t, database)
	keys := map[string]bool{}
	const rounds, changes = 3, 40
	var log record
	for round := range rounds {
		for _, w := range []*witness{a, b} {
			until(t, "both sessions, which have the same key", func() bool {
				return w.Wire.Listening() && w.count(t, "listener_connects_total", "") > round && w.count(t, "publisher_connects_total", "") > round
			})
		}
		keys[pgtest.Texts(t, conn, "SELECT encode(key, 'hex') FROM wire_keys")[0]] = true
		renewed := make(chan error, 1)
		go func() {
			renewed <- postgres.RenewWireKey(context.WithoutCancel(t.Context()), database, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		for n := range changes {
			a.addNode(t, p, fmt.Sprintf("n%d-%d", round, n), "")
		}
		who := presence.Identity{UserID: fmt.Sprint(round), Name: "Ann", Transport: "collaboration"}
		if err := other.Join(uuid.New(), who, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := <-renewed; err != nil {
			t.Fatal(err)
		}
	}
	// A listener that was not ended would hang up by itself, when its heartbeats do not come back.
	if n := strings.Count(log.String(), "publishers=2 listeners=2"); n != rounds {
		t.Errorf("all sessions were ended %d times of %d:\n%s", n, rounds, &log)
	}
	keys[pgtest.Texts(t, conn, "SELECT encode(key, 'hex') FROM wire_keys")[0]] = true
	if len(keys) != rounds+1 {
		t.Errorf("%d keys, want another each time", len(keys))
	}
	b.await(t, "all changes", func() bool { return len(b.shown) > 0 && b.shown[len(b.shown)-1].At.Version == rounds*changes })
	b.changed.Await(t, "all people", func() bool { return room.Size() == rounds })
	for n, u := range b.shown {
		if u.Missed || u.Event != nil && u.At.Version != b.shown[0].At.Version+int64(n) {
			t.Fatalf("update %d is %+v", n, u)
		}
	}
}
