package project_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// pages reads page after page, and returns the names of their projects. Between calls it lets things happen.
func pages(t testing.TB, core *servertest.Core, query project.Query, between func()) (names []string) {
	t.Helper()
	for {
		found, err := core.Projects.Find(t.Context(), auth.UncheckedReach(ann), query)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Projects) > query.Limit || found.Next != "" && len(found.Projects) < query.Limit {
			t.Fatalf("a page has %d projects of %d, and goes on at %q", len(found.Projects), query.Limit, found.Next)
		}
		for _, p := range found.Projects {
			names = append(names, p.Name)
		}
		if query.After = found.Next; query.After == "" {
			return names
		}
		between()
	}
}

var ann = auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}

func TestFind(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	ids := map[string]int32{}
	for name, description := range map[string]string{
		"Alpha": "first", "Beta": "", "Gamma": "Ärger with alpha", "50% off_": "a b", "Delta": "\\d{3}",
	} {
		p, err := core.Projects.Create(t.Context(), auth.UncheckedReach(ann), project.Input{Name: name, Description: &description})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = p.ID
	}
	// The order of their changes: the name of some, the plan of the others.
	for _, name := range []string{"Delta", "Gamma", "Alpha", "50% off_", "Beta"} {
		var err error
		if name < "C" {
			edit := plan.AddNode{Node: plan.Node{ID: "a", NodeType: plan.GraphNode, Config: "{}"}}
			_, err = core.Plans.Change(t.Context(), auth.Unchecked(ann, ids[name]), plan.Change{Edits: []plan.Edit{edit}})
		} else {
			var p project.Project
			if p, err = core.Projects.Get(t.Context(), auth.Unchecked(ann, ids[name])); err == nil {
				_, err = core.Projects.Update(t.Context(), auth.Unchecked(ann, ids[name]), project.Input{Name: name, Description: p.Description})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for search, want := range map[string][]string{
		"": {"Beta", "50% off_", "Alpha", "Gamma", "Delta"}, "  ": {"Beta", "50% off_", "Alpha", "Gamma", "Delta"},
		" ALPHA": {"Alpha", "Gamma"}, "ärger": {"Gamma"}, "ta": {"Beta", "Delta"}, "%": {"50% off_"}, "_": {"50% off_"}, `\d`: {"Delta"}, "'": nil, "nobody": nil,
	} {
		for _, limit := range []int{1, 2, 200} {
			if diff := cmp.Diff(want, pages(t, core, project.Query{Search: search, Limit: limit}, func() {})); diff != "" {
				t.Errorf("%q, by pages of %d (-want +got):\n%s", search, limit, diff)
			}
		}
	}
	for what, query := range map[string]project.Query{
		"no limit": {}, "a limit too high": {Limit: 201}, "a long text": {Limit: 1, Search: strings.Repeat("x", 101)}, "a NUL": {Limit: 1, Search: "\x00"},
		"no cursor": {Limit: 1, After: "x"}, "half a cursor": {Limit: 1, After: "1."}, "more than a cursor": {Limit: 1, After: "1.1 "},
		"a cursor before all times": {Limit: 1, After: "-9223372036854775808.1"}, "a cursor after all ids": {Limit: 1, After: "1.2147483648"},
	} {
		if _, err := core.Projects.Find(t.Context(), auth.UncheckedReach(ann), query); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if found, err := core.Projects.Find(t.Context(), auth.UncheckedReach(ann), project.Query{Limit: 1, After: "9223372036854775807.2147483647"}); err != nil || len(found.Projects) != 1 {
		t.Errorf("after the last of all cursors: %d projects, %v", len(found.Projects), err)
	}
}

// Who reads page after page while projects change, come and go gets each that stays as it is, once, and none twice. Many changed at the same
// moment.
func TestPagesWhileProjectsChange(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	conn := pgtest.Connect(t, core.Database)
	rapid.Check(t, func(rt *rapid.T) {
		pgtest.Exec(t, conn, `DELETE FROM projects`)
		pgtest.Exec(t, conn, `INSERT INTO projects (id, name, updated_at)
			SELECT i, i, now() - interval '1 day' + i / 7 * interval '1 s' FROM generate_series(1, 40) i`)
		pgtest.Exec(t, conn, `INSERT INTO heads (project_id, changed_at) SELECT id, updated_at FROM projects`)
		changed := map[string]bool{}
		next := 100
		got := pages(t, core, project.Query{Limit: rapid.IntRange(1, 15).Draw(rt, "limit")}, func() {
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				id := rapid.IntRange(1, 40).Draw(rt, "id")
				changed[fmt.Sprint(id)] = true
				switch rapid.IntRange(0, 3).Draw(rt, "what") {
				case 0:
					pgtest.Exec(t, conn, `UPDATE projects SET updated_at = clock_timestamp() WHERE id = $1`, id)
				case 1:
					pgtest.Exec(t, conn, `UPDATE heads SET changed_at = clock_timestamp() WHERE project_id = $1`, id)
				case 2:
					pgtest.Exec(t, conn, `DELETE FROM projects WHERE id = $1`, id)
				case 3:
					next++
					pgtest.Exec(t, conn, `INSERT INTO projects (id, name) VALUES ($1, 'new')`, next)
					pgtest.Exec(t, conn, `INSERT INTO heads (project_id) VALUES ($1)`, next)
				}
			}
		})
		for id := 40; id > 0; id-- {
			if name := fmt.Sprint(id); !changed[name] && !slices.Contains(got, name) {
				rt.Fatalf("project %d is missing among %v", id, got)
			}
		}
		old := slices.DeleteFunc(got, func(name string) bool { return name == "new" })
		if slices.Sort(old); len(slices.Compact(slices.Clone(old))) != len(old) {
			rt.Fatalf("some come twice: %v", old)
		}
	})
}

// accesses returns those of ann to projects.
func accesses(ids []int32) (all []auth.Access) {
	for _, id := range ids {
		all = append(all, auth.Unchecked(ann, id))
	}
	return all
}

// What is said of who is in a project is what layercake.projects_live says, and that of each of many in one query.
func TestLive(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	one, two := servertest.StartCoreOn(t, database, nil), servertest.StartCoreOn(t, database, nil)
	conn := pgtest.Connect(t, database)
	var ids []int32
	for n := range 3 {
		p, err := one.Projects.Create(t.Context(), auth.UncheckedReach(ann), project.Input{Name: fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.ID)
	}
	busy, quiet, fresh := ids[0], ids[1], ids[2]
	// Bob writes, last of all, with a note that looks like a name, in a change much larger than the beginning of it.
	bob := auth.Actor{ID: "bob", Kind: "user", Name: `Bob "B" <b\ö>`}
	for n := range 5 {
		edit := plan.AddNode{Node: plan.Node{
			ID: fmt.Sprint("n", n), NodeType: plan.GraphNode, Config: `{"actorName":"x", "y":"` + strings.Repeat("x", 90_000) + `"}`,
		}}
		for _, id := range []int32{busy, quiet} {
			change := plan.Change{ClientID: `"actorName":"Eve",` + strings.Repeat("<", 180), Note: `"actorName":"Eve"`, OpID: fmt.Sprint(strings.Repeat("<", 190), n), Edits: []plan.Edit{edit}}
			if _, err := one.Plans.Change(t.Context(), auth.Unchecked(bob, id), change); err != nil {
				t.Fatal(err)
			}
		}
	}
	pgtest.Exec(t, conn, `UPDATE events SET at = at - interval '61 minutes' WHERE project_id = $1 AND version <= 3`, busy)
	pgtest.Exec(t, conn, `UPDATE events SET at = at - interval '61 minutes' WHERE project_id = $1`, quiet)
	for i, who := range []struct {
		user  string
		agent bool
	}{{"ann", false}, {"ann", false}, {"bob", false}, {"ada", true}} {
		core := []*servertest.Core{one, two}[i%2]
		room, err := core.Presence.Enter(t.Context(), auth.Unchecked(auth.Actor{}, busy))
		if err != nil {
			t.Fatal(err)
		}
		connection := uuid.New()
		t.Cleanup(func() {
			room.Leave(connection, presence.ReasonLeft)
			room.Exit()
		})
		identity := presence.Identity{UserID: who.user, Name: who.user, Agent: who.agent, Transport: "collaboration"}
		if err := room.Join(connection, identity, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	maker := presence.Maker{Caller: "caller"}
	guest := presence.Identity{UserID: "guest", Name: "Guest", Transport: "graphql"}
	if err := two.Presence.JoinGuest(t.Context(), maker, auth.Unchecked(auth.Actor{}, busy), "guest", guest); err != nil {
		t.Fatal(err)
	}
	pgtest.AwaitCount(t, conn, 5, `SELECT count(*) FROM presence`)
	// Those of a replica whose lease has expired, and a guest whose time is over, are not here any more.
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport, caller,
		network, joined_at, active_at, expires_at) VALUES (gen_random_uuid(), NULL, $1, 1, 'old', 'Old', '', false, 'graphql', 'c', 'n', now(), now(), now() - interval '1 s')`, quiet)

	live, err := two.Projects.Live(t.Context(), accesses(append(ids, 4711)))
	if err != nil {
		t.Fatal(err)
	}
	if len(live) != 3 {
		t.Errorf("%d projects are live, want 3", len(live))
	}
	if got := live[busy]; got.People != 3 || got.Agents != 1 || got.Connections != 5 || got.PlanVersion != 5 || got.ChangesLastHour != 2 ||
		got.LastChangeAt == nil || time.Since(*got.LastChangeAt).Abs() > time.Hour || *got.LastChangeBy != bob.Name {
		t.Errorf("busy: %+v", got)
	}
	if got := live[quiet]; got.People+got.Agents+got.Connections != 0 || got.PlanVersion != 5 || got.ChangesLastHour != 0 || *got.LastChangeBy != bob.Name {
		t.Errorf("quiet: %+v", got)
	}
	if got := live[fresh]; got != (project.Live{}) {
		t.Errorf("fresh: %+v", got)
	}
	pgtest.Exec(t, conn, `DELETE FROM events WHERE version <= 4; UPDATE heads SET log_floor = 4 WHERE version = 5`)
	if live, err = two.Projects.Live(t.Context(), accesses(ids)); err != nil || live[busy].ChangesLastHour != 1 || live[quiet].ChangesLastHour != 0 {
		t.Errorf("after trimming: %+v, %v", live, err)
	}
	for _, id := range []int32{busy, fresh} {
		const view = `SELECT concat_ws(' ', people, agents, connections, plan_version, changes_1h) FROM layercake.projects_live WHERE project_id = $1`
		got := live[id]
		want := fmt.Sprint(got.People, got.Agents, got.Connections, got.PlanVersion, got.ChangesLastHour)
		if says := pgtest.Texts(t, conn, view, id); !slices.Equal(says, []string{want}) {
			t.Errorf("layercake.projects_live says %q, want %q", says, want)
		}
	}
}
