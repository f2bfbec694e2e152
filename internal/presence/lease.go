package presence

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	runtime "runtime/metrics"
	"slices"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// wireVersion is which formats this binary understands. It steps when replicas, or clients that change replicas, would meet a form that
// the former release does not understand. Then the new form is written only when Oldest says that nobody needs the former one.
//
//	1  the first release
//	2  cursors and labels with hashes
const wireVersion = 2

// Oldest returns the least wire version among the living replicas, as of the last renewal of the lease, or of ReadOldest before the
// first.
func (t *Tracker) Oldest() int32 { return t.oldest.Load() }

// ReadOldest asks for it. It is called before anything is served: a replica that did not know would write the former formats for a
// moment, and clients would take what it says for another version.
func (t *Tracker) ReadOldest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	return t.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		oldest, err := q.GetOldestWire(ctx, wireVersion)
		t.oldest.Store(oldest)
		return err
	})
}

// hold keeps a lease until ctx ends, and removes replicas that did not keep theirs, and guests whose time is over.
func (t *Tracker) hold(ctx context.Context) {
	renewals := 0 // that succeeded in a row, none of them late
	var renewed time.Time
	failing := false
	renew, reap := time.NewTimer(0), time.NewTicker(jitter(reapEvery))
	defer renew.Stop()
	defer reap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.lapses:
		case <-renew.C:
		case <-reap.C:
			if renewals >= steady && time.Since(renewed) < 2*renewEvery {
				t.reap(ctx)
				t.reapGuests(ctx)
			}
			continue
		}
		began := time.Now()
		same, err := t.renew(ctx)
		switch {
		case err != nil:
			if ctx.Err() == nil && !failing {
				failing = true // once an outage
				t.cfg.Log.WarnContext(ctx, "cannot renew the lease, trying again", "error", err)
			}
			renewals = 0
			t.beQuiet()
			renew.Reset(renewRetry)
			continue
		case !same || began.Sub(renewed) > 2*renewEvery:
			renewals = 0
		}
		failing = false
		renewals++
		renewed = began
		renew.Reset(renewEvery - min(time.Since(began), renewEvery))
	}
}

// renew prolongs the lease. When it is gone, another life begins, and everybody is written anew; then it says false.
func (t *Tracker) renew(ctx context.Context) (same bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	var oldest int32
	life := t.Life()
	if life != uuid.Nil {
		row := t.figures()
		row.Incarnation, row.TtlSeconds = life, leaseTTL.Seconds()
		err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
			oldest, err = q.RenewReplica(ctx, row)
			return err
		})
		if err == nil {
			t.oldest.Store(oldest)
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return true, err
		}
		t.cfg.Log.WarnContext(ctx, "the lease is gone, registering anew", "incarnation", life, "connections", t.own())
	}
	life, t.cfg.Incarnation = t.cfg.Incarnation, uuid.Nil // once: when the answer is lost, it may be taken
	if life == uuid.Nil {
		life = uuid.New()
	}
	err = t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		oldest, err = q.InsertReplica(ctx, db.InsertReplicaParams{
			Incarnation: life, Version: t.cfg.Version, Address: t.address, Wire: wireVersion, TtlSeconds: leaseTTL.Seconds(),
		})
		return err
	})
	if err != nil {
		return false, err
	}
	t.oldest.Store(oldest)
	t.noteEmptied()
	rooms := t.open()
	t.mu.Lock()
	t.incarnation = life
	t.mu.Unlock()
	for _, r := range rooms {
		for _, connection := range r.owned() {
			t.write(r, connection)
		}
	}
	return false, nil
}

// figures returns what the lease tells about this replica.
func (t *Tracker) figures() db.RenewReplicaParams {
	f := Figures{}
	if t.cfg.Figures != nil {
		f = t.cfg.Figures()
	}
	pool := t.cfg.DB.Requests.Stat()
	return db.RenewReplicaParams{
		Draining: f.Draining, Sockets: int32(f.Sockets), Subscriptions: int32(f.Subscriptions), OpenFeeds: int32(f.OpenFeeds),
		FeedBytes: int64(f.FeedBytes), MaxLag: f.MaxLag, PoolInUse: pool.AcquiredConns(), PoolWaits: pool.EmptyAcquireCount(),
		HeartbeatMs: float64(f.Heartbeat.Microseconds()) / 1000, HeapBytes: heap(), TopProjects: t.topProjects(f.Watchers),
	}
}

// busy is a project in the figures.
type busy struct {
	Project     int32 `json:"project_id"`
	Connections int   `json:"connections"`
	Watchers    int   `json:"watchers"`
}

// topProjects returns the projects with most connections and watchers on this replica, as JSON.
func (t *Tracker) topProjects(watchers map[int32]int) []byte {
	const most = 5
	all := make(map[int32]busy, len(watchers))
	for project, n := range watchers {
		all[project] = busy{Project: project, Watchers: n}
	}
	for _, r := range t.open() {
		all[r.Project] = busy{Project: r.Project, Connections: r.ownSize(), Watchers: watchers[r.Project]}
	}
	top := make([]busy, 0, most+1)
	for _, b := range all {
		if b.Connections+b.Watchers == 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, b, func(a, b busy) int {
			return cmp.Or(cmp.Compare(b.Connections+b.Watchers, a.Connections+a.Watchers), cmp.Compare(a.Project, b.Project))
		})
		if at < most {
			top = slices.Insert(top, at, b)
			top = top[:min(len(top), most)]
		}
	}
	encoded, err := json.Marshal(top)
	if err != nil {
		panic(err) // numbers
	}
	return encoded
}

// beQuiet keeps from removing connections of others until they had the time to write them anew.
func (t *Tracker) beQuiet() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quietUntil = time.Now().Add(leaseTTL)
}

// noteEmptied is beQuiet when the own lease is gone: the table may have been emptied, and others have to write theirs anew, as this
// replica has.
func (t *Tracker) noteEmptied() {
	t.beQuiet()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emptied = time.Now()
}

// missingSince returns since when connections of others must be missing in the table to be removed by a comparison that was sent at a
// time: since then, normally, or for a lease when the wire or the database was away a moment ago. More such moments do not prolong
// that, or people who left would stay for ever where connections break often. Only a table that was emptied begins it anew, which the
// own lease shows: it is in the same table, and owners who live have written theirs within a lease.
func (t *Tracker) missingSince(asked time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !time.Now().Before(t.quietUntil): // it may have begun since the table was asked
		return asked
	case asked.Sub(t.emptied) < leaseTTL:
		return time.Time{}
	default:
		return asked.Add(-leaseTTL)
	}
}

// reap removes one replica whose lease has expired, and tells everybody.
func (t *Tracker) reap(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	var rows []db.ReapReplicaRow
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ReapReplica(ctx, t.Life())
		return err
	})
	if err != nil {
		t.cfg.Log.DebugContext(ctx, "look for expired leases", "error", err)
		return // renewing tells
	}
	if len(rows) == 0 {
		return
	}
	people := 0
	for _, row := range rows {
		if row.ConnectionID == nil {
			continue
		}
		people++
		gone := departed{life: row.Incarnation}
		t.heardLeft(*row.ProjectID, *row.ConnectionID, gone)
		t.wire.PublishPresence(fanout.Presence{
			Kind: fanout.Left, Project: *row.ProjectID, Connection: row.ConnectionID.String(), Body: gone.encode(),
		})
	}
	t.metrics.reapedReplicas.Inc()
	t.metrics.reapedConnections.Add(float64(people))
	t.cfg.Log.InfoContext(ctx, "removed a replica whose lease expired", "incarnation", rows[0].Incarnation, "connections", people)
}

// leaveAll says goodbye: what remains of the own connections, then the lease.
func (t *Tracker) leaveAll(ctx context.Context) {
	for _, r := range t.open() {
		for _, connection := range r.owned() {
			r.Leave(connection, ReasonDrained)
		}
	}
	if err := t.flush(ctx); err != nil {
		t.cfg.Log.InfoContext(ctx, "could not take the last connections out of the table", "error", err)
	}
	life := t.Life()
	if life == uuid.Nil {
		return
	}
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) error { return q.DeleteReplica(ctx, life) })
	if err != nil {
		t.cfg.Log.InfoContext(ctx, "could not give the lease back, it expires", "error", err)
	}
}

// heap returns the bytes that objects take.
func heap() int64 {
	sample := []runtime.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.Read(sample)
	return int64(sample[0].Value.Uint64())
}
