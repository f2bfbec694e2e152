package fanout

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestReasonOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		failQueueFull:  &pgconn.PgError{Code: postgres.ProgramLimitExceeded},
		failTimeout:    fmt.Errorf("exec: %w", context.DeadlineExceeded),
		failRefused:    &pgconn.PgError{Code: postgres.ReadOnlyTransaction},
		failConnection: errors.New("broken pipe"),
	} {
		if got := reasonOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if got := reasonOf(&pgconn.PgError{Code: postgres.AdminShutdown}); got != failConnection {
		t.Errorf("a backend that is terminated: %s, want %s", got, failConnection)
	}
	if got := reasonOf(&pgconn.PgError{Code: postgres.QueryCanceled}); got != failTimeout {
		t.Errorf("statement_timeout: %s, want %s", got, failTimeout)
	}
}
