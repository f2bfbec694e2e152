package bench

import (
	"context"
	"testing"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
)

// A crowd that is told the truth has no complaints. Then there is a row of somebody who is not there, which nobody removes, and a row is
// gone whose owner is there.
func TestCrowdTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	urls := servertest.URLs(servertest.StartOn(t, database, 2, nil))
	all := newClients(urls)
	defer all.close()
	project, err := all.createProject(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	people := NewCrowd(urls, project, func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, database) })
	for n := range 4 {
		people.Add(n%2, Habit{Joins: true}, 1)
	}
	people.Add(0, Habit{Joins: true, Moves: 200 * time.Millisecond, Idles: 200 * time.Millisecond, Away: 200 * time.Millisecond}, 1)
	people.Start(t.Context())
	defer people.Close()
	patience := convergence.Patience{Here: time.Minute, Gone: time.Minute, Silent: time.Minute}
	people.Gather()
	if p := people.Judge(t.Context(), time.Minute, patience); !p.OK() || p.Stays < 5 {
		t.Fatalf("people = %+v, want 5 or more stays, and no complaint", p)
	}

	conn, err := people.table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	const spoil = `
		WITH replica AS (
			INSERT INTO replicas SELECT (jsonb_populate_record(r, jsonb_build_object(
				'incarnation', gen_random_uuid(), 'expires_at', now() + interval '1 hour'))).* FROM replicas r LIMIT 1 RETURNING replicas.incarnation
		)
		INSERT INTO presence SELECT (jsonb_populate_record(p, jsonb_build_object(
			'connection_id', gen_random_uuid(), 'incarnation', replica.incarnation, 'user_id', 'ghost'))).* FROM presence p, replica LIMIT 1`
	if _, err := conn.Exec(t.Context(), spoil); err != nil {
		t.Fatal(err)
	}
	// Somebody looks at the table several times meanwhile, unless the machine is busy: then once more.
	var sum People
	for began := time.Now(); (sum.Ghosts == 0 || sum.Flickers == 0) && time.Since(began) < time.Minute; {
		if _, err := conn.Exec(t.Context(), "DELETE FROM presence WHERE user_id = 'person-0'"); err != nil {
			t.Fatal(err)
		}
		sum.add(people.Judge(t.Context(), time.Second, patience))
	}
	if sum.Ghosts == 0 || sum.Flickers == 0 || sum.OK() {
		t.Errorf("people = %+v, want a ghost and a flicker", sum)
	}
}
