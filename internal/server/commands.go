package server

import (
	"context"
	"time"

	"layercake/internal/db"
	"layercake/internal/outage"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	lookEvery = 750 * time.Millisecond // so that a line that was lost is made up for within a second
	lookTime  = 3 * time.Second
	tooOld    = time.Minute // a command that nobody saw by then is not acted on
)

// What came of commands, for the metrics.
const (
	outcomeActed   = "acted"
	outcomeNobody  = "nobody"  // there was no connection to close
	outcomeUnknown = "unknown" // a newer schema knows the kind
)

// commander acts on what operators command in SQL (migrations/api/02_commands.sql). It is of one goroutine.
type commander struct {
	*Server
	acted *prometheus.CounterVec // by kind and outcome

	deeds    map[int64]*deed // what came of the commands that the table listed last
	began    time.Time
	shedding *task.Task // the closing of sockets that a drain began; nil before the first
}

// deed is what this replica did about a command.
type deed struct {
	acted       bool // else the command is not for this replica
	connections int
	noted       bool // in the table
}

// obey acts on commands until ctx ends: at once when a line says so, and on those whose line was lost within a second.
func (s *Server) obey(ctx context.Context) error {
	c := &commander{
		Server: s, began: time.Now(),
		acted: promauto.With(s.registry).NewCounterVec(prometheus.CounterOpts{
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
	defer func() { _ = c.shedding.Stop() }() // it never fails
	looking := outage.New(s.log, "cannot look for commands, trying again", "")
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		looking.Note(ctx, c.look(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.commands:
		}
	}
}

// look acts on each command once, and notes it in the table, if need be later.
func (c *commander) look(ctx context.Context) error {
	life := c.presence.Life()
	if life == uuid.Nil {
		return nil // nobody can mean this replica yet
	}
	query, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return c.db.System.Query(query, func(q *db.Queries) error {
		// What was commanded before this replica began is not for it: who comes back to it after being kicked is not kicked again.
		within := min(time.Since(c.began), tooOld)
		rows, err := q.ListCommands(query, db.ListCommandsParams{Life: life, WithinSeconds: within.Seconds()})
		if err != nil {
			return err
		}
		known := c.deeds
		c.deeds = make(map[int64]*deed, len(rows))
		for _, row := range rows {
			d := known[row.ID]
			if d == nil {
				d = c.act(ctx, row, life)
			}
			c.deeds[row.ID] = d
		}
		for id, d := range c.deeds {
			if !d.acted || d.noted {
				continue
			}
			note := db.UpdateCommandActedParams{ID: id, Address: c.Addr(), Connections: int32(d.connections)}
			if err := q.UpdateCommandActed(query, note); err != nil {
				return err
			}
			d.noted = true
		}
		return nil
	})
}

// act does what a command asks of this replica. It does not wait for clients.
func (c *commander) act(ctx context.Context, row db.ListCommandsRow, life uuid.UUID) *deed {
	d := &deed{acted: true}
	kind, outcome := row.Kind, outcomeActed
	switch kind {
	case "kick":
		if c.collab.Kick(*row.ConnectionID, text(row.Reason)) {
			d.connections = 1
		}
		// The connection decides, not the life of its replica: that may have been another when the command was issued.
		d.acted = d.connections > 0 || *row.Incarnation == life
	case "kick_user":
		d.connections = c.collab.KickUser(*row.UserID, text(row.Reason))
	case "drain":
		d.connections = c.graph.Sockets() + c.collab.Sockets()
		c.shed(ctx, row.IssuedBy, time.Duration(row.SpreadSeconds*float64(time.Second)))
	case "undrain":
		c.admit()
	default:
		d.acted, kind, outcome = false, outcomeUnknown, outcomeUnknown
	}
	if !d.acted && kind != outcomeUnknown {
		return d
	}
	if (kind == "kick" || kind == "kick_user") && d.connections == 0 {
		outcome = outcomeNobody
	}
	c.acted.WithLabelValues(kind, outcome).Inc()
	c.log.InfoContext(ctx, "an operator commanded", "command", row.ID, "kind", row.Kind, "issued_by", row.IssuedBy, "outcome", outcome,
		"connections", d.connections)
	return d
}

// trimCommands removes what nobody audits any more.
func (s *Server) trimCommands(ctx context.Context) (removed int64, err error) {
	err = s.db.System.Query(ctx, func(q *db.Queries) (err error) {
		removed, err = q.DeleteOldCommands(ctx)
		return err
	})
	return removed, err
}

// shed begins to send the clients of sockets to other replicas. Plain requests are served as before. The next renewal of the lease
// says so, too.
func (c *commander) shed(ctx context.Context, by string, spread time.Duration) {
	_ = c.shedding.Stop() // a second drain may be in more of a hurry
	c.shedding = task.Go(ctx, func(ctx context.Context) error {
		c.sendAway(ctx, "drained by "+by, spread, c.graph.Shed, c.collab.Shed)
		return nil
	})
}

// admit takes sockets again.
func (c *commander) admit() {
	_ = c.shedding.Stop()
	c.unready.Store(nil)
	c.graph.Admit()
	c.collab.Admit()
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
