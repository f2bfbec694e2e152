package collab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/presence"
	"layercake/internal/socket"

	"github.com/coder/websocket"
)

// Limits of what one socket may send, and of what it is sent.
const (
	maxMessages   = 20                     // messages from a client within a second
	maxChanges    = 50                     // changes that are sent one by one; more become the roster
	pushPause     = 100 * time.Millisecond // pause between pushes to a client
	frameTime     = 5 * time.Millisecond   // pause for each frame of a push, so at most 200 frames a second
	activityPause = time.Second            // pause between lists of a document in which only cursors moved
	rosterRate    = 32 << 20               // bytes a second for all rosters of a project
	listRate      = 8 << 20                // bytes a second for all lists of a document, which matter less
)

// session is one connection of a browser.
type session struct {
	*socket.WebSocket // its user is empty while the client has not joined

	h    *Handler
	room *presence.Room

	// Only the goroutine that reads uses these, too.
	who      caller.Caller // whose credential the socket was opened with, or has by now
	access   auth.Access
	releases []func() // of what is kept for the socket

	// Only the goroutine that reads uses these.
	began     time.Time                  // a second before the session did, so that zero in recent is long ago
	recent    [maxMessages]time.Duration // times of the last messages that were not refused, since began; a ring
	oldest    int                        // index of the oldest in recent
	left      bool                       // the client sent that it leaves the project
	stopWatch func()

	mu        sync.Mutex
	stated    string      // user id that the client stated, by which it knows itself
	document  string      // empty while in none
	changed   bool        // something may have changed after push polled the room
	scheduled bool        // push runs, or will when the timer fires; the socket does not end before
	timer     *time.Timer // runs push; nil while push runs
	due       time.Time   // time when the timer fires
	notBefore time.Time   // end of the pause after the last push

	// What push has sent. Push works on a copy, without the mutex. When the reader makes push begin anew it also steps the generation, and
	// push drops its copy if the generation is another one by then.
	view view
}

// view is how much of the room the client has been sent.
type view struct {
	seq        int64 // Seq of the room up to which changes were sent, or rosterDue
	listSeq    int64 // Seq of the document in the last list
	listedAt   time.Time
	listPause  time.Duration // pause after the last list
	generation int           // steps when the reader makes push begin anew
}

// rosterDue is the seq of a view of nothing.
const rosterDue = -1

// begin starts the goroutine that reads. It opens the socket before that, so that whatever the reader does finds an open socket.
func begin(h *Handler, room *presence.Room, conn *socket.WebSocket, who caller.Caller, access auth.Access) {
	s := &session{WebSocket: conn, h: h, room: room, began: time.Now().Add(-time.Second)}
	s.become(who, access)
	s.stopWatch = room.Watch(s.wake)
	s.Open(s)
	go s.read() // the socket ends only after it: it calls Release
	s.Probe()
}

// become makes the socket that of a caller, until their credential or their right ends. What it had before is not kept any more.
func (s *session) become(who caller.Caller, access auth.Access) {
	former := s.releases
	s.who, s.access, s.releases = who, access, nil
	if s.h.keeper != nil {
		s.releases = []func(){
			s.h.keeper.Hold(who.Principal, func(err error) { s.Close(socket.Unauthorized(fault.From(err).Message)) }),
			s.h.keeper.HoldAccess(access, func(error) { s.Close(removed) }),
		}
	}
	for _, release := range former {
		release()
	}
}

// lookTime is how long the database may take to say whom a token belongs to.
const lookTime = 5 * time.Second

// authenticate moves the socket to the session of a token, of the same account. It closes the socket when the token proves nothing.
func (s *session) authenticate(token string) error {
	if s.h.look == nil {
		return errFormat
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	who, err := s.who.Prove(ctx, s.h.look, token)
	access := s.access
	if err == nil {
		access, err = s.h.rights.Project(ctx, who.Principal, s.access.Project())
	}
	if err == nil {
		err = s.Own(who.Account)
	}
	switch f := fault.From(err); {
	case err == nil:
		s.become(who, access)
	case f == nil || f.Code == fault.Unavailable || f.Code == fault.RateLimited:
		return fault.New(fault.Unavailable, fault.Busy).Because(err) // it may try again, and keeps what it has
	case f.Code == fault.NotFound:
		s.Close(removed)
	default:
		s.Close(socket.Unauthorized(f.Message))
	}
	return nil
}

// read serves the client until the connection ends, then leaves the room. Leaving depends on no request and no database: the room is in
// memory, and the flusher of package presence brings it to the table.
func (s *session) read() {
	defer s.Release()
	s.Protect(s.serve)
	s.Protect(func() {
		defer s.room.Exit()
		for _, release := range s.releases {
			release()
		}
		s.stopWatch()
		s.room.Leave(s.ID(), leaveReasons[s.Reason().Label])
	})
}

// serve takes what the client sends until nothing more can come.
func (s *session) serve() {
	for !s.Closed() { // a client that was kicked during its last message must not join again by the next one
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
}

// admit reports whether the rate limit lets a message pass: maxMessages within the last second. Messages that are refused do not count. The
// clock of the machine may be set back meanwhile: times since began do not follow it.
func (s *session) admit(now time.Time) bool {
	at := now.Sub(s.began)
	if at-s.recent[s.oldest] < time.Second {
		return false
	}
	s.recent[s.oldest] = at
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
	case typeAuthenticate:
		return s.authenticate(m.token)
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
		s.clear()
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

// join gives the connection an identity. From then on it is shown to others, and the client is sent the roster and its changes.
func (s *session) join(who presence.Identity, place *presence.Place) error {
	who.Transport = caller.Collaboration
	stated := who.UserID
	if s.who.Account != 0 && !s.h.rights.Open() { // what the client states is no identity then
		who.UserID, who.Name, who.Color = strconv.Itoa(int(s.who.Account)), s.who.Name, s.who.Color
		who.Agent = s.who.Kind == auth.KindAgent
	}
	if err := s.room.Join(s.ID(), who, place, time.Now()); err != nil {
		return err
	}
	s.left = false
	s.mu.Lock()
	s.SetUser(who.UserID)
	s.stated = stated
	if place != nil {
		s.document = place.Document
	}
	s.view = view{seq: rosterDue, generation: s.view.generation + 1}
	s.mu.Unlock()
	s.wake()
	return nil
}

func (s *session) move(place presence.Place) {
	s.mu.Lock()
	if s.document != place.Document {
		s.document = place.Document
		s.view.listSeq, s.view.listedAt, s.view.listPause = 0, time.Time{}, 0
		s.view.generation++
	}
	s.mu.Unlock()
	place.At = time.Now()
	s.room.Move(s.ID(), place)
}

// clear takes the identity away: the client is sent nothing about others until it joins again.
func (s *session) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SetUser("")
	s.document = ""
}

func (s *session) joined() bool { return s.User() != "" }

// wake makes push run when its pause is over. Push is one at a time: while it runs, wake only notes that there is a change, and push goes
// on afterwards.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = true
	switch {
	case !s.scheduled:
		if s.scheduled = s.Acquire(); s.scheduled {
			s.schedule(s.notBefore)
		}
	case s.timer != nil && s.due.After(s.notBefore) && s.timer.Stop():
		s.schedule(s.notBefore) // the timer was set for a list, which is less urgent
	}
}

// schedule makes the timer run push at a time. The mutex is held.
func (s *session) schedule(at time.Time) {
	s.due = at
	s.timer = time.AfterFunc(time.Until(at), s.push)
}

// push sends the client what changed, and schedules itself again when more is due.
func (s *session) push() {
	s.mu.Lock()
	s.timer, s.changed = nil, false
	v, viewer, document := s.view, viewer{user: s.User(), stated: s.stated, connection: s.ID()}, s.document
	s.mu.Unlock()
	var pause time.Duration
	var next time.Time
	if !s.Closed() {
		s.Protect(func() { s.Batch(func() { pause, next = s.writeDue(&v, viewer, document) }) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.generation == s.view.generation {
		s.view = v
	} else {
		s.changed = true // the reader made it begin anew meanwhile, so v is out of date
	}
	s.notBefore = time.Now().Add(pause)
	switch {
	case s.Closed(): // a socket that closes after this is safe, too: OnClose waits for the mutex, then stops the timer
	case s.changed:
		s.schedule(s.notBefore)
		return
	case !next.IsZero():
		s.schedule(next)
		return
	}
	s.scheduled = false
	s.Release()
}

// writeDue writes the frames that are due. It returns the pause until the next push, and the time when a list is due if nothing else
// changes; zero for none.
func (s *session) writeDue(v *view, viewer viewer, document string) (pause time.Duration, next time.Time) {
	if s.room.Ended() {
		s.Close(projectDeleted)
		return 0, next
	}
	if viewer.user == "" {
		return 0, next
	}
	frames, size, ok := s.writeChanges(v, viewer)
	if !ok {
		return 0, next
	}
	pause = max(pushPause, timeAtRate(size, s.room.Size(), rosterRate))
	if document != "" {
		var listed bool
		if next, listed = s.writeList(v, viewer, document); listed {
			frames++
		}
	}
	return max(pause, time.Duration(frames)*frameTime), next
}

// writeChanges sends the changes of the room since the last push, each person once, or the roster when that is due or they are too many. It
// returns the number of frames, and the size of the roster.
func (s *session) writeChanges(v *view, viewer viewer) (frames, size int, ok bool) {
	changes, now, known := s.room.Since(v.seq, maxChanges)
	if v.seq == rosterDue || !known {
		size, ok = s.writeRoster(v, viewer)
		return 1, size, ok
	}
	sent := make(map[string]bool) // user ids that are shown as one person
	for _, c := range changes {
		if c.Entry.Connection == s.ID() || c.Entry.UserID != viewer.user && sent[c.Entry.UserID] {
			continue
		}
		sent[c.Entry.UserID] = true
		if !s.write(typeUser, changeFrame(c, viewer)) {
			return frames, 0, false
		}
		frames++
	}
	v.seq = now
	return frames, 0, true
}

// writeList sends document_activity if it is due. Otherwise it returns when it will be due; zero if nothing changed.
func (s *session) writeList(v *view, viewer viewer, document string) (due time.Time, ok bool) {
	d := s.room.Document(document)
	pause := v.listPause
	if d.Members <= v.listSeq {
		if !d.MovedSince(v.listSeq, s.ID()) {
			return time.Time{}, false
		}
		pause = max(pause, activityPause)
	}
	if due := v.listedAt.Add(pause); time.Until(due) > 0 {
		return due, false
	}
	frame := activityFrame(d, viewer)
	if !s.write(typeActivity, frame) {
		return time.Time{}, false
	}
	v.listSeq, v.listedAt, v.listPause = d.Moves, time.Now(), timeAtRate(len(frame), len(d.Entries), listRate)
	return time.Time{}, true
}

// timeAtRate returns how long the same frame to a number of sockets takes at a rate in bytes a second.
func timeAtRate(size, sockets, rate int) time.Duration {
	return time.Duration(float64(size) * float64(sockets) / float64(rate) * float64(time.Second))
}

// writeRoster sends who is there. It returns the size of the frame.
func (s *session) writeRoster(v *view, viewer viewer) (size int, ok bool) {
	r := s.room.Roster()
	v.seq = r.Seq
	self := s.room.Person(viewer.user)
	if self == nil || len(self.Entries) <= 1 && viewer.states(viewer.user) {
		frame := bulkFrame(r)
		return len(frame), s.write(typeBulk, frame)
	}
	// No other client is sent the same roster, so it is written piece by piece, without a copy of the whole in memory.
	ok = s.Send(func(conn *websocket.Conn) error {
		w, err := conn.Writer(context.Background(), websocket.MessageText)
		if err != nil {
			return err
		}
		size, err = writeBulk(w, bulkElements(r, viewer))
		return errors.Join(err, w.Close())
	})
	return size, s.count(typeBulk, ok)
}

// writeBulk writes a roster piece by piece, and returns its size.
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

// count counts a frame if it was sent, and returns sent.
func (s *session) count(kind string, sent bool) bool {
	if sent {
		s.h.metrics.frames.WithLabelValues(kind).Inc()
	}
	return sent
}

// OnClose stops push. A client that was kicked leaves the project at once: the reader would take it out only when the client has answered
// the goodbye.
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
