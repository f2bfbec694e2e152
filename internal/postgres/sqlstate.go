package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that the server acts on, and those that functions of the SQL contract raise, under PostgreSQL's names for them
// (appendix A of its manual). They are written nowhere else.
const (
	ProtocolViolation            = "08P01" // also the answer of PgBouncer to everything that it refuses
	CardinalityViolation         = "21000"
	InvalidParameterValue        = "22023"
	UniqueViolation              = "23505"
	CheckViolation               = "23514"
	ReadOnlyTransaction          = "25006" // a standby, or a primary that was demoted
	IdleInTransactionTimeout     = "25P03"
	InvalidPassword              = "28P01"
	InvalidSchemaName            = "3F000"
	SerializationFailure         = "40001"
	DeadlockDetected             = "40P01"
	InsufficientPrivilege        = "42501"
	UndefinedTable               = "42P01"
	DiskFull                     = "53100"
	TooManyConnections           = "53300" // a limit of the server, the role or the database
	ProgramLimitExceeded         = "54000" // the queue of pg_notify is full, because somebody listens in a transaction that stays open
	ObjectNotInPrerequisiteState = "55000"
	LockNotAvailable             = "55P03" // lock_timeout ended the wait
	QueryCanceled                = "57014" // statement_timeout ended the statement
	AdminShutdown                = "57P01"
	CrashShutdown                = "57P02"
	CannotConnectNow             = "57P03" // the server starts or stops
	IdleSessionTimeout           = "57P05"
	NoDataFound                  = "P0002"
)

// State returns the SQLSTATE of an error that came from the database, or "" for any other.
func State(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// EndsSession reports whether the server ends the session after an answer with this SQLSTATE.
func EndsSession(state string) bool { return strings.HasPrefix(state, "57P") }

// statePasses reports whether the same call may succeed a little later.
func statePasses(state string) bool {
	switch state {
	case SerializationFailure, DeadlockDetected, LockNotAvailable, QueryCanceled, IdleInTransactionTimeout,
		AdminShutdown, CrashShutdown, CannotConnectNow, IdleSessionTimeout, ReadOnlyTransaction:
		return true
	}
	const connection, resources = "08", "53" // classes
	return strings.HasPrefix(state, connection) || strings.HasPrefix(state, resources)
}
