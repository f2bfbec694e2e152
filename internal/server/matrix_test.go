package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/golden"
	"layercake/internal/oidc"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
)

// securityPage has the tables of rights. Each cell is executed by a test, and each thing that can be asked for has a row.
const securityPage = "../../docs/security.md"

// askers are those who ask, in the order of the columns.
var askers = []string{"nobody", "stranger", "viewer", "editor", "owner", "READ token", "ended session"}

// The cells: what somebody gets.
const (
	cellYes    = "yes"
	cellNo     = "no"      // FORBIDDEN
	cellAbsent = "-"       // as if it were not there: NOT_FOUND, null, false or an empty list
	cellSignIn = "sign in" // UNAUTHENTICATED
)

// cellOf is the cell of a code of an error. Other codes stand for themselves, and are in no table.
func cellOf(code string) string {
	switch code {
	case "UNAUTHENTICATED":
		return cellSignIn
	case "FORBIDDEN":
		return cellNo
	case "NOT_FOUND":
		return cellAbsent
	}
	return code
}

// rightsTable is what a test found out, row by row.
type rightsTable map[string][]string

// pageMutex orders the tests that write the page.
var pageMutex sync.Mutex

// compare compares with the table after a mark in the page, which is what people have read and meant. With -update it writes the table.
func (table rightsTable) compare(t *testing.T, mark string, columns []string) {
	t.Helper()
	for name, cells := range table {
		checkRow(t, name, columns, cells)
	}
	pageMutex.Lock()
	defer pageMutex.Unlock()
	page, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), "<!-- rights: "+mark+" -->\n")
	body, after, closed := strings.Cut(rest, "<!-- end -->")
	if !found || !closed {
		t.Fatalf("%s has no table of %s", securityPage, mark)
	}
	if golden.Updating() {
		names := make([]string, 0, len(table))
		for name := range table {
			names = append(names, name)
		}
		slices.Sort(names)
		var b strings.Builder
		fmt.Fprintf(&b, "\n| %s | %s |\n|%s\n", mark, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)+1))
		for _, name := range names {
			fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(table[name], " | "))
		}
		body = b.String() + "\n"
		text := before + "<!-- rights: " + mark + " -->\n" + body + "<!-- end -->" + after
		if err := os.WriteFile(securityPage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]string{}
	for _, line := range strings.Split(body, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if name := strings.TrimSpace(cells[0]); strings.HasPrefix(name, "`") {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			want[strings.Trim(name, "`")] = cells[1:]
		}
	}
	for name, got := range table {
		switch cells, ok := want[name]; {
		case !ok:
			t.Errorf("%s has no row in the table of %s", name, mark)
		case len(cells) != len(columns):
			t.Errorf("the row of %s has %d cells, want %d", name, len(cells), len(columns))
		default:
			for i, cell := range cells {
				if got[i] != cell {
					t.Errorf("%s: %s gets %q, the table says %q", name, columns[i], got[i], cell)
				}
			}
		}
	}
	for name := range want {
		if _, ok := table[name]; !ok {
			t.Errorf("the table of %s has a row for %s, which is not there", mark, name)
		}
	}
}

// doors are what is open to who is not signed in. Nobody adds one by writing it into the table alone.
var doors = []string{
	"Mutation.login", "Mutation.register", "Mutation.redeemCode", "Query.me", "/health", "/health/live", "/health/ready", "/login", "/login/*",
	"/login/options", "/oidc/login",
	"/.well-known/oauth-protected-resource/mcp",
	"/client/*", "/{file}" + beside, // programs without data; the pages that load them are not
	"/graphql/ws", // the handshake: the credential may come in connection_init
}

// checkRow checks what no table may say, so that a wrong table is not written and taken for right.
func checkRow(t *testing.T, name string, columns, cells []string) {
	t.Helper()
	rank := func(column string) (string, int) {
		i := slices.Index(columns, column)
		if i < 0 {
			return "", -1
		}
		return cells[i], slices.Index([]string{cellSignIn, cellAbsent, cellNo, cellYes}, cells[i])
	}
	for i, cell := range cells {
		if !slices.Contains([]string{cellYes, cellNo, cellAbsent, cellSignIn}, cell) {
			t.Errorf("%s: %s gets %s", name, columns[i], cell)
		}
	}
	for _, column := range []string{"nobody", "ended session"} {
		if cell, n := rank(column); n >= 0 && !slices.Contains(doors, name) && cell == cellYes {
			t.Errorf("%s is open to %s", name, column)
		}
	}
	for _, pair := range [][2]string{
		{"ended session", "owner"},
		{"stranger", "viewer"},
		{"viewer", "editor"},
		{"editor", "owner"},
		{"READ token", "owner"},
		{"EDIT, RUN token", "owner"},
		{"no grant", "grant_reader"},
		{"grant_reader", "grant_operator"},
	} {
		less, l := rank(pair[0])
		more, m := rank(pair[1])
		if l >= 0 && m >= 0 && less == cellYes && more != cellYes {
			t.Errorf("%s: %s may, %s may not", name, pair[0], pair[1])
		}
	}
}

// stage is two replicas that let in who signed in, and people who may more or less in the projects that it makes.
type stage struct {
	t        *testing.T
	database string
	urls     [2]string
	conn     *pgx.Conn
	accounts *auth.Accounts
	people   map[string]person
	agent    person // a token of the owner that may edit
	proposer person // another one, which may not decide on what it proposes
	provider string // address of an identity provider
	unique   int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	database := pgtest.New(t)
	provider := identityProvider(t)
	replicas := servertest.StartOn(t, database, 2, func(cfg *server.Config) {
		required(cfg)
		cfg.PublicURL = &url.URL{Scheme: "http", Host: "127.0.0.1"}
		cfg.OIDC = oidc.Config{Issuer: provider, ClientID: "layercake", Scopes: "openid"}
	})
	s := &stage{
		t: t, database: database, urls: [2]string{replicas[0].URL, replicas[1].URL}, conn: pgtest.Connect(t, database), people: map[string]person{"nobody": {}},
		provider: provider,
	}
	s.accounts = servertest.StartCoreOn(t, database, required).Accounts
	for _, name := range []string{"stranger", "viewer", "editor", "owner", "helper", "invitee", "forgetful"} {
		s.people[name] = registered(t, s.urls[0], name)
		s.token(name, "READ")
	}
	s.people["READ token"], s.agent = s.token("owner", "READ"), s.token("owner", "EDIT, RUN")
	s.proposer = s.token("owner", "EDIT")
	s.people["ended session"] = s.signedIn("owner")
	s.people["ended session"].does(t, s.urls[1], `mutation { logout(sessionId: "") }`, nil)
	return s
}

// identityProvider is one that says who it is, and no more.
func identityProvider(t *testing.T) (address string) {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":"%[1]s","authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/t","jwks_uri":"%[1]s/k"}`, address)
	}))
	t.Cleanup(provider.Close)
	address = provider.URL
	return address
}

// signedIn is another session of somebody.
func (s *stage) signedIn(name string) person {
	s.t.Helper()
	var data struct{ Login struct{ SessionID string } }
	person{}.does(s.t, s.urls[0], fmt.Sprintf(`mutation { login(input: {email: %q, password: %q}) { sessionId } }`, name, password), &data)
	return person{s.people[name].id, data.Login.SessionID}
}

// token is a token of somebody.
func (s *stage) token(name, scopes string) person {
	s.t.Helper()
	var data struct{ CreateToken struct{ Secret string } }
	s.people[name].does(s.t, s.urls[0], fmt.Sprintf(`mutation { createToken(name: "Bot", scopes: [%s]) { secret } }`, scopes), &data)
	return person{s.people[name].id, data.CreateToken.Secret}
}

// found is where the arguments of a request lead: by the names in braces.
type found map[string]string

// bare makes a project of the owner, with a plan that nobody wrote to. It has a viewer, an editor, a helper, and somebody invited.
func (s *stage) bare() found {
	s.t.Helper()
	project := s.people["owner"].created(s.t, s.urls[0])
	f := found{"project": fmt.Sprint(project)}
	for name, id := range s.people {
		f["user of "+name] = fmt.Sprint(id.id)
	}
	for name, role := range map[string]string{"viewer": "viewer", "editor": "editor", "helper": "viewer", "invitee": "viewer"} {
		status := "accepted"
		if name == "invitee" {
			status = "pending"
		}
		f[name+" here"] = pgtest.Texts(s.t, s.conn, `INSERT INTO collaborators (project_id, user_id, role, status)
			VALUES ($1, $2, $3, $4) RETURNING id::text`, project, s.people[name].id, role, status)[0]
	}
	f["plan"] = pgtest.Texts(s.t, s.conn, `SELECT id::text FROM plans WHERE project_id = $1`, project)[0]
	return f
}

// furnished makes a project with a data source, nodes, edges, a graph, a proposal, a change, and an undo.
func (s *stage) furnished() found {
	s.t.Helper()
	f, owner, url := s.bare(), s.people["owner"], s.urls[0]
	var data struct {
		CreateDataSourceFromFile, CreateGraph struct{ ID int }
		EditPlan, UndoChange                  struct{ Version int }
		GetPlanDag                            struct {
			Nodes []struct{ ID, NodeType string }
		}
	}
	do := func(query string) { s.t.Helper(); owner.does(s.t, url, f.fill(query), &data) }
	do(`mutation { createDataSourceFromFile(input: {projectId: {project}, name: "Nodes", filename: "nodes.csv", fileFormat: CSV,
		dataType: NODES, fileContent: "aWQsbGFiZWwKMSxPbmUKMixUd28K"}) { id } }`)
	f["source"] = fmt.Sprint(data.CreateDataSourceFromFile.ID)
	do(`{ getPlanDag(projectId: {project}) { nodes { id nodeType } } }`)
	f["table"] = data.GetPlanDag.Nodes[0].ID
	do(`mutation { editPlan(projectId: {project}, edits: [
		{addNode: {id: "g", nodeType: GraphNode, position: {x: 0, y: 0}, metadata: {label: "Graph"}, config: "{}"}},
		{addNode: {id: "o", nodeType: OutputNode, position: {x: 0, y: 0}, metadata: {label: "Output"}, config: "{\"renderTarget\":\"JSON\"}"}},
		{addNode: {id: "x", nodeType: GraphNode, position: {x: 0, y: 0}, metadata: {label: "Spare"}, config: "{}"}},
		{addEdge: {id: "e", source: "{table}", target: "g", metadata: {dataType: GRAPH_DATA}}},
		{addEdge: {id: "f", source: "g", target: "o", metadata: {dataType: GRAPH_DATA}}}]) { version } }`)
	do(`mutation { createGraph(input: {projectId: {project}, name: "Another"}) { id } }`)
	f["graph"] = fmt.Sprint(data.CreateGraph.ID)
	do(`mutation { editPlan(projectId: {project}, edits: [{moveNodes: [{nodeId: "x", position: {x: 1, y: 1}}]}]) { version } }`)
	f["change"] = fmt.Sprint(data.EditPlan.Version)
	do(`mutation { undoChange(projectId: {project}, version: {change}) { version } }`)
	f["undo"] = fmt.Sprint(data.UndoChange.Version)
	do(`mutation { editPlan(projectId: {project}, edits: [{moveNodes: [{nodeId: "g", position: {x: 1, y: 1}}]}]) { version } }`)
	f["change"] = fmt.Sprint(data.EditPlan.Version)
	f["version"] = f["change"]
	proposal := f.fill(`{"name":"edit_plan","arguments":{"project_id":{project},"mode":"propose",
		"operations":[{"op":"add_node","node_type":"GraphNode","label":"Proposed"}]}}`)
	if _, _, text := s.proposer.rpc(s.t, url, "", "tools/call", proposal); strings.Contains(text, `"isError":true`) {
		s.t.Fatal(text)
	}
	return f
}

// lone makes a project with one graph, which was built, and returns its id.
func (s *stage) lone() string {
	s.t.Helper()
	f := s.bare()
	for _, query := range []string{
		`mutation { createDataSourceFromFile(input: {projectId: {project}, name: "Nodes", filename: "nodes.csv", fileFormat: CSV,
			dataType: NODES, fileContent: "aWQsbGFiZWwKMSxPbmUKMixUd28K"}) { id } }`,
		`mutation { editPlan(projectId: {project}, edits: [{addNode: {id: "g", nodeType: GraphNode, position: {x: 0, y: 0},
			metadata: {label: "Graph"}, config: "{}"}},
			{addEdge: {id: "e", source: "{table}", target: "g", metadata: {dataType: GRAPH_DATA}}}]) { version } }`,
		`mutation { executeNode(projectId: {project}, nodeId: "g") { success } }`,
	} {
		s.people["owner"].does(s.t, s.urls[0], f.fill(query), nil)
		if f["table"] == "" {
			f["table"] = pgtest.Texts(s.t, s.conn, `SELECT id FROM plan_nodes WHERE project_id = $1`, f["project"])[0]
		}
	}
	return f["project"]
}

// fill puts what is found into a text.
func (f found) fill(text string) string {
	for name, value := range f {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// next returns a number that was not used.
func (s *stage) next() string {
	s.unique++
	return fmt.Sprint(s.unique)
}
