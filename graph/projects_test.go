package graph_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// Of many projects, those are listed whose name or plan changed last, and the response says how many there are.
func TestProjectsAreThoseThatChangedLast(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := onlineAt(t, url, url)
	conn := pgtest.Connect(t, url)
	const old = `now() - interval '1 day'`
	pgtest.Exec(t, conn, `INSERT INTO projects (id, name, updated_at) SELECT i, 'P', `+old+` FROM generate_series(1, 1000) i`)
	pgtest.Exec(t, conn, `INSERT INTO heads (project_id, changed_at) SELECT id, `+old+` FROM projects`)
	pgtest.Exec(t, conn, `INSERT INTO plans (project_id, name) SELECT id, 'Plan' FROM projects`)
	document := `{ projects { id plan { projectId } } again: projects { id } }`
	if r := s.ask(t, document, nil); len(r.Errors) > 0 || strings.Contains(string(r.Text), "extensions") {
		t.Fatalf("1,000 projects: %.300s", r.Text)
	}

	pgtest.Exec(t, conn, `INSERT INTO projects (id, name) SELECT i, 'P' FROM generate_series(1001, 1002) i`)
	pgtest.Exec(t, conn, `INSERT INTO heads (project_id) SELECT i FROM generate_series(1001, 1002) i`)
	pgtest.Exec(t, conn, `INSERT INTO plans (project_id, name) SELECT i, 'Plan' FROM generate_series(1001, 1002) i`)
	pgtest.Exec(t, conn, `UPDATE heads SET changed_at = now() WHERE project_id = 1`)
	pgtest.Exec(t, conn, `UPDATE projects SET updated_at = now() WHERE id = 2`)
	socket := s.dial(t, nil)
	say(t, socket, fmt.Sprintf(`{"id":"1","type":"subscribe","payload":{"query":%q}}`, document))
	var frame struct{ Payload json.RawMessage }
	if err := json.Unmarshal([]byte(hear(t, socket)), &frame); err != nil {
		t.Fatal(err)
	}
	for way, text := range map[string][]byte{"by POST": s.ask(t, document, nil).Text, "over a socket": frame.Payload} {
		var got struct {
			Data struct {
				Projects []struct {
					ID   int
					Plan *struct{ ProjectID int }
				}
				Again []struct{ ID int }
			}
			Extensions map[string]map[string]map[string]int
			Errors     []any
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		truncated := got.Extensions["truncated"]["projects"]
		if len(got.Errors) > 0 || truncated["returned"] != 1000 || truncated["total"] != 1002 || len(got.Data.Projects) != 1000 || len(got.Data.Again) != 1000 {
			t.Fatalf("%s: %d projects, %v, %v", way, len(got.Data.Projects), got.Extensions, got.Errors)
		}
		for i, p := range got.Data.Projects {
			want := i + 1 // 1 and 2 changed, 3 and 4 are the first of the others by id
			if i >= 2 {
				want += 2
			}
			if p.ID != want || p.Plan == nil || p.Plan.ProjectID != want || got.Data.Again[i].ID != want {
				t.Fatalf("%s: project %d is %+v, want %d", way, i, p, want)
			}
		}
	}
}

// projectPage is the answer to projectList.
type projectPage struct {
	ProjectList struct {
		Projects []struct {
			ID   int
			Name string
			Plan *struct{ Name string }
			Live struct {
				People, Agents, Connections, PlanVersion, ChangesLastHour int
				LastChangeAt, LastChangeBy                                *string
			}
		}
		Next *string
	}
}

const projectListQuery = `query ($search: String, $first: Int = 50, $after: String) { projectList(search: $search, first: $first, after: $after) {
	next projects { id name plan { name project { name } } live { people agents connections planVersion lastChangeAt lastChangeBy changesLastHour } } } }`

// Projects come by pages, newest change first, with who is in them on any replica.
func TestProjectList(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	ids := make([]int, 5)
	for i := range ids {
		ids[i] = one.newProject(t)
	}
	one.mustEdit(t, ids[1], nodesAndEdge, vars{"clientId": "ann"})
	one.must(t, nil, `mutation ($id: Int!) { updateProject(id: $id, input: {name: "Second", description: "of Ärger"}) { id } }`, vars{"id": ids[3]})
	join := func(s *site, client string, agent bool) {
		t.Helper()
		s.must(t, nil, `mutation ($p: Int!, $c: String, $a: Boolean) { joinProjectCollaboration(projectId: $p, clientId: $c, isAgent: $a) }`,
			vars{"p": ids[1], "c": client, "a": agent})
	}
	join(one, "ann", false)
	join(two, "bob", false)
	join(two, "ada", true)
	var got []int
	var after *string
	for range 3 {
		var page projectPage
		two.must(t, &page, projectListQuery, vars{"first": 2, "after": after})
		for _, p := range page.ProjectList.Projects {
			got = append(got, p.ID)
			if p.Plan.Name != fmt.Sprint("Plan for Project ", p.ID) {
				t.Errorf("the plan of project %d is %+v", p.ID, p.Plan)
			}
			live := p.Live
			switch {
			case p.ID != ids[1]:
				if live.Connections+live.PlanVersion+live.ChangesLastHour != 0 || live.LastChangeAt != nil || live.LastChangeBy != nil {
					t.Errorf("project %d: %+v", p.ID, live)
				}
			case live.People != 2 || live.Agents != 1 || live.Connections != 3 || live.PlanVersion != 1 || live.ChangesLastHour != 1 ||
				live.LastChangeAt == nil || *live.LastChangeBy != "Anonymous User":
				t.Errorf("the busy project: %+v", live)
			}
		}
		after = page.ProjectList.Next
	}
	if want := []int{ids[3], ids[1], ids[4], ids[2], ids[0]}; !slices.Equal(got, want) || after != nil {
		t.Errorf("got %v, want %v, and on at %v", got, want, after)
	}
	var found projectPage
	two.must(t, &found, projectListQuery, vars{"search": "ÄRGER"})
	if list := found.ProjectList.Projects; len(list) != 1 || list[0].Name != "Second" {
		t.Errorf("found %+v", list)
	}
	for what, v := range map[string]vars{"none": {"first": 0}, "too many": {"first": 201}, "no cursor": {"after": "x"}, "a long text": {"search": strings.Repeat("x", 101)}} {
		if a := one.ask(t, projectListQuery, v); a.Code() != "BAD_REQUEST" {
			t.Errorf("%s: %s", what, a.Text)
		}
	}
	var whole map[string]any
	two.must(t, &whole, `query ($id: Int!) { project(id: $id) { live { people } plan { project { live { agents } } } } projects { live { connections } } }`, vars{"id": ids[1]})
	if text := fmt.Sprint(whole["project"]); text != "map[live:map[people:2] plan:map[project:map[live:map[agents:1]]]]" {
		t.Errorf("one project alone: %s", text)
	}
}

// However many projects a list has, who is in them comes in one query, and so do their plans.
func TestWhoIsInManyProjectsTakesOneQuery(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	proxy := countQueries(t, url)
	s := onlineAt(t, proxy.url, url)
	for range 30 {
		s.newProject(t)
	}
	for document, want := range map[string]int64{
		`{ projectList { projects { id } } }`:              1,
		`{ projectList { projects { live { people } } } }`: 2,
		`{ projectList { projects { ...F } } } fragment F on Project { live { people } plan { name project { live { agents } } } }`:      3,
		`{ projects { live { people } } again: projects { live { agents } plan { id } } }`:                                               3,
		`{ projectList(first: 2) { projects { live { people } } } again: projectList(search: "none") { projects { live { agents } } } }`: 3,
	} {
		best := int64(math.MaxInt64) // the pool has queries of its own
		for range 5 {
			before := proxy.queries.Load()
			s.must(t, nil, document, nil)
			best = min(best, proxy.queries.Load()-before)
		}
		if best != want {
			t.Errorf("%s: %d queries, want %d", document, best, want)
		}
	}
}

// Whoever is in a project is told of, on whatever replica they are, without a socket.
func TestPresence(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	join := `mutation ($p: Int!) { a: joinProjectCollaboration(projectId: $p, clientId: "c", userName: "Ann", avatarColor: "#123456")
		b: joinProjectCollaboration(projectId: $p, clientId: "d", userName: "Ada", isAgent: true) }`
	one.must(t, nil, join, vars{"p": p})
	var got struct {
		Presence []struct {
			ConnectionID, UserID, UserName, AvatarColor, Transport, JoinedAt, ActiveAt string
			IsAgent                                                                    bool
			DocumentID, SelectedNodeID                                                 *string
		}
	}
	const query = `query ($p: Int!) { presence(projectId: $p) { connectionId userId userName avatarColor isAgent transport documentId selectedNodeId joinedAt activeAt } }`
	for _, s := range []*site{one, two} {
		s.must(t, &got, query, vars{"p": p})
		var words []string
		for _, who := range got.Presence {
			if who.ConnectionID == "" || who.UserID == "" || who.JoinedAt == "" || who.ActiveAt == "" || who.DocumentID != nil || who.SelectedNodeID != nil {
				t.Errorf("%+v", who)
			}
			words = append(words, strings.Join([]string{who.UserName, who.AvatarColor, who.Transport, strconv.FormatBool(who.IsAgent)}, " "))
		}
		slices.Sort(words)
		if diff := cmp.Diff([]string{"Ada #3b82f6 graphql true", "Ann #123456 graphql false"}, words); diff != "" {
			t.Error(diff)
		}
	}
	one.must(t, nil, `mutation ($p: Int!) { leaveProjectCollaboration(projectId: $p, clientId: "c") }`, vars{"p": p})
	if two.must(t, &got, query, vars{"p": p}); len(got.Presence) != 1 || got.Presence[0].UserName != "Ada" {
		t.Errorf("after Ann left: %+v", got)
	}
	if a := two.ask(t, query, vars{"p": 4711}); a.Code() != "NOT_FOUND" {
		t.Errorf("of no project: %s", a.Text)
	}
}
