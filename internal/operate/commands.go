package operate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/socket"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	pollEvery = 750 * time.Millisecond // so that a line that was lost is made up for within a second
	pollTime  = 3 * time.Second
	tooOld    = time.Minute // a command that nobody saw by then is not acted on
)

// What came of commands, for the metrics.
const (
	outcomeActed   = "acted"
	outcomeNobody  = "nobody"  // there was no connection to close
	outcomeUnknown = "unknown" // a newer schema knows the kind
)

// CommanderConfig is what a Commander works with.
type CommanderConfig struct {
	DB      *postgres.Pool
	Wire    *fanout.Wire     // brings word of commands
	Sockets *socket.Registry // all of the replica, of whatever kind
	Log     *slog.Logger
	Metrics prometheus.Registerer

	Address     func() string    // that the replica serves clients at; asked after Run began
	Incarnation func() uuid.UUID // of the replica now; Nil before its first lease

	SendAway func(ctx context.Context, why string, spread time.Duration) // makes the replica unready, then sends the clients of sockets away
	Admit    func()                                                      // undoes that
}

// Commander acts on what operators command in SQL (migrations/api/02_commands.sql).
type Commander struct {
	cfg   CommanderConfig
	acted *prometheus.CounterVec // by kind and outcome
	wake  chan struct{}          // capacity 1: something was commanded

	// Of Run's goroutine.
	began   time.Time
	results map[int64]*result // of the commands that the table listed last
	drain   *task.Task        // the closing of sockets that a drain began; nil before the first
}

// result is what came of a command on this replica.
type result struct {
	acted       bool // else the command is not for this replica
	connections int
	noted       bool // in the table
}

// NewCommander returns a Commander that hears of commands on the wire. It starts nothing.
func NewCommander(cfg CommanderConfig) *Commander {
	c := &Commander{
		cfg: cfg, wake: make(chan struct{}, 1),
		acted: promauto.With(cfg.Metrics).NewCounterVec(prometheus.CounterOpts{
			Namespace: "layercake", Name: "commands_total", Help: "Commands of operators that this replica acted on.",
		}, []string{"kind", "outcome"}),
	}
	for kind, outcomes := range map[string][]string{
		"kick": {outcomeActed, outcomeNobody}, "kick_user": {outcomeActed, outcomeNobody}, "drain": {outcomeActed},
		"undrain": {outcomeActed}, outcomeUnknown: {outcomeUnknown},
	} {
		for _, outcome := range outcomes {
			c.acted.WithLabelValues(kind, outcome) // 0 is a value too
		}
	}
	cfg.Wire.Handle(c.topic())
	return c
}

// letterCommand begins the lines that public.tell_replicas says (migrations/api/02_commands.sql): a <kind>, for a command of that kind
// was written to the table. Which one, the table says; the kind is there for people who listen.
const letterCommand = 'a'

// topic is what the database says to replicas. Nobody notices when such a line is lost: replicas look soon enough without it.
func (c *Commander) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Presence, Kinds: map[byte]string{letterCommand: "command"}, FromDatabase: true,
		Hear: func(l fanout.Line) error {
			if l.Text == "" {
				return errors.New("a command of no kind")
			}
			select {
			case c.wake <- struct{}{}:
			default:
			}
			return nil
		},
	}
}

// Run acts on commands until ctx ends: at once when a line says so, and on those whose line was lost within a second.
func (c *Commander) Run(ctx context.Context) error {
	c.began = time.Now()
	defer func() { _ = c.drain.Stop() }() // it never fails
	polling := outage.New(c.cfg.Log, "cannot look for commands, trying again", "")
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		polling.Note(ctx, c.poll(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-c.wake:
		}
	}
}

// poll acts on each command once, and notes it in the table, if need be later.
func (c *Commander) poll(ctx context.Context) error {
	incarnation := c.cfg.Incarnation()
	if incarnation == uuid.Nil {
		return nil // nobody can mean this replica yet
	}
	query, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	return c.cfg.DB.Query(query, func(q *db.Queries) error {
		// What was commanded before this replica began is not for it: who comes back to it after being kicked is not kicked again.
		within := min(time.Since(c.began), tooOld)
		rows, err := q.ListCommands(query, db.ListCommandsParams{Incarnation: incarnation, WithinSeconds: within.Seconds()})
		if err != nil {
			return err
		}
		known := c.results
		c.results = make(map[int64]*result, len(rows))
		for _, row := range rows {
			r := known[row.ID]
			if r == nil {
				r = c.act(ctx, row, incarnation)
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
		return nil
	})
}

// act does what a command asks of this replica. It does not wait for clients.
func (c *Commander) act(ctx context.Context, row db.ListCommandsRow, incarnation uuid.UUID) *result {
	r := &result{acted: true}
	kind, outcome := row.Kind, outcomeActed
	switch kind {
	case "kick":
		r.connections = c.cfg.Sockets.Kick(func(s *socket.Socket) bool { return s.ID() == *row.ConnectionID }, text(row.Reason))
		// The connection decides, not the incarnation of its replica: that may have been another when the command was issued.
		r.acted = r.connections > 0 || *row.Incarnation == incarnation
	case "kick_user":
		r.connections = c.cfg.Sockets.Kick(func(s *socket.Socket) bool { return s.User() == *row.UserID }, text(row.Reason))
	case "drain":
		r.connections = c.cfg.Sockets.Count()
		c.startDrain(ctx, "drained by "+row.IssuedBy, time.Duration(row.SpreadSeconds*float64(time.Second)))
	case "undrain":
		_ = c.drain.Stop()
		c.cfg.Admit()
	default:
		r.acted, kind, outcome = false, outcomeUnknown, outcomeUnknown
	}
	if !r.acted && kind != outcomeUnknown {
		return r
	}
	if (kind == "kick" || kind == "kick_user") && r.connections == 0 {
		outcome = outcomeNobody
	}
	c.acted.WithLabelValues(kind, outcome).Inc()
	c.cfg.Log.InfoContext(ctx, "an operator commanded", "command", row.ID, "kind", row.Kind, "issued_by", row.IssuedBy, "outcome", outcome,
		"connections", r.connections)
	return r
}

// startDrain begins to send the clients of sockets to other replicas. Plain requests are served as before. The next renewal of the
// lease says so, too. A second drain may be in more of a hurry than the one before.
func (c *Commander) startDrain(ctx context.Context, why string, spread time.Duration) {
	_ = c.drain.Stop()
	c.drain = task.Go(ctx, func(ctx context.Context) error {
		c.cfg.SendAway(ctx, why, spread)
		return nil
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
