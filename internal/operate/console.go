package operate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	consoleRows   = 200             // rows of a view that are shown
	consoleTime   = 2 * time.Second // limit of a statement of the console, which the server sees to
	consoleTurn   = time.Second     // limit of the wait for one's turn
	consoleAsk    = 4 * time.Second // limit of a question after that: the server ends its statement first
	consoleAge    = time.Second     // time for which an answer is given again
	consoleFilter = 100             // characters of a text that rows are filtered by
	consoleText   = 5000            // characters of an argument; the database has limits of its own
	consoleFollow = 20              // commands that are followed at once
)

// consoleView is a view that the console shows: which of its rows, and in which order. What grows for years is cut by time, so that the
// count of rows stays cheap.
type consoleView struct{ name, where, order string }

var consoleViews = []consoleView{
	{"replicas", "", "address"},
	{"health", "", `status = 'ok', status = 'warn', "check"`},
	{"projects_live", "", "connections DESC, last_change_at DESC NULLS LAST"},
	{"who", "", "joined_at DESC"},
	{"builds", "finished_at IS NULL OR finished_at > now() - interval '1 hour'", "finished_at DESC NULLS FIRST, requested_at"},
	{"commands", "at > now() - interval '7 days'", "id DESC"},
	{"sessions", "ended_at IS NULL AND expires_at > now()", "created_at DESC"},
	{"mcp_sessions", "", "seen_at DESC"},
}

// consoleArgument is an argument of a function, under the name and type that it has there.
type consoleArgument struct {
	name, kind string
	optional   bool
}

var reason = consoleArgument{"reason", "text", true}

// consoleFunctions are the functions that the console calls, with their arguments.
var consoleFunctions = map[string][]consoleArgument{
	"kick":         {{"connection_id", "uuid", false}, reason},
	"kick_user":    {{"user_id", "text", false}, reason},
	"drain":        {{"replica", "text", false}, {"spread", "interval", true}},
	"undrain":      {{"replica", "text", false}},
	"cancel_build": {{"project", "integer", false}, {"node", "text", false}},
	"end_sessions": {{"account", "text", false}, reason},
	"disable_user": {{"account", "text", false}, reason},
	"enable_user":  {{"account", "text", false}},
}

// ConsoleFunctions returns the names of the functions that a Console calls.
func ConsoleFunctions() []string { return slices.Sorted(maps.Keys(consoleFunctions)) }

// Question is what an operator wants to see.
type Question struct {
	View    string            // name of a view, or "all" for all that the console shows
	Filters map[string]string // texts that rows must have, in any case, by the name of the view
	Follow  []int64           // commands to show, too, however old
}

// Notice is what the database says beside an answer.
type Notice struct {
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
	SQLState string `json:"sqlstate"`
}

// Answer is what a function of the schema layercake answered.
type Answer struct {
	Result  string   `json:"result"` // as PostgreSQL writes it; empty for a function that returns nothing
	Notices []Notice `json:"notices"`
}

// Console shows operators the views of the schema layercake, and calls its functions for them, as the database role of the replica. It
// shares the pool of the replica's own work, where no request of a client is, and takes one of its connections at most, so that however
// many look, leases are renewed.
type Console struct {
	db *postgres.Pool

	turn   chan struct{} // capacity 1: lock of the next fields, held by whoever asks the database
	key    string        // question that was answered last
	answer []byte
	at     time.Time
}

// NewConsole returns a Console that has not been asked for anything.
func NewConsole(db *postgres.Pool) *Console {
	return &Console{db: db, turn: make(chan struct{}, 1)}
}

// Show returns what the views have, as JSON that PostgreSQL makes in one statement: time, role, functions that the role may call, all
// replicas, and for each view its rows, at most 200, their number, and the statement. It fails with the fault NotFound for a view that is
// not shown, with BadRequest for a filter that nobody needs, and otherwise as the database does.
func (c *Console) Show(ctx context.Context, q Question) ([]byte, error) {
	sql, args, err := q.statement()
	if err != nil {
		return nil, err
	}
	ctx, end, err := c.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	key := fmt.Sprintf("%q", append([]any{sql}, args...))
	if key == c.key && time.Since(c.at) < consoleAge {
		return c.answer, nil
	}
	var answer []byte
	err = c.db.Do(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			if err := limit(ctx, tx, ""); err != nil {
				return err
			}
			return tx.QueryRow(ctx, sql, args...).Scan(&answer)
		})
	})
	if err != nil {
		return nil, err
	}
	c.key, c.answer, c.at = key, answer, time.Now()
	return answer, nil
}

// Call calls a function with arguments by their names. Client is where it is asked for, which layercake.commands shows. It fails with the
// fault NotFound for a function that the console does not call, with BadRequest for arguments that it does not have, and otherwise as the
// database does: a value of the wrong type is PostgreSQL's to refuse.
func (c *Console) Call(ctx context.Context, function string, arguments map[string]string, client string) (Answer, error) {
	sql, args, err := call(function, arguments)
	if err != nil {
		return Answer{}, err
	}
	ctx, end, err := c.takeTurn(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer end()
	c.key = "" // what is shown next shows this, too
	a := Answer{Notices: []Notice{}}
	err = c.db.Do(ctx, func(conn *pgx.Conn) error {
		return postgres.HearNotices(conn, func(n *pgconn.Notice) {
			a.Notices = append(a.Notices, Notice{n.Severity, n.Message, n.Hint, n.Code})
		}, func() error {
			return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				if err := limit(ctx, tx, client); err != nil {
					return err
				}
				rows, err := tx.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
				if err != nil {
					return err
				}
				defer rows.Close()
				if rows.Next() {
					a.Result = string(rows.RawValues()[0])
				}
				rows.Close()
				return rows.Err()
			})
		})
	})
	return a, err
}

// takeTurn waits until nobody else asks, and returns the context for what is asked. The caller ends the turn. Whoever hangs up waits no
// longer, but what has begun goes on until the server ends it: the page asks anew with each letter of a filter, and a statement that is
// broken off costs the pool a connection.
func (c *Console) takeTurn(ctx context.Context) (asking context.Context, end func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, consoleTurn)
	defer cancel()
	select {
	case c.turn <- struct{}{}:
	case <-waiting.Done():
		return nil, nil, postgres.Classify(waiting, fmt.Errorf("wait for others who ask: %w", waiting.Err()))
	}
	asking, stop := context.WithTimeout(context.WithoutCancel(ctx), consoleAsk)
	return asking, func() { stop(); <-c.turn }, nil
}

// limit gives the statements of a transaction a time, lets the server say what it has to say, and notes where a command comes from.
func limit(ctx context.Context, tx pgx.Tx, client string) error {
	_, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', $1, true), set_config('client_min_messages', 'notice', true),
		set_config('layercake.client', $2, true)`, fmt.Sprint(consoleTime.Milliseconds()), client)
	return err
}

// allViews stands for all views.
const allViews = "all"

func (q Question) wants(v consoleView) bool { return q.View == allViews || q.View == v.name }

// statement returns the statement that answers the question, and its arguments.
func (q Question) statement() (sql string, args []any, err error) {
	if len(q.Follow) > consoleFollow {
		return "", nil, fault.New(fault.BadRequest, fmt.Sprintf("%d commands are followed at once, at most %d", len(q.Follow), consoleFollow))
	}
	for name, filter := range q.Filters {
		if !slices.ContainsFunc(consoleViews, func(v consoleView) bool { return v.name == name && q.wants(v) }) {
			return "", nil, fault.New(fault.BadRequest, fmt.Sprintf("There is no view %q here to filter", fault.Clip(name)))
		}
		if err := fault.CheckText("The filter of "+name, filter, consoleFilter); err != nil {
			return "", nil, err
		}
	}
	args = []any{ConsoleFunctions(), q.Follow}
	var parts []string
	for _, v := range consoleViews {
		if !q.wants(v) {
			continue
		}
		filter := q.Filters[v.name]
		args = append(args, filter, v.shown(filter))
		// Written out for each of them, an empty filter is no reason for another statement.
		condition := fmt.Sprintf("($%d::text = '' OR strpos(lower(v::text), lower($%[1]d::text)) > 0)", len(args)-1)
		if v.where != "" {
			condition += " AND (" + v.where + ")"
		}
		parts = append(parts, fmt.Sprintf(`'%[1]s', (SELECT json_build_object('total', coalesce(max(r.total), 0), 'sql', $%[2]d::text,
			'rows', coalesce(json_agg(r.found), '[]')) FROM (SELECT v AS found, count(*) OVER () AS total FROM layercake.%[1]s v
			WHERE %[3]s ORDER BY %[4]s LIMIT %[5]d) r)`, v.name, len(args), condition, v.order, consoleRows))
	}
	if len(parts) == 0 {
		return "", nil, fault.New(fault.NotFound, fmt.Sprintf("No view %q is shown here", fault.Clip(q.View)))
	}
	return `SELECT json_build_object('at', statement_timestamp(), 'role', session_user, 'database', current_database(),
		'may', (SELECT coalesce(json_agg(p.proname ORDER BY p.proname), '[]') FROM pg_proc p WHERE p.pronamespace = 'layercake'::regnamespace
			AND p.proname = ANY ($1::text[]) AND has_function_privilege(p.oid, 'EXECUTE')),
		'replicas', (SELECT coalesce(json_agg(json_build_object('replica', r.replica, 'address', r.address, 'state', r.state)), '[]')
			FROM (SELECT * FROM layercake.replicas r ORDER BY r.address LIMIT 1000) r),
		'followed', (SELECT coalesce(json_agg(c ORDER BY c.id), '[]') FROM layercake.commands c WHERE c.id = ANY ($2::bigint[])),
		'views', json_build_object(` + strings.Join(parts, ",\n") + `))::text`, args, nil
}

// shown returns the statement of a view as somebody would type it.
func (v consoleView) shown(filter string) string {
	where := v.where
	if filter != "" {
		if where != "" {
			where = "(" + where + ") AND "
		}
		where += fmt.Sprintf("strpos(lower(v::text), lower('%s')) > 0", strings.ReplaceAll(filter, "'", "''"))
	}
	if where != "" {
		where = " WHERE " + where
	}
	return fmt.Sprintf("SELECT * FROM layercake.%s v%s ORDER BY %s LIMIT %d;", v.name, where, v.order, consoleRows)
}

// call returns the statement that calls a function, and its arguments.
func call(function string, arguments map[string]string) (sql string, args []any, err error) {
	known, ok := consoleFunctions[function]
	if !ok {
		return "", nil, fault.New(fault.NotFound, fmt.Sprintf("No function %q is called here", fault.Clip(function)))
	}
	for name := range arguments {
		if !slices.ContainsFunc(known, func(a consoleArgument) bool { return a.name == name }) {
			return "", nil, fault.New(fault.BadRequest, fmt.Sprintf("%s has no argument %q", function, fault.Clip(name)))
		}
	}
	var named []string
	for _, a := range known {
		value, given := arguments[a.name]
		if !given && !a.optional {
			return "", nil, fault.New(fault.BadRequest, fmt.Sprintf("%s needs %s", function, a.name))
		}
		if !given {
			continue // it has a default
		}
		if err := fault.CheckText(a.name, value, consoleText); err != nil {
			return "", nil, err
		}
		args = append(args, value)
		// By way of a text, so that the server itself says what is wrong with a value.
		named = append(named, fmt.Sprintf("%s => $%d::text::%s", a.name, len(args), a.kind))
	}
	return fmt.Sprintf("SELECT layercake.%s(%s)", function, strings.Join(named, ", ")), args, nil
}
