package collab

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/drain"
	"layercake/internal/fault"
	"layercake/internal/presence"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// What is taken of one socket, and what one gets.
const (
	maxFrame      = 64 << 10
	maxMessages   = 20 // within a second
	maxChanges    = 50 // that are told one by one; more become the roster
	pushPause     = 100 * time.Millisecond
	frameTime     = 5 * time.Millisecond // 200 frames a second
	activityPause = time.Second          // between lists of a document in which only cursors moved
	rosterRate    = 32 << 20             // bytes a second that the rosters of one project may take
	listRate      = 8 << 20              // the same for lists of a document, which matter less
)

// socket is one connection of a browser.
type socket struct {
	h     *Handler
	id    uuid.UUID
	turn  int // among those that are pinged
	room  *presence.Room
	conn  *websocket.Conn
	raw   *batchConn // below conn
	heard atomic.Int64

	// of the goroutine that reads
	recent    [maxMessages]int64 // when the last messages came that were not refused
	oldest    int
	left      bool // the client said so
	stopWatch func()

	mu        sync.Mutex
	opened    bool
	doomed    func() // what to do once opened: it was closed before
	shut      bool
	why       string // one of closeReasons
	viewer    string // user id, empty while not joined
	document  string // empty while in none
	woken     bool   // something may have changed since push looked
	scheduled bool   // push runs, or will when the timer fires
	timer     *time.Timer
	due       time.Time // when it fires
	next      time.Time // push does not run before

	// of push; view is for the reader to begin anew
	view view
}

// view is what the client has been told.
type view struct {
	told       int64 // Seq of the room; less than zero: the roster is due
	listed     int64 // Seq of the document
	listedAt   time.Time
	listPause  time.Duration
	generation int
}

// begin starts the reader.
func (s *socket) begin(conn *websocket.Conn, raw *batchConn) {
	conn.SetReadLimit(maxFrame)
	s.conn, s.raw = conn, raw
	s.hear()
	s.stopWatch = s.room.Watch(s.wake)
	s.mu.Lock()
	s.opened = true
	doomed := s.doomed
	s.mu.Unlock()
	if doomed != nil {
		doomed()
	}
	go s.read() // leave tells those who wait
	s.ping()
}

func (s *socket) hear() { s.heard.Store(time.Now().UnixNano()) }

// heardAt returns when anything last came; zero before the socket is open.
func (s *socket) heardAt() time.Time {
	if n := s.heard.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// ping asks whether the peer is there; its answer counts as heard.
func (s *socket) ping() {
	if !s.hold() {
		return
	}
	go func() {
		defer s.h.running.Done()
		ctx, cancel := context.WithTimeout(context.Background(), s.h.timing.Write)
		defer cancel()
		_ = s.conn.Ping(ctx) // silence tells
	}()
}

// hold counts something that the socket does, unless it is closed.
func (s *socket) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened || s.shut {
		return false
	}
	s.h.running.Add(1)
	return true
}

// read takes what the client sends until the connection ends, then leaves.
func (s *socket) read() {
	for {
		kind, b, err := s.conn.Read(context.Background())
		if err != nil {
			s.end(readFailure(err))
			break
		}
		s.hear()
		if kind != websocket.MessageText || s.isShut() { // who was told to go does nothing any more
			continue
		}
		if !s.admit(time.Now()) {
			s.h.metrics.refused.Inc()
			s.write(typeError, errorFrame("Rate limit exceeded"))
			continue
		}
		s.receive(b)
		if s.isShut() { // it was kicked meanwhile: what it said last does not bring it back
			s.room.Leave(s.id, leaveReasons[s.reason()])
		}
	}
	s.stopWatch()
	_ = s.conn.CloseNow()
	s.room.Leave(s.id, leaveReasons[s.reason()])
	s.room.Exit()
	s.h.metrics.socketsOpen.Dec()
	s.h.metrics.socketsClosed.WithLabelValues(s.reason()).Inc()
	s.h.leave(s)
}

// admit applies the rate limit: so many messages within the last second. Those refused do not count.
func (s *socket) admit(now time.Time) bool {
	if now.UnixNano()-s.recent[s.oldest] < int64(time.Second) {
		return false
	}
	s.recent[s.oldest] = now.UnixNano()
	s.oldest = (s.oldest + 1) % maxMessages
	return true
}

// receive acts on one message.
func (s *socket) receive(b []byte) {
	m, err := parse(b)
	if err == nil {
		err = s.act(m)
	}
	switch f := fault.From(err); {
	case err == nil:
	case f != nil:
		s.write(typeError, errorFrame("Error processing message: "+f.Message))
	default: // errFormat
		s.write(typeError, errorFrame("Invalid message format"))
	}
}

func (s *socket) act(m message) error {
	switch m.kind {
	case typePing:
		s.write(typePong, pong)
		return nil
	case typeJoin:
		var place *presence.Place
		if m.document != "" {
			place = &presence.Place{Document: m.document, Type: documentCanvas, At: time.Now()}
			if err := place.Check(); err != nil {
				return err
			}
		}
		return s.join(m.who, place)
	case typeLeave:
		s.left = s.left || s.joined()
		s.forget()
		s.room.Leave(s.id, presence.ReasonLeft)
		return nil
	case typeSwitch:
		if !s.joined() {
			return fault.New(fault.BadRequest, "Must join session before switching documents")
		}
		s.move(m.place)
		return nil
	}
	if s.joined() {
		m.place.Type = documentCanvas
		if e := s.room.Entry(s.id); e != nil && e.Place != nil && e.Place.Document == m.place.Document {
			m.place.Type = e.Place.Type
		}
		s.move(m.place)
		return nil
	}
	if s.left {
		return fault.New(fault.BadRequest, "Must join session before updating cursor")
	}
	m.place.Type, m.place.At = documentCanvas, time.Now()
	return s.join(presence.Anonymous, &m.place)
}

// join makes the connection somebody, who sees everybody.
func (s *socket) join(who presence.Identity, place *presence.Place) error {
	who.Transport = presence.Collaboration
	if err := s.room.Join(s.id, who, place, time.Now()); err != nil {
		return err
	}
	s.left = false
	s.mu.Lock()
	s.viewer = who.UserID
	if place != nil {
		s.document = place.Document
	}
	s.view = view{told: -1, generation: s.view.generation + 1}
	s.mu.Unlock()
	s.wake()
	return nil
}

func (s *socket) move(place presence.Place) {
	s.mu.Lock()
	if s.document != place.Document {
		s.document = place.Document
		s.view.listed, s.view.listedAt, s.view.listPause = 0, time.Time{}, 0
		s.view.generation++
	}
	s.mu.Unlock()
	place.At = time.Now()
	s.room.Move(s.id, place)
}

// forget makes the connection nobody, who sees nobody.
func (s *socket) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewer, s.document = "", ""
}

func (s *socket) joined() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viewer != ""
}

// wake makes push look at the room, not before its pause is over.
func (s *socket) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	s.woken = true
	switch {
	case !s.scheduled:
		s.scheduled = true
		s.h.running.Add(1)
		s.arm(s.next)
	case s.timer != nil && s.due.After(s.next) && s.timer.Stop():
		s.arm(s.next) // it waited for something less urgent
	}
}

// arm runs push at a time. The mutex is held.
func (s *socket) arm(at time.Time) {
	s.due = at
	s.timer = time.AfterFunc(time.Until(at), s.push)
}

// push tells the client what changed, and goes on later when there is more.
func (s *socket) push() {
	s.mu.Lock()
	s.timer, s.woken = nil, false
	v, viewer, document, shut := s.view, s.viewer, s.document, s.shut
	s.mu.Unlock()
	var pause time.Duration
	var later time.Time
	if !shut {
		s.raw.hold()
		pause, later = s.tell(&v, viewer, document)
		if err := s.raw.release(s.h.timing.Write); err != nil {
			s.failed(errors.Is(err, os.ErrDeadlineExceeded), err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.generation == s.view.generation {
		s.view = v
	} else {
		s.woken = true // the reader began anew meanwhile
	}
	s.next = time.Now().Add(pause)
	switch {
	case s.shut:
	case s.woken:
		s.arm(s.next)
		return
	case !later.IsZero():
		s.arm(later)
		return
	}
	s.scheduled = false
	s.h.running.Done()
}

// tell writes the frames that are due. It returns how long to leave the client alone, and when something else is due, if anything.
func (s *socket) tell(v *view, viewer, document string) (pause time.Duration, later time.Time) {
	if s.room.Ended() {
		s.close(closeEnded, "The project was deleted", closedProject)
		return 0, later
	}
	if viewer == "" {
		return 0, later
	}
	frames, size := 0, 0
	changes, now, known := s.room.Since(v.told, maxChanges)
	if v.told < 0 || !known {
		n, ok := s.writeRoster(v, viewer)
		if !ok {
			return 0, later
		}
		frames, size = 1, n
	} else {
		told := make(map[string]bool)
		for _, c := range changes {
			if c.Entry.Connection == s.id || c.Entry.UserID != viewer && told[c.Entry.UserID] {
				continue
			}
			told[c.Entry.UserID] = true
			if !s.write(typeUser, changeFrame(c, viewer)) {
				return 0, later
			}
			frames++
		}
		v.told = now
	}
	pause = max(pushPause, share(size, s.room.Size(), rosterRate))
	if document != "" {
		var listed bool
		if later, listed = s.list(v, viewer, document); listed {
			frames++
		}
	}
	return max(pause, time.Duration(frames)*frameTime), later
}

// list tells who is in the client's document, when that is due; else it returns when it will be, if it will.
func (s *socket) list(v *view, viewer, document string) (later time.Time, ok bool) {
	d := s.room.Document(document)
	pause := v.listPause
	if d.Members <= v.listed {
		if !d.MovedSince(v.listed, s.id) {
			return later, false
		}
		pause = max(pause, activityPause)
	}
	if due := v.listedAt.Add(pause); time.Until(due) > 0 {
		return due, false
	}
	frame := activityFrame(d, viewer, s.id)
	if !s.write(typeActivity, frame) {
		return later, false
	}
	v.listed, v.listedAt, v.listPause = d.Moves, time.Now(), share(len(frame), len(d.Entries), listRate)
	return later, true
}

// share is how long the frames of so many sockets take together at a rate.
func share(size, sockets, rate int) time.Duration {
	return time.Duration(float64(size) * float64(sockets) / float64(rate) * float64(time.Second))
}

// writeRoster tells who is there.
func (s *socket) writeRoster(v *view, viewer string) (size int, ok bool) {
	r := s.room.Roster()
	v.told = r.Seq
	self := s.room.Person(viewer)
	if self == nil || len(self.Entries) <= 1 {
		frame := bulkFrame(r)
		return len(frame), s.write(typeBulk, frame)
	}
	// Nobody else sees it like this: no copy of all of it is made.
	ctx, cancel := context.WithTimeout(context.Background(), s.h.timing.Write)
	defer cancel()
	w, err := s.conn.Writer(ctx, websocket.MessageText)
	if err != nil {
		return 0, s.failed(ctx.Err() != nil, err)
	}
	s.h.metrics.frames.WithLabelValues(typeBulk).Inc()
	buffer := bufio.NewWriterSize(w, 4<<10)
	size, _ = buffer.WriteString(bulkBefore)
	first := true
	for element := range bulkElements(r, viewer, s.id) {
		if !first {
			_ = buffer.WriteByte(',') // Flush tells
		}
		first = false
		n, _ := buffer.Write(element)
		size += n
	}
	_, _ = buffer.WriteString(bulkAfter)
	if err := errors.Join(buffer.Flush(), w.Close()); err != nil {
		return size, s.failed(ctx.Err() != nil, err)
	}
	return size, true
}

// write sends a frame within the write deadline, else it cuts the connection off: a client that does not read keeps nobody.
func (s *socket) write(kind string, frame []byte) bool {
	ctx, cancel := context.WithTimeout(context.Background(), s.h.timing.Write)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, frame); err != nil {
		return s.failed(ctx.Err() != nil, err)
	}
	s.h.metrics.frames.WithLabelValues(kind).Inc()
	return true
}

// failed cuts the connection off after a write that failed. It returns false.
func (s *socket) failed(late bool, err error) bool {
	switch {
	case late:
		s.cut(closedSlow)
	case !errors.Is(err, net.ErrClosed):
		s.cut(closedLost)
	}
	return false
}

// drain tells the client to come back later.
func (s *socket) drain() {
	s.whenOpen(func() {
		s.close(closeRestart, drain.Reason(), closedDrain)
	})
}

// kick takes the connection out of the project at once, and tells the client to go.
func (s *socket) kick(reason string) {
	s.whenOpen(func() {
		s.close(closeKicked, clip(reason), closedKicked)
		s.room.Leave(s.id, presence.ReasonKicked)
	})
}

// cut ends the connection without a goodbye. The reader leaves.
func (s *socket) cut(why string) {
	s.whenOpen(func() {
		s.end(why)
		_ = s.raw.Close()
	})
}

// close says goodbye, without keeping the caller. The reader leaves when the peer has answered, or did not for some seconds.
func (s *socket) close(code websocket.StatusCode, reason, why string) {
	if !s.hold() {
		return
	}
	s.end(why)
	go func() {
		defer s.h.running.Done()
		_ = s.conn.Close(code, reason)
	}()
}

// end makes the socket write nothing any more. The first reason counts.
func (s *socket) end(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	s.shut, s.why = true, why
	if s.timer != nil && s.timer.Stop() {
		s.scheduled = false
		s.h.running.Done()
	}
}

func (s *socket) isShut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut
}

// isUser reports whether the client has joined under a user id, and not been told to go.
func (s *socket) isUser(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viewer == id && !s.shut
}

func (s *socket) reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

func (s *socket) whenOpen(f func()) {
	s.mu.Lock()
	if !s.opened {
		s.doomed = f
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}

// readFailure says why nothing more can be read.
func readFailure(err error) string {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return closedClient
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return closedMessage
	}
	return closedLost
}
