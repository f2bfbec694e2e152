package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// MaxMessages is how many messages of a session wait at most.
	MaxMessages = 64
	// MaxInboxBytes is how large they are together at most.
	MaxInboxBytes = 4 << 20
	// MaxMessage is how many bytes a message has at most.
	MaxMessage = 1 << 20
	// messageAge is how long a message waits at most.
	messageAge = time.Minute
	// passingAge is how long a passing message waits: a line comes at once, and a look behind a lost one within a second.
	passingAge = 5 * time.Second

	maxKey    = 1000 // characters
	retryFull = time.Second
)

// errFull is the fault for a message that finds no room.
var errFull = fault.New(fault.RateLimited, fmt.Sprintf("%d messages of the session wait, or %d MB, which are all that may", MaxMessages,
	MaxInboxBytes>>20)).With("retryAfterMs", retryFull.Milliseconds())

// Send accepts a message of a session's client for whoever waits for it, on any replica: for the session's stream with an empty key, else
// for the call that opened a mailbox with this key. When it returns nil the message is in the memory of the replica that needs it, which
// is this one, or committed. It is dropped when nobody takes it within a minute. Messages of one session are taken in the order in which
// Send accepted them. It fails with fault.NotFound, fault.BadRequest, and fault.RateLimited when too many wait. The caller does not change
// body any more.
func (s *Service) Send(ctx context.Context, session uuid.UUID, key string, body []byte) error {
	return s.count(s.send(ctx, session, key, body, false))
}

// SendPassing accepts a message to a call that may have ended, which is of no use then: a cancellation. No replica knows whether another
// one runs the call, so the message is stored, but takes no room of others. It is dropped when nobody takes it within 5 s, or where 64
// newer ones wait. It fails with fault.NotFound and fault.BadRequest.
func (s *Service) SendPassing(ctx context.Context, session uuid.UUID, key string, body []byte) error {
	err := s.count(s.send(ctx, session, key, body, true))
	if fault.Is(err, fault.RateLimited) {
		return nil // the call has as much to take already
	}
	return err
}

// count counts a message that found no room.
func (s *Service) count(err error) error {
	if fault.Is(err, fault.RateLimited) {
		s.metrics.messages.WithLabelValues(messageRefused).Inc()
	}
	return err
}

func (s *Service) send(ctx context.Context, session uuid.UUID, key string, body []byte, passing bool) error {
	if key != toStream {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	if n := len(body); n == 0 || n > MaxMessage {
		return fault.New(fault.BadRequest, fmt.Sprintf("The message has %d bytes: want 1 to %d", n, MaxMessage)).
			With("detail", map[string]any{"limit": MaxMessage, "length": n})
	}
	for _, m := range s.local(session, key) {
		err := m.accept(ctx, body)
		switch {
		case err == nil:
			s.metrics.messages.WithLabelValues(messageDirect).Inc()
			return nil
		case !errors.Is(err, ErrReplaced) && !errors.Is(err, errClosed):
			return err
		}
	}
	if err := s.store(ctx, session, key, body, passing); err != nil {
		return fmt.Errorf("store a message: %w", err)
	}
	s.metrics.messages.WithLabelValues(messageStored).Inc()
	s.wake(session) // a mailbox may have been opened here meanwhile
	s.cfg.Wire.Publish(encodeLine(session))
	return nil
}

// store puts a message into the table, in one transaction and one round trip.
func (s *Service) store(ctx context.Context, session uuid.UUID, key string, body []byte, passing bool) error {
	var hasRoom bool
	var expired int64
	batch := &pgx.Batch{}
	batch.Queue(db.LockMCPSession, session)
	batch.Queue(db.DeleteOldMCPMessagesOfSession, session, passingAge.Seconds(), messageAge.Seconds()).Exec(func(tag pgconn.CommandTag) error {
		expired = tag.RowsAffected()
		return nil
	})
	if passing {
		batch.Queue(db.DeleteDisplacedMCPMessages, session, int64(MaxMessages-1))
	}
	// The arguments stand in the order of InsertMCPMessageParams as it is generated.
	batch.Queue(db.InsertMCPMessage, int64(MaxMessages), body, int64(MaxInboxBytes), passing, session, key).QueryRow(func(row pgx.Row) error {
		return orNoSession(row.Scan(&hasRoom))
	})
	err := s.inTurn(ctx, session, func(ctx context.Context) error {
		return s.cfg.DB.Requests.Do(ctx, func(conn *pgx.Conn) error { return conn.SendBatch(ctx, batch).Close() })
	})
	if err != nil {
		return err
	}
	s.metrics.messages.WithLabelValues(messageExpired).Add(float64(expired))
	if !hasRoom {
		return errFull
	}
	return nil
}

// TrimInbox removes messages that nobody took in time. While another replica cleans up it does nothing. It returns how many it removed,
// also when it fails half way.
func (s *Service) TrimInbox(ctx context.Context) (removed int64, err error) {
	defer func() { s.metrics.messages.WithLabelValues(messageExpired).Add(float64(removed)) }()
	for passing, age := range map[bool]time.Duration{false: messageAge, true: passingAge} {
		n, err := s.trim(ctx, func(q *db.Queries) (int64, error) {
			return q.TrimMCPMessages(ctx, db.TrimMCPMessagesParams{Passing: passing, AgeSeconds: age.Seconds(), Chunk: trimChunk})
		})
		if removed += n; err != nil {
			return removed, err
		}
	}
	return removed, nil
}
