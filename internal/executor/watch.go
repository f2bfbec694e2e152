package executor

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/plan"
	"layercake/internal/task"
)

// Execution is the state of a node's build at one time.
type Execution struct {
	ProjectID    int32
	NodeID       string
	GraphID      int32
	State        string
	Phase        *string // reading, computing or writing; nil unless a replica builds
	Done, Total  *int32
	Attempt      int32
	Replica      *string
	ErrorMessage *string
	Timestamp    time.Time
}

// progress is what a watch knows of the claims of its project. The poll of all watches of the replica fills it.
type progress struct {
	changed chan struct{} // signal, capacity 1

	mu     sync.Mutex
	claims map[int32]db.ListClaimsRow // by graph
}

// Watch yields the executions of a project: first what is so now, then each that changes, until ctx ends. States are those of the plan's
// events, and how far builds are is asked once a second. It ends with the fault NotFound when the project does not exist or is deleted.
func (s *Service) Watch(ctx context.Context, access auth.Access) iter.Seq2[Execution, error] {
	projectID := access.Project()
	return func(yield func(Execution, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		p := s.follow(projectID)
		defer s.unfollow(projectID, p)
		updates := make(chan *plan.Update)
		watching := task.Go(ctx, func(ctx context.Context) error {
			for u, err := range s.cfg.Plans.Watch(ctx, access, plan.Cursor{}) {
				if err != nil {
					return err
				}
				select {
				case updates <- u:
				case <-ctx.Done():
				}
			}
			return nil
		})
		defer func() { _ = watching.Stop() }()
		ended := make(chan struct{})
		waiting := task.Go(ctx, func(context.Context) error { defer close(ended); return watching.Wait() })
		defer func() { _ = waiting.Stop() }()

		w := watcher{service: s, access: access, project: projectID, known: make(map[string]Execution), yield: yield}
		for {
			var goesOn bool
			select {
			case <-ctx.Done():
				return
			case <-ended:
				if err := watching.Wait(); err != nil {
					yield(Execution{}, err)
				}
				return
			case u := <-updates:
				goesOn = w.hear(ctx, u)
			case <-p.changed:
				goesOn = w.still(ctx) && w.poll(p)
			}
			if !goesOn {
				return
			}
		}
	}
}

func (s *Service) follow(projectID int32) *progress {
	p := &progress{changed: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched[projectID] == nil {
		s.watched[projectID] = make(map[*progress]bool)
	}
	s.watched[projectID][p] = true
	return p
}

func (s *Service) unfollow(projectID int32, p *progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watched[projectID], p)
	if len(s.watched[projectID]) == 0 {
		delete(s.watched, projectID)
	}
}

// pollProgress asks how far the builds of all watched projects are, in one statement.
func (s *Service) pollProgress(ctx context.Context) error {
	s.mu.Lock()
	watched := make(map[int32][]*progress, len(s.watched))
	ids := make([]int64, 0, len(s.watched))
	for id, all := range s.watched {
		watched[id] = slices.Collect(maps.Keys(all))
		ids = append(ids, int64(id))
	}
	s.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	claims := make(map[int32]map[int32]db.ListClaimsRow, len(ids))
	err := s.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListClaims(ctx, ids)
		for _, row := range rows {
			if claims[row.ProjectID] == nil {
				claims[row.ProjectID] = make(map[int32]db.ListClaimsRow)
			}
			claims[row.ProjectID][row.GraphID] = row
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list claims: %w", err)
	}
	for id, all := range watched {
		for _, p := range all {
			p.mu.Lock()
			changed := !maps.Equal(p.claims, claims[id])
			p.claims = claims[id]
			p.mu.Unlock()
			if changed {
				task.Wake(p.changed)
			}
		}
	}
	return nil
}

// watcher is one call of Watch.
type watcher struct {
	service *Service
	access  auth.Access
	project int32
	known   map[string]Execution // by node, as told last
	yield   func(Execution, error) bool
}

// hear tells what an update of the plan changes.
func (w *watcher) hear(ctx context.Context, u *plan.Update) bool {
	if u.Event == nil {
		return w.tellAll(ctx)
	}
	for _, op := range u.Event.Operations {
		switch op.Kind {
		case plan.NodeRemoved:
			delete(w.known, op.ID)
		case plan.ExecutionChanged:
			now := graphExecution(op.After)
			if now == nil {
				continue
			}
			e := w.known[op.ID]
			e.ProjectID, e.NodeID, e.GraphID, e.Timestamp = w.project, op.ID, now.GraphID, u.Event.At
			e.State, e.ErrorMessage = now.ExecutionState, now.ErrorMessage
			if e.State != stateProcessing {
				e.Phase, e.Done, e.Total, e.Replica = nil, nil, nil, nil
			}
			if !w.tell(e) {
				return false
			}
		}
	}
	return true
}

// tellAll tells what is so now, where the watch begins and where it missed events.
func (w *watcher) tellAll(ctx context.Context) bool {
	boards, err := w.service.snapshot(ctx, []int32{w.project})
	if err != nil {
		w.yield(Execution{}, err)
		return false
	}
	if !w.still(ctx) {
		return false
	}
	for _, st := range boards[w.project].steps {
		if st.graph == nil {
			continue
		}
		e := Execution{
			ProjectID: w.project, NodeID: st.id, GraphID: st.graph.ID, State: st.graph.State, ErrorMessage: st.graph.ErrorMessage,
			Timestamp: time.Now(),
		}
		if st.graph.build != nil {
			e.Attempt = st.graph.build.Attempt
		}
		if !w.tell(e) {
			return false
		}
	}
	return true
}

// still reports whether the watcher may see what was read just now, which has no version that the end of their right could be compared
// with.
func (w *watcher) still(ctx context.Context) bool {
	err := w.service.cfg.Plans.StillMay(ctx, w.access)
	if err != nil {
		w.yield(Execution{}, err)
	}
	return err == nil
}

// poll tells how far builds are.
func (w *watcher) poll(p *progress) bool {
	p.mu.Lock()
	claims := p.claims
	p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(w.known)) {
		e := w.known[id]
		c, building := claims[e.GraphID]
		// A claim of a graph that is not open is older than the event that ended its build, or younger than one that is about to come.
		if open := e.State == statePending || e.State == stateProcessing; !building || !open {
			continue
		}
		done, replica, phase := clamp(c.Done), c.Incarnation.String(), c.Phase
		e.State, e.Phase, e.Done, e.Total, e.Replica, e.Attempt, e.Timestamp = stateProcessing, &phase, &done, nil, &replica, c.Attempt, c.ToldAt
		if c.Total != nil {
			total := clamp(*c.Total)
			e.Total = &total
		}
		if !w.tell(e) {
			return false
		}
	}
	return true
}

func (w *watcher) tell(e Execution) bool {
	w.known[e.NodeID] = e
	return w.yield(e, nil)
}

func clamp(n int64) int32 { return int32(min(n, math.MaxInt32)) }

// graphExecution reads the state of a graph that an event shows, or returns nil when it is something else.
func graphExecution(text json.RawMessage) *plan.GraphExecution {
	var e plan.Execution
	if len(text) == 0 || json.Unmarshal(text, &e) != nil {
		return nil
	}
	return e.Graph
}
