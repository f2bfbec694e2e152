package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Session describes a connection of ours. Every setting that the design depends on is set for each session here, because roles and
// databases have defaults that people chose for other programs.
type Session struct {
	Application       string        // name in pg_stat_activity
	Statement         time.Duration // time-out of the server; 0 for none, like the next ones
	Lock              time.Duration
	IdleInTransaction time.Duration
	Forgetful         bool // whether its commits need not survive a crash of the server
	Queries           bool // whether it looks rows up, again and again with the same statements
	Pooled            bool // whether it leads through a pooler in transaction mode, which lends each transaction another session of the server
}

// tracked are settings that a pooler in transaction mode keeps for each of its clients; it refuses all others.
var tracked = map[string]string{
	"client_encoding":             "UTF8", // under any other encoding, texts would be encoded twice
	"TimeZone":                    "UTC",
	"standard_conforming_strings": "on", // what pgx and the migrations write takes backslashes for backslashes
}

// settings are all others. Values come and go in binary, so that nothing depends on how the server writes dates, floats or bytes.
// A default_transaction_read_only is left alone: an operator who freezes a database means replicas, too.
func (s Session) settings() map[string]string {
	return map[string]string{
		"default_transaction_isolation":       "read committed", // statements behind a lock see what was committed before it was given
		"search_path":                         "public",         // where the tables are; the SQL contract names it
		"statement_timeout":                   timeout(s.Statement),
		"lock_timeout":                        timeout(s.Lock),
		"idle_in_transaction_session_timeout": timeout(s.IdleInTransaction),
	}
}

// steadyPlans keep statements on indexes, and on the order of these. A session keeps its plans: one that was made while a table was nearly
// empty would go on reading all of it, or sorting all events of a project for the newest ten, for long after it has grown. What no index
// can answer still reads whole tables, at a price that would call for compilation. Roles behind a pooler need not have them.
var steadyPlans = map[string]string{"enable_seqscan": "off", "enable_bitmapscan": "off", "jit": "off"}

// off are time-outs that are switched off where the version of PostgreSQL has them: settings above has our own, and a session may be idle
// for any time.
var off = []string{"idle_session_timeout", "transaction_timeout"}

// timeout writes a time as the server does, so that the two can be compared.
func timeout(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "min"
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	default:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
}

// Connect opens one session. The caller closes it.
func (s Session) Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	cfg, err := s.Parse(url)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// Parse returns the configuration that opens such sessions. Its error says what is wrong with the URL, without a password.
func (s Session) Parse(url string) (*pgx.ConnConfig, error) {
	if err := CheckURL(url); err != nil {
		return nil, fmt.Errorf("the database URL %w", err)
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err // never: CheckURL parses, too
	}
	s.configure(cfg)
	return cfg, nil
}

// configure adds the settings to the configuration of a URL. They overrule the URL, the role and the database.
func (s Session) configure(cfg *pgx.ConnConfig) {
	cfg.ConnectTimeout = connectTimeout
	maps.Copy(cfg.RuntimeParams, tracked)
	cfg.RuntimeParams["application_name"] = s.Application
	if s.Pooled {
		// A prepared statement belongs to a session of the server, and the next transaction may get another session.
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		maps.Copy(cfg.RuntimeParams, s.settings())
		if s.Forgetful {
			cfg.RuntimeParams["synchronous_commit"] = "off"
		}
		if s.Queries {
			maps.Copy(cfg.RuntimeParams, steadyPlans)
		}
	}
	cfg.AfterConnect = s.check
}

// check compares the settings of a new session with those that must hold, and sets those that depend on the server's version, which is
// known only now.
func (s Session) check(ctx context.Context, conn *pgconn.PgConn) error {
	want := s.settings()
	maps.Copy(want, tracked)
	names := slices.Concat(slices.Sorted(maps.Keys(want)), off, []string{"synchronous_commit", "server_encoding"})
	// Each setting is a row of its own. One that this version does not have is null.
	const ask = "SELECT name, current_setting(name, true), session_user, current_database() FROM unnest(ARRAY['%s']) name"
	results, err := conn.Exec(ctx, fmt.Sprintf(ask, strings.Join(names, "','"))).ReadAll()
	if err != nil {
		return fmt.Errorf("read the settings of the session: %w", err)
	}
	var wrong []deviation
	var mend []string
	for _, row := range results[0].Rows {
		name, value := string(row[0]), string(row[1])
		d := deviation{name: name, value: value, want: want[name], role: string(row[2]), database: string(row[3])}
		switch {
		case name == "server_encoding":
			if value != "UTF8" {
				return fmt.Errorf("the database %q stores texts as %s: make one with ENCODING 'UTF8' TEMPLATE template0, and restore a dump there",
					d.database, value)
			}
			continue
		case name == "synchronous_commit":
			if s.Forgetful || value != "off" {
				continue
			}
			// Otherwise, after a crash of the server, versions that were answered would be given to other events.
			d.want = "on"
		case slices.Contains(off, name):
			if row[1] == nil || value == "0" {
				continue
			}
			d.want = "0"
		case value == d.want:
			continue
		default:
			wrong = append(wrong, d)
			continue
		}
		if s.Pooled {
			wrong = append(wrong, d)
		} else {
			mend = append(mend, fmt.Sprintf("SET %s = %s", d.name, d.want))
		}
	}
	if len(wrong) > 0 {
		return &lostSettings{wrong: wrong, pooled: s.Pooled}
	}
	if len(mend) == 0 {
		return nil
	}
	if _, err := conn.Exec(ctx, strings.Join(mend, ";")).ReadAll(); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	return nil
}

// deviation is a setting that is not what it must be.
type deviation struct{ name, value, want, role, database string }

// lostSettings says that sessions do not have the settings that the design depends on: a pooler opened them.
type lostSettings struct {
	wrong  []deviation
	pooled bool
}

// Error says which settings are wrong. Behind a pooler that is known to be there, it says what sets them.
func (e *lostSettings) Error() string {
	var b strings.Builder
	b.WriteString("these settings of the database session are wrong:")
	for _, d := range e.wrong {
		fmt.Fprintf(&b, " %s is %q instead of %q;", d.name, d.value, d.want)
	}
	if !e.pooled {
		return strings.TrimSuffix(b.String(), ";") + ": " + poolerAdvice
	}
	b.WriteString(" a pooler in transaction mode does not pass them on, so the role must have them. Run these, then RECONNECT in the pooler:")
	for _, d := range e.wrong {
		fmt.Fprintf(&b, "\nALTER ROLE %s IN DATABASE %s SET %s = '%s';",
			pgx.Identifier{d.role}.Sanitize(), pgx.Identifier{d.database}.Sanitize(), d.name, d.want)
	}
	return b.String()
}

// poolerAdvice is for operators whose URL leads through a pooler that the replica was not told of.
const poolerAdvice = "the URL seems to lead through a pooler. For one in transaction mode set LAYERCAKE_POOLER=transaction, " +
	"and LAYERCAKE_LISTEN_DATABASE_URL to the address of the server itself"

// Advise adds to an error of connecting what to do about it, where that is known. The words of the server stay in the error.
func Advise(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch {
	case pg.Code == ProtocolViolation && strings.Contains(pg.Message, "startup parameter"):
		return fmt.Errorf("%w: %s", err, poolerAdvice)
	case refused(err):
		return fmt.Errorf("%w: %s", err, refusedAdvice)
	case pg.Code == ReadOnlyTransaction, pg.Code == ObjectNotInPrerequisiteState && strings.Contains(pg.Message, "recovery"):
		return fmt.Errorf("%w: this server, or what the role may do there, is read-only: name the primary, "+
			"or set default_transaction_read_only off", err)
	case pg.Code == InsufficientPrivilege && strings.Contains(pg.Message, "schema public"), pg.Code == InvalidSchemaName:
		return fmt.Errorf("%w: make the role the owner of the database, or GRANT CREATE, USAGE ON SCHEMA public TO it", err)
	}
	return err
}
