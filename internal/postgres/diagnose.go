package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Finding is a row of the view layercake.health, where the checks are written.
type Finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or fail
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // empty when all is well
}

// ErrNoContract says that a database lacks the view.
var ErrNoContract = errors.New("this database has no view layercake.health: run `layercake migrate`, or name another database")

// Diagnose returns what the view layercake.health finds.
func Diagnose(ctx context.Context, conn *pgx.Conn) ([]Finding, error) {
	rows, err := conn.Query(ctx, `SELECT "check", status, detail, coalesce(advice, '') FROM layercake.health`)
	if err != nil {
		return nil, missing(err)
	}
	findings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
	return findings, missing(err)
}

func missing(err error) error {
	if state := State(err); state == UndefinedTable || state == InvalidSchemaName {
		return ErrNoContract
	}
	return err
}
