package collab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/presence"
	"layercake/internal/socket"

	"github.com/coder/websocket"
)

// What is taken of one socket, and what one gets.
const (
	maxMessages   = 20 // within a second
	maxChanges    = 50 // that are told one by one; more become the roster
	pushPause     = 100 * time.Millisecond
	frameTime     = 5 * time.Millisecond // 200 frames a second
	activityPause = time.Second          // between lists of a document in which only cursors moved
	rosterRate    = 32 << 20             // bytes a second that the rosters of one project may take
	listRate      = 8 << 20              // the same for lists of a document, which matter less
)

// session is one connection of a browser.
type session struct {
	*socket.WebSocket // its user is empty while the client has not joined

	h    *Handler
	room *presence.Room

	// State of the goroutine that reads.
	recent    [maxMessages]int64 // when the last messages came that were not refused
	oldest    int
	left      bool // the client said that it leaves the project
	stopWatch func()

	mu        sync.Mutex
	document  string      // empty while in none
	woken     bool        // something may have changed since push looked
	scheduled bool        // push runs, or will when the timer fires
	timer     *time.Timer // runs push; nil while push runs
	due       time.Time   // when the timer fires
	next      time.Time   // push does not run before

	// View of push. The reader replaces it, under the mutex, to make push begin anew.
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
func begin(h *Handler, room *presence.Room, conn *socket.WebSocket) {
	s := &session{WebSocket: conn, h: h, room: room}
	s.stopWatch = room.Watch(s.wake)
	s.Open(s)
	go s.read() // the socket has not ended before it
	s.Probe()
}

// read takes what the client sends until the connection ends, then leaves.
func (s *session) read() {
	for !s.Closed() { // else it was kicked during its last message, which does not bring it back
		kind, b, ok := s.Read()
		if !ok {
			break
		}
		if kind != websocket.MessageText {
			continue
		}
		if !s.admit(time.Now()) {
			s.h.metrics.refused.Inc()
			s.write(typeError, errorFrame("Rate limit exceeded"))
			continue
		}
		s.receive(b)
	}
	s.stopWatch()
	s.room.Leave(s.ID(), leaveReasons[s.Reason().Label])
	s.room.Exit()
	s.Release()
}

// admit applies the rate limit: so many messages within the last second. Those refused do not count.
func (s *session) admit(now time.Time) bool {
	if now.UnixNano()-s.recent[s.oldest] < int64(time.Second) {
		return false
	}
	s.recent[s.oldest] = now.UnixNano()
	s.oldest = (s.oldest + 1) % maxMessages
	return true
}

// receive acts on one message.
func (s *session) receive(b []byte) {
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

func (s *session) act(m message) error {
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
		s.room.Leave(s.ID(), presence.ReasonLeft)
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
		if e := s.room.Entry(s.ID()); e != nil && e.Place != nil && e.Place.Document == m.place.Document {
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
func (s *session) join(who presence.Identity, place *presence.Place) error {
	who.Transport = caller.Collaboration
	if err := s.room.Join(s.ID(), who, place, time.Now()); err != nil {
		return err
	}
	s.left = false
	s.mu.Lock()
	s.SetUser(who.UserID)
	if place != nil {
		s.document = place.Document
	}
	s.view = view{told: -1, generation: s.view.generation + 1}
	s.mu.Unlock()
	s.wake()
	return nil
}

func (s *session) move(place presence.Place) {
	s.mu.Lock()
	if s.document != place.Document {
		s.document = place.Document
		s.view.listed, s.view.listedAt, s.view.listPause = 0, time.Time{}, 0
		s.view.generation++
	}
	s.mu.Unlock()
	place.At = time.Now()
	s.room.Move(s.ID(), place)
}

// forget makes the connection nobody, who sees nobody.
func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SetUser("")
	s.document = ""
}

func (s *session) joined() bool { return s.User() != "" }

// wake makes push look at the room, not before its pause is over.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = true
	switch {
	case !s.scheduled:
		if s.scheduled = s.Acquire(); s.scheduled {
			s.arm(s.next)
		}
	case s.timer != nil && s.due.After(s.next) && s.timer.Stop():
		s.arm(s.next) // it waited for something less urgent
	}
}

// arm runs push at a time. The mutex is held.
func (s *session) arm(at time.Time) {
	s.due = at
	s.timer = time.AfterFunc(time.Until(at), s.push)
}

// push tells the client what changed, and goes on later when there is more.
func (s *session) push() {
	s.mu.Lock()
	s.timer, s.woken = nil, false
	v, viewer, document := s.view, s.User(), s.document
	s.mu.Unlock()
	var pause time.Duration
	var later time.Time
	if !s.Closed() {
		s.Batch(func() { pause, later = s.tell(&v, viewer, document) })
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
	case s.Closed(): // if it closes from now on, OnClose waits for the mutex and stops the timer
	case s.woken:
		s.arm(s.next)
		return
	case !later.IsZero():
		s.arm(later)
		return
	}
	s.scheduled = false
	s.Release()
}

// tell writes the frames that are due. It returns how long to leave the client alone, and when something else is due, if anything.
func (s *session) tell(v *view, viewer, document string) (pause time.Duration, later time.Time) {
	if s.room.Ended() {
		s.Close(projectDeleted)
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
			if c.Entry.Connection == s.ID() || c.Entry.UserID != viewer && told[c.Entry.UserID] {
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

// list sends document_activity if it is due. Otherwise it returns when it will be due; zero if nothing changed.
func (s *session) list(v *view, viewer, document string) (later time.Time, ok bool) {
	d := s.room.Document(document)
	pause := v.listPause
	if d.Members <= v.listed {
		if !d.MovedSince(v.listed, s.ID()) {
			return later, false
		}
		pause = max(pause, activityPause)
	}
	if due := v.listedAt.Add(pause); time.Until(due) > 0 {
		return due, false
	}
	frame := activityFrame(d, viewer, s.ID())
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
func (s *session) writeRoster(v *view, viewer string) (size int, ok bool) {
	r := s.room.Roster()
	v.told = r.Seq
	self := s.room.Person(viewer)
	if self == nil || len(self.Entries) <= 1 {
		frame := bulkFrame(r)
		return len(frame), s.write(typeBulk, frame)
	}
	// Nobody else sees it like this: no copy of all of it is made.
	ok = s.Send(func(conn *websocket.Conn) error {
		w, err := conn.Writer(context.Background(), websocket.MessageText)
		if err != nil {
			return err
		}
		size, err = writeBulk(w, bulkElements(r, viewer, s.ID()))
		return errors.Join(err, w.Close())
	})
	return size, s.count(typeBulk, ok)
}

// writeBulk writes a roster bit by bit.
func writeBulk(w io.Writer, elements iter.Seq[[]byte]) (size int, err error) {
	buffer := bufio.NewWriterSize(w, 4<<10) // it keeps the first error for Flush
	size, _ = buffer.WriteString(bulkBefore)
	first := true
	for element := range elements {
		if !first {
			_ = buffer.WriteByte(',')
		}
		first = false
		n, _ := buffer.Write(element)
		size += n
	}
	_, _ = buffer.WriteString(bulkAfter)
	return size, buffer.Flush()
}

// write sends a frame.
func (s *session) write(kind string, frame []byte) bool { return s.count(kind, s.Write(frame)) }

// count counts a frame that was sent. It returns whether it was.
func (s *session) count(kind string, sent bool) bool {
	if sent {
		s.h.metrics.frames.WithLabelValues(kind).Inc()
	}
	return sent
}

// OnClose stops the writer. Who was kicked leaves the project at once: the reader may wait for the client's answer to the goodbye.
func (s *session) OnClose(reason socket.Reason) {
	s.mu.Lock()
	if s.timer != nil && s.timer.Stop() {
		s.scheduled = false
		s.Release()
	}
	s.mu.Unlock()
	if reason.Label == socket.LabelKicked {
		s.room.Leave(s.ID(), presence.ReasonKicked)
	}
}
