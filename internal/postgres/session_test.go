package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// With synchronous_commit off, a crash of the server would take back changes that were answered, and give their versions to others.
func TestAnsweredChangesSurviveACrash(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	for set, want := range map[string]string{"off": "on", "remote_apply": "remote_apply"} {
		pgtest.Exec(t, pgtest.Connect(t, database), "ALTER DATABASE "+databaseOf(t, database)+" SET synchronous_commit = "+set)
		db := open(t, database)
		for pool, p := range map[string]*postgres.Pool{"requests": db.Requests, "system": db.System} {
			err := p.Do(t.Context(), func(conn *pgx.Conn) error {
				var got string
				err := conn.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&got)
				if got != want {
					t.Errorf("in pool %s synchronous_commit is %s where it was %s, want %s", pool, got, set, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func TestDatabaseOfAnotherEncodingIsRefused(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		name := "layercake_test_" + strings.ToLower(encoding)
		create := "CREATE DATABASE " + name + " ENCODING '" + encoding + "' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
		pgtest.Exec(t, conn, create)
		t.Cleanup(func() {
			if _, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		})
		other := inDatabase(t, conn.Config().ConnString(), name)
		err := postgres.Migrate(t.Context(), other, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "stores texts as "+encoding) || !strings.Contains(err.Error(), "ENCODING 'UTF8'") {
			t.Errorf("%s: %v, want a refusal that says what to do", encoding, err)
		}
		isEmpty(t, other)
	}
}

// Since PostgreSQL 15 only the owner of a database may make tables in its schema public.
func TestRoleThatMayNotMakeTablesIsAdvised(t *testing.T) {
	t.Parallel()
	database := emptyDatabase(t)
	stranger := asRole(t, database, "")
	for _, may := range []string{"", "USAGE"} {
		if may != "" {
			pgtest.Exec(t, pgtest.Connect(t, database), "GRANT "+may+" ON SCHEMA public TO PUBLIC")
		}
		err := postgres.Advise(postgres.Migrate(t.Context(), stranger, slog.New(slog.DiscardHandler)))
		if err == nil || !strings.Contains(err.Error(), "SQLSTATE") || !strings.Contains(err.Error(), "GRANT CREATE") {
			t.Errorf("%v, want the server's words, and what to do", err)
		}
	}
	isEmpty(t, database)
}

func isEmpty(t *testing.T, database string) {
	t.Helper()
	const ask = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
	if tables := pgtest.Count(t, pgtest.Connect(t, database), ask); tables != 0 {
		t.Errorf("%d tables were made", tables)
	}
}

// asRole returns the URL of a database for a new role with some options, which goes with the test.
func asRole(t *testing.T, database, options string) string {
	t.Helper()
	role, conn := "role_of_"+databaseOf(t, database), pgtest.Connect(t, database)
	pgtest.Exec(t, conn, "CREATE ROLE "+role+" LOGIN "+options)
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("user", role)
	u.RawQuery = q.Encode()
	return u.String()
}

func databaseOf(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func inDatabase(t *testing.T, database, name string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func TestErrorsOfConnectingSayWhatToDo(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*pgconn.PgError{
		"name the primary":                  {Code: postgres.ObjectNotInPrerequisiteState, Message: "recovery is in progress"},
		"read_only off":                     {Code: postgres.ReadOnlyTransaction, Message: "cannot execute CREATE TABLE in a read-only transaction"},
		"LAYERCAKE_POOLER":                  {Code: postgres.ProtocolViolation, Message: "unsupported startup parameter: search_path"},
		"raise max_connections":             {Code: postgres.TooManyConnections, Message: "sorry, too many clients already"},
		"GRANT CREATE, USAGE":               {Code: postgres.InsufficientPrivilege, Message: "permission denied for schema public"},
		"(SQLSTATE 28P01)":                  {Code: postgres.InvalidPassword, Message: "password authentication failed"},
		"object is not in (SQLSTATE 55000)": {Code: postgres.ObjectNotInPrerequisiteState, Message: "object is not in"},
	} {
		if got := postgres.Advise(fmt.Errorf("open: %w", err)).Error(); !strings.Contains(got, want) || !strings.Contains(got, err.Message) {
			t.Errorf("%s, want %q in it", got, want)
		}
	}
}
