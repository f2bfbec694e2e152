package replica

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	runtime "runtime/metrics"
	"slices"
	"time"

	"layercake/internal/db"
)

// columns are the figures that a lease has room for. Another one takes a column of replicas (a migration, and the view
// layercake.replicas at its end), a line in RenewReplica (sql/replicas.sql), and a line here.
var columns = map[string]func(row *db.RenewReplicaParams, value int64){
	"draining":      func(row *db.RenewReplicaParams, v int64) { row.Draining = v != 0 },
	"sockets":       func(row *db.RenewReplicaParams, v int64) { row.Sockets = toInt32(v) },
	"subscriptions": func(row *db.RenewReplicaParams, v int64) { row.Subscriptions = toInt32(v) },
	"open_feeds":    func(row *db.RenewReplicaParams, v int64) { row.OpenFeeds = toInt32(v) },
	"feed_bytes":    func(row *db.RenewReplicaParams, v int64) { row.FeedBytes = v },
	"max_lag":       func(row *db.RenewReplicaParams, v int64) { row.MaxLag = v },
	"pool_in_use":   func(row *db.RenewReplicaParams, v int64) { row.PoolInUse = toInt32(v) },
	"pool_waits":    func(row *db.RenewReplicaParams, v int64) { row.PoolWaits = v },
	"heap_bytes":    func(row *db.RenewReplicaParams, v int64) { row.HeapBytes = v },
	// The value is a time.Duration, because whole milliseconds would be too coarse; zero for none.
	"heartbeat_ms": func(row *db.RenewReplicaParams, v int64) {
		row.HeartbeatMs = float64(time.Duration(v).Microseconds()) / 1000
	},
}

// toInt32 returns what a column of integers has room for of a figure that is not negative.
func toInt32(v int64) int32 { return int32(min(v, math.MaxInt32)) }

// Figure makes each renewal of the lease write the value of f in the column of that name. A column without a figure keeps its default.
// Figure panics when there is no such column, or when it has a figure already. It is called before Run.
func (r *Replica) Figure(column string, f func() int64) {
	if columns[column] == nil {
		panic(fmt.Sprintf("replica: a lease has no column %q for figures", column))
	}
	register(r.figures, column, f)
}

// The names of what CountProjects counts.
const (
	Connections = "connections" // people in a project
	Watchers    = "watchers"    // subscribers to a project's events
)

// CountProjects makes f count something in each project, Connections or Watchers, at each renewal: the lease names the projects that have
// most of both. CountProjects panics for any other name, and for one that is counted already. It is called before Run.
func (r *Replica) CountProjects(name string, f func() map[int32]int) {
	if name != Connections && name != Watchers {
		panic(fmt.Sprintf("replica: top_projects has no count of %q", name))
	}
	register(r.projects, name, f)
}

func register[F any](registered map[string]F, name string, f F) {
	if _, there := registered[name]; there {
		panic(fmt.Sprintf("replica: %q has been registered before", name))
	}
	registered[name] = f
}

// row returns the current figures as a renewal writes them. The table refuses what is negative, and a figure must never cost the lease:
// a wrong one is shown as 0, or as the most that its column has room for.
func (r *Replica) row() (row db.RenewReplicaParams) {
	for column, f := range r.figures {
		columns[column](&row, max(f(), 0))
	}
	row.TopProjects = r.topProjects()
	return row
}

// projectCounts is an element of top_projects.
type projectCounts struct {
	Project     int32 `json:"project_id"`
	Connections int   `json:"connections"`
	Watchers    int   `json:"watchers"`
}

// topProjects returns the projects with most connections and watchers together, as JSON.
func (r *Replica) topProjects() []byte {
	const most = 5
	counts := make(map[string]map[int32]int, len(r.projects))
	var top []projectCounts
	for name, f := range r.projects {
		counts[name] = f()
		for project := range counts[name] {
			top = append(top, projectCounts{Project: project})
		}
	}
	for n := range top {
		b := &top[n]
		b.Connections, b.Watchers = counts[Connections][b.Project], counts[Watchers][b.Project]
	}
	slices.SortFunc(top, func(a, b projectCounts) int {
		return cmp.Or(cmp.Compare(b.Connections+b.Watchers, a.Connections+a.Watchers), cmp.Compare(a.Project, b.Project))
	})
	top = slices.DeleteFunc(slices.Compact(top), func(b projectCounts) bool { return b.Connections+b.Watchers == 0 })
	encoded, err := json.Marshal(append([]projectCounts{}, top[:min(len(top), most)]...))
	if err != nil {
		panic(err) // numbers
	}
	return encoded
}

// heap returns how many bytes of the heap objects take.
func heap() int64 {
	sample := []runtime.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.Read(sample)
	return int64(sample[0].Value.Uint64())
}
