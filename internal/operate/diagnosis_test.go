package operate_test

import (
	"log/slog"
	"testing"
	"time"

	"layercake/internal/operate"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// Whoever asks soon after another is told the same, and a database that does not answer keeps nobody waiting.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	dba, log := pgtest.Connect(t, core.Database), slog.New(slog.DiscardHandler)
	d := operate.NewDiagnosis(core.DB.System, log)
	began := time.Now()
	first := d.Findings(t.Context())
	pgtest.Exec(t, dba, `CREATE OR REPLACE VIEW layercake.health AS SELECT 'new' AS "check", 'ok' AS status, 'fine' AS detail, NULL AS advice`)
	second := d.Findings(t.Context())
	if soon := time.Since(began) < time.Second; soon && !cmp.Equal(first, second) {
		t.Errorf("asked again within a second:\n%s", cmp.Diff(first, second))
	}
	want := []operate.Finding{{Check: "new", Status: "ok", Detail: "fine"}}
	for end := time.Now().Add(pgtest.Patience); !cmp.Equal(d.Findings(t.Context()), want); {
		if time.Now().After(end) {
			t.Fatal("it is never asked for again")
		}
	}

	pgtest.Exec(t, dba, "BEGIN; ALTER VIEW layercake.health RENAME TO gone") // which locks it
	other := operate.NewDiagnosis(core.DB.System, log)
	answers := make(chan []operate.Finding, 3)
	for range cap(answers) {
		go func() { answers <- other.Findings(t.Context()) }()
	}
	for range cap(answers) {
		if got := <-answers; len(got) != 1 || got[0].Check != "database" || got[0].Status != "fail" {
			t.Errorf("a database that does not answer: %+v", got)
		}
	}
}
