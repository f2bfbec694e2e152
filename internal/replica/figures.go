package replica

import (
	"cmp"
	"encoding/json"
	"fmt"
	runtime "runtime/metrics"
	"slices"
	"time"

	"layercake/internal/db"
)

// columns are the figures that a lease has room for. Another one takes a column of replicas (a migration, and the view
// layercake.replicas at its end), a line in RenewReplica (sql/replicas.sql), and a line here.
var columns = map[string]func(row *db.RenewReplicaParams, value int64){
	"draining":      func(row *db.RenewReplicaParams, v int64) { row.Draining = v != 0 },
	"sockets":       func(row *db.RenewReplicaParams, v int64) { row.Sockets = int32(v) },
	"subscriptions": func(row *db.RenewReplicaParams, v int64) { row.Subscriptions = int32(v) },
	"open_feeds":    func(row *db.RenewReplicaParams, v int64) { row.OpenFeeds = int32(v) },
	"feed_bytes":    func(row *db.RenewReplicaParams, v int64) { row.FeedBytes = v },
	"max_lag":       func(row *db.RenewReplicaParams, v int64) { row.MaxLag = v },
	"pool_in_use":   func(row *db.RenewReplicaParams, v int64) { row.PoolInUse = int32(v) },
	"pool_waits":    func(row *db.RenewReplicaParams, v int64) { row.PoolWaits = v },
	"heap_bytes":    func(row *db.RenewReplicaParams, v int64) { row.HeapBytes = v },
	// A time.Duration, since whole milliseconds would be too coarse; zero for none.
	"heartbeat_ms": func(row *db.RenewReplicaParams, v int64) {
		row.HeartbeatMs = float64(time.Duration(v).Microseconds()) / 1000
	},
}

// Figure makes the lease carry a figure in the column of that name, as f returns it at each renewal. A column without a figure keeps its
// default. Figure panics when there is no such column, or it has a figure already. It is called before Run.
func (r *Replica) Figure(column string, f func() int64) {
	if columns[column] == nil {
		panic(fmt.Sprintf("replica: a lease has no column %q for figures", column))
	}
	register(r.figures, column, f)
}

// Counts of top_projects.
const (
	Connections = "connections" // of people
	Watchers    = "watchers"    // of events
)

// CountProjects makes the lease name the projects that have most of something on this replica: Connections or Watchers, as f counts them
// at each renewal. It panics when it is neither, or counted already. It is called before Run.
func (r *Replica) CountProjects(what string, f func() map[int32]int) {
	if what != Connections && what != Watchers {
		panic(fmt.Sprintf("replica: top_projects has no count of %q", what))
	}
	register(r.projects, what, f)
}

func register[F any](of map[string]F, name string, f F) {
	if _, there := of[name]; there {
		panic(fmt.Sprintf("replica: %q has been registered before", name))
	}
	of[name] = f
}

// row returns the figures as they are now.
func (r *Replica) row() (row db.RenewReplicaParams) {
	for column, f := range r.figures {
		columns[column](&row, f())
	}
	row.TopProjects = r.topProjects()
	return row
}

// busy is a project in the figures.
type busy struct {
	Project     int32 `json:"project_id"`
	Connections int   `json:"connections"`
	Watchers    int   `json:"watchers"`
}

// topProjects returns the projects with most connections and watchers together, as JSON.
func (r *Replica) topProjects() []byte {
	const most = 5
	counts := make(map[string]map[int32]int, len(r.projects))
	var top []busy
	for what, f := range r.projects {
		counts[what] = f()
		for project := range counts[what] {
			top = append(top, busy{Project: project})
		}
	}
	for n := range top {
		b := &top[n]
		b.Connections, b.Watchers = counts[Connections][b.Project], counts[Watchers][b.Project]
	}
	slices.SortFunc(top, func(a, b busy) int {
		return cmp.Or(cmp.Compare(b.Connections+b.Watchers, a.Connections+a.Watchers), cmp.Compare(a.Project, b.Project))
	})
	top = slices.DeleteFunc(slices.Compact(top), func(b busy) bool { return b.Connections+b.Watchers == 0 })
	encoded, err := json.Marshal(append([]busy{}, top[:min(len(top), most)]...))
	if err != nil {
		panic(err) // numbers
	}
	return encoded
}

// heap returns the bytes that objects take.
func heap() int64 {
	sample := []runtime.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.Read(sample)
	return int64(sample[0].Value.Uint64())
}
