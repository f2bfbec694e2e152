package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
)

// messageTypes are the constants of the collaboration socket's messages in their source.
var messageTypes = regexp.MustCompile(`(?m)^\ttype\w+\s+= "(\w+)"$`)

// The messages of the collaboration socket, as they are sent. Those that people send once they are there come after a join.
var collaborationMessages = map[string]string{
	"join_session":    string(client.Join{UserID: "me", UserName: "Me", DocumentID: "canvas"}.Frame()),
	"leave_session":   `{"type":"leave_session","data":{}}`,
	"switch_document": `{"type":"switch_document","data":{"documentId":"canvas","documentType":"canvas"}}`,
	"cursor_update":   string(client.MoveFrame("canvas", 1, 2)),
	"ping":            `{"type":"ping"}`,
	"authenticate":    `{"type":"authenticate","token":"` + ownSecret + `"}`,
}

// ownSecret stands in a message for the secret of who sends it.
const ownSecret = "OWN SECRET"

// Every message of both sockets.
func TestRightsOfMessages(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.bare()
	table := rightsTable{}
	source, err := os.ReadFile("../collab/message.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range messageTypes.FindAllStringSubmatch(string(source), -1) {
		message, ok := collaborationMessages[match[1]]
		if !ok {
			t.Errorf("no message of the type %s to try: add it", match[1])
			continue
		}
		cells := make([]string, len(askers))
		for i, asker := range askers {
			cells[i] = s.said(asker, f, match[1], message, i)
		}
		table["collaboration "+match[1]] = cells
	}
	for kind, messages := range map[string][]string{
		"connection_init": nil,
		"ping":            {`{"type":"ping"}`},
		"pong":            {`{"type":"pong"}`, `{"type":"ping"}`},
		"subscribe":       {`{"type":"subscribe","id":"1","payload":{"query":"{ nodeTypes { nodeType } }"}}`},
		"complete":        {`{"type":"complete","id":"1"}`, `{"type":"ping"}`},
	} {
		cells := make([]string, len(askers))
		for i, asker := range askers {
			cells[i] = s.toldGraphQL(asker, messages, i)
		}
		table["graphql-transport-ws "+kind] = cells
	}
	cells := make([]string, len(askers))
	for i, asker := range askers {
		socket, cell := s.socketWith(t.Context(), i, s.people[asker].secret, "")
		if cells[i] = cell; socket != nil {
			socket.CloseNow()
		}
	}
	table["graphql-transport-ws connection_init (credential in the handshake)"] = cells
	table.compare(t, "message", askers)
}

// said sends a message to the collaboration socket of a project, and a ping, whose answer shows that it was taken.
func (s *stage) said(asker string, f found, kind, message string, turn int) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), pgtest.Patience)
	defer cancel()
	header := http.Header{}
	if secret := s.people[asker].secret; secret != "" {
		header.Set("Authorization", "Bearer "+secret)
	}
	dialer := client.Dialer{Timeout: pgtest.Patience, Header: header}
	socket, err := dialer.Open(ctx, s.urls[turn%2], "/ws/collaboration?project_id="+f["project"])
	if err != nil {
		return cellOfClose(err)
	}
	defer socket.CloseNow()
	frames := []string{strings.ReplaceAll(message, ownSecret, s.people[asker].secret), collaborationMessages["ping"]}
	if kind != "join_session" && kind != "ping" {
		frames = slices.Insert(frames, 0, collaborationMessages["join_session"])
	}
	say(s.t, socket, frames...)
	for {
		frame, err := socket.Receive(ctx)
		if err != nil {
			if kind == "leave_session" { // the server closes once somebody has left
				return cellYes
			}
			return cellOfClose(err)
		}
		var got struct{ Type string }
		_ = json.Unmarshal(frame, &got) // no type is none of these
		switch got.Type {
		case "pong":
			return cellYes
		case "error":
			return string(frame)
		}
	}
}

// toldGraphQL sends messages after connection_init, and waits for an answer to the last one.
func (s *stage) toldGraphQL(asker string, messages []string, turn int) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), pgtest.Patience)
	defer cancel()
	socket, cell := s.socket(ctx, asker, turn)
	if socket == nil {
		return cell
	}
	defer socket.CloseNow()
	if len(messages) == 0 {
		return cell
	}
	say(s.t, socket.Socket, messages...)
	m, err := socket.Next(ctx)
	switch {
	case err != nil:
		return cellOfClose(err)
	case m.Type == "error":
		return cellOf(codeIn(m.Payload))
	}
	return cellYes
}

// The requests of routes, by their patterns: method, path, type and body.
var routeRequests = map[string][4]string{
	"/health":                              {http.MethodGet, "/health"},
	"/health/live":                         {http.MethodGet, "/health/live"},
	"/health/ready":                        {http.MethodGet, "/health/ready"},
	"/graphql":                             {http.MethodPost, "/graphql", "application/json", `{"query":"{ nodeTypes { nodeType } }"}`},
	"/graphql/ws":                          {http.MethodGet, "/graphql/ws"},
	"/schema.graphql":                      {http.MethodGet, "/schema.graphql"},
	"/ws/collaboration":                    {http.MethodGet, "/ws/collaboration?project_id={project}"},
	"/mcp":                                 {http.MethodPost, "/mcp", "application/json", listTools},
	"/mcp/":                                {http.MethodPost, "/mcp/", "application/json", listTools},
	"/mcp/sse":                             {http.MethodGet, "/mcp/sse"},
	"/login":                               {http.MethodGet, "/login"},
	"/login/*":                             {http.MethodGet, "/login/login.js"},
	"/login/options":                       {http.MethodGet, "/login/options"},
	"/oidc/login":                          {http.MethodGet, "/oidc/login"},
	"/oidc/callback":                       {http.MethodGet, "/oidc/callback?state=x"},
	"/oidc/join":                           {http.MethodPost, "/oidc/join", "application/json", `{"currentPassword":"` + password + `"}`},
	"/oidc/logout":                         {http.MethodPost, "/oidc/logout", "application/x-www-form-urlencoded", "logout_token=x"},
	"/api/projects/{id}/data-sources":      {http.MethodPost, "/api/projects/{project}/data-sources", uploadType, uploadForm},
	"/api/data-sources/{id}/file":          {http.MethodPost, "/api/data-sources/{source}/file", uploadType, fileForm},
	"/api/data-sources/{id}/download/raw":  {http.MethodGet, "/api/data-sources/{source}/download/raw"},
	"/api/data-sources/{id}/download/json": {http.MethodGet, "/api/data-sources/{source}/download/json"},
	"/api/projects/{id}/outputs/{node}":    {http.MethodGet, "/api/projects/{project}/outputs/o"},
	"/.well-known/oauth-protected-resource/mcp": {http.MethodGet, "/.well-known/oauth-protected-resource/mcp"},
	// Not in the router: what no other route takes.
	"/ (page)":     {http.MethodGet, "/"},
	"/assets/*":    {http.MethodGet, "/assets/nowhere.js"},
	"/graphiql":    {http.MethodGet, "/graphiql"},
	"/nowhere":     {http.MethodGet, "/nowhere.txt"},
	"/metrics":     {http.MethodGet, "/metrics"},
	"/debug/pprof": {http.MethodGet, "/debug/pprof/"},
	"/ops":         {http.MethodGet, "/ops"},
	"/ops/*":       {http.MethodGet, "/ops/icon.svg"},
	"/ops/api/all": {http.MethodGet, "/ops/api/all"},
	"/ops/api/*":   {http.MethodPost, "/ops/api/kick_user", "application/json", `{"user_id":"x"}`},
	"/client/*":    {http.MethodGet, "/client/credentials.js"},
	// Where another client is served.
	"/" + beside:       {http.MethodGet, "/"},
	"/{file}" + beside: {http.MethodGet, "/robots.txt"},
	"/app/*" + beside:  {http.MethodGet, "/app/"},
}

// beside marks routes of replicas that have another client beside the page.
const beside = " (LAYERCAKE_WEB_DIR)"

const (
	listTools  = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`
	uploadType = "multipart/form-data; boundary=x"
	uploadForm = "--x\r\nContent-Disposition: form-data; name=\"data_type\"\r\n\r\nnodes\r\n" + fileForm
	fileForm   = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"more.csv\"\r\n" +
		"Content-Type: text/csv\r\n\r\nid,label\n1,One\n\r\n--x--\r\n"
)

// Every route, and those paths that no route takes.
func TestRightsOfRoutes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.furnished()
	s.people["owner"].does(t, s.urls[0], f.fill(`mutation { exportNodeOutput(projectId: {project}, nodeId: "o") { success } }`), nil)
	dir := siteFolder(t)
	var besides [2]string
	for i, replica := range servertest.StartOn(t, s.database, 2, func(c *server.Config) { required(c); c.WebDir = dir }) {
		besides[i] = replica.URL
	}
	patterns := server.Patterns(t)
	for pattern := range routeRequests {
		if !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	table := rightsTable{}
	for _, pattern := range patterns {
		request, ok := routeRequests[pattern]
		if !ok {
			t.Errorf("no request that fits %s: add it", pattern)
			continue
		}
		cells := make([]string, len(askers))
		for i, asker := range askers {
			urls := s.urls
			if strings.HasSuffix(pattern, beside) {
				urls = besides
			}
			var both [2]string
			for n, url := range urls {
				both[n] = s.routed(asker, url, request, f)
			}
			if cells[i] = both[0]; both[0] != both[1] {
				t.Errorf("%s of %s: the replicas say %q and %q", pattern, asker, both[0], both[1])
			}
		}
		table[pattern] = cells
	}
	table.compare(t, "route", askers)
}

// routed sends a request as somebody.
func (s *stage) routed(asker, url string, request [4]string, f found) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), pgtest.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, request[0], url+f.fill(request[1]), strings.NewReader(request[3]))
	if err != nil {
		s.t.Fatal(err)
	}
	if request[2] != "" {
		r.Header.Set("Content-Type", request[2])
	}
	r.Header.Set("Accept", "application/graphql-response+json, application/json, text/event-stream")
	if strings.HasSuffix(request[1], "/") && request[0] == http.MethodGet {
		r.Header.Set("Accept", "text/html")
	}
	if strings.Contains(request[1], "/ws") {
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
			"Sec-WebSocket-Protocol": client.Subprotocol,
		} {
			r.Header.Set(name, value)
		}
	}
	if secret := s.people[asker].secret; secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	caching := "no-"
	if strings.HasPrefix(request[1], "/api/") {
		caching = "no-store"
		if request[0] == http.MethodGet && response.StatusCode < 300 {
			caching = "private, no-cache"
		}
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Security-Policy": "frame-ancestors 'none'",
		"Cache-Control": caching,
	} {
		if got := response.Header.Get(name); !strings.Contains(got, want) && response.StatusCode != http.StatusSwitchingProtocols {
			s.t.Errorf("%s %s has %s: %q, want %q", request[0], request[1], name, got, want)
		}
	}
	switch status := response.StatusCode; {
	case status == http.StatusSwitchingProtocols || status < 300:
		return cellYes
	case status == http.StatusSeeOther && strings.HasPrefix(response.Header.Get("Location"), s.provider+"/"):
		return cellYes
	case status == http.StatusBadRequest && request[1] == "/oidc/logout": // the token is the credential, and is none
		return cellSignIn
	case status == http.StatusUnauthorized || status == http.StatusSeeOther && strings.HasPrefix(response.Header.Get("Location"), "/login?"):
		return cellSignIn
	case status == http.StatusForbidden:
		return cellNo
	case status == http.StatusNotFound:
		return cellAbsent
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 100)) // for whoever reads the failure
	return fmt.Sprintf("%d: %s", response.StatusCode, text)
}

// The arguments of tools.
var toolArguments = map[string]string{
	"analyze_connectivity": `"project_id":{project},"node_id":"g"`,
	"create_plan":          `"project_id":{bare project},"name":"Plan","yaml_content":""`,
	"create_project":       `"name":"Mine"`,
	"decide_proposal":      `"project_id":{project},"proposal_id":1,"decision":"reject"`,
	"delete_project":       `"project_id":{project}`,
	"describe_node_types":  ``,
	"edit_plan":            `"project_id":{project},"operations":[{"op":"add_node","node_type":"GraphNode","label":"N"}]`,
	"execute_plan":         `"plan_id":{plan}`,
	"export_graph":         `"project_id":{project},"format":"json","node_id":"g"`,
	"find_paths":           `"project_id":{project},"source_node":"1","target_node":"2","node_id":"g"`,
	"get_graph_data":       `"project_id":{project},"node_id":"g"`,
	"get_plan":             `"project_id":{project}`,
	"get_plan_status":      `"plan_id":{plan}`,
	"get_project":          `"project_id":{project}`,
	"import_csv":           `"project_id":{project},"nodes_csv":"id,label\n1,One\n"`,
	"list_changes":         `"project_id":{project}`,
	"list_data_sources":    `"project_id":{project}`,
	"list_projects":        ``,
	"list_proposals":       `"project_id":{project}`,
	"preview_data":         `"data_source_id":{source}`,
	"set_presence":         `"project_id":{project},"node_id":"g"`,
	"undo_change":          `"project_id":{project},"version":{change}`,
	"who_is_here":          `"project_id":{project}`,
}

// agentAskers are those who call tools: as askers, and a token that may do more.
var agentAskers = slices.Insert(slices.Clone(askers), len(askers)-1, "EDIT, RUN token")

// toolError is the code of a refusal in what a tool answers.
var toolError = regexp.MustCompile(`\\?"code\\?":\s*\\?"([A-Z_]+)\\?"`)

// nothing is a list without any of what the reader may see.
var nothing = regexp.MustCompile(`\\?"(projects|values|resources)\\?":\s*\[\]`)

// Every tool of agents.
func TestRightsOfTools(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.people["EDIT, RUN token"] = s.agent
	fresh := func() found {
		f := s.furnished()
		s.people["owner"].does(t, s.urls[0], f.fill(`mutation { exportNodeOutput(projectId: {project}, nodeId: "o") { success } }`), nil)
		f["bare project"] = s.bare()["project"]
		return f
	}
	f := fresh()
	_, _, text := s.people["owner"].rpc(t, s.urls[0], "", "tools/list", `{}`)
	if _, event, ok := strings.Cut(text, "data: "); ok {
		text = event
	}
	var list struct {
		Result struct {
			Tools []struct {
				Name        string
				Annotations struct{ ReadOnlyHint bool }
			}
		}
	}
	if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &list); err != nil || len(list.Result.Tools) == 0 {
		t.Fatal(err, text)
	}
	table := rightsTable{}
	for _, tool := range list.Result.Tools {
		arguments, ok := toolArguments[tool.Name]
		if !ok {
			t.Errorf("no arguments that fit %s: add them", tool.Name)
			continue
		}
		cells := make([]string, len(agentAskers))
		for i, asker := range agentAskers {
			params := func() string { return f.fill(fmt.Sprintf(`{"name":%q,"arguments":{%s}}`, tool.Name, arguments)) }
			cells[i] = s.called(asker, s.urls[i%2], params())
			if cells[i] != cellYes || tool.Annotations.ReadOnlyHint {
				if again := s.called(asker, s.urls[(i+1)%2], params()); again != cells[i] {
					t.Errorf("%s of %s: the replicas say %q and %q", tool.Name, asker, cells[i], again)
				}
			} else {
				f = fresh()
			}
		}
		table[tool.Name] = cells
	}
	table.compare(t, "tool", agentAskers)
}

func (s *stage) called(asker, url, params string) string {
	s.t.Helper()
	status, _, text := s.people[asker].rpc(s.t, url, "", "tools/call", params)
	return cellOfRPC(status, text)
}

// cellOfRPC is the cell of an answer to an agent.
func cellOfRPC(status int, text string) string {
	switch {
	case status == http.StatusUnauthorized:
		return cellSignIn
	case status != http.StatusOK:
		return fmt.Sprintf("%d: %s", status, text)
	case strings.Contains(text, "Resource not found"):
		return cellAbsent
	case strings.Contains(text, `"isError":true`), strings.HasPrefix(text, `{"jsonrpc":"2.0","id":1,"error":`):
		if code := toolError.FindStringSubmatch(text); code != nil && cellOf(code[1]) != code[1] {
			return cellOf(code[1])
		}
		return text
	case nothing.MatchString(text):
		return cellAbsent
	}
	return cellYes
}

// Views and functions for DBAs.
func TestRightsOfSQL(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	views := pgtest.Texts(t, conn, `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'v' AND relnamespace = 'layercake'::regnamespace`)
	// Each argument is null, so that nothing is done: what a call needs is checked before.
	calls := pgtest.Texts(t, conn, `SELECT format('%s(%s)', oid::regproc,
			(SELECT string_agg(format('NULL::%s', a::regtype), ', ') FROM unnest(proargtypes) a))
		FROM pg_proc WHERE pronamespace = 'layercake'::regnamespace`)
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM users"); n != 0 {
		t.Errorf("a new database has %d accounts, want none", n)
	}
	columns := []string{"no grant", "grant_reader", "grant_operator"}
	table := rightsTable{}
	for i, grant := range columns {
		name := pgx.Identifier{fmt.Sprintf("layercake rights %d %d", i, conn.PgConn().PID())}.Sanitize() // roles belong to the whole server
		pgtest.Exec(t, conn, "CREATE ROLE "+name)
		t.Cleanup(func() {
			for _, sql := range []string{"RESET ROLE", "DROP OWNED BY " + name, "DROP ROLE " + name} {
				if _, err := conn.Exec(context.Background(), sql); err != nil {
					t.Error(err)
				}
			}
		})
		if i > 0 {
			pgtest.Exec(t, conn, fmt.Sprintf("SELECT layercake.%s('%s')", grant, name))
		}
		try := func(row, sql string) {
			t.Helper()
			cell := cellYes
			for _, step := range []string{"BEGIN", "SET ROLE " + name} {
				pgtest.Exec(t, conn, step)
			}
			if _, err := conn.Exec(t.Context(), sql); postgres.State(err) == postgres.InsufficientPrivilege {
				cell = cellNo
			}
			for _, step := range []string{"ROLLBACK", "RESET ROLE"} {
				pgtest.Exec(t, conn, step)
			}
			table[row] = append(table[row], cell)
		}
		for _, view := range views {
			try(view, "SELECT * FROM "+view)
		}
		for _, call := range calls {
			try(strings.ReplaceAll(call, "NULL::", ""), "SELECT "+call)
		}
	}
	table.compare(t, "view or function", columns)
}

// What agents ask for beside tools: each method, each sort of resource, and each prompt.
func TestRightsOfCalls(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.people["EDIT, RUN token"] = s.agent
	f := s.furnished()
	s.people["owner"].does(t, s.urls[0], f.fill(`mutation { exportNodeOutput(projectId: {project}, nodeId: "o") { success } }`), nil)
	lone := s.lone()
	calls := map[string]string{ // params by method
		"initialize": `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}`,
		"ping":       `{}`, "tools/list": `{}`, "resources/list": `{}`, "resources/templates/list": `{}`, "prompts/list": `{}`,
		"resources/subscribe":   `{"uri":"layercake://projects/{project}"}`,
		"resources/unsubscribe": `{"uri":"layercake://projects/{project}"}`,
		"completion/complete": `{"ref":{"type":"ref/resource","uri":"layercake://plans/{plan_id}"},
			"argument":{"name":"plan_id","value":""}}`,
	}
	list := func(method string, into any) {
		t.Helper()
		_, _, text := s.people["owner"].rpc(t, s.urls[0], "", method, `{}`)
		if err := json.Unmarshal([]byte(text), &struct{ Result any }{into}); err != nil {
			t.Fatal(err, text)
		}
	}
	var resources struct {
		ResourceTemplates []struct{ URITemplate string }
	}
	list("resources/templates/list", &resources)
	found := strings.NewReplacer("{project_id}", "{project}", "{plan_id}", "{plan}", "{format}", "json", "{analysis_type}", "connectivity")
	for _, template := range resources.ResourceTemplates {
		uri := template.URITemplate
		filled := found.Replace(uri)
		if strings.Contains(uri, "/{format}") || strings.Contains(uri, "/{analysis_type}") {
			filled = strings.Replace(filled, "{project}", lone, 1) // they are about the only graph of a project
		}
		calls["resources/read "+uri] = fmt.Sprintf(`{"uri":%q}`, filled)
	}
	var prompts struct {
		Prompts []struct {
			Name      string
			Arguments []struct {
				Name     string
				Required bool
			}
		}
	}
	list("prompts/list", &prompts)
	for _, prompt := range prompts.Prompts {
		arguments := map[string]string{}
		for _, a := range prompt.Arguments {
			switch {
			case !a.Required:
			case a.Name == "project_id":
				arguments[a.Name] = f["project"]
			default:
				arguments[a.Name] = "2"
			}
		}
		params, err := json.Marshal(map[string]any{"name": prompt.Name, "arguments": arguments})
		if err != nil {
			t.Fatal(err)
		}
		calls["prompts/get "+prompt.Name] = string(params)
	}
	if len(resources.ResourceTemplates) == 0 || len(prompts.Prompts) == 0 {
		t.Fatal("no resources, or no prompts")
	}
	table := rightsTable{}
	for name, params := range calls {
		cells := make([]string, len(agentAskers))
		for i, asker := range agentAskers {
			method, _, _ := strings.Cut(name, " ")
			var both [2]string
			for n, url := range s.urls {
				both[n] = s.asked(asker, url, method, f.fill(params))
			}
			if cells[i] = both[0]; both[0] != both[1] {
				t.Errorf("%s of %s: the replicas say %q and %q", name, asker, both[0], both[1])
			}
		}
		table[name] = cells
	}
	table.compare(t, "call", agentAskers)
}

// asked calls a method of the agents' protocol. What needs a session gets one.
func (s *stage) asked(asker, url, method, params string) string {
	s.t.Helper()
	session := ""
	if strings.HasSuffix(method, "subscribe") {
		_, header, _ := s.people[asker].rpc(s.t, url, "", "initialize",
			`{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}`)
		session = header.Get("Mcp-Session-Id")
	}
	status, _, text := s.people[asker].rpc(s.t, url, session, method, params)
	return cellOfRPC(status, text)
}

// A person's own fields, as others see them.
func TestRightsOfPersonalFields(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.bare()
	s.people["oneself"] = s.people["viewer"]
	readers := []string{"nobody", "stranger", "oneself", "editor", "owner", "READ token", "ended session"}
	query := fmt.Sprintf(`{ user(id: %d) { id username displayName avatarColor isActive createdAt updatedAt email lastLoginAt
		sessions { id } collaborations { id } } }`, s.people["viewer"].id)
	s.people["viewer"] = s.signedIn("viewer") // so that there was a login
	table := rightsTable{}
	for i, reader := range readers {
		answer := s.people[reader].asks(t, s.urls[i%2], query)
		if again := s.people[reader].asks(t, s.urls[(i+1)%2], query); string(again.Data) != string(answer.Data) {
			t.Errorf("%s: the replicas say %s and %s", reader, answer.Data, again.Data)
		}
		var data struct{ User map[string]json.RawMessage }
		if len(answer.Errors) == 0 {
			if err := json.Unmarshal(answer.Data, &data); err != nil {
				t.Fatal(err)
			}
		}
		for _, field := range []string{
			"id", "username", "displayName", "avatarColor", "isActive", "createdAt", "updatedAt",
			"email", "lastLoginAt", "sessions", "collaborations",
		} {
			cell := cellYes
			switch value := string(data.User[field]); {
			case len(answer.Errors) > 0:
				cell = cellOf(answer.Code())
			case value == `""` || value == "null" || value == "[]" || value == "":
				cell = cellAbsent
			}
			table["User."+field] = append(table["User."+field], cell)
		}
	}
	table.compare(t, "field of a viewer", readers)
}

// The page names tests that exist, and says what it has to say.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".tools") {
			return cmp.Or(err, fs.SkipDir)
		}
		if strings.HasSuffix(path, "_test.go") {
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, match := range testFunction.FindAllStringSubmatch(string(source), -1) {
				tests[match[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range namedTest.FindAllStringSubmatch(string(page), -1) {
		if !tests[match[1]] {
			t.Errorf("there is no test %s", match[1])
		}
	}
	rows := requirement.FindAllStringSubmatch(string(page), -1)
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row[1]] {
			t.Errorf("requirement %s is there twice", row[1])
		}
		seen[row[1]] = true
		if last := row[2]; !namedTest.MatchString(last) && !strings.HasPrefix(last, "no test: ") &&
			!slices.Contains([]string{"no test yet", "planned", "left out"}, last) {
			t.Errorf("requirement %s is shown by %q", row[1], last)
		}
	}
	if len(rows) != 148 {
		t.Errorf("%d requirements, want the 148 that meet this server", len(rows))
	}
	// Requirements 6.1.1, 7.1.1 and 7.1.3: limits of attempts and lifetimes, with their reasons.
	for _, text := range []string{
		"## Sessions", "## Tokens", "## Passwords", "## Attempts", "## Codes", "24 hours", "30 days", "10 failures", "nobody locks",
	} {
		if !strings.Contains(string(page), text) {
			t.Errorf("the page does not say %q", text)
		}
	}
}

var (
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	namedTest    = regexp.MustCompile("`(Test\\w+)`")
	requirement  = regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \|.*\| ([^|]*) \|$`)
)
