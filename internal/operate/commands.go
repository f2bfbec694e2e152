package operate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/presence"
	"layercake/internal/socket"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	pollEvery = 750 * time.Millisecond // a command whose line was lost is seen within a second
	pollPause = 250 * time.Millisecond // least time between two looks: anybody can say that there is a command
	pollTime  = 3 * time.Second
	tooOld    = time.Minute // age from which a command is not acted on any more
	maxKind   = 64          // bytes of the kind of a command in a line
)

// The outcomes of commands, for the metrics.
const (
	outcomeActed   = "acted"
	outcomeNobody  = "nobody"  // there was no connection to close, and no guest to remove
	outcomeUnknown = "unknown" // the kind of command belongs to a newer release
)

// CommanderConfig is what a Commander needs.
type CommanderConfig struct {
	DB       *postgres.Pool
	Wire     *fanout.Wire     // carries the lines that announce commands
	Sockets  *socket.Registry // all sockets of the replica, of every transport
	Presence *presence.Tracker
	Log      *slog.Logger
	Metrics  prometheus.Registerer

	Address     func() string    // address at which the replica serves clients; called after Run began
	Incarnation func() uuid.UUID // current incarnation of the replica; Nil before its first lease

	// SendAway makes the replica unready, and then sends the clients of its sockets away, over a time.
	SendAway func(ctx context.Context, reason string, spread time.Duration)
	Admit    func() // undoes SendAway

	// Woken is called when a line says that something ended, or that there is a command. It may be nil.
	Woken func()

	// CancelBuild ends the build of a node. It may be nil: then commands to do so are left to other replicas.
	CancelBuild func(ctx context.Context, projectID int32, nodeID string) error
}

// Commander acts on what operators command in SQL (migrations/api/02_commands.sql).
type Commander struct {
	cfg   CommanderConfig
	acted *prometheus.CounterVec // commands, by kind and outcome
	guard *task.Guard
	wake  chan struct{} // capacity 1: a line announced a command

	// The fields of Run's goroutine.
	began   time.Time
	results map[int64]*result // results of the commands that the table listed last
	drain   *task.Task        // closing of sockets that a drain began; nil before the first
}

// result is the outcome of a command on this replica.
type result struct {
	acted       bool // false when the command is not for this replica
	connections int  // those that were closed, and guests that were removed
	noted       bool // whether the table has it
}

// NewCommander returns a Commander that hears of commands on the wire. It starts nothing.
func NewCommander(cfg CommanderConfig) *Commander {
	c := &Commander{
		cfg: cfg, guard: task.NewGuard(cfg.Log, cfg.Metrics, "commands"), wake: make(chan struct{}, 1),
		acted: promauto.With(cfg.Metrics).NewCounterVec(prometheus.CounterOpts{
			Namespace: "layercake", Name: "commands_total", Help: "Commands of operators that this replica acted on.",
		}, []string{"kind", "outcome"}),
	}
	for kind, outcomes := range map[string][]string{
		"kick": {outcomeActed, outcomeNobody}, "kick_guest": {outcomeActed, outcomeNobody}, "kick_user": {outcomeActed, outcomeNobody},
		"drain": {outcomeActed}, "undrain": {outcomeActed}, "cancel_build": {outcomeActed}, outcomeUnknown: {outcomeUnknown},
	} {
		for _, outcome := range outcomes {
			c.acted.WithLabelValues(kind, outcome) // shown as 0 before the first one
		}
	}
	cfg.Wire.Handle(c.topic())
	return c
}

// letterCommand begins the lines that public.tell_replicas sends (migrations/api/02_commands.sql): "a <kind>" after a command of that kind
// was written to the table. Replicas read the command from the table; the kind is for people who listen to the channel.
const letterCommand = 'a'

// topic is the one on which the database sends lines. They have no numbers, so a lost one is not noticed; that is safe, because replicas
// poll the table anyway. They are not sealed, since they come from sessions of operators, which must not know the key. So any role can send
// them, and they cause nothing but a look, a few times a second at most.
func (c *Commander) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Presence, Kinds: map[byte]string{letterCommand: "command"}, FromDatabase: true,
		Hear: func(l fanout.Line) error {
			if l.Text == "" || len(l.Text) > maxKind {
				return fmt.Errorf("a command of the kind %.80q", l.Text)
			}
			task.Wake(c.wake)
			if c.cfg.Woken != nil {
				c.cfg.Woken()
			}
			return nil
		},
	}
}

// Run acts on commands until ctx ends: at once when a line announces one, and within a second when that line was lost. A command that comes
// right after another one waits for a moment.
func (c *Commander) Run(ctx context.Context) error {
	c.began = time.Now()
	defer func() { _ = c.drain.Stop() }() // a drain never fails
	polling := outage.New(c.cfg.Log, "cannot look for commands, trying again", "")
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		polling.Note(ctx, c.guard.Do(func() error { return c.poll(ctx) }))
		task.Pause(ctx, pollPause)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-c.wake:
		}
	}
}

// poll acts on each command once, and notes that in the table. When noting fails, the next poll repeats it without acting again.
func (c *Commander) poll(ctx context.Context) error {
	incarnation := c.cfg.Incarnation()
	if incarnation == uuid.Nil {
		return nil // no command can name this replica yet
	}
	query, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	return c.cfg.DB.Query(query, func(q *db.Queries) error {
		// Commands from before this replica began are not for it: a user who was kicked and came back here is not kicked again.
		within := min(time.Since(c.began), tooOld)
		rows, err := q.ListCommands(query, db.ListCommandsParams{Incarnation: incarnation, WithinSeconds: within.Seconds()})
		if err != nil {
			return err
		}
		var failed error
		known := c.results
		c.results = make(map[int64]*result, len(rows))
		for _, row := range rows {
			r := known[row.ID]
			if r == nil {
				r = new(result) // what a panic leaves: the command is not acted on again, and not noted as acted on
				err := c.guard.Do(func() (err error) { r, err = c.act(ctx, q, row, incarnation); return err })
				if errors.Is(err, errTaken) {
					continue
				}
				if err != nil && !errors.As(err, new(*task.Panic)) {
					failed = errors.Join(failed, err)
					continue // nothing was done: the next poll tries again
				}
			}
			c.results[row.ID] = r
		}
		for id, r := range c.results {
			if !r.acted || r.noted {
				continue
			}
			note := db.UpdateCommandActedParams{ID: id, Address: c.cfg.Address(), Connections: int32(r.connections)}
			if err := q.UpdateCommandActed(query, note); err != nil {
				return err
			}
			r.noted = true
		}
		return failed
	})
}

// act does what a command asks of this replica. It does not wait for clients. An error means that it has done nothing.
func (c *Commander) act(ctx context.Context, q *db.Queries, row db.ListCommandsRow, incarnation uuid.UUID) (*result, error) {
	r := &result{acted: true}
	kind, outcome := row.Kind, outcomeActed
	var err error
	switch kind {
	case "kick_guest":
		// Every replica has this command, and one of them finds the row. The streams of the guest may be on any.
		if r.connections, err = c.kickGuests(ctx, q, row, row.ConnectionID, nil); err != nil {
			return nil, err
		}
		r.connections += c.cfg.Sockets.Kick(func(s *socket.Socket) bool { return s.HasGuest(*row.ConnectionID) }, text(row.Reason))
	case "kick":
		r.connections = c.cfg.Sockets.Kick(func(s *socket.Socket) bool { return s.ID() == *row.ConnectionID }, text(row.Reason))
		// The connection decides, not the incarnation: the replica may have begun another one since the command was issued.
		r.acted = r.connections > 0 || *row.Incarnation == incarnation
	case "kick_user":
		if r.connections, err = c.kickGuests(ctx, q, row, nil, row.UserID); err != nil {
			return nil, err
		}
		r.connections += c.cfg.Sockets.Kick(func(s *socket.Socket) bool { return s.User() == *row.UserID }, text(row.Reason))
	case "drain":
		r.connections = c.cfg.Sockets.Count()
		c.startDrain(ctx, "drained by "+row.IssuedBy, time.Duration(row.SpreadSeconds*float64(time.Second)))
	case "undrain":
		_ = c.drain.Stop()
		c.cfg.Admit()
	case "cancel_build":
		if c.cfg.CancelBuild == nil {
			return &result{}, nil
		}
		if r.acted, err = c.cancelBuild(ctx, row); err != nil {
			return nil, err
		}
		r.noted = r.acted
	default:
		r.acted, kind, outcome = false, outcomeUnknown, outcomeUnknown
	}
	if !r.acted && kind != outcomeUnknown {
		return r, nil
	}
	if strings.HasPrefix(kind, "kick") && r.connections == 0 {
		outcome = outcomeNobody
	}
	c.acted.WithLabelValues(kind, outcome).Inc()
	c.cfg.Log.InfoContext(ctx, "an operator commanded", "command", row.ID, "kind", row.Kind, "issued_by", row.IssuedBy, "outcome", outcome,
		"connections", r.connections)
	return r, nil
}

// kickGuests removes a guest, or those of a user, unless they came back since the command.
func (c *Commander) kickGuests(ctx context.Context, q *db.Queries, row db.ListCommandsRow, guest *uuid.UUID, user *string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	return c.cfg.Presence.KickGuests(ctx, q, guest, user, row.At)
}

// errTaken is the error of act when another replica acts on the command now. Unless that one fails, the next poll finds it done.
var errTaken = errors.New("another replica acts on the command")

// cancelTime is what the cancelling of a build may take: the transaction that holds the lock of the command is idle meanwhile.
const cancelTime = 1500 * time.Millisecond

// cancelBuild ends a build, unless another replica did. Every replica has the command, and the one that locks it acts: a second one would
// end a build that somebody asked for since.
func (c *Commander) cancelBuild(ctx context.Context, row db.ListCommandsRow) (acted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, cancelTime)
	defer cancel()
	err = c.cfg.DB.InTx(ctx, func(q *db.Queries) error {
		acted = false
		actedAt, err := q.LockCommand(ctx, row.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			return errTaken
		}
		if err != nil || actedAt != nil {
			return err
		}
		if err := c.cfg.CancelBuild(ctx, *row.ProjectID, *row.NodeID); err != nil {
			return fmt.Errorf("cancel a build: %w", err)
		}
		acted = true
		return q.UpdateCommandActed(ctx, db.UpdateCommandActedParams{ID: row.ID, Address: c.cfg.Address()})
	})
	return acted && err == nil, err
}

// startDrain begins to send the clients of sockets to other replicas. Plain requests are served as before. The next renewal of the
// lease shows the drain. A second drain replaces the first, since it may have to be over sooner.
func (c *Commander) startDrain(ctx context.Context, reason string, spread time.Duration) {
	_ = c.drain.Stop()
	c.drain = task.Go(ctx, func(ctx context.Context) error {
		return c.guard.Do(func() error { c.cfg.SendAway(ctx, reason, spread); return nil })
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
