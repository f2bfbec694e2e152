package hostile

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// insufficientPrivilege is the SQLSTATE of what a role may not do.
const insufficientPrivilege = "42501"

// The database, to a role that may read what DBAs read, and nothing else.
var readerAttacks = []attack{
	{
		name: "reader-curious", threat: "D2", alone: true,
		summary: "a role that grant_reader let in asks for tables, keys and what is said, and gives commands",
		do:      (*assault).readMore,
	},
}

// readMore asks as a reader for what readers may have, and for what they may not.
func (a *assault) readMore(ctx context.Context) error {
	conn, err := a.session(ctx, a.reader)
	if err != nil {
		return err
	}
	for statement, allowed := range map[string]bool{
		"SELECT count(*) FROM layercake.who":                     true,
		"SELECT count(*) FROM layercake.plan_history":            true,
		"SELECT count(*) FROM layercake.health":                  true,
		"SELECT key FROM wire_keys":                              false,
		"SELECT body FROM events":                                false,
		"SELECT * FROM presence":                                 false,
		"SELECT * FROM cleanups FOR UPDATE":                      false,
		"UPDATE heads SET version = 0":                           false,
		"DELETE FROM projects":                                   false,
		"SELECT layercake.kick(gen_random_uuid())":               false,
		"SELECT layercake.kick_user('honest-1')":                 false,
		"SELECT layercake.drain('127.0.0.1:3000')":               false,
		"SELECT layercake.grant_operator(current_user::regrole)": false,
		"CREATE FUNCTION public.mine() RETURNS int RETURN 1":     false,
		"CREATE VIEW layercake.mine AS SELECT 1":                 false,
	} {
		_, err := conn.Exec(ctx, statement)
		var refusal *pgconn.PgError
		switch {
		case err == nil:
			a.sent("allowed")
		case errors.As(err, &refusal) && refusal.Code == insufficientPrivilege:
			a.sent("refused")
		default:
			return fmt.Errorf("%s: %w", statement, err)
		}
		if (err == nil) != allowed {
			a.wrong("a reader asked for %s: %v", statement, err)
		}
	}
	return nil
}
