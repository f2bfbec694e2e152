package postgres_test

import (
	"strings"
	"testing"

	"layercake/internal/postgres"
)

func TestURLsThatPeopleTry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // what the message says; nothing when the URL is right
		"postgres://user:secret@host:5432/db":                            "",
		"postgresql://user:secret@a:1,b:2/db?sslmode=disable":            "",
		"postgres://user:sec%40ret%2F%23%3F%25@host/db":                  "",
		"postgres://user:sec:ret@host/db":                                "",
		"postgres:///db?host=/run/postgresql&user=me@example.com":        "",
		"host=/run/postgresql user=me dbname=db":                         "",
		`host=h password='sec ret \' \\' dbname=db`:                      "",
		`host=h user=me password=jdbc:secret://x`:                        "",
		"jdbc:postgresql://host:5432/db?user=me&password=secret":         "begins with jdbc: as for Java",
		"jdbc:postgresql:db":                                             "begins with jdbc: as for Java",
		"postgresql+psycopg://user:secret@host/db":                       "begins with postgresql+psycopg://",
		"postgresql+asyncpg://user:secret@host/db":                       "begins with postgresql+asyncpg://",
		"mysql://user:secret@host/db":                                    "begins with mysql://",
		"http://user:secret@host/db":                                     "begins with http://",
		"Postgres://user:secret@host/db":                                 "begins with Postgres://",
		"postgres://user:secret@x@host/db":                               "%40",
		"postgres://user:x@secret@host:99999/db":                         "%40",
		"postgres://user:x@secret@127.0.0.1:5432/db":                     "%40",
		"host=127.0.0.1;port=5432;password=secret;dbname=x":              "separators",
		"host=127.0.0.1,port=5432,password=secret":                       "separators",
		"host=127.0.0.1&password=secret":                                 "separators",
		"user=app;password=secret host=h":                                "separators",
		"dbname=db;password=secret host=h":                               "separators",
		"host=a,b port=1,2 password=s;x=y dbname=db":                     "",
		"postgres://user:secret/x@host/db":                               "%2F",
		"postgres://user:secret#x@host/db":                               "%23",
		"postgres://user:secret?x@host/db":                               "%3F",
		"postgres://user:secret%x@host/db":                               "%25",
		"postgres://user:secret x@host/db":                               "%20",
		"postgres://user:secret[x@host/db":                               "written %40",
		"postgres://user:123/secret@host/db":                             "%2F",
		"postgres://user:123#secret@host/db":                             "%23",
		"postgres://user:123?secret@host/db":                             "%3F",
		"postgres://user:123@secret/secret@host/db":                      "%2F",
		"postgres://user:secret@host:port/db":                            "written %40 %3A",
		"postgres://user:secret@host/db?sslmode=sure":                    "sslmode is invalid",
		"postgres://user:sure@host/db?sslmode=sure":                      "cannot be used",
		"postgres://user:secret@host/db?connect_timeout=secret":          "cannot be used",
		` postgres://user:secret@host/db`:                                "blanks or quotes around it",
		`"postgres://user:secret@host/db"`:                               "blanks or quotes around it",
		"host:5432/db":                                                   "is no URL",
		"secret":                                                         "is no URL",
		"":                                                               "is no URL",
		`host=h user=me password=sec'ret dbname=db port=x`:               "single quotes",
		`host=h user=me password="secret x" dbname=db`:                   "double quotes",
		`host=h user=me password=secret x dbname=db`:                     "single quotes",
		`host=h user=me password='secret dbname=db`:                      "single quotes",
		`host = 'h' user = 'me' password = 'sec''ret' dbname = 'db'`:     "single quotes",
		"psql postgres://user:secret@host/db":                            "is no URL",
		"LAYERCAKE_DATABASE_URL=postgres://user:secret@host/db?x=secret": "is no URL",
	} {
		err := postgres.CheckURL(text)
		switch {
		case err == nil && want != "":
			t.Errorf("%s passes, want %q", text, want)
		case err == nil:
		case want == "":
			t.Errorf("%s is refused: %v", text, err)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %q", text, err, want)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("the password is in %v", err)
		case !strings.Contains(err.Error(), "postgres://user:password@host:port/database") && !strings.Contains(err.Error(), "dbname="):
			t.Errorf("%v does not say what is right", err)
		}
	}
}
