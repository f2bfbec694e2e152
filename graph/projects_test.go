package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/postgres/pgtest"
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
