package feed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"layercake/internal/db"
	"layercake/internal/postgres"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/jackc/pgx/v5"
)

const (
	readBytes    = 64 << 10 // bytes of events that a watcher gets from one read of the log, beyond the first event
	maxHeldBytes = 32 << 20 // bytes that wait in all batches of a replica; beyond that a read returns one event
)

// batch counts the bytes of what one read of the log returned, as long as a watcher has yet to take some of it.
type batch struct {
	bytes   int64
	holders atomic.Int32 // watchers: those who come from one place share it
}

// answer is what the log says of one project: its head, the hash at a version, and the events after that.
type answer struct {
	head   Cursor
	base   string // empty where it is not known
	events []*Event
	batch  *batch // of the events, when they are for watchers
}

// readLog reads the events of several projects after a version each, in one statement: of each so many bytes at most, beyond the first
// event. Larger bodies than maxBody stay behind. A project that does not exist has no answer.
func (h *Hub) readLog(
	ctx context.Context, pool *postgres.Pool, projects []int32, after []int64, bytes, maxBody int,
) (map[int32]answer, error) {
	answers := make(map[int32]answer, len(projects))
	err := h.ask(ctx, pool, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := db.New(conn).ListEventsAfter(ctx, db.ListEventsAfterParams{
			ProjectIds: projects, After: after, MaxBody: int32(maxBody), MaxEvents: readEvents, MaxBytes: int32(bytes),
		})
		epoch := postgres.EpochOfConn(conn)
		for _, row := range rows {
			a := answers[row.ProjectID]
			a.head = Cursor{Epoch: epoch, Version: row.Head, Hash: row.HeadHash}
			a.base = row.BaseHash
			if row.Version > 0 {
				before := a.base
				if n := len(a.events); n > 0 {
					before = a.events[n-1].At.Hash
				}
				a.events = append(a.events, &Event{
					At:     Cursor{Epoch: epoch, Version: row.Version, Hash: row.Hash},
					Before: cmp.Or(previous(row.Body), before), Body: row.Body,
				})
			}
			answers[row.ProjectID] = a
		}
		return err
	})
	return answers, err
}

// catchUp reads the log for the watchers of a feed at one place, when it is their turn. While very many hold events that they have not
// taken yet, because they are slow, it returns only the one that they take at once.
func (h *Hub) catchUp(ctx context.Context, f *feed, after int64) (answer, error) {
	if err := h.turns.take(ctx, f.project); err != nil {
		return answer{}, postgres.Busy(fmt.Errorf("wait for a turn to read the log: %w", err))
	}
	defer h.turns.give()
	h.metrics.logReads.Inc()
	sent, _ := f.now()
	bytes := readBytes
	if h.held.Load() > maxHeldBytes {
		bytes = 0
	}
	answers, err := h.readLog(ctx, h.cfg.DB.CatchUp, []int32{f.project}, []int64{after}, bytes, MaxEvent)
	if err != nil {
		return answer{}, fmt.Errorf("catch up from the log: %w", err)
	}
	a, ok := answers[f.project]
	if !ok {
		return answer{}, ErrNotFound
	}
	if f.compare(sent, a.head) {
		task.Wake(h.gaps)
	}
	a.batch = &batch{}
	for _, e := range a.events {
		a.batch.bytes += int64(len(e.Body))
	}
	return a, nil
}

// turns lets a few readers work at once. The others wait, and the projects that they belong to take turns: however many of one project
// wait, a reader of another lets at most one of them go before it. First come, first served would not do: the thousands who watch one
// project, and come back to it after an outage, would go before all who come a moment later.
type turns struct {
	changed testsignal.Signal // said when a reader begins or ends to wait

	mu      sync.Mutex
	free    int                       // readers that may begin at once
	order   []int32                   // projects with readers that wait, the next first
	waiting map[int32][]chan struct{} // these readers, by project, the longest first; closed when it is their turn
}

// take waits for a turn. Whoever got one gives it back.
func (t *turns) take(ctx context.Context, project int32) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	if len(t.waiting[project]) == 0 {
		t.order = append(t.order, project)
	}
	t.waiting[project] = append(t.waiting[project], turn)
	t.changed.Say()
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		t.leave(project, turn)
		return ctx.Err()
	}
}

// give lets the next reader begin.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

// leave takes a reader out that waits no longer. A turn that it got at the same moment goes to the next one.
func (t *turns) leave(project int32, turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting[project], turn); i >= 0 {
		t.remove(project, i)
		if len(t.waiting[project]) == 0 {
			t.order = slices.DeleteFunc(t.order, func(p int32) bool { return p == project })
		}
		return
	}
	t.next()
}

// next gives a turn to the reader that waits the longest of the project whose turn it is, and that project goes behind the others.
func (t *turns) next() {
	if len(t.order) == 0 {
		t.free++
		return
	}
	project := t.order[0]
	t.order = t.order[1:]
	close(t.waiting[project][0])
	t.remove(project, 0)
	if len(t.waiting[project]) > 0 {
		t.order = append(t.order, project)
	}
}

func (t *turns) remove(project int32, i int) {
	rest := slices.Delete(t.waiting[project], i, i+1)
	if t.waiting[project] = rest; len(rest) == 0 {
		delete(t.waiting, project)
	}
	t.changed.Say()
}
