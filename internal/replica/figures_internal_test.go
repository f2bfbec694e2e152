package replica

import (
	"reflect"
	"testing"
	"time"

	"layercake/internal/db"
)

func TestFiguresThatNobodyKnows(t *testing.T) {
	t.Parallel()
	none := func() int64 { return 0 }
	nowhere := func() map[int32]int { return nil }
	for what, register := range map[string]func(*Replica){
		"a column that is not there": func(r *Replica) { r.Figure("socket", none) },
		"a column that has a figure": func(r *Replica) { r.Figure("sockets", none); r.Figure("sockets", none) },
		"one of the replica's own":   func(r *Replica) { r.Figure("heap_bytes", none) },
		"a count that is not there":  func(r *Replica) { r.CountProjects("people", nowhere) },
		"a count that is made":       func(r *Replica) { r.CountProjects(Watchers, nowhere); r.CountProjects(Watchers, nowhere) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", what)
				}
			}()
			register(New(Config{}))
		}()
	}
}

// Each figure reaches its column, and no other.
func TestFiguresHaveColumns(t *testing.T) {
	t.Parallel()
	got := db.RenewReplicaParams{}
	n := int64(0)
	for _, column := range []string{
		"draining", "sockets", "subscriptions", "open_feeds", "feed_bytes", "max_lag", "pool_in_use", "pool_waits", "heap_bytes",
	} {
		n++
		columns[column](&got, n)
	}
	columns["heartbeat_ms"](&got, int64(1234567*time.Nanosecond))
	want := db.RenewReplicaParams{
		Draining: true, Sockets: 2, Subscriptions: 3, OpenFeeds: 4, FeedBytes: 5, MaxLag: 6, PoolInUse: 7, PoolWaits: 8, HeapBytes: 9,
		HeartbeatMs: 1.234,
	}
	if len(columns) != int(n)+1 {
		t.Errorf("%d columns, and %d that are tested", len(columns), n+1)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTopProjectsAreFive(t *testing.T) {
	t.Parallel()
	r := New(Config{})
	if got := string(r.topProjects()); got != "[]" {
		t.Errorf("got %s of nothing, want []", got)
	}
	r.CountProjects(Connections, func() map[int32]int { return map[int32]int{1: 3, 9: 0} })
	r.CountProjects(Watchers, func() map[int32]int { return map[int32]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8} })
	const want = `[{"project_id":8,"connections":0,"watchers":8},{"project_id":7,"connections":0,"watchers":7},` +
		`{"project_id":6,"connections":0,"watchers":6},{"project_id":5,"connections":0,"watchers":5},` +
		`{"project_id":1,"connections":3,"watchers":1}]`
	if got := string(r.topProjects()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
