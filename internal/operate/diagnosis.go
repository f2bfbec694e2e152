package operate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Finding is a row of the view layercake.health, where the checks are written.
type Finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or fail
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // next step for an operator; empty when all is well
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
	if state := postgres.State(err); state == postgres.UndefinedTable || state == postgres.InvalidSchemaName {
		return ErrNoContract
	}
	return err
}

const (
	diagnosisTime = time.Second // limit of a diagnosis
	diagnosisAge  = time.Second // time for which a diagnosis is not repeated
)

// Diagnosis gives many callers what the database finds about the deployment. That takes some of the database's time, so one caller asks
// at a time, and those that come meanwhile or soon after get the same answer.
type Diagnosis struct {
	db  *postgres.Pool
	log *slog.Logger

	asking   chan struct{} // capacity 1: lock of the next fields, held by the caller that asks the database
	findings []Finding
	at       time.Time
}

// NewDiagnosis returns a Diagnosis that has not been asked for.
func NewDiagnosis(db *postgres.Pool, log *slog.Logger) *Diagnosis {
	return &Diagnosis{db: db, log: log, asking: make(chan struct{}, 1)}
}

// Findings returns the rows of the view. When the database does not answer in time, that is the finding.
func (d *Diagnosis) Findings(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, diagnosisTime)
	defer cancel()
	select {
	case d.asking <- struct{}{}:
		defer func() { <-d.asking }()
	case <-ctx.Done():
		return Undiagnosed("others ask for a diagnosis, and the database takes long to answer")
	}
	if time.Since(d.at) < diagnosisAge {
		return d.findings
	}
	var findings []Finding
	err := d.db.Do(ctx, func(conn *pgx.Conn) (err error) {
		findings, err = Diagnose(ctx, conn)
		return err
	})
	if err != nil {
		d.log.WarnContext(ctx, "health: diagnosis", "error", err)
		return Undiagnosed("the database does not answer in time, or not what was asked")
	}
	d.findings, d.at = findings, time.Now()
	return findings
}

// Undiagnosed returns the one finding about a database that gave no diagnosis.
func Undiagnosed(reason string) []Finding {
	return []Finding{{Check: "database", Status: "fail", Detail: reason, Advice: "Look at the log of this replica."}}
}
