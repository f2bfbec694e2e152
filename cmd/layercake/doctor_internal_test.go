package main

import (
	"errors"
	"strings"
	"testing"

	"layercake/internal/operate"
	"layercake/internal/postgres/pgtest"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	look := func(url string) (string, error) {
		var out strings.Builder
		err := diagnose(t.Context(), url, &out)
		return out.String(), err
	}
	out, err := look(url)
	if err == nil || !strings.Contains(err.Error(), "checks that failed: ") {
		t.Errorf("without a replica: %v, want checks that failed", err)
	}
	for _, want := range []string{"\nfail  replicas       0 live\n", "-> Nobody can work: start a replica", "\nok    schema         migration "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}

	conn := pgtest.Connect(t, url)
	// As if only things to look at were found.
	pgtest.Exec(t, conn, `CREATE OR REPLACE VIEW layercake.health AS
			SELECT 'one' AS "check", 'warn' AS status, 'hm' AS detail, 'look' AS advice UNION ALL SELECT 'two', 'ok', 'fine', NULL`)
	const want = "warn  one  hm\n           -> look\nok    two  fine\n"
	if out, err := look(url); err != nil || out != want {
		t.Errorf("%q, %v; want %q and no error", out, err, want)
	}
	pgtest.Exec(t, conn, "DROP SCHEMA layercake CASCADE")
	if _, err := look(url); !errors.Is(err, operate.ErrNoContract) {
		t.Errorf("without the schema: %v, want %v", err, operate.ErrNoContract)
	}
	if _, err := look("postgres://nobody@127.0.0.1:1/nowhere"); err == nil || !strings.HasPrefix(err.Error(), "the database cannot be reached: ") {
		t.Errorf("without a database: %v", err)
	}
}
