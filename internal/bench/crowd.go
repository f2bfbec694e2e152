package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"

	"github.com/jackc/pgx/v5"
)

// Crowd is a number of people in one project, at all replicas.
type Crowd struct {
	urls    []string
	project int
	table   func(context.Context) (*pgx.Conn, error) // opens a session in which to look at the table
	running sync.WaitGroup
	end     context.CancelFunc

	mu        sync.Mutex
	browsers  []*browser
	gathering chan struct{} // closed while nobody moves, leaves or stays away
	moved     time.Time     // when somebody last came or moved
	stays     []convergence.Stay
	views     []convergence.View
	errors    []string          // errors that replicas answered
	looking   *convergence.View // view of the table; nil while it cannot be read
	listed    map[string]bool   // user ids in the table
}

// People is the judgement of a crowd.
type People struct {
	Browsers   int      `json:"browsers"`
	Stays      int      `json:"stays"`  // stays of all people
	Ghosts     int64    `json:"ghosts"` // stays that a viewer believed in for too long, or in the end
	Missing    int64    `json:"missing"`
	Misplaced  int64    `json:"misplaced"` // people whose last position a viewer does not know in the end
	Flickers   int64    `json:"flickers"`  // reports to a viewer that a person left who did not
	Absence    float64  `json:"longestAbsenceSeconds"`
	Presence   float64  `json:"longestGhostSeconds"`
	Seen       float64  `json:"seenSeconds"`   // time in the end until everybody saw everybody at their place
	Late       string   `json:"seenLast"`      // last thing that was seen of that, in words
	Agreed     float64  `json:"agreedSeconds"` // time until nobody saw anybody else, and the table and newcomers agreed
	Errors     []string `json:"errors"`        // errors that replicas answered
	Complaints []string `json:"complaints"`    // first mistakes of rosters, in words
}

// OK reports whether everybody was told of everybody, and of nobody else.
func (p People) OK() bool {
	return p.Ghosts+p.Missing+p.Misplaced+p.Flickers == 0 && len(p.Errors) == 0
}

// NewCrowd returns a crowd without people. The table function opens a session of the replicas' database.
func NewCrowd(urls []string, project int, table func(context.Context) (*pgx.Conn, error)) *Crowd {
	return &Crowd{urls: urls, project: project, table: table, end: func() {}, gathering: make(chan struct{})}
}

// Add adds a person who begins at a replica. It is called before Start.
func (c *Crowd) Add(replica int, h Habit, seed uint64) {
	n := len(c.browsers)
	c.browsers = append(c.browsers, &browser{
		crowd: c, number: n, user: fmt.Sprintf("person-%d", n), Habit: h, replica: replica, rand: rand.New(rand.NewPCG(seed, uint64(n))),
	})
}

// Start lets everybody come. They stay until Close.
func (c *Crowd) Start(ctx context.Context) {
	ctx, c.end = context.WithCancel(context.WithoutCancel(ctx))
	for _, b := range c.browsers {
		c.running.Go(func() { b.run(ctx) })
	}
	c.running.Go(func() { c.watchTable(ctx) })
}

// Come returns when everybody has been in the project.
func (c *Crowd) Come(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, MaxRecovery, fmt.Errorf("not everybody came within %v", MaxRecovery))
	defer cancel()
	for !c.complete() {
		if err := Wait(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (c *Crowd) complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.browsers, func(b *browser) bool { return !b.arrived })
}

// Close sends everybody away.
func (c *Crowd) Close() {
	c.end()
	c.running.Wait()
}

// Gather calls everybody in, and makes them keep still.
func (c *Crowd) Gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.gathering)
}

// scatter lets people move and leave again after Gather.
func (c *Crowd) scatter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering = make(chan struct{})
}

func (c *Crowd) gatheringNow() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gathering
}

func (c *Crowd) gathers() bool {
	select {
	case <-c.gatheringNow():
		return true
	default:
		return false
	}
}

// wait returns after d, or when the crowd gathers.
func (c *Crowd) wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-c.gatheringNow():
	}
}

// keep remembers a stay and a view that have ended. The mutex is held.
func (c *Crowd) keep(s *convergence.Stay, v *convergence.View) {
	if s != nil && s.User != anonymous { // several people have that id, so their stays cannot be told apart
		c.stays = append(c.stays, *s)
	}
	c.views = append(c.views, *v)
}

// Pause notes that a replica is paused, or that it goes on: meanwhile its people are not seen, and see nothing.
func (c *Crowd) Pause(replica int, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, b := range c.browsers {
		switch {
		case b.replica != replica:
		case paused:
			b.paused, b.justUnpaused = b.here, true // set before it goes on, because then its answers come at once
			b.endStay(now)
		case b.paused:
			b.paused = false
			if b.cable != nil {
				b.arrive(now)
			}
		}
	}
}

// Pull takes everybody off the network whose habit is to stay away, for a time, and returns how many they are.
func (c *Crowd) Pull(away time.Duration) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.browsers {
		if b.here && b.CutOff > 0 {
			b.CutOff = away
			b.pull()
			n++
		}
	}
	return n
}

// tablePeriod is how often somebody looks at the table.
const tablePeriod = 100 * time.Millisecond

// watchTable is a viewer like others, except that it looks at the table.
func (c *Crowd) watchTable(ctx context.Context) {
	for ctx.Err() == nil {
		_ = c.viewTable(ctx) // errors are expected: faults take the database away
		_ = Wait(ctx, tablePeriod)
	}
}

// viewTable looks at the table until the session ends.
func (c *Crowd) viewTable(ctx context.Context) error {
	conn, err := c.table(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.looking != nil {
			c.looking.To = time.Now()
			c.keep(nil, c.looking)
			c.looking = nil
		}
	}()
	for {
		rows, err := c.rows(ctx, conn)
		if err != nil {
			return err
		}
		c.look(rows)
		if err := Wait(ctx, tablePeriod); err != nil {
			return err
		}
	}
}

// look notes how the table changed.
func (c *Crowd) look(rows []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.looking == nil {
		c.looking, c.listed = &convergence.View{Viewer: "the table", From: now}, map[string]bool{}
	}
	for id := range c.listed {
		if !slices.Contains(rows, id) {
			delete(c.listed, id)
			c.looking.Told = append(c.looking.Told, convergence.Told{At: now, User: id})
		}
	}
	for _, id := range rows {
		if !c.listed[id] && id != anonymous {
			c.listed[id] = true
			c.looking.Told = append(c.looking.Told, convergence.Told{At: now, User: id, Here: true})
		}
	}
}

// rows reads the user ids in the table.
func (c *Crowd) rows(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rows, err := conn.Query(ctx, "SELECT user_id FROM presence WHERE project_id = $1", c.project)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// attendees returns who is there, and who is not. The mutex is held.
func (c *Crowd) attendees() (there []convergence.Attendee, away []string) {
	for _, b := range c.browsers {
		if b.here {
			there = append(there, convergence.Attendee{User: b.as, At: b.at})
		} else {
			away = append(away, b.user)
		}
	}
	return there, away
}

// disagreement is how rosters differ from who is there, by who was told.
type disagreement map[string]convergence.Difference

func (d disagreement) note(who string, diff convergence.Difference) {
	if !diff.OK() {
		d[who] = diff
	}
}

// browsersDisagree compares what all browsers were told with who is there. Everybody has to be.
func (c *Crowd) browsersDisagree() disagreement {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := disagreement{}
	there, away := c.attendees()
	d.note("who should be there", convergence.Difference{Missing: away})
	for _, b := range c.browsers {
		if b.here {
			d.note(b.user, convergence.CompareRoster(b.as, there, b.known))
		}
	}
	return d
}

// othersDisagree compares the table, and what each replica tells a newcomer.
func (c *Crowd) othersDisagree(ctx context.Context) disagreement {
	d := disagreement{}
	c.mu.Lock()
	there, _ := c.attendees()
	c.mu.Unlock()
	failed := func(who string, err error) {
		d[who] = convergence.Difference{Missing: []string{"everybody: " + err.Error()}}
	}
	conn, err := c.table(ctx)
	if err != nil {
		failed("the table", err)
		return d
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := c.rows(ctx, conn)
	if err != nil {
		failed("the table", err)
	} else {
		d.note("the table", convergence.CompareRows(there, rows))
	}
	for n, url := range c.urls {
		who := fmt.Sprintf("a newcomer at replica %d", n+1)
		roster, err := c.newcomer(ctx, url)
		if err != nil {
			failed(who, err)
			continue
		}
		d.note(who, convergence.CompareRoster(anonymous, append(slices.Clone(there), convergence.Attendee{User: anonymous}), roster))
	}
	return d
}

// newcomer joins under an id to which all others are shown one by one, and returns the first roster that it gets.
func (c *Crowd) newcomer(ctx context.Context, url string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTime)
	defer cancel()
	socket, err := client.Dialer{}.Collaboration(ctx, url, c.project)
	if err != nil {
		return nil, err
	}
	defer socket.CloseNow()
	if err := socket.Send(ctx, join(anonymous)); err != nil {
		return nil, err
	}
	for {
		text, err := socket.Receive(ctx)
		if err != nil {
			return nil, err
		}
		var frame client.Frame
		if err := json.Unmarshal(text, &frame); err != nil {
			return nil, err
		}
		if frame.Type != "bulk_presence" {
			continue
		}
		var all []client.Person
		if err := json.Unmarshal(frame.Data, &all); err != nil {
			return nil, err
		}
		roster := make(map[string]string, len(all))
		for _, p := range all {
			roster[p.UserID] = at(p)
		}
		return roster, socket.Close()
	}
}

// Judge waits until browsers, table and newcomers agree with the people who have gathered, and then compares everything that was told
// since the last judgement with who was there.
func (c *Crowd) Judge(ctx context.Context, most time.Duration, patience convergence.Patience) People {
	p := People{Browsers: len(c.browsers)}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	began := time.Now()
	since := func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.moved.Before(began) { // the time of a move before this judgement says nothing
			return time.Since(began).Seconds()
		}
		return time.Since(c.moved).Seconds()
	}
	var d, late disagreement
	for seen := false; ; {
		if d = c.browsersDisagree(); d.onlyGhosts() && !seen {
			seen, p.Seen, p.Late = true, since(), late.String()
		}
		late = d
		if len(d) == 0 {
			if d = c.othersDisagree(ctx); len(d) == 0 {
				p.Agreed = since()
				break
			}
		}
		if Wait(ctx, 5*time.Millisecond) != nil {
			p.Agreed = since()
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTime)
			defer cancel()
			d = c.browsersDisagree()
			maps.Copy(d, c.othersDisagree(late))
			break
		}
	}
	for who, diff := range d {
		p.Ghosts += int64(len(diff.Ghosts))
		p.Missing += int64(len(diff.Missing))
		p.Misplaced += int64(len(diff.Misplaced))
		if len(p.Complaints) < maxComplaints {
			p.Complaints = append(p.Complaints, "in the end, "+disagreement{who: diff}.String())
		}
	}
	c.sum(&p, patience)
	return p
}

// String says it in words.
func (d disagreement) String() string {
	var all []string
	for _, who := range slices.Sorted(maps.Keys(d)) {
		diff := d[who]
		all = append(all, fmt.Sprintf("%s: ghosts %q, missing %q, misplaced %q", who, diff.Ghosts, diff.Missing, diff.Misplaced))
	}
	return strings.Join(all, "; ")
}

func (d disagreement) onlyGhosts() bool {
	for _, diff := range d {
		if len(diff.Missing)+len(diff.Misplaced) > 0 {
			return false
		}
	}
	return true
}

// sum judges the stays and views so far.
func (c *Crowd) sum(p *People, patience convergence.Patience) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The next judgement begins with what viewers know now.
	stays, views, now := c.stays, c.views, time.Now()
	for _, b := range c.browsers {
		if b.stay == nil {
			continue
		}
		if b.as != anonymous {
			stays = append(stays, *b.stay)
		}
		views = append(views, *b.view)
		b.stay = &convergence.Stay{User: b.as, From: now}
		b.view = &convergence.View{Viewer: b.user, From: now}
		for id := range b.known {
			b.tell(now, id, true)
		}
	}
	if c.looking != nil {
		views = append(views, *c.looking)
		c.looking = &convergence.View{Viewer: c.looking.Viewer, From: now}
		for id := range c.listed {
			c.looking.Told = append(c.looking.Told, convergence.Told{At: now, User: id, Here: true})
		}
	}
	a := convergence.Attend(stays, views, patience, now)
	p.Stays = len(stays)
	p.Ghosts += a.Ghosts
	p.Missing += a.Missing
	p.Flickers += a.Flickers
	p.Absence, p.Presence = a.Absence.Seconds(), a.Presence.Seconds()
	p.Complaints, p.Errors = append(p.Complaints, a.First...), c.errors
	c.stays, c.views, c.errors = nil, nil, nil
}

// String says it in a line.
func (p People) String() string {
	return fmt.Sprintf("%d people came %d times; %d ghosts, %d missing, %d misplaced, %d flickers; all agreed after %.2f s",
		p.Browsers, p.Stays, p.Ghosts, p.Missing, p.Misplaced, p.Flickers, p.Agreed)
}

// add adds another judgement to p.
func (p *People) add(other People) {
	p.Browsers = other.Browsers
	p.Stays += other.Stays
	p.Ghosts += other.Ghosts
	p.Missing += other.Missing
	p.Misplaced += other.Misplaced
	p.Flickers += other.Flickers
	p.Absence, p.Presence = max(p.Absence, other.Absence), max(p.Presence, other.Presence)
	p.Seen, p.Agreed = max(p.Seen, other.Seen), max(p.Agreed, other.Agreed)
	p.Errors = append(p.Errors, other.Errors...)[:min(len(p.Errors)+len(other.Errors), maxComplaints)]
	p.Complaints = append(p.Complaints, other.Complaints...)[:min(len(p.Complaints)+len(other.Complaints), maxComplaints)]
}
