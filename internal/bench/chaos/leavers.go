package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/client"
	"layercake/internal/postgres"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LeaversResult is the judgement of people whose right or session ended.
type LeaversResult struct {
	Removals   int      `json:"removals"` // removals whose version is known
	Seen       int64    `json:"seen"`     // events that the removed were shown
	After      int64    `json:"after"`    // of these, events above the version of the removal
	Ends       int      `json:"ends"`     // sessions that ended
	Sockets    int      `json:"sockets"`  // sockets that they had
	Late       int64    `json:"late"`     // sockets that were open for too long after the end, and after the database was back
	Longest    float64  `json:"longestSeconds"`
	Complaints []string `json:"complaints"`
}

// OK reports whether somebody who saw something was removed, a session ended, and nothing was shown or open after that.
func (r LeaversResult) OK() bool {
	return r.Removals > 0 && r.Seen > 0 && r.Ends > 0 && r.After+r.Late == 0 && len(r.Complaints) == 0
}

// String shows the result in a line.
func (r LeaversResult) String() string {
	return fmt.Sprintf("%d people were removed, who saw %d events, %d after that; %d sessions with %d sockets ended, %d were open too long, "+
		"one for %.2f s",
		r.Removals, r.Seen, r.After, r.Ends, r.Sockets, r.Late, r.Longest)
}

const (
	maxOpen      = 5 * time.Second // promise: how long a socket of an ended session is open once its replica reaches the database
	leaverPause  = 20 * time.Millisecond
	leaverStays  = time.Second      // longest time that somebody follows before they are removed, or signed out
	leaverTime   = 2 * time.Second  // limit of one request, which is sent again
	watchedAfter = 3 * time.Second  // how long the removed are watched
	leaverEnds   = 90 * time.Second // limit for what has begun when the fault is over
)

// leavers are people who sign in and follow a project, until they are removed from it or their session ends, again and again. The project
// changes all the time.
type leavers struct {
	*chaos
	urls     []string
	owner    []*client.Client // clients of the owner of the project, at each replica
	project  int
	name     string // user name of the one who comes and goes
	password string
	id       int

	leaving sync.Once
	over    context.CancelFunc // ends the beginning of rounds
	end     context.CancelFunc // ends everything
	rounds  sync.WaitGroup
	beside  sync.WaitGroup // writer and probes

	mu     sync.Mutex
	result LeaversResult
	well   map[string]time.Time // since when the replica at an address has answered and reached the database; zero while it does not
}

// leavers lets people come, each with a project, whose rounds go on until settle.
func (c *chaos) leavers(ctx context.Context, seed uint64) (*leavers, error) {
	l := &leavers{
		chaos: c, urls: c.deployment.RequiredURLs(), name: "leaver-" + uuid.NewString()[:8], password: uuid.NewString(),
		well: map[string]time.Time{},
	}
	first := client.New(l.urls[0])
	defer first.Close()
	owner, err := first.Register(ctx, "owner-"+uuid.NewString()[:8], uuid.NewString())
	if err != nil {
		return nil, fmt.Errorf("make an account: %w", err)
	}
	leaver, err := first.Register(ctx, l.name, l.password)
	if err != nil {
		return nil, fmt.Errorf("make an account: %w", err)
	}
	l.id = leaver.ID
	for _, url := range l.urls {
		l.owner = append(l.owner, client.New(url).As(owner.Secret))
	}
	if l.project, err = l.owner[0].CreateProject(ctx, "people who leave"); err != nil {
		return nil, err
	}
	err = l.owner[0].Do(ctx, client.Request{
		Query: `mutation($id: Int!) { addPlanDagNode(projectId: $id, node: {id: "a", nodeType: GraphNode, position: {x: 0, y: 0},
			metadata: {label: "moves"}, config: "{}"}) { id } }`,
		Variables: map[string]any{"id": l.project},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("add a node: %w", err)
	}
	coming, over := context.WithCancel(ctx)
	all, end := context.WithCancel(ctx)
	l.over, l.end = over, end
	l.beside.Go(func() { l.write(all) })
	for i := range l.urls {
		l.beside.Go(func() { l.probe(all, i) })
	}
	for i, round := range []func(context.Context, context.Context, *rand.Rand){l.remove, l.signOut} {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		l.rounds.Go(func() {
			// A short fault may leave no time for a whole round, and a failover may undo the only one.
			for coming.Err() == nil || all.Err() == nil && !l.seen(i) {
				ctx := coming
				if ctx.Err() != nil {
					ctx = all
				}
				round(ctx, all, r)
			}
		})
	}
	return l, nil
}

// seen reports whether a round of a kind has shown anything.
func (l *leavers) seen(kind int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kind == 0 {
		return l.result.Removals > 0 && l.result.Seen > 0
	}
	return l.result.Ends > 0
}

// settle lets nobody begin another round, and returns what was seen when all have ended.
func (l *leavers) settle() LeaversResult {
	l.close()
	return l.result
}

func (l *leavers) close() {
	l.leaving.Do(func() {
		l.over()
		late := time.AfterFunc(leaverEnds, l.end)
		l.rounds.Wait()
		late.Stop()
		l.end()
		l.beside.Wait()
		for _, c := range l.owner {
			c.Close()
		}
	})
}

func (l *leavers) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.result.Complaints) < 10 {
		l.result.Complaints = append(l.result.Complaints, fmt.Sprintf(format, args...))
	}
}

// again calls f, which is given a short time, until it succeeds or ctx ends, and reports whether it did succeed.
func again(ctx context.Context, f func(ctx context.Context, try int) error) bool {
	for try := 0; ctx.Err() == nil; try++ {
		inTime, cancel := context.WithTimeout(ctx, leaverTime)
		err := f(inTime, try)
		cancel()
		if err == nil {
			return true
		}
		_ = bench.Wait(ctx, 5*leaverPause) // the loop looks at ctx
	}
	return false
}

// write changes the project without pause.
func (l *leavers) write(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		inTime, cancel := context.WithTimeout(ctx, leaverTime)
		_ = l.owner[n%len(l.owner)].Do(inTime, client.Request{ // what a fault refuses is not missed
			Query:     `mutation($id: Int!, $x: Float!) { movePlanDagNode(projectId: $id, nodeId: "a", position: {x: $x, y: 0}) { id } }`,
			Variables: map[string]any{"id": l.project, "x": n},
		}, nil)
		cancel()
		_ = bench.Wait(ctx, leaverPause) // the loop looks at ctx
	}
}

// probe notes since when a replica answers, and the database does.
func (l *leavers) probe(ctx context.Context, replica int) {
	for ctx.Err() == nil {
		inTime, cancel := context.WithTimeout(ctx, time.Second)
		err := l.owner[replica].Do(inTime, client.Request{Query: `{ projects { id } }`}, nil)
		cancel()
		l.mu.Lock()
		switch {
		case err != nil:
			l.well[l.urls[replica]] = time.Time{}
		case l.well[l.urls[replica]].IsZero():
			l.well[l.urls[replica]] = time.Now()
		}
		l.mu.Unlock()
		_ = bench.Wait(ctx, 5*leaverPause) // the loop looks at ctx
	}
}

// openFor returns for how long a socket at a replica has been open that should be closed since a moment, while the replica was well.
func (l *leavers) openFor(url string, since time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	well := l.well[url]
	if well.IsZero() {
		return 0
	}
	if well.After(since) {
		since = well
	}
	return time.Since(since)
}

// membership returns the id of the collaborator's row of who comes and goes, 0 without one, and whether it gives a right.
func (l *leavers) membership(ctx context.Context, as *client.Client) (id int, accepted bool, err error) {
	var data struct {
		ProjectCollaborators []struct {
			ID, UserID       int
			InvitationStatus string
		}
	}
	err = as.Do(ctx, client.Request{
		Query:     `query($id: Int!) { projectCollaborators(projectId: $id) { id userId invitationStatus } }`,
		Variables: map[string]any{"id": l.project},
	}, &data)
	for _, c := range data.ProjectCollaborators {
		if c.UserID == l.id {
			return c.ID, c.InvitationStatus == "accepted", err
		}
	}
	return 0, false, err
}

var errNotYet = errors.New("not yet")

// join lets the one who comes and goes into the project. What was answered and what was not, the list of members says.
func (l *leavers) join(ctx context.Context, secret string) bool {
	return again(ctx, func(ctx context.Context, try int) error {
		owner := l.owner[try%len(l.owner)]
		id, accepted, err := l.membership(ctx, owner)
		switch {
		case err != nil || accepted:
			return err
		case id == 0:
			_, err = owner.Invite(ctx, l.project, l.name, "viewer")
		default:
			err = owner.As(secret).Accept(ctx, id)
		}
		return errors.Join(errNotYet, err)
	})
}

// login begins a session.
func (l *leavers) login(ctx context.Context) (secret string, ok bool) {
	ok = again(ctx, func(ctx context.Context, try int) error {
		account, err := l.owner[try%len(l.owner)].As("").Login(ctx, l.name, l.password)
		secret = account.Secret
		return err
	})
	return secret, ok
}

// follower is a socket that follows the project.
type follower struct {
	url    string
	socket *client.Socket
	ended  chan struct{} // closed when nothing more comes

	mu    sync.Mutex
	seen  []bench.Place
	first chan struct{} // closed when something was seen
}

// follow opens a socket at a replica; nil while there is none to be had.
func (l *leavers) follow(ctx, all context.Context, url, secret string) *follower {
	s, err := client.Dialer{Timeout: leaverTime, Header: client.Signed(secret)}.GraphQL(ctx, url)
	if err != nil {
		return nil
	}
	f := &follower{url: url, socket: s.Socket, ended: make(chan struct{}), first: make(chan struct{})}
	q := client.Request{
		Query: `subscription($id: Int!) { planEvents(projectId: $id) { cursor } }`, Variables: map[string]any{"id": l.project},
	}
	l.beside.Go(func() {
		defer close(f.ended)
		_ = s.Follow(all, q, func(data json.RawMessage) error { // how it ends is no matter: it may be cut off by the fault
			var d struct{ PlanEvents struct{ Cursor string } }
			if err := json.Unmarshal(data, &d); err != nil {
				return err
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.seen = append(f.seen, bench.PlaceOf(d.PlanEvents.Cursor)); len(f.seen) == 1 {
				close(f.first)
			}
			return nil
		})
	})
	return f
}

// stay follows at each replica for a random time, which begins when each has shown something.
func (l *leavers) stay(ctx, all context.Context, secret string, r *rand.Rand) (followers []*follower) {
	for _, url := range l.urls {
		if f := l.follow(ctx, all, url, secret); f != nil {
			followers = append(followers, f)
		}
	}
	for _, f := range followers {
		select {
		case <-f.first:
		case <-f.ended:
		case <-time.After(leaverTime):
		}
	}
	_ = bench.Wait(all, time.Duration(r.Int64N(int64(leaverStays)))) // what follows looks at the context
	return followers
}

// remove lets somebody join, follow, and be removed.
func (l *leavers) remove(ctx, all context.Context, r *rand.Rand) {
	secret, ok := l.login(ctx)
	if !ok || !l.join(ctx, secret) {
		return
	}
	followers := l.stay(ctx, all, secret, r)
	removed := again(all, func(ctx context.Context, try int) error {
		owner := l.owner[(try+r.IntN(len(l.owner)))%len(l.owner)]
		id, _, err := l.membership(ctx, owner)
		if err != nil || id == 0 {
			return err
		}
		return errors.Join(errNotYet, owner.Do(ctx, client.Request{
			Query: `mutation($id: Int!) { removeCollaborator(collaborationId: $id) }`, Variables: map[string]any{"id": id},
		}, nil))
	})
	if !removed {
		return
	}
	at, found := l.removal(all)
	for _, f := range followers {
		select {
		case <-f.ended:
		case <-time.After(watchedAfter):
		case <-all.Done():
		}
		f.socket.CloseNow()
		<-f.ended
		if found {
			l.judge(f, at)
		}
	}
	if found {
		l.mu.Lock()
		l.result.Removals++
		l.mu.Unlock()
	}
}

// removal returns the place of the newest removal. It is not found when a failover has lost it, or it was trimmed.
func (l *leavers) removal(ctx context.Context) (at bench.Place, found bool) {
	ok := again(ctx, func(ctx context.Context, _ int) error {
		return l.deployment.Query(ctx, func(conn *pgx.Conn) error {
			epoch, err := postgres.ReadEpoch(ctx, conn)
			if err != nil {
				return err
			}
			var version *int64
			err = conn.QueryRow(ctx, `SELECT max(version) FROM events WHERE project_id = $1 AND body::text LIKE '%COLLABORATOR_REMOVED%'
				AND version > coalesce((SELECT max(version) FROM events WHERE project_id = $1 AND body::text LIKE '%COLLABORATOR_ADDED%'), 0)`,
				l.project).Scan(&version)
			if version != nil {
				at, found = bench.Place{Epoch: string(epoch), Version: *version}, true
			}
			return err
		})
	})
	return at, ok && found
}

func (l *leavers) judge(f *follower, removal bench.Place) {
	after := int64(0)
	for _, place := range f.seen {
		if place.Epoch == removal.Epoch && place.Version > removal.Version {
			after++
		}
	}
	l.mu.Lock()
	l.result.Seen += int64(len(f.seen))
	l.result.After += after
	l.mu.Unlock()
	if after > 0 {
		l.complain("%s showed %d events to somebody who was removed in version %d", f.url, after, removal.Version)
	}
}

// signOut lets somebody sign in, open sockets, and sign out, or an operator end the session.
func (l *leavers) signOut(ctx, all context.Context, r *rand.Rand) {
	secret, ok := l.login(ctx)
	if !ok {
		return
	}
	followers := l.idle(ctx, all, secret)
	_ = bench.Wait(all, time.Duration(r.Int64N(int64(leaverStays)))) // what follows looks at the context
	ended := again(all, func(ctx context.Context, try int) error {
		c := l.owner[(try+r.IntN(len(l.owner)))%len(l.owner)].As(secret)
		err := c.Logout(ctx)
		if refused := new(client.Refusal); errors.As(err, &refused) && refused.Code() == "UNAUTHENTICATED" {
			return nil // an answer was lost
		}
		return err
	})
	since := time.Now()
	if !ended {
		return
	}
	for _, f := range followers {
		l.awaitEnd(all, f, since, secret)
	}
	l.mu.Lock()
	l.result.Ends++
	l.result.Sockets += len(followers)
	l.mu.Unlock()
}

// idle opens a socket at each replica that asks for nothing.
func (l *leavers) idle(ctx, all context.Context, secret string) (idle []*follower) {
	for _, url := range l.urls {
		s, err := client.Dialer{Timeout: leaverTime, Header: client.Signed(secret)}.GraphQL(ctx, url)
		if err != nil {
			continue
		}
		f := &follower{url: url, socket: s.Socket, ended: make(chan struct{})}
		l.beside.Go(func() {
			defer close(f.ended)
			for {
				if _, err := s.Next(all); err != nil {
					return
				}
			}
		})
		idle = append(idle, f)
	}
	return idle
}

// awaitEnd waits until a socket has closed whose session ended at a moment, or is open for too long.
func (l *leavers) awaitEnd(ctx context.Context, f *follower, since time.Time, secret string) {
	defer f.socket.CloseNow()
	for {
		open := l.openFor(f.url, since)
		l.mu.Lock()
		l.result.Longest = max(l.result.Longest, open.Seconds())
		l.mu.Unlock()
		if open > maxOpen+l.cfg.Slack {
			if l.lives(ctx, secret) {
				return // a failover has lost the end of the session
			}
			l.mu.Lock()
			l.result.Late++
			l.mu.Unlock()
			l.complain("%s keeps a socket open whose session ended %v ago", f.url, time.Since(since).Round(time.Millisecond))
			return
		}
		select {
		case <-f.ended:
			return
		case <-ctx.Done():
			return
		case <-time.After(leaverPause):
		}
	}
}

// lives reports whether a session counts.
func (l *leavers) lives(ctx context.Context, secret string) (lives bool) {
	again(ctx, func(ctx context.Context, try int) error {
		err := l.owner[try%len(l.owner)].As(secret).Do(ctx, client.Request{Query: `{ projects { id } }`}, nil)
		refused := new(client.Refusal)
		lives = err == nil
		if errors.As(err, &refused) && refused.Code() == "UNAUTHENTICATED" {
			return nil
		}
		return err
	})
	return lives
}
