package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/task"

	"github.com/google/uuid"
)

// ErrReplaced says that a session has opened another stream since: the older one ends.
var ErrReplaced = errors.New("replaced by a newer stream of the session")

// errClosed says that a mailbox takes nothing any more.
var errClosed = errors.New("the mailbox is closed")

// toStream is the key of messages to the stream of a session.
const toStream = ""

// Mailbox is where this replica takes the messages of a session that wait for its stream, or for one call. One goroutine owns it: it calls
// Take or Await, and Close.
type Mailbox struct {
	service *Service
	session uuid.UUID
	key     string        // toStream, or the call
	stream  uuid.UUID     // id of the stream; Nil for a call
	wake    chan struct{} // signal, capacity 1: there may be something to take
	closed  atomic.Bool
	failed  atomic.Bool // the last collect failed, so it is repeated even if nothing is left in the table

	revision int64 // of the subscriptions, when a look last found it; it belongs to the goroutine that looks

	turn chan struct{} // capacity 1: full while somebody uses the fields below
	// accepted are messages that the owner has not taken, in the order in which they were accepted.
	accepted      [][]byte
	acceptedBytes int
	// uncertain are messages that were read and deleted, without an answer to the COMMIT.
	uncertain []db.TakeMCPMessagesRow
}

// OpenStream opens the mailbox of the stream of a session. The stream that the session had before, on any replica, is told ErrReplaced. It
// fails with fault.NotFound. The caller closes.
func (s *Service) OpenStream(ctx context.Context, session uuid.UUID) (*Mailbox, error) {
	m := s.newMailbox(session, toStream)
	m.stream = uuid.New()
	err := inTime(ctx, func(ctx context.Context) error {
		return s.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
			m.revision, err = q.UpdateMCPStream(ctx, db.UpdateMCPStreamParams{
				ID: session, StreamID: m.stream, StreamReplica: s.cfg.Incarnation(),
			})
			return orNoSession(err)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("open the stream of a session: %w", err)
	}
	s.register(m)
	s.tell(session)
	return m, nil
}

// OpenCall opens the mailbox of a call that this replica runs for a session. The key is the one that Send is given with messages to the
// call: the transport makes it, such as of the id of a question that the call asks its client. It fails with fault.BadRequest. The caller
// closes.
func (s *Service) OpenCall(session uuid.UUID, key string) (*Mailbox, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	m := s.newMailbox(session, key)
	s.register(m)
	return m, nil
}

func checkKey(key string) error {
	const field = "The id of the request that the message is about"
	if key == toStream {
		return fault.New(fault.BadRequest, field+" is empty")
	}
	return checkText(field, key, maxKey)
}

func (s *Service) newMailbox(session uuid.UUID, key string) *Mailbox {
	m := &Mailbox{service: s, session: session, key: key, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	task.Wake(m.wake) // for what came before
	return m
}

func (s *Service) register(m *Mailbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mailboxes[m.session] == nil {
		s.mailboxes[m.session] = make(map[*Mailbox]bool)
	}
	s.mailboxes[m.session][m] = true
}

// Close ends the mailbox. Messages that were accepted in the memory of this replica and not taken are lost with it. It never waits, and
// closing again does nothing.
func (m *Mailbox) Close() {
	if m.closed.Swap(true) {
		return
	}
	s := m.service
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mailboxes[m.session], m)
	if len(s.mailboxes[m.session]) == 0 {
		delete(s.mailboxes, m.session)
	}
	if m.key == toStream && len(s.closed) < maxClosed {
		s.closed = append(s.closed, closedStream{m.session, m.stream})
	}
}

// wake wakes the mailboxes of a session.
func (s *Service) wake(session uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.mailboxes[session] {
		task.Wake(m.wake)
	}
}

// local returns the mailboxes of a session for a key. Of two streams one was replaced, which only the table can tell.
func (s *Service) local(session uuid.UUID, key string) (mailboxes []*Mailbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.mailboxes[session] {
		if m.key == key {
			mailboxes = append(mailboxes, m)
		}
	}
	return mailboxes
}

// behind reports whether a mailbox has to look, by what the table says of its session.
func (m *Mailbox) behind(row db.ListMCPStatesRow) bool {
	changed := m.key == toStream && (row.StreamID == nil || *row.StreamID != m.stream || row.Revision != m.revision)
	m.revision = row.Revision
	return changed || m.failed.Load() || slices.Contains(row.Keys, m.key)
}

// Wake receives when the owner should look: at Take and, for a stream, at the subscriptions of the session. It receives at once when the
// mailbox was opened, and sometimes for nothing. It is never closed.
func (m *Mailbox) Wake() <-chan struct{} { return m.wake }

// Take takes what waits, in the order in which it was accepted, each message once; nothing when nothing waits. It fails with ErrReplaced
// and, when the session has ended, with fault.NotFound: the mailbox is then of no use. After any other failure it is called with the next
// Wake, which comes within about a second; nothing is lost meanwhile. It takes at most 2 * MaxMessages + 1 messages of 2 * MaxInboxBytes
// together.
func (m *Mailbox) Take(ctx context.Context) (bodies [][]byte, err error) {
	err = m.inTurn(ctx, func(ctx context.Context) error {
		if err := m.collect(ctx); err != nil {
			return err
		}
		bodies, m.accepted, m.acceptedBytes = m.accepted, nil, 0
		return nil
	})
	return bodies, err
}

// Await waits for the next message until ctx ends, whose cause it then returns. Otherwise it fails as Take does, but for what passes.
func (m *Mailbox) Await(ctx context.Context) ([]byte, error) {
	for {
		var body []byte
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-m.wake:
		}
		err := m.inTurn(ctx, func(ctx context.Context) error {
			if len(m.accepted) == 0 {
				if err := m.collect(ctx); err != nil || len(m.accepted) == 0 {
					return err
				}
			}
			body, m.accepted = m.accepted[0], m.accepted[1:]
			m.acceptedBytes -= len(body)
			if len(m.accepted) > 0 {
				task.Wake(m.wake)
			}
			return nil
		})
		switch {
		case body != nil:
			return body, nil
		case err != nil && !fault.Is(err, fault.Unavailable) && ctx.Err() == nil:
			return nil, err
		}
	}
}

// accept takes what the table has, and then a message that came to this replica: what is in the table was accepted before. It fails with
// ErrReplaced, errClosed, and as Send does.
func (m *Mailbox) accept(ctx context.Context, body []byte) error {
	return m.inTurn(ctx, func(ctx context.Context) error {
		switch {
		case m.closed.Load():
			return errClosed
		case len(m.accepted) >= MaxMessages || m.acceptedBytes+len(body) > MaxInboxBytes:
			return errFull
		}
		if err := m.collect(ctx); err != nil {
			return err
		}
		m.accepted = append(m.accepted, body)
		m.acceptedBytes += len(body)
		task.Wake(m.wake)
		return nil
	})
}

// inTurn runs f while nobody else uses what the turn guards. The time that a caller waits at most covers both.
func (m *Mailbox) inTurn(ctx context.Context, f func(context.Context) error) error {
	return inTime(ctx, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m.turn <- struct{}{}:
		}
		defer func() { <-m.turn }()
		return f(ctx)
	})
}

// collect moves what waits in the table to the accepted messages. The caller has the turn.
func (m *Mailbox) collect(ctx context.Context) (err error) {
	defer func() { m.failed.Store(err != nil) }()
	for {
		// While the outcome of a take is unknown, it is repeated up to where it came. So no more than one take is ever uncertain.
		last, again := int64(math.MaxInt64), len(m.uncertain) > 0
		if again {
			last = m.uncertain[len(m.uncertain)-1].Seq
		}
		var rows []db.TakeMCPMessagesRow
		err := m.service.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
			rows = nil
			stream, err := q.LockMCPSession(ctx, m.session)
			switch {
			case err != nil:
				return orNoSession(err)
			case m.key == toStream && (stream == nil || *stream != m.stream):
				return ErrReplaced
			}
			rows, err = q.TakeMCPMessages(ctx, db.TakeMCPMessagesParams{SessionID: m.session, Key: m.key, Last: last})
			return err
		})
		if !again {
			m.uncertain = rows
		} // else they are all among the uncertain: what is not read again was deleted
		if err != nil {
			return fmt.Errorf("take messages: %w", err)
		}
		for _, row := range m.uncertain {
			m.accepted = append(m.accepted, row.Body)
			m.acceptedBytes += len(row.Body)
			m.service.metrics.took(row.WaitedSeconds)
		}
		m.uncertain = nil
		if !again {
			return nil
		}
	}
}
