package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The transports of sessions.
const (
	HTTP = "http" // requests to /mcp, each answered by itself
	SSE  = "sse"  // a stream of /mcp/sse, which answers the requests beside it
)

const (
	// MaxSessions is how many sessions there are at most, on all replicas. One more makes the one go that was silent for longest.
	MaxSessions = 20_000
	// Silence is how long after its last request a session ends.
	Silence = 24 * time.Hour
	// MaxParameters is how many bytes the parameters of a session have at most.
	MaxParameters = 64 << 10

	maxClientText = 200 // characters of a client's name, title or version, and of a protocol version

	cacheTime      = 10 * time.Second       // how long another replica may not notice an end of a session whose line was lost
	lineTime       = 100 * time.Millisecond // that a line to the other replicas hardly ever takes
	maxCached      = 2048                   // sessions
	maxCachedBytes = 4 << 10                // of the parameters of a cached session: larger ones are read each time

	trimChunk = 1000 // rows that one statement of the clean-up removes
)

// Session is the session of an agent.
type Session struct {
	ID        uuid.UUID // made by the transport, since the key of the agent takes it
	Transport string    // HTTP or SSE
	Network   netip.Prefix
	Scope     string    // what its client may do at most, in words of the transport; at most 200 characters
	CreatedAt time.Time // set by the Service
	Hello
}

// Hello is what initialize said, or what is known before it came.
type Hello struct {
	Protocol   string // version that client and server agreed on; may be empty
	Client     Client
	Parameters json.RawMessage // of initialize, at most MaxParameters; empty for none
	AgentID    string          // id of the agent's actor
	AgentName  string
}

func (h *Hello) check() error {
	for field, text := range map[string]string{
		"Protocol version": h.Protocol, "Client name": h.Client.Name, "Client title": h.Client.Title, "Client version": h.Client.Version,
	} {
		if err := checkText(field, text, maxClientText); err != nil {
			return err
		}
	}
	if len(h.Parameters) == 0 {
		h.Parameters = json.RawMessage("{}")
	}
	if n := len(h.Parameters); n > MaxParameters {
		return fault.New(fault.BadRequest, fmt.Sprintf("The parameters of initialize have %d bytes, more than %d", n, MaxParameters))
	}
	if !utf8.Valid(h.Parameters) || !json.Valid(h.Parameters) {
		return fault.New(fault.BadRequest, "The parameters of initialize are no JSON in UTF-8")
	}
	return nil
}

// checkText refuses what PostgreSQL cannot store, or not so much of.
func checkText(field, text string, most int) error {
	if !utf8.ValidString(text) {
		return fault.New(fault.BadRequest, field+" is no UTF-8")
	}
	return fault.CheckText(field, text, most)
}

// Create begins a session, on all replicas. Beyond MaxSessions the ones that were silent for longest end. It fails with fault.BadRequest.
func (s *Service) Create(ctx context.Context, session Session) error {
	h := session.Hello
	if err := h.check(); err != nil {
		return err
	}
	var silent []uuid.UUID
	// What a batch sends is one transaction and one round trip, so that the total is locked for a moment only. The arguments stand in the
	// order of the generated parameters.
	batch := &pgx.Batch{}
	batch.Queue(db.DoNotWaitForDiskInBatch)
	batch.Queue(db.InsertMCPSession, session.ID, session.Transport, h.Protocol, h.Client.Name, h.Client.Title, h.Client.Version,
		h.Parameters, h.AgentID, h.AgentName, session.Network.String(), session.Scope, Silence.Seconds())
	batch.Queue(db.DeleteSilentMCPSessions, int64(MaxSessions)).Query(func(rows pgx.Rows) (err error) {
		silent, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	err := inTime(ctx, func(ctx context.Context) error {
		return s.cfg.DB.Requests.Do(ctx, func(conn *pgx.Conn) error { return conn.SendBatch(ctx, batch).Close() })
	})
	if err != nil {
		return fmt.Errorf("create a session: %w", err)
	}
	for _, id := range silent {
		s.tell(id)
	}
	s.metrics.displaced.Add(float64(len(silent)))
	return nil
}

// cachedSession is a session as it was read.
type cachedSession struct {
	Session
	at time.Time
}

// Get returns a session, which a request of its client names, and notes that the client was heard of. It fails with fault.NotFound.
// Whoever gets it must not change what it refers to. A session that ended may be returned for 10 s where the line about its end was lost.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Session, error) {
	s.mu.Lock()
	known, found := s.cached.Get(id)
	changes := s.changes
	s.mu.Unlock()
	if found && time.Since(known.at) < cacheTime {
		return known.Session, nil
	}
	at := time.Now()
	var row db.SeeMCPSessionRow
	err := inTime(ctx, func(ctx context.Context) error {
		return s.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
			row, err = q.SeeMCPSession(ctx, db.SeeMCPSessionParams{ID: id, TtlSeconds: Silence.Seconds()})
			return orNoSession(err)
		})
	})
	if err != nil {
		return Session{}, fmt.Errorf("get a session: %w", err)
	}
	network, _ := netip.ParsePrefix(row.Network) // of an unknown address there is none
	session := Session{
		ID: id, Transport: row.Transport, Network: network, Scope: row.Scope, CreatedAt: row.CreatedAt,
		Hello: Hello{
			Protocol: row.ProtocolVersion, Client: Client{Name: row.ClientName, Title: row.ClientTitle, Version: row.ClientVersion},
			Parameters: row.Parameters, AgentID: row.AgentID, AgentName: row.AgentName,
		},
	}
	if len(row.Parameters) <= maxCachedBytes {
		s.mu.Lock()
		if changes == s.changes { // else a line may have said that what was read is old
			s.cached.Add(id, cachedSession{session, at})
		}
		s.mu.Unlock()
	}
	return session, nil
}

// Introduce sets what the client of a session said in initialize, where the session began before it: that is so for SSE. It fails with
// fault.NotFound and fault.BadRequest.
func (s *Service) Introduce(ctx context.Context, id uuid.UUID, h Hello) error {
	if err := h.check(); err != nil {
		return err
	}
	err := s.affect(ctx, func(ctx context.Context, q *db.Queries) (int64, error) {
		return q.UpdateMCPSession(ctx, db.UpdateMCPSessionParams{
			ID: id, ProtocolVersion: h.Protocol, ClientName: h.Client.Name, ClientTitle: h.Client.Title, ClientVersion: h.Client.Version,
			Parameters: h.Parameters, AgentID: h.AgentID, AgentName: h.AgentName,
		})
	})
	if err != nil {
		return fmt.Errorf("introduce the client of a session: %w", err)
	}
	s.tell(id)
	return nil
}

// Delete ends a session, with its subscriptions, its inbox and, a moment later, its stream on whichever replica. It fails with
// fault.NotFound. It returns a moment later than it could: other replicas have the session in their caches until they hear of its end, and
// the next request of the client, which may go to one of them, is to find that there is none.
func (s *Service) Delete(ctx context.Context, id uuid.UUID) error {
	err := s.affect(ctx, func(ctx context.Context, q *db.Queries) (int64, error) { return q.DeleteMCPSession(ctx, id) })
	if err != nil {
		return fmt.Errorf("delete a session: %w", err)
	}
	s.tell(id)
	task.Pause(ctx, lineTime)
	return nil
}

// affect runs a statement that affects the row of a session, and fails with fault.NotFound when there is none.
func (s *Service) affect(ctx context.Context, f func(context.Context, *db.Queries) (int64, error)) error {
	return inTime(ctx, func(ctx context.Context) error {
		return s.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error {
			rows, err := f(ctx, q)
			if err == nil && rows == 0 {
				return errNoSession
			}
			return err
		})
	})
}

// forget makes the next Get of a session read it again.
func (s *Service) forget(session uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	s.cached.Remove(session)
}

// errNoSession is the fault for a session that does not exist, or no more.
var errNoSession = fault.New(fault.NotFound, "Session not found").
	With("hint", "It was ended, or silent for 24 hours: send initialize to begin another one")

// orNoSession returns the fault for a statement that found no row because there is no such session.
func orNoSession(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errNoSession
	}
	return err
}

// inTime runs f for a caller, and ends it after the time that a caller waits at most.
func inTime(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	return postgres.Classify(ctx, f(ctx))
}

// turn is for one change of a session at a time.
type turn struct {
	taken chan struct{} // capacity 1
	users int           // who has it or waits for it; the service's mutex guards it
}

// inTurn runs f while nobody else on this replica changes a session, within the time that a caller waits at most. The database makes them
// wait, too, but there each of them holds a connection of the pool meanwhile, which somebody else needs.
func (s *Service) inTurn(ctx context.Context, session uuid.UUID, f func(context.Context) error) error {
	s.mu.Lock()
	own := s.turns[session]
	if own == nil {
		own = &turn{taken: make(chan struct{}, 1)}
		s.turns[session] = own
	}
	own.users++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(s.turns, session)
		}
	}()
	return inTime(ctx, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case own.taken <- struct{}{}:
		}
		defer func() { <-own.taken }()
		return f(ctx)
	})
}

// TrimSessions removes sessions that were silent for too long. While another replica cleans up it does nothing. It returns how many it
// removed, also when it fails half way.
func (s *Service) TrimSessions(ctx context.Context) (int64, error) {
	return s.trim(ctx, func(q *db.Queries) (int64, error) { return q.TrimMCPSessions(ctx, trimChunk) })
}

// trim removes rows, chunk by chunk.
func (s *Service) trim(ctx context.Context, next func(*db.Queries) (int64, error)) (removed int64, err error) {
	for {
		var chunk int64
		err := s.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
			locked, err := q.TryLockCleanUp(ctx)
			if err != nil || !locked {
				return err
			}
			chunk, err = next(q)
			return err
		})
		if err != nil {
			return removed, err
		}
		if removed += chunk; chunk < trimChunk {
			return removed, nil
		}
	}
}
