package project_test

import (
	"fmt"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server/servertest"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestCreateUnderAnOperationID(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	agent, person := auth.Agent("key", "key", "Agent"), auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}
	description := "What it is for"
	in := project.Input{Name: "One", Description: &description, OpID: "op"}
	create := func(actor auth.Actor, in project.Input) project.Project {
		t.Helper()
		p, err := core.Projects.Create(t.Context(), auth.UncheckedReach(actor), in)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := create(agent, in)
	if again := create(agent, in); again.ID != first.ID || again.Name != "One" || *again.Description != description {
		t.Errorf("a repeat answers %+v, want project %d", again, first.ID)
	}
	if again := create(auth.Agent("in another session", "key", "Agent"), in); again.ID != first.ID {
		t.Errorf("a repeat in another session gets project %d, want %d", again.ID, first.ID)
	}
	if other := create(auth.Agent("elsewhere", "elsewhere", "Agent"), in); other.ID == first.ID {
		t.Error("another agent gets the project of a stranger")
	}
	if other := create(auth.Anonymous(""), in); other.ID == first.ID {
		t.Error("a caller without a credential gets the project of an agent")
	}
	if own := create(person, in); own.ID == first.ID {
		t.Error("a person's operation ids are not their own")
	}
	in.OpID = ""
	if fresh := create(agent, in); fresh.ID == first.ID {
		t.Error("without an operation id nothing new was created")
	}
	_, err := core.Projects.Create(t.Context(), auth.UncheckedReach(agent), project.Input{Name: "Two", OpID: "op"})
	if f := fault.From(err); f == nil || f.Code != fault.BadRequest || f.Details["opId"] != "op" {
		t.Errorf("another request under the operation id: %v, want %s with the id", err, fault.BadRequest)
	}
	_, err = core.Projects.Create(t.Context(), auth.UncheckedReach(agent), project.Input{Name: "Two", OpID: "o\x00"})
	if !fault.Is(err, fault.BadRequest) {
		t.Errorf("an operation id with a NUL: %v, want %s", err, fault.BadRequest)
	}

	in.OpID = "op"
	if err := core.Projects.Delete(t.Context(), auth.Unchecked(agent, first.ID)); err != nil {
		t.Fatal(err)
	}
	_, err = core.Projects.Create(t.Context(), auth.UncheckedReach(agent), in)
	if f := fault.From(err); f == nil || f.Code != fault.NotFound || f.Details["detail"] != first.ID {
		t.Errorf("a repeat after the project was deleted: %v, want %s with its id", err, fault.NotFound)
	}
}

// Of many at once under one operation id one creates the project, whichever replica they reach.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	cores := []*servertest.Core{servertest.StartCoreOn(t, database, nil), servertest.StartCoreOn(t, database, nil)}
	conn := pgtest.Connect(t, database)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, tx, "LOCK TABLE project_operations IN EXCLUSIVE MODE") // all have looked before one of them writes
	ids := make([]int32, 8)
	var all errgroup.Group
	for i := range ids {
		all.Go(func() error {
			p, err := cores[i%2].Projects.Create(t.Context(), auth.UncheckedReach(auth.Agent(fmt.Sprint(i), "lasting", "Agent")), project.Input{Name: "One", OpID: "op"})
			ids[i] = p.ID
			return err
		})
	}
	pgtest.AwaitTexts(t, pgtest.Connect(t, database), []string{"8"},
		`SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 'project_operations'::regclass
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("got projects %v, want one", ids)
			break
		}
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM projects"); n != 1 {
		t.Errorf("%d projects were created, want 1", n)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	actor := auth.Anonymous("")
	pgtest.Exec(t, pgtest.Connect(t, core.Database), "INSERT INTO projects (id, name) SELECT 10 * n, n FROM generate_series(1, 5) n")
	var got []int32
	after, more := int32(0), true
	for pages := 0; more && pages < 5; pages++ {
		page, rest, err := core.Projects.Page(t.Context(), auth.UncheckedReach(actor), after, 2)
		if err != nil || len(page) == 0 || len(page) > 2 {
			t.Fatalf("page after %d has %d projects, %v", after, len(page), err)
		}
		for _, p := range page {
			got = append(got, p.ID)
		}
		after, more = page[len(page)-1].ID, rest
	}
	if want := "[10 20 30 40 50]"; fmt.Sprint(got) != want {
		t.Errorf("pages list %v, want %s", got, want)
	}
	for _, limit := range []int{0, 1001} {
		if _, _, err := core.Projects.Page(t.Context(), auth.UncheckedReach(actor), 0, limit); !fault.Is(err, fault.BadRequest) {
			t.Errorf("a limit of %d: %v, want %s", limit, err, fault.BadRequest)
		}
	}
}
