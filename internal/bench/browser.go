package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"
)

// anonymous is the user id that replicas give a socket which moves its cursor and never joined.
const anonymous = "anonymous"

const (
	movePause    = 250 * time.Millisecond // pause between moves of the existing client
	firstBackOff = time.Second            // back-off of the existing client: 1 s, 2 s, 4 s ..
	lastBackOff  = 30 * time.Second
)

// Habit is how a person behaves.
type Habit struct {
	// Joins says that they join again after each reconnect. Without it they only move, as the existing client's plan editor does, and are
	// anonymous from then on.
	Joins bool
	// People who come and go move for a time, are idle for a time, leave in one of several ways, and are away for a time. With 0 they stay.
	Moves, Idles, Away time.Duration
	Cables             bool          // whether pulling out the cable is one of the ways to leave
	CutOff             time.Duration // time that they stay away after they were cut off; 0 for the back-off of the existing client
}

// browser is a person at a collaboration socket.
type browser struct {
	crowd  *Crowd
	number int
	user   string // user id that it joins with
	Habit
	rand *rand.Rand

	// The fields below are guarded by the crowd's mutex.
	replica int
	cable   *cable // connection of the socket; nil without one
	as      string // user id in the current visit
	at      string // place of its cursor
	arrived bool   // whether it was ever in the project
	here    bool   // whether it is in the project, and reaches its replica
	paused  bool   // whether its replica is paused
	// justUnpaused says that the replica is paused, or was while this socket was open: what was sent meanwhile arrives at once, above the
	// limit, so a refusal is no mistake of the replica.
	justUnpaused bool
	stay         *convergence.Stay
	view         *convergence.View
	known        map[string]string // places of others, by user id
}

// run comes and goes until ctx ends.
func (b *browser) run(ctx context.Context) {
	pause := firstBackOff
	for visit := 0; ctx.Err() == nil; visit++ {
		opened, went := b.visit(ctx, visit)
		switch {
		case went:
			b.crowd.wait(ctx, b.around(b.Away))
			pause = firstBackOff
		case opened:
			b.crowd.wait(ctx, b.staysAway())
			pause = firstBackOff
			_ = Wait(ctx, pause) // the loop looks at ctx
		default:
			_ = Wait(ctx, pause) // the loop looks at ctx
			pause = min(2*pause, lastBackOff)
			b.crowd.mu.Lock()
			b.replica = (b.replica + 1) % len(b.crowd.urls)
			b.crowd.mu.Unlock()
		}
	}
}

// staysAway returns how long it does not come back after it was cut off.
func (b *browser) staysAway() time.Duration {
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	return b.CutOff
}

// around returns a time that is about as long as d.
func (b *browser) around(d time.Duration) time.Duration {
	return d/2 + time.Duration(b.rand.Int64N(int64(d)+1))
}

// visit opens a socket and returns when it has ended. It reports whether the socket was ever open, and whether the browser ended it.
func (b *browser) visit(ctx context.Context, visit int) (opened, went bool) {
	var line *cable
	dialer := client.Dialer{Timeout: dialTime, Wrap: func(c net.Conn) net.Conn {
		line = &cable{Conn: c}
		return line
	}}
	socket, err := dialer.Collaboration(ctx, b.crowd.urls[b.replica], b.crowd.project)
	if err != nil {
		return false, false
	}
	as := b.user
	if visit > 0 && !b.Joins {
		as = anonymous
	}
	b.crowd.mu.Lock()
	b.cable, b.as, b.at, b.paused, b.justUnpaused = line, as, "", false, false
	b.crowd.mu.Unlock()
	ended := make(chan struct{})
	b.crowd.running.Go(func() {
		defer close(ended)
		b.read(socket, line)
	})
	went = b.act(ctx, socket, ended)
	b.crowd.mu.Lock()
	b.endStay(time.Now())
	b.cable = nil
	b.crowd.mu.Unlock()
	if line.pulled.Load() {
		// Neither side is told of a pulled cable: the connection stays open until its replica ends it.
		b.crowd.running.Go(func() {
			select {
			case <-ended:
			case <-ctx.Done():
			}
			socket.CloseNow()
		})
		return true, went
	}
	socket.CloseNow() // no harm if it has ended already
	<-ended
	return true, went
}

// act joins, moves and idles as its habit says, until the socket ends or the browser leaves.
func (b *browser) act(ctx context.Context, socket *client.Socket, ended <-chan struct{}) (went bool) {
	if b.as == b.user && socket.Send(ctx, join(b.user)) != nil || !b.move(ctx, socket) {
		return false
	}
	comes := time.Now()
	idle, leave := b.around(b.Moves), time.Duration(0)
	if b.Idles > 0 {
		leave = idle + b.around(b.Idles)
	}
	tick := time.NewTicker(movePause)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			_ = socket.Close() // no harm if it has ended already
			return true
		case <-tick.C:
		}
		switch here := time.Since(comes); {
		case b.isPulled():
			return false
		case b.crowd.gathers():
		case leave > 0 && here > leave:
			b.leave(socket)
			return true
		case leave > 0 && here > idle:
		case !b.move(ctx, socket):
			return false
		}
	}
}

// leave ends the visit in one of the ways in which people leave.
func (b *browser) leave(socket *client.Socket) {
	dice := b.rand.IntN(3)
	b.crowd.mu.Lock()
	if dice == 0 && b.Cables {
		b.pull()
	}
	b.endStay(time.Now())
	b.crowd.mu.Unlock()
	switch dice {
	case 1:
		_ = socket.Close() // no harm if it has ended already
	case 2:
		socket.CloseNow()
	}
}

// move moves the cursor to a place where nobody has been.
func (b *browser) move(ctx context.Context, socket *client.Socket) bool {
	b.crowd.mu.Lock()
	now := time.Now()
	y := now.UnixMicro()
	b.at = fmt.Sprintf("%d,%d", b.number, y)
	b.crowd.moved = now
	b.crowd.mu.Unlock()
	return socket.Send(context.WithoutCancel(ctx), move(b.number, y)) == nil
}

// at returns the place of a person's cursor in the canvas.
func at(p client.Person) string {
	if d := p.Documents[canvas]; d.Position != nil {
		return fmt.Sprintf("%.0f,%.0f", d.Position.X, d.Position.Y)
	}
	return ""
}

// read takes frames until the socket ends.
func (b *browser) read(socket *client.Socket, line *cable) {
	for {
		text, err := socket.Receive(context.Background())
		if err == nil {
			err = b.take(text, line)
		}
		if err != nil {
			b.crowd.mu.Lock()
			if b.cable == line { // otherwise the browser is in another visit
				b.endStay(time.Now())
			}
			b.crowd.mu.Unlock()
			socket.CloseNow()
			return
		}
	}
}

// take does what the existing client does with a frame.
func (b *browser) take(text []byte, line *cable) error {
	var frame client.Frame
	if err := json.Unmarshal(text, &frame); err != nil {
		return err
	}
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	if b.cable != line || line.pulled.Load() {
		return nil
	}
	now := time.Now()
	switch frame.Type {
	case "bulk_presence":
		var all []client.Person
		if err := json.Unmarshal(frame.Data, &all); err != nil {
			return err
		}
		before := b.known
		b.known = make(map[string]string, len(all))
		for _, p := range all {
			b.known[p.UserID] = at(p)
		}
		if b.stay == nil && !b.paused {
			b.arrive(now)
			return nil
		}
		for id := range before {
			if _, still := b.known[id]; !still {
				b.tell(now, id, false)
			}
		}
		for id := range b.known {
			b.tell(now, id, true)
		}
	case "user_presence":
		var p client.Person
		if err := json.Unmarshal(frame.Data, &p); err != nil {
			return err
		}
		if b.known == nil {
			b.complain("was told of somebody before it was told who is there: " + string(text))
			b.known = make(map[string]string)
		}
		if b.known[p.UserID] = at(p); !p.IsOnline {
			delete(b.known, p.UserID)
		}
		b.tell(now, p.UserID, p.IsOnline)
	case "error":
		if !b.justUnpaused {
			b.complain("was answered: " + frame.Message)
		}
	}
	return nil
}

// complain remembers a mistake of the replica.
func (b *browser) complain(of string) {
	if len(b.crowd.errors) < maxComplaints {
		b.crowd.errors = append(b.crowd.errors, b.user+" "+of)
	}
}

// arrive begins a stay and a view. The caller holds the crowd's mutex, as for the methods below.
func (b *browser) arrive(now time.Time) {
	b.arrived, b.here = true, true
	b.crowd.moved = now
	b.stay = &convergence.Stay{User: b.as, From: now}
	b.view = &convergence.View{Viewer: b.user, From: now}
	for id := range b.known {
		b.tell(now, id, true)
	}
}

// tell notes that the browser was told of a person.
func (b *browser) tell(now time.Time, id string, here bool) {
	// Several people have the anonymous id, so views of it over time say nothing.
	if b.view != nil && id != anonymous && !strings.HasPrefix(id, anonymous+"#") {
		b.view.Told = append(b.view.Told, convergence.Told{At: now, User: id, Here: here})
	}
}

// endStay ends the stay and the view.
func (b *browser) endStay(now time.Time) {
	b.here = false
	if b.stay == nil {
		return
	}
	b.stay.To, b.view.To = now, now
	b.crowd.keep(b.stay, b.view)
	b.stay, b.view = nil, nil
}

// pull takes the browser off the network without a word to either side.
func (b *browser) pull() {
	b.cable.pulled.Store(true)
	if b.stay != nil {
		b.stay.Silent = true
	}
	b.endStay(time.Now())
}

func (b *browser) isPulled() bool {
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	return b.cable.pulled.Load()
}

// cable is a connection that can be pulled out: then nothing gets through in either direction, and neither side is told.
type cable struct {
	net.Conn
	pulled atomic.Bool
}

// Read returns nothing once the cable is pulled, until the connection is closed.
func (c *cable) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.pulled.Load() {
			return n, err
		}
	}
}

// Write drops its bytes once the cable is pulled.
func (c *cable) Write(b []byte) (int, error) {
	if c.pulled.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
