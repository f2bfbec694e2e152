package migrations_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// story is a project with what its plan was after each version, as the server said then.
type story struct {
	core    *servertest.Core
	conn    *pgx.Conn
	project int32
	random  *rand.Rand
	states  []plan.DAG  // by version
	records []plan.Plan // likewise
}

var actors = []auth.Actor{
	{ID: "ann", Kind: auth.KindAnonymous, Name: "Ann"},
	{ID: "bob", Kind: auth.KindAnonymous, Name: "Bob"},
	{ID: "cleo", Kind: auth.KindAnonymous, Name: "Cleo"},
}

func newStory(t testing.TB, database string, seed uint64) *story {
	t.Helper()
	core := servertest.StartCoreOn(t, database, nil)
	p, err := core.Projects.Create(t.Context(), auth.UncheckedReach(actors[0]), project.Input{Name: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	s := &story{core: core, conn: pgtest.Connect(t, database), project: p.ID, random: rand.New(rand.NewPCG(seed, seed))}
	s.note(t)
	return s
}

// note keeps the state of the plan.
func (s *story) note(t testing.TB) {
	t.Helper()
	dag, err1 := s.core.Plans.DAG(t.Context(), auth.Unchecked(actors[0], s.project))
	record, err2 := s.core.Plans.OfProject(t.Context(), auth.Unchecked(actors[0], s.project))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	s.states, s.records = append(s.states, dag), append(s.records, record)
}

func (s *story) head() int { return len(s.states) - 1 }

// change makes a change, and reports whether it made a version.
func (s *story) change(t testing.TB, actor auth.Actor, edits ...plan.Edit) bool {
	t.Helper()
	result, err := s.core.Plans.Change(t.Context(), auth.Unchecked(actor, s.project), plan.Change{Via: "test", ClientID: "tab", Edits: edits})
	if err != nil || result.Event == nil {
		return false
	}
	s.note(t)
	return true
}

// goOn makes random changes until the plan has so many versions. Ids are few, so that elements go and come back.
func (s *story) goOn(t testing.TB, versions int) {
	t.Helper()
	for s.head() < versions {
		edits := make([]plan.Edit, 1+s.random.IntN(3)*s.random.IntN(2))
		for i := range edits {
			edits[i] = s.edit()
		}
		s.change(t, actors[s.random.IntN(len(actors))], edits...)
	}
}

func (s *story) edit() plan.Edit {
	id := func(kind string, most int) string { return fmt.Sprint(kind, s.random.IntN(most)) }
	node, edge, number := id("n", 12), id("e", 15), s.random.IntN(1000)
	text := fmt.Sprintf(`"%d" <&> é`, number)
	position := plan.Position{X: float64(number) / 7, Y: -math.Pow(10, float64(number%20-14))}
	switch kind := s.random.IntN(20); {
	case kind < 5:
		return plan.AddNode{Node: plan.Node{
			ID: node, NodeType: plan.MergeNode, Position: position, Metadata: plan.NodeMetadata{Label: text}, Config: fmt.Sprintf(`{ "a":%q}`, text+"\u2028"),
		}}
	case kind < 9:
		return plan.AddEdge{Edge: plan.Edge{ID: edge, Source: node, Target: id("n", 12), Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}}
	case kind < 11:
		return plan.DeleteNode{ID: node}
	case kind < 13:
		return plan.DeleteEdge{ID: edge}
	case kind < 14:
		return plan.MoveNodes{Moves: []plan.Move{{ID: node, Position: position, SourcePosition: &text}, {ID: id("n", 12)}}}
	case kind < 15:
		return plan.UpdateEdge{ID: edge, Metadata: &plan.EdgeMetadata{Label: &text, DataType: plan.GraphReference}, SourceHandle: &text}
	case kind < 16:
		return plan.UpdatePlan{Name: text, YAMLContent: text, Dependencies: [][]int32{nil, {}, {3, 1}}[number%3]}
	default:
		return plan.UpdateNode{ID: node, Position: &position, Metadata: &plan.NodeMetadata{Label: text, Description: &text}}
	}
}

// shown returns a plan as getPlanDag shows it.
func (s *story) shown(t testing.TB, dag plan.DAG) any {
	t.Helper()
	return decoded(t, encoded(t, map[string]any{
		"version": fmt.Sprint(dag.At.Version), "nodes": dag.Nodes, "edges": dag.Edges,
		"metadata": map[string]any{
			"version": s.core.Plans.Label(dag.At), "name": dag.Name,
			"created": plan.FormatTime(dag.CreatedAt), "lastModified": plan.FormatTime(dag.ChangedAt),
		},
	}))
}

// checkpoint writes the checkpoint of a version, as the server does.
func (s *story) checkpoint(t testing.TB, version int) {
	t.Helper()
	p := s.records[version]
	body := encoded(t, map[string]any{
		"plan":  map[string]any{"name": p.Name, "yamlContent": p.YAMLContent, "dependencies": p.Dependencies, "status": p.Status},
		"nodes": s.states[version].Nodes, "edges": s.states[version].Edges,
	})
	sum := sha256.Sum256(body)
	pgtest.Exec(t, s.conn, "INSERT INTO public.checkpoints (project_id, version, body, sum) VALUES ($1, $2, $3, $4)",
		s.project, version, json.RawMessage(body), sum[:])
}

// trim leaves so many events.
func (s *story) trim(t testing.TB, events int) {
	t.Helper()
	if _, err := s.core.Plans.Trim(t.Context(), plan.Keep{Events: int64(events), Bytes: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
}

// compareStates asks for every version from the oldest on, and compares it with what the server said.
func (s *story) compareStates(t *testing.T, conn *pgx.Conn, oldest int) {
	t.Helper()
	for version := oldest; version <= s.head(); version++ {
		got := decoded(t, []byte(pgtest.Texts(t, conn, "SELECT layercake.plan_at($1, $2::bigint)::text", s.project, version)[0]))
		if diff := cmp.Diff(s.shown(t, s.states[version]), got); diff != "" {
			t.Fatalf("version %d of %d (-want +got):\n%s", version, s.head(), diff)
		}
	}
}

// bad returns what verify_plan finds wrong.
func (s *story) bad(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return pgtest.Texts(t, conn, `SELECT concat_ws(' ', "check", status) || ': ' || detail FROM layercake.verify_plan($1) WHERE status <> 'ok'`, s.project)
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func decoded(t testing.TB, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPlanAtIsWhatTheServerSaidThen(t *testing.T) {
	t.Parallel()
	const versions = 120
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			s := newStory(t, pgtest.New(t), seed)
			s.goOn(t, versions)
			large := func(d plan.DAG) bool { return len(d.Nodes) > 5 && len(d.Edges) > 3 }
			if !slices.ContainsFunc(s.states, large) {
				t.Fatal("the plan was never large")
			}
			s.compareStates(t, s.conn, 0)

			for version := 20; version < versions; version += 20 {
				s.checkpoint(t, version)
			}
			// Whatever a session has set, and whoever has put what in its way.
			pgtest.Exec(t, s.conn, "SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = -3; SET datestyle = 'German'")
			pgtest.Exec(t, s.conn, "CREATE TEMP TABLE events (); CREATE TEMP TABLE heads (); SET search_path = pg_temp")
			s.compareStates(t, s.conn, 0)
			if bad := s.bad(t, s.conn); len(bad) > 0 {
				t.Errorf("verify_plan says %q", bad)
			}

			s.trim(t, 90)
			s.compareStates(t, s.conn, versions-89)
			if bad := s.bad(t, s.conn); len(bad) > 0 {
				t.Errorf("verify_plan says after trimming %q", bad)
			}
			pgtest.Exec(t, s.conn, "DELETE FROM public.checkpoints")
			s.checkpoint(t, 20) // below the floor, as where an older release trims: it leads nowhere
			s.compareStates(t, s.conn, versions-89)
			if bad := s.bad(t, s.conn); len(bad) > 0 {
				t.Errorf("verify_plan says without checkpoints that it can use %q", bad)
			}
		})
	}
}

// A whole plan that is removed and made anew has other places for all.
func TestPlanAtBeforeAllWasRemoved(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	s.goOn(t, 40)
	s.change(t, actors[0], plan.RemoveAll{})
	s.goOn(t, 60)
	s.compareStates(t, s.conn, 0)
}

// What a newer release wrote is left out, as the server does.
func TestPlanAtSkipsOperationsOfAnotherRelease(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	s.goOn(t, 5)
	pgtest.Exec(t, s.conn, `UPDATE events SET body = replace(body::text, '"operations":[', '"operations":[7,{"kind":"FUTURE","index":"x"},{},')::json WHERE version = 3`)
	pgtest.Exec(t, s.conn, `UPDATE events SET hash = event_hash(body::text) WHERE version = 3`)
	for version := range s.states {
		got := pgtest.Texts(t, s.conn, "SELECT layercake.plan_at($1, $2::bigint) ->> 'nodes'", s.project, version)
		if diff := cmp.Diff(decoded(t, encoded(t, s.states[version].Nodes)), decoded(t, []byte(got[0]))); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
	pgtest.Exec(t, s.conn, `UPDATE events SET body = '{"operations":{"shape":"future"}}' WHERE version = 5`)
	if got := pgtest.Texts(t, s.conn, "SELECT id FROM layercake.plan_diff($1, 4, 5)", s.project); len(got) > 0 {
		t.Errorf("operations of a shape that nobody knows touched %q", got)
	}
}

// Whatever is asked, SQL and the server know the same past.
func TestPastInSQLIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 5)
	s.goOn(t, 80)
	s.checkpoint(t, 40)
	s.trim(t, 70)
	for version, undoes := range map[int]int{30: 29, 31: 30, 33: 20, 40: 33, 41: 20, 60: 12} {
		pgtest.Exec(t, s.conn, "UPDATE events SET undoes = $2 WHERE version = $1", version, undoes)
	}
	const oldest = 11
	for version := oldest; version <= s.head(); version++ {
		dag, err := s.core.Plans.At(t.Context(), auth.Unchecked(actors[0], s.project), int64(version))
		if err != nil {
			t.Fatal(err)
		}
		got := pgtest.Texts(t, s.conn, "SELECT layercake.plan_at($1, $2::bigint)::text", s.project, version)[0]
		if diff := cmp.Diff(s.shown(t, dag), decoded(t, []byte(got))); diff != "" {
			t.Fatalf("version %d (-server +SQL):\n%s", version, diff)
		}
	}
	for range 100 {
		from := oldest + s.random.IntN(s.head()-oldest+1)
		to := int64(from + s.random.IntN(s.head()-from+1))
		diff, err := s.core.Plans.Diff(t.Context(), auth.Unchecked(actors[0], s.project), int64(from), &to)
		if err != nil {
			t.Fatal(err)
		}
		want := []difference{}
		for _, d := range diff.Differences {
			one := difference{Kind: string(d.Kind), ID: d.ID, Parts: d.Parts, Versions: d.Versions, ActorNames: d.ActorNames}
			if d.Before != nil {
				one.Before = decoded(t, d.Before)
			}
			if d.After != nil {
				one.After = decoded(t, d.After)
			}
			want = append(want, one)
		}
		if diff := cmp.Diff(want, s.diff(t, from, int(to)), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%d to %d (-server +SQL):\n%s", from, to, diff)
		}
	}
	history, err := s.core.Plans.History(t.Context(), auth.Unchecked(actors[0], s.project), plan.HistoryQuery{Limit: 100, System: true, States: true})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range history.Changes {
		want = append(want, fmt.Sprintf("%d %s %s %s: %s, undone by %d", c.Version, c.ActorID, c.ActorName, c.ClientID, c.Summary(), c.UndoneBy))
	}
	got := pgtest.Texts(t, s.conn, `SELECT format('%s %s %s %s: %s, undone by %s', version, actor_id, actor_name, client_id, summary, coalesce(undone_by, 0))
		FROM layercake.plan_history WHERE project_id = $1 ORDER BY version DESC`, s.project)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-server +SQL):\n%s", diff)
	}
}

func TestPlanAtATime(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	s.goOn(t, 40)
	ask := func(at time.Time) string {
		t.Helper()
		var version string
		err := s.conn.QueryRow(t.Context(), "SELECT layercake.plan_at($1, at => $2) ->> 'version'", s.project, at).Scan(&version)
		if err != nil {
			version = sentence(t, err)
		}
		return version
	}
	compare := func(oldest int) {
		t.Helper()
		for version := oldest; version < s.head(); version++ {
			at, next := s.states[version].ChangedAt, s.states[version+1].ChangedAt
			want := fmt.Sprint(version)
			if got := ask(at); got != want && at.Before(next) {
				t.Errorf("at the time of version %s it is %s", want, got)
			}
			if got := ask(next.Add(-time.Microsecond)); got != want && at.Before(next) {
				t.Errorf("just before version %d it is %s, want %s", version+1, got, want)
			}
		}
		if got := ask(time.Now()); got != fmt.Sprint(s.head()) {
			t.Errorf("now it is %s, want %d", got, s.head())
		}
	}
	compare(0)
	born := s.states[0].CreatedAt
	if got := ask(born.Add(-time.Microsecond)); !strings.HasPrefix(got, "P0002: The plan of project 1 at ") {
		t.Errorf("before the plan was born it is %s", got)
	}
	s.trim(t, 30)
	compare(11)
	if got := ask(s.states[11].ChangedAt.Add(-time.Microsecond)); !strings.Contains(got, "is not kept. The oldest is version 11, of 2") {
		t.Errorf("before the oldest version it is %s", got)
	}
}

// Over a gap nobody knows what the plan was: on either side of it, what can be told is.
func TestPastAcrossAGap(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	s.goOn(t, 30)
	s.checkpoint(t, 10)
	pgtest.Exec(t, s.conn, "DELETE FROM events WHERE version IN (14, 25)")
	const gap = "XX001: Events of project 1 between the versions %s are missing. Ask what else is: SELECT * FROM layercake.verify_plan(1);"
	for call, versions := range map[string]string{
		"plan_at(1, 14)": "10 and 14", "plan_at(1, 19)": "10 and 19", "plan_at(1, 24)": "24 and 30", "plan_diff(1, 13, 14)": "13 and 14",
		"plan_diff(1, 1)": "1 and 30",
	} {
		if _, err := s.conn.Exec(t.Context(), "SELECT layercake."+call); err == nil {
			t.Errorf("%s is answered", call)
		} else if got, want := sentence(t, err), fmt.Sprintf(gap, versions); got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
	for _, version := range []int{0, 9, 13, 26, 30} {
		got := pgtest.Texts(t, s.conn, "SELECT layercake.plan_at(1, $1::bigint)::text", version)[0]
		if diff := cmp.Diff(s.shown(t, s.states[version]), decoded(t, []byte(got))); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
}

// sentence returns what an error of PostgreSQL says: its SQLSTATE, message and hint.
func sentence(t testing.TB, err error) string {
	t.Helper()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s: %s. %s", refused.Code, refused.Message, refused.Hint)
}

func TestPastThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	s.goOn(t, 20)
	s.trim(t, 12)
	const (
		unknown = "P0002: There is no project %s. It may be deleted. Those that are in use: SELECT project_id, project FROM layercake.projects_live;"
		limits  = "22023: The version is %s, and that of project 1 is 20. Give one from 9, the oldest, to 20, the newest."
		trimmed = "P0002: Version %s of project 1 is not kept any more. Give one from 9, the oldest, to 20, the newest."
		future  = "22023: The time is %s. Give one that is not in the future, such as now() - interval '1 day'."
	)
	for call, want := range map[string]string{
		"plan_at(2, 1)":                          fmt.Sprintf(unknown, "2"),
		"plan_at(NULL, 1)":                       fmt.Sprintf(unknown, "null"),
		"plan_at(1, NULL::bigint)":               fmt.Sprintf(limits, "null"),
		"plan_at(1, -1)":                         fmt.Sprintf(limits, "-1"),
		"plan_at(1, 21)":                         fmt.Sprintf(limits, "21"),
		"plan_at(1, 8)":                          fmt.Sprintf(trimmed, "8"), // the state at the floor, which has no time
		"plan_at(1, 0)":                          fmt.Sprintf(trimmed, "0"),
		"plan_at(2, now())":                      fmt.Sprintf(unknown, "2"),
		"plan_at(1, NULL::timestamptz)":          fmt.Sprintf(future, "null"),
		"plan_at(1, timestamptz 'infinity')":     fmt.Sprintf(future, "infinity"),
		"plan_at(1, timestamptz '-infinity')":    "P0002: The plan of project 1 at -infinity is not kept. The oldest is version 9, of ",
		"plan_diff(2, 1, 2)":                     fmt.Sprintf(unknown, "2"),
		"plan_diff(1, 8, 9)":                     fmt.Sprintf(trimmed, "8"),
		"plan_diff(1, NULL)":                     fmt.Sprintf(limits, "null"),
		"plan_diff(1, 10, 21)":                   fmt.Sprintf(limits, "21"),
		"plan_diff(1, 11, 10)":                   "22023: Version 11 comes after version 10. Give the earlier one first.",
		"plan_diff(1, from_version => 21)":       fmt.Sprintf(limits, "21"),
		"verify_plan(2)":                         fmt.Sprintf(unknown, "2"),
		"plan_at(1, now() + interval '1 month')": "22023: The time is 2",
	} {
		_, err := s.conn.Exec(t.Context(), "SELECT layercake."+call)
		if err == nil {
			t.Errorf("%s is answered", call)
		} else if got := sentence(t, err); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
}

// difference is a row of plan_diff.
type difference struct {
	Kind, ID      string
	Parts         []string
	Before, After any
	Versions      []int64
	ActorNames    []string
}

func (s *story) diff(t *testing.T, from, to int) []difference {
	t.Helper()
	rows, err := s.conn.Query(t.Context(), "SELECT * FROM layercake.plan_diff($1, $2, $3)", s.project, from, to)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[difference])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Done one after the other to the plan at one version, differences make the plan at the other one, order included. Only times of elements
// that were changed and changed back are left out.
func TestPlanDiffLeadsFromOneVersionToAnother(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 2)
	s.goOn(t, 60)
	values := func(version int) map[string][]any {
		t.Helper()
		record := s.records[version]
		return map[string][]any{
			"NODE": decoded(t, encoded(t, s.states[version].Nodes)).([]any), "EDGE": decoded(t, encoded(t, s.states[version].Edges)).([]any),
			"PLAN": {map[string]any{"id": fmt.Sprint(record.ID), "name": record.Name, "yamlContent": record.YAMLContent}},
		}
	}
	for from := 0; from <= s.head(); from += 7 {
		for to := from; to <= s.head(); to += 5 {
			plan := values(from)
			for _, d := range s.diff(t, from, to) {
				kind, what, _ := strings.Cut(d.Kind, "_")
				at := slices.IndexFunc(plan[kind], func(v any) bool { return v.(map[string]any)["id"] == d.ID })
				if (at < 0) != (what == "ADDED") || (d.Before == nil) != (what == "ADDED") || (d.After == nil) != (what == "REMOVED") {
					t.Fatalf("%d to %d: %s %s cannot be done", from, to, d.Kind, d.ID)
				}
				if (len(d.Parts) > 0) != (what == "UPDATED") || len(d.Versions) == 0 || len(d.ActorNames) == 0 ||
					d.Versions[0] <= int64(from) || d.Versions[len(d.Versions)-1] > int64(to) {
					t.Errorf("%d to %d: %+v", from, to, d)
				}
				if kind == "PLAN" {
					d.After.(map[string]any)["id"] = d.ID
				}
				switch {
				case what == "UPDATED" && !slices.Contains(d.Parts, "place"):
					plan[kind][at] = d.After
				case what == "UPDATED":
					plan[kind] = append(slices.Delete(plan[kind], at, at+1), d.After)
				case what == "REMOVED":
					plan[kind] = slices.Delete(plan[kind], at, at+1)
				default:
					plan[kind] = append(plan[kind], d.After)
				}
			}
			// What was only touched differs in updatedAt, and the record here has neither of the others.
			ignored := cmpopts.IgnoreMapEntries(func(key string, _ any) bool {
				return key == "updatedAt" || key == "dependencies" || key == "status"
			})
			if diff := cmp.Diff(values(to), plan, ignored, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%d to %d (-want +got):\n%s", from, to, diff)
			}
		}
	}
}

func TestPlanDiffNamesPartsAndPeople(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	node := func(id string) plan.AddNode {
		return plan.AddNode{Node: plan.Node{ID: id, NodeType: plan.MergeNode, Metadata: plan.NodeMetadata{Label: id}}}
	}
	edge := func(id, source, target string) plan.AddEdge {
		return plan.AddEdge{Edge: plan.Edge{ID: id, Source: source, Target: target, Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}}
	}
	text, config := "new", `{"a":1}`
	for i, edits := range [][]plan.Edit{
		{node("a"), node("b"), node("c"), node("d"), edge("ab", "a", "b"), edge("bc", "b", "c")}, // 1
		{plan.UpdateNode{ID: "b", Position: &plan.Position{X: 7}}},
		{plan.UpdateNode{ID: "a", Metadata: &plan.NodeMetadata{Label: text}, Config: &config}},
		{plan.UpdateNode{ID: "b", Position: &plan.Position{}}}, // as it was
		{plan.MoveNodes{Moves: []plan.Move{{ID: "a", SourcePosition: &text, TargetPosition: &text}}}},
		{plan.DeleteEdge{ID: "bc"}, edge("bc", "a", "c")},
		{plan.UpdateEdge{ID: "bc", SourceHandle: &text, TargetHandle: &text, Metadata: &plan.EdgeMetadata{Label: &text, DataType: plan.GraphData}}},
		{node("e"), plan.DeleteNode{ID: "e"}, plan.DeleteNode{ID: "d"}},
		{plan.UpdatePlan{Name: text, YAMLContent: text, Dependencies: []int32{1}}},
		{plan.DeleteNode{ID: "c"}, node("c")}, // 10: with its edge
		{node("f"), edge("fc", "f", "c")},
	} {
		if !s.change(t, actors[i%3], edits...) {
			t.Fatalf("change %d made no version", i+1)
		}
	}
	got := []string{}
	for _, d := range s.diff(t, 1, s.head()) {
		got = append(got, fmt.Sprint(d.Kind, " ", d.ID, " ", d.Parts, " ", d.Versions, " ", d.ActorNames))
	}
	if diff := cmp.Diff([]string{
		"EDGE_REMOVED bc [] [6 7 10] [Cleo Ann]",
		"NODE_REMOVED d [] [8] [Bob]",
		"NODE_UPDATED a [source position target position metadata config] [3 5] [Cleo Bob]",
		"NODE_UPDATED c [place] [10] [Ann]",
		"NODE_ADDED f [] [11] [Bob]",
		"EDGE_ADDED fc [] [11] [Bob]",
		"PLAN_UPDATED 1 [name yaml dependencies] [9] [Cleo]",
	}, got); diff != "" {
		t.Error(diff)
	}
	got = nil
	for _, d := range s.diff(t, 5, 7) {
		got = append(got, fmt.Sprint(d.Kind, " ", d.ID, " ", d.Parts))
	}
	if diff := cmp.Diff([]string{"EDGE_UPDATED bc [ends source handle target handle metadata place]"}, got); diff != "" {
		t.Error(diff)
	}
	if n := pgtest.Count(t, s.conn, "SELECT count(*) FROM layercake.plan_diff(1, 10)"); n != 2 {
		t.Errorf("%d differences since version 10, want 2", n)
	}
}

// Each kind of damage is found by the check that is for it.
func TestVerifyPlanFindsDamage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage string
		want   []string
	}{
		"nothing":               {"SELECT 1", nil},
		"a missing event":       {"DELETE FROM events WHERE version = 7", []string{"versions fail: missing, or too many: 7"}},
		"missing events":        {"DELETE FROM events WHERE version BETWEEN 7 AND 9 OR version = 1", []string{"versions fail: missing, or too many: 1, 7 to 9"}},
		"an event too many":     {"UPDATE heads SET log_floor = 1, floor_hash = (SELECT hash FROM events WHERE version = 1)", []string{"versions fail: missing, or too many: 1"}},
		"a head too low":        {"UPDATE heads SET version = 29", []string{"head fail: version 29 has hash", "rows fail: not what the log says: ", "versions fail: missing, or too many: 30"}},
		"a head too high":       {"UPDATE heads SET version = 31", []string{"head fail: version 31 has hash", "versions fail: missing, or too many: 31"}},
		"another hash":          {"UPDATE heads SET hash = '00000000'", []string{"head fail: version 30 has hash 00000000, and its event "}},
		"no hash":               {"UPDATE heads SET hash = NULL", []string{"head fail: version 30 has hash null, and its event "}},
		"a changed event":       {`UPDATE events SET body = replace(body::text, '"via":"test"', '"via":"sql"')::json WHERE version = 9`, []string{"events fail: not as they were written: 9"}},
		"a rehashed event":      {`UPDATE events SET body = replace(body::text, '"via":"test"', '"via":"sql"')::json, hash = event_hash(replace(body::text, '"via":"test"', '"via":"sql"')) WHERE version = 9`, []string{"events fail: not as they were written: 10"}},
		"the event of another":  {"UPDATE events SET body = o.body, hash = o.hash FROM events o WHERE events.version = 30 AND o.version = 29; UPDATE heads SET hash = (SELECT hash FROM events WHERE version = 30)", []string{"events fail: not as they were written: 30", "head fail: the event of version 30 is version 29 of project 1", "rows fail"}},
		"a changed node":        {"UPDATE plan_nodes SET position_x = position_x + 1 WHERE id = 'x'", []string{"rows fail: not what the log says: node x"}},
		"a node too many":       {"INSERT INTO plan_nodes SELECT project_id, 'y', ordinal + 1, node_type, 0, 0, NULL, NULL, '', NULL, '{}', now(), now() FROM plan_nodes WHERE id = 'z'", []string{"rows fail: not what the log says: node y is too much"}},
		"a missing node":        {"DELETE FROM plan_nodes WHERE id = 'z'", []string{"rows fail: not what the log says: edge xz is missing, node z is missing"}},
		"another order":         {"UPDATE plan_nodes SET ordinal = ordinal + CASE id WHEN 'x' THEN -1 ELSE 1 END WHERE id IN ('x', 'w')", []string{"rows fail: not what the log says: the order of nodes"}},
		"a changed record":      {"UPDATE plans SET dependencies = '{9}'", []string{"rows fail: not what the log says: plan"}},
		"a forgotten gap":       {"UPDATE plans SET node_gaps = '{}'", []string{"ordinals fail: with their gaps they are no order: nodes"}},
		"a gap too many":        {"UPDATE plans SET edge_gaps = edge_gaps || (SELECT ordinal FROM plan_edges WHERE id = 'wx')", []string{"ordinals fail: with their gaps they are no order: edges"}},
		"gaps in disorder":      {"UPDATE plans SET node_gaps = ARRAY(SELECT g FROM unnest(node_gaps) g ORDER BY g DESC)", []string{"ordinals fail: with their gaps they are no order: nodes"}},
		"an edge without end":   {"SET session_replication_role = replica; DELETE FROM plan_nodes WHERE id = 'z'; RESET session_replication_role", []string{"edges fail: without two ends of their own: xz", "rows fail: not what the log says: node z is missing"}},
		"a circle":              {"INSERT INTO plan_edges SELECT project_id, 'zw', ordinal + 1, 'z', 'w', NULL, NULL, NULL, data_type, now(), now() FROM plan_edges WHERE id = 'xz'", []string{"cycles fail: edges lead in a circle through w, x, z", "rows fail: not what the log says: edge zw is too much"}},
		"a damaged checkpoint":  {"UPDATE checkpoints SET body = replace(body::text, 'MergeNode', 'GraphNode')::json WHERE version = 28", []string{"checkpoints warn: damaged: 28"}},
		"a checkpoint too high": {"INSERT INTO checkpoints SELECT project_id, 31, body, sum FROM checkpoints WHERE version = 28", []string{"checkpoints warn: damaged: 31"}},
		"a lying checkpoint":    {"UPDATE checkpoints SET body = b.body, sum = sha256(convert_to(b.body::text, 'UTF8')) FROM (SELECT jsonb_set(body::jsonb, '{nodes,0,id}', '\"u\"')::json AS body FROM checkpoints WHERE version = 28) b WHERE version = 28", []string{"rows fail: not what the log says: node "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, pgtest.New(t), 3)
			node := func(id string) plan.AddNode { return plan.AddNode{Node: plan.Node{ID: id, NodeType: plan.MergeNode}} }
			edge := func(id, source, target string) plan.AddEdge {
				return plan.AddEdge{Edge: plan.Edge{ID: id, Source: source, Target: target, Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}}
			}
			s.goOn(t, 20)
			s.checkpoint(t, 10)
			s.goOn(t, 26)
			s.change(t, actors[0], node("v"), node("v2"), node("w"), node("x"), node("z"), edge("vv", "v", "v2"), edge("wx", "w", "x"), edge("xz", "x", "z"))
			s.change(t, actors[0], plan.DeleteNode{ID: "v"})
			s.change(t, actors[0], plan.DeleteNode{ID: "v2"})
			s.change(t, actors[0], plan.MoveNodes{Moves: []plan.Move{{ID: "x", Position: plan.Position{X: 1}}, {ID: "w", Position: plan.Position{X: 1}}}})
			s.checkpoint(t, 28)
			if s.head() != 30 {
				t.Fatalf("%d versions, want 30", s.head())
			}
			pgtest.Exec(t, s.conn, c.damage)
			got := s.bad(t, s.conn)
			slices.Sort(got)
			if len(got) != len(c.want) {
				t.Fatalf("found %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("found %q, want %q", got[i], c.want[i])
				}
			}
			if n := pgtest.Count(t, s.conn, "SELECT count(*) FROM layercake.verify_plan(1) WHERE (status = 'ok') <> (advice IS NULL)"); n > 0 {
				t.Errorf("%d findings with no advice, or with advice about nothing", n)
			}
		})
	}
}

// A log in which nobody named the plan says with what it was born.
func TestVerifyPlanKnowsHowPlansAreBorn(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	if !s.change(t, actors[0], plan.AddNode{Node: plan.Node{ID: "x", NodeType: plan.GraphNode, Config: "{}"}}) {
		t.Fatal("no node was added")
	}
	if bad := s.bad(t, s.conn); len(bad) > 0 {
		t.Fatalf("before: %q", bad)
	}
	for _, set := range []string{"name = 'x'", "yaml_content = 'x'", "dependencies = '{1}'", "status = 'pending'"} {
		tx, err := s.conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, s.conn, "UPDATE plans SET "+set)
		if bad, want := s.bad(t, s.conn), []string{"rows fail: not what the log says: plan"}; !slices.Equal(bad, want) {
			t.Errorf("%s: %q, want %q", set, bad, want)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Many who change a plan at once, on two replicas, leave it whole, and it is whole to whoever looks meanwhile.
func TestVerifyPlanInAStorm(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	s := newStory(t, database, 1)
	other := servertest.StartCoreOn(t, database, nil)
	var storm errgroup.Group
	for n := range uint64(8) {
		plans := []*plan.Service{s.core.Plans, other.Plans}[n%2]
		mine := story{random: rand.New(rand.NewPCG(n, n))}
		storm.Go(func() error {
			for range 100 {
				_, err := plans.Change(t.Context(), auth.Unchecked(actors[n%3], s.project), plan.Change{Via: "test", Edits: []plan.Edit{mine.edit()}})
				if err != nil && fault.From(err) == nil {
					return err
				}
			}
			return nil
		})
	}
	ended := make(chan error)
	go func() { ended <- storm.Wait() }()
	for looks := 1; ; looks++ {
		if bad := s.bad(t, s.conn); len(bad) > 0 {
			t.Errorf("verify_plan says %q", bad)
		}
		select {
		case err := <-ended:
			if bad := s.bad(t, s.conn); len(bad) > 0 || err != nil {
				t.Errorf("after %d looks verify_plan says %q; %v", looks, bad, err)
			}
			if n := pgtest.Count(t, s.conn, "SELECT version FROM heads"); n < 200 {
				t.Errorf("only %d changes", n)
			}
			return
		default:
		}
	}
}

// A damaged checkpoint is told, and another base is taken.
func TestPlanAtTakesNoDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	s := newStory(t, database, 1)
	s.goOn(t, 40)
	s.checkpoint(t, 20)
	pgtest.Exec(t, s.conn, "UPDATE checkpoints SET body = '{}'")
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { warnings = append(warnings, n.Severity+" "+n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	s.compareStates(t, conn, 21)
	if len(warnings) == 0 || warnings[0] != "WARNING The checkpoint of project 1 at version 20 is damaged, and not used" {
		t.Errorf("warnings: %q", warnings)
	}
}

// A hot standby has no temporary tables, no locks on rows, and no transaction ids.
func TestPastOnAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	s := newStory(t, primary.URL, 1)
	s.goOn(t, 30)
	s.checkpoint(t, 10)
	standby := pgtest.Connect(t, pgtest.Standby(t, primary))
	pgtest.AwaitTexts(t, standby, []string{"30"}, "SELECT version::text FROM heads")
	pgtest.AwaitTexts(t, standby, []string{"1"}, "SELECT count(*)::text FROM checkpoints")
	s.compareStates(t, standby, 0)
	if got := pgtest.Texts(t, standby, "SELECT layercake.plan_at(1, now()) ->> 'version'"); !cmp.Equal(got, []string{"30"}) {
		t.Errorf("the plan is at %q, want 30", got)
	}
	if n := pgtest.Count(t, standby, "SELECT count(*) FROM layercake.plan_diff(1, 3)"); n == 0 {
		t.Error("nothing differs")
	}
	if n := pgtest.Count(t, standby, "SELECT count(*) FROM layercake.verify_plan(1) WHERE status = 'ok'"); n != 8 {
		t.Errorf("%d checks are ok, want 8; %q", n, s.bad(t, standby))
	}
	if n := pgtest.Count(t, standby, "SELECT count(*) FROM layercake.plan_history WHERE undone_by IS NULL"); n != 30 {
		t.Errorf("%d changes, want 30", n)
	}
}

// Of a row of undos each of which takes back the one before, every other one stands.
func TestHistorySaysWhatIsUndone(t *testing.T) {
	t.Parallel()
	s := newStory(t, pgtest.New(t), 1)
	s.goOn(t, 12)
	undoes := func(version, what int) {
		t.Helper()
		pgtest.Exec(t, s.conn, "UPDATE events SET undoes = $2 WHERE version = $1", version, what)
	}
	undoes(4, 1)
	undoes(5, 2)
	undoes(6, 5)
	undoes(8, 3) // undone, redone, undone again
	undoes(9, 8)
	undoes(10, 3)
	got := pgtest.Texts(t, s.conn, `SELECT format('%s: undoes %s, undone by %s', version, undoes, undone_by)
		FROM layercake.plan_history WHERE project_id = $1 AND version < 12 ORDER BY version`, s.project)
	if diff := cmp.Diff([]string{
		"1: undoes , undone by 4",
		"2: undoes , undone by ",
		"3: undoes , undone by 10",
		"4: undoes 1, undone by ",
		"5: undoes 2, undone by 6",
		"6: undoes 5, undone by ",
		"7: undoes , undone by ",
		"8: undoes 3, undone by 9",
		"9: undoes 8, undone by ",
		"10: undoes 3, undone by ",
		"11: undoes , undone by ",
	}, got); diff != "" {
		t.Error(diff)
	}
	got = pgtest.Texts(t, s.conn, "SELECT DISTINCT format('%s is %s, in %s', actor_name, actor_id, client_id) FROM layercake.plan_history ORDER BY 1")
	if diff := cmp.Diff([]string{"Ann is ann, in tab", "Bob is bob, in tab", "Cleo is cleo, in tab"}, got); diff != "" {
		t.Error(diff)
	}
}
