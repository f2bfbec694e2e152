package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"
)

// Team is a number of agents in one project: of each era one that edits, one that waits for changes, and one that listens, and reads the
// changes when it is told that there are some. They do what hosts of agents do: what is not answered is said again under the same
// operation id, and who has lost its replica goes to the next one.
type Team struct {
	clients clients
	project int
	pace    time.Duration // pause of an editor between two edits
	stay    time.Duration // time after which an agent goes to the next replica; 0 for none

	operations       atomic.Int64 // operations that were begun
	editing, reading sync.WaitGroup
	asking           sync.RWMutex  // held for reading while an edit is on its way
	resting          chan struct{} // closed when no edit is to begin any more
	end              context.CancelFunc
	readers          []*member

	mu       sync.Mutex
	answered bitset // numbers of operations
	result   TeamResult
}

// TeamResult is the judgement of a team.
type TeamResult struct {
	Agents     int      `json:"agents"`
	Edits      int      `json:"edits"`      // edits that were answered
	Changes    int64    `json:"changes"`    // changes that were read, counted by reader, as below
	Visits     int64    `json:"visits"`     // times that an agent came to a replica
	Snapshots  int64    `json:"snapshots"`  // times that a reader was told to read the plan again
	Lost       int64    `json:"lost"`       // versions
	Doubled    int64    `json:"doubled"`    // versions that came again, and operations that came in two versions
	Reordered  int64    `json:"reordered"`  // versions
	Misapplied int64    `json:"misapplied"` // pages whose cursor is not that of their end
	Diverged   int64    `json:"diverged"`   // readers that are not where the plan is in the end
	Unseen     int64    `json:"unseen"`     // answered edits that a reader never saw
	Complaints []string `json:"complaints"` // first mistakes, in words
}

// OK reports whether edits were answered, each happened once, and everybody read each once and in order.
func (r TeamResult) OK() bool {
	return r.Edits > 0 && r.Lost+r.Doubled+r.Reordered+r.Misapplied+r.Diverged+r.Unseen == 0 && len(r.Complaints) == 0
}

// String shows the result in a line.
func (r TeamResult) String() string {
	return fmt.Sprintf("%d agents came %d times, made %d edits and read %d changes (%d snapshots): %d lost, %d doubled, %d reordered, "+
		"%d misapplied, %d diverged, %d unseen", r.Agents, r.Visits, r.Edits, r.Changes, r.Snapshots, r.Lost, r.Doubled, r.Reordered,
		r.Misapplied, r.Diverged, r.Unseen)
}

// StartTeam lets agents come to a project. They stay until Settle or Close.
func StartTeam(ctx context.Context, urls []string, project int, pace, stay time.Duration) (*Team, error) {
	t := &Team{clients: newClients(urls), project: project, pace: pace, stay: stay, resting: make(chan struct{}), end: func() {}}
	plan, err := t.clients.plan(ctx, project)
	if err != nil {
		t.clients.close()
		return nil, fmt.Errorf("read the plan of agents: %w", err)
	}
	ctx, t.end = context.WithCancel(context.WithoutCancel(ctx))
	for i, era := range client.Eras {
		for n, kind := range []string{"editor", "follower", "listener"} {
			m := &member{
				team: t, name: fmt.Sprintf("%s_%d", kind, i+1), era: era, replica: (i + n) % len(urls), pages: convergence.NewPages(plan.Cursor),
			}
			if kind != "editor" {
				t.readers = append(t.readers, m)
			}
			switch kind {
			case "editor":
				t.editing.Go(func() { m.run(ctx, m.edit) })
			case "follower":
				t.reading.Go(func() { m.run(ctx, m.follow) })
			case "listener":
				m.told = make(chan struct{}, 1)
				t.reading.Go(func() { m.run(ctx, m.listen) })
			}
		}
	}
	return t, nil
}

// Close sends everybody away.
func (t *Team) Close() {
	t.end()
	t.editing.Wait()
	t.reading.Wait()
	t.clients.close()
}

// Project is the id of the project that the agents are in.
func (t *Team) Project() int { return t.project }

// BetweenEdits calls f while no edit is on its way.
func (t *Team) BetweenEdits(f func()) {
	t.asking.Lock()
	defer t.asking.Unlock()
	f()
}

// Answered returns which edits were answered so far.
func (t *Team) Answered() Answers {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Answers{slices.Clone(t.answered)}
}

// Forget forgets the edits that were answered between two moments, and returns how many they are.
func (t *Team) Forget(from, to Answers) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answered.remove(to[0], from[0])
}

// Unlogged returns how many edits were answered whose operation ids are not among those of the log, and one of them. Nobody edits any more.
func (t *Team) Unlogged(logged []string) (lost int64, first string) {
	var ids bitset
	for _, id := range logged {
		if n, ok := operationNumber(id); ok {
			ids.add(n)
		}
	}
	lost, n := t.answered.without(ids)
	return lost, operationID(n)
}

// Settle lets every edit that was begun be answered, waits until all have read it, sends everybody away, and judges.
func (t *Team) Settle(ctx context.Context) (TeamResult, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxRecovery)
	defer cancel()
	defer context.AfterFunc(ctx, t.end)() // whoever waits then gives up
	close(t.resting)
	t.editing.Wait()
	rows, err := t.clients.plan(ctx, t.project)
	if err != nil {
		return TeamResult{}, fmt.Errorf("read the plan of agents in the end: %w", err)
	}
	for t.behind(rows.Version) && Wait(ctx, 5*time.Millisecond) == nil {
	}
	t.end()
	t.reading.Wait()
	r := t.result
	r.Agents = 3 * len(client.Eras)
	for _, m := range t.readers {
		r.add(m, rows)
	}
	return r, nil
}

// behind reports whether somebody has not read up to a version.
func (t *Team) behind(version int64) bool {
	return slices.ContainsFunc(t.readers, func(m *member) bool { return m.version.Load() < version })
}

// add counts what one reader was told.
func (r *TeamResult) add(m *member, rows convergence.Plan) {
	report := m.pages.Finish(rows)
	r.Changes += report.Events
	r.Snapshots += report.Snapshots
	r.Lost += report.Lost
	r.Doubled += report.Doubled + m.twice
	r.Reordered += report.Reordered
	r.Misapplied += report.Misapplied
	for _, words := range report.First {
		r.complain(m, words)
	}
	if report.Divergence != "" {
		r.Diverged++
		r.complain(m, "diverged: "+report.Divergence)
	}
	if m.twice > 0 {
		r.complain(m, fmt.Sprintf("%d operations happened twice", m.twice))
	}
	// Changes that a snapshot stands for are not seen one by one. Their number is known only within one epoch.
	if unseen, first := m.team.answered.without(m.seen); unseen > report.Skipped && !m.elsewhere {
		r.Unseen += unseen - report.Skipped
		r.complain(m, fmt.Sprintf("%d answered edits were not seen, such as %s", unseen, operationID(first)))
	}
}

func (r *TeamResult) complain(m *member, words string) {
	if len(r.Complaints) < maxComplaints {
		r.Complaints = append(r.Complaints, fmt.Sprintf("%s, %s: %s", m.name, m.era, words))
	}
}

const (
	changesWait = 5 * time.Second  // for which a follower waits for a change
	listenFor   = 10 * time.Second // after which a listener reads although nothing was said
	pageSize    = 100
	opPrefix    = "team-"
)

func operationID(n int64) string { return opPrefix + strconv.FormatInt(n, 10) }

func operationNumber(id string) (n int64, ok bool) {
	digits, found := strings.CutPrefix(id, opPrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, found && err == nil
}

// member is an agent of a team.
type member struct {
	team    *Team
	name    string
	era     client.Era
	replica int           // number of its replica
	told    chan struct{} // signal, capacity 1: the plan has changed; nil unless it listens

	begun  int64 // number of the operation that has no answer yet; 0 for none
	placed bool  // whether the node that it moves is there

	pages   *convergence.Pages
	version atomic.Int64 // that was read
	seen    bitset
	twice   int64

	elsewhere bool // whether it came to another epoch
}

// run does something again and again, at one replica after the other, until ctx ends or it says that there is no more to do.
func (m *member) run(ctx context.Context, do func(context.Context, *client.Agent, <-chan struct{}) error) {
	for ctx.Err() == nil {
		err := m.visit(ctx, do)
		refused := new(client.Refusal)
		switch {
		case errors.Is(err, errRests):
			return
		case errors.As(err, &refused) && !refused.Temporary():
			m.team.mu.Lock()
			m.team.result.complain(m, "it gave up: "+err.Error())
			m.team.mu.Unlock()
			return
		}
		m.replica = (m.replica + 1) % len(m.team.clients)
		_ = Wait(ctx, minBackOff) // the loop looks at ctx
	}
}

// errRests says that there is no more to do.
var errRests = errors.New("the team rests")

// visit connects, and works until something fails, or it is time to go.
func (m *member) visit(ctx context.Context, do func(context.Context, *client.Agent, <-chan struct{}) error) error {
	connecting, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var updated func(string)
	if m.told != nil {
		updated = func(string) { m.wake() }
	}
	agent, err := m.team.clients[m.replica].Agent(connecting, m.name, m.era, updated)
	if err != nil {
		return err
	}
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		agent.Wait()
	}()
	defer func() { agent.Close(); <-lost }()
	if m.told != nil {
		if err := agent.Subscribe(connecting, fmt.Sprintf("layercake://projects/%d/plan", m.team.project)); err != nil {
			return err
		}
		m.wake() // for what came before
	}
	m.team.mu.Lock()
	m.team.result.Visits++
	m.team.mu.Unlock()
	leave := time.Now().Add(m.team.stay/2 + rand.N(m.team.stay+1))
	for m.team.stay == 0 || time.Now().Before(leave) {
		err := do(ctx, agent, lost)
		refused := new(client.Refusal)
		switch {
		case err == nil:
		case errors.As(err, &refused) && refused.Temporary():
			m.wake()
			_ = Wait(ctx, max(refused.RetryAfter(), minBackOff)) // what is done next looks at ctx
		default:
			return err
		}
	}
	return nil
}

// wake makes a listener read.
func (m *member) wake() {
	select {
	case m.told <- struct{}{}:
	default: // it will anyway, or does not listen
	}
}

// edit makes one edit. One without an answer is the next one again.
func (m *member) edit(ctx context.Context, agent *client.Agent, _ <-chan struct{}) error {
	if m.begun == 0 {
		select {
		case <-m.team.resting:
			return errRests
		default:
		}
		m.begun = m.team.operations.Add(1)
	}
	edit := map[string]any{"op": "move_node", "id": m.name, "x": m.begun, "y": 0}
	if !m.placed {
		edit = map[string]any{"op": "add_node", "id": m.name, "node_type": "GraphNode", "x": m.begun, "y": 0}
	}
	if err := m.ask(ctx, agent, edit); err != nil {
		return err
	}
	m.begun, m.placed = 0, true
	return Wait(ctx, m.team.pace)
}

// ask asks for an edit, and notes that it was answered.
func (m *member) ask(ctx context.Context, agent *client.Agent, edit map[string]any) error {
	m.team.asking.RLock()
	defer m.team.asking.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	err := agent.Call(ctx, "edit_plan", map[string]any{
		"project_id": m.team.project, "op_id": operationID(m.begun), "operations": []any{edit},
	}, nil)
	if err != nil {
		return err
	}
	m.team.mu.Lock()
	defer m.team.mu.Unlock()
	m.team.answered.add(m.begun)
	m.team.result.Edits++
	return nil
}

// follow waits for a page of changes.
func (m *member) follow(ctx context.Context, agent *client.Agent, _ <-chan struct{}) error {
	_, err := m.read(ctx, agent, changesWait)
	return err
}

// listen waits until it is told that there are changes, and reads them.
func (m *member) listen(ctx context.Context, agent *client.Agent, lost <-chan struct{}) error {
	late := time.NewTimer(listenFor)
	defer late.Stop()
	select {
	case <-m.told:
	case <-late.C:
	case <-lost:
		return errLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for more := true; more; {
		var err error
		if more, err = m.read(ctx, agent, 0); err != nil {
			return err
		}
	}
	return nil
}

var errLost = errors.New("the replica was lost")

func (m *member) read(ctx context.Context, agent *client.Agent, wait time.Duration) (more bool, err error) {
	var page struct {
		convergence.Page
		More bool
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	err = agent.Call(ctx, "list_changes", map[string]any{
		"project_id": m.team.project, "after": m.pages.Cursor(), "limit": pageSize, "wait_seconds": int(wait.Seconds()),
	}, &page)
	if err != nil {
		return false, err
	}
	before := PlaceOf(m.pages.Cursor()).Epoch
	m.pages.See(page.Page)
	if PlaceOf(m.pages.Cursor()).Epoch != before {
		m.elsewhere, m.seen = true, nil // another epoch may hold an operation again
	}
	for _, c := range page.Changes {
		if n, ok := operationNumber(c.OpID); ok && !m.seen.add(n) {
			m.twice++
		}
	}
	m.version.Store(m.pages.Version())
	return page.More, nil
}
