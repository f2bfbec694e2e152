package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// required makes everybody sign in, and lets people make accounts.
func required(cfg *server.Config) { cfg.Open, cfg.Registration = false, "open" }

// person is somebody who may have signed in.
type person struct {
	id     int
	secret string
}

// asks sends a document with the secret of a person, and returns the answer.
func (p person) asks(t *testing.T, url, query string) *client.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	c := client.New(url)
	defer c.Close()
	body, err := json.Marshal(client.Request{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Accept": {"application/graphql-response+json"}}
	if p.secret != "" {
		header.Set("Authorization", "Bearer "+p.secret)
	}
	answer, err := c.Post(ctx, bytes.NewReader(body), header)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// does is asks for what has to succeed. It decodes the data.
func (p person) does(t *testing.T, url, query string, into any) {
	t.Helper()
	answer := p.asks(t, url, query)
	if len(answer.Errors) > 0 {
		t.Fatalf("%.200s: %v", query, answer.Errors[0])
	}
	if into != nil {
		if err := json.Unmarshal(answer.Data, into); err != nil {
			t.Fatal(err)
		}
	}
}

// is asks for what has to be refused with a code.
func (p person) fails(t *testing.T, url, query, code string) {
	t.Helper()
	if answer := p.asks(t, url, query); answer.Code() != code {
		t.Errorf("%.200s: %s %s, want %s", query, answer.Code(), answer.Text, code)
	}
}

const password = "correct horse 7 battery"

// registered makes an account.
func registered(t *testing.T, url, name string) person {
	t.Helper()
	var data struct {
		Register struct {
			User      struct{ ID int }
			SessionID string
		}
	}
	person{}.does(t, url, fmt.Sprintf(`mutation { register(input: {email: "%s@example.com", username: %q, displayName: %q, password: %q}) {
		user { id email sessions { sessionId } } sessionId expiresAt } }`, name, name, strings.ToUpper(name[:1])+name[1:], password), &data)
	if data.Register.User.ID == 0 || !strings.HasPrefix(data.Register.SessionID, "lcs_") {
		t.Fatalf("%+v", data)
	}
	return person{data.Register.User.ID, data.Register.SessionID}
}

// created makes a project.
func (p person) created(t *testing.T, url string) int {
	t.Helper()
	var data struct{ CreateProject struct{ ID int } }
	p.does(t, url, `mutation { createProject(input: {name: "Ann's"}) { id role } }`, &data)
	return data.CreateProject.ID
}

// From an account to a right, and to its end: on two replicas, of which one never heard of the other's requests.
func TestRights(t *testing.T) {
	t.Parallel()
	replicas := servertest.StartOn(t, pgtest.New(t), 2, required)
	here, there := replicas[0].URL, replicas[1].URL
	nobody := person{}
	nobody.fails(t, here, `{ projects { id } }`, "UNAUTHENTICATED")
	nobody.fails(t, here, `{ __schema { types { name } } }`, "UNAUTHENTICATED")
	nobody.fails(t, here, `{ me { id } projects { id } }`, "UNAUTHENTICATED")
	nobody.fails(t, here, `query { ...on Query { ...f } } fragment f on Query { nonsense }`, "UNAUTHENTICATED")
	nobody.fails(t, here, `{ nonsense`, "UNAUTHENTICATED")
	nobody.does(t, here, `{ me { id } __typename }`, nil)
	person{secret: "lcs_x"}.fails(t, here, `{ projects { id } }`, "UNAUTHENTICATED")

	ann, bob := registered(t, here, "ann"), registered(t, there, "bob")
	project := ann.created(t, here)
	var data struct {
		Project, Plan *struct {
			ID   int
			Role string
		}
		Projects           []struct{ ID int }
		InviteCollaborator struct{ ID int }
	}
	ann.does(t, there, fmt.Sprintf(`{ project(id: %d) { id role } projects { id } }`, project), &data)
	if data.Project == nil || data.Project.Role != "owner" || len(data.Projects) != 1 {
		t.Errorf("the owner sees %+v", data)
	}
	add := func(id string) string {
		return fmt.Sprintf(`mutation { addPlanDagNode(projectId: %d, node: {id: %q, nodeType: GraphNode, position: {x: 0, y: 0}, metadata: {label: ""}, config: "{}"}) { id } }`, project, id)
	}
	ann.does(t, here, add("a"), nil)
	// To a stranger the project is not there, by whatever id.
	data.Project, data.Projects = nil, nil
	bob.does(t, here, fmt.Sprintf(`{ project(id: %d) { id } plan(id: %d) { id } projects { id } }`, project, project), &data)
	if data.Project != nil || data.Plan != nil || len(data.Projects) != 0 {
		t.Errorf("a stranger sees %+v", data)
	}
	bob.fails(t, here, add("b"), "NOT_FOUND")
	bob.fails(t, here, fmt.Sprintf(`mutation { deleteProject(id: %d) }`, project), "NOT_FOUND")
	bob.fails(t, here, fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), "NOT_FOUND")
	bob.fails(t, here, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "owner"}) { id } }`, project), "NOT_FOUND")

	ann.does(t, here, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob@example.com", role: "viewer"}) { id permissions user { email } } }`, project), &data)
	invitation := data.InviteCollaborator.ID
	ann.fails(t, there, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "editor"}) { id } }`, project), "CONFLICT")
	bob.fails(t, here, fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), "NOT_FOUND") // not accepted yet
	ann.fails(t, here, fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id } }`, invitation), "NOT_FOUND")
	bob.does(t, there, fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id invitationStatus } }`, invitation), nil)
	bob.does(t, here, fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), nil)
	bob.fails(t, here, add("b"), "FORBIDDEN")
	bob.fails(t, here, fmt.Sprintf(`mutation { updateCollaboratorRole(input: {collaboratorId: %d, role: "owner"}) { id } }`, invitation), "FORBIDDEN")
	ann.does(t, here, fmt.Sprintf(`mutation { updateCollaboratorRole(input: {collaboratorId: %d, role: "editor"}) { id } }`, invitation), nil)
	bob.does(t, here, add("b"), nil)
	bob.fails(t, here, fmt.Sprintf(`mutation { deleteProject(id: %d) }`, project), "FORBIDDEN")

	// A token of an editor that only reads.
	var token struct{ CreateToken struct{ Secret string } }
	bob.does(t, here, `mutation { createToken(name: "CI", scopes: [READ]) { secret token { id scopes } } }`, &token)
	program := person{secret: token.CreateToken.Secret}
	program.does(t, there, fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), nil)
	program.fails(t, there, add("c"), "FORBIDDEN")
	program.fails(t, there, `mutation { createProject(input: {name: "x"}) { id } }`, "FORBIDDEN")
	program.fails(t, there, `{ tokens { id } }`, "FORBIDDEN")

	// The events name the collaborator, and are no edits.
	var events struct {
		PlanHistory struct {
			Changes []struct {
				Version    int
				ActorName  string
				Operations []struct {
					Kind  string
					After map[string]any
				}
			}
		}
	}
	ann.does(t, here, fmt.Sprintf(`{ planHistory(projectId: %d, all: true) { changes { version actorName operations { kind after } } } }`, project), &events)
	var kinds []string
	for _, c := range events.PlanHistory.Changes {
		kinds = append(kinds, fmt.Sprint(c.ActorName, " ", c.Operations[0].Kind))
	}
	if got := strings.Join(kinds, ", "); got != "Bob NODE_ADDED, Ann COLLABORATOR_CHANGED, Bob COLLABORATOR_ADDED, Ann NODE_ADDED" {
		t.Errorf("the history is %s", got)
	}

	// The end: of the subscription at that version, and of everything else.
	s, err := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + bob.secret}}}.GraphQL(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseNow()
	var now struct{ GetPlanDag struct{ Cursor string } }
	bob.does(t, there, fmt.Sprintf(`{ getPlanDag(projectId: %d) { cursor } }`, project), &now) // so that it does not matter when the watch begins
	if err := s.Subscribe(t.Context(), "1", client.Request{Query: fmt.Sprintf(
		`subscription { planEvents(projectId: %d, after: %q) { version operations { kind } } }`, project, now.GetPlanDag.Cursor)}); err != nil {
		t.Fatal(err)
	}
	ann.does(t, here, add("before"), nil)
	next(t, s, "next")
	ann.does(t, here, fmt.Sprintf(`mutation { removeCollaborator(collaborationId: %d) }`, invitation), nil)
	ann.does(t, here, add("after"), nil)
	if got := string(next(t, s, "error")); !strings.Contains(got, "FORBIDDEN") {
		t.Errorf("the subscription ended with %s", got)
	}
	bob.fails(t, here, add("d"), "NOT_FOUND")
	program.fails(t, here, fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), "NOT_FOUND")

	// The last owner stays.
	var mine struct{ ProjectCollaborators []struct{ ID int } }
	ann.does(t, here, fmt.Sprintf(`{ projectCollaborators(projectId: %d) { id role user { username email } } }`, project), &mine)
	own := mine.ProjectCollaborators[0].ID
	ann.fails(t, here, fmt.Sprintf(`mutation { removeCollaborator(collaborationId: %d) }`, own), "CONFLICT")
	ann.fails(t, here, fmt.Sprintf(`mutation { updateCollaboratorRole(input: {collaboratorId: %d, role: "viewer"}) { id } }`, own), "CONFLICT")
	// Who was removed can be invited again.
	ann.does(t, here, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "owner"}) { id } }`, project), &data)
	bob.does(t, here, fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id } }`, data.InviteCollaborator.ID), nil)
	ann.does(t, here, fmt.Sprintf(`mutation { removeCollaborator(collaborationId: %d) }`, own), nil)
	ann.fails(t, here, add("e"), "NOT_FOUND")
}

// An ended session ends its sockets on every replica, also when no line says so.
func TestSocketsOfEndedSessions(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]float64{"lines": 0, "no lines": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicas := servertest.StartOn(t, pgtest.New(t), 2, func(cfg *server.Config) {
				required(cfg)
				cfg.Loss = loss
			})
			here, there := replicas[0].URL, replicas[1].URL
			ann := registered(t, here, "ann")
			project := ann.created(t, here)
			by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + ann.secret}}}
			s, err := by.GraphQL(t.Context(), there)
			if err != nil {
				t.Fatal(err)
			}
			defer s.CloseNow()
			people, err := by.Collaboration(t.Context(), there, project)
			if err != nil {
				t.Fatal(err)
			}
			defer people.CloseNow()
			byInit, _ := greeted(t, there, fmt.Sprintf(`{"token":%q}`, ann.secret))
			ann.does(t, here, `mutation { logout(sessionId: "") }`, nil)
			for what, socket := range map[string]*client.Socket{"GraphQL": s.Socket, "collaboration": people, "by connection_init": byInit.Socket} {
				if code := servertest.CloseCode(t, socket); code != 4401 {
					t.Errorf("%s closed with %d, want 4401", what, code)
				}
			}
			ann.fails(t, there, `{ projects { id } }`, "UNAUTHENTICATED")
		})
	}
}

// A ping with the token of another session of the same account moves a socket there: when the first one ends, it stays.
func TestPingMovesASocketToAnotherSession(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	ann, bob := registered(t, url, "ann"), registered(t, url, "bob")
	var data struct{ Login struct{ SessionID string } }
	person{}.does(t, url, fmt.Sprintf(`mutation { login(input: {email: "ann", password: %q}) { sessionId } }`, password), &data)
	second := person{ann.id, data.Login.SessionID}
	s, _ := greeted(t, url, fmt.Sprintf(`{"token":%q}`, ann.secret))
	if err := s.Send(t.Context(), fmt.Appendf(nil, `{"type":"ping","payload":{"token":%q,"n":1}}`, second.secret)); err != nil {
		t.Fatal(err)
	}
	if pong := string(next(t, s, "pong")); pong != `{"n":1}` {
		t.Errorf("the pong is %s", pong)
	}
	second.does(t, url, `mutation { endOtherSessions }`, nil)
	ann.fails(t, url, `{ projects { id } }`, "UNAUTHENTICATED")
	if err := s.Subscribe(t.Context(), "1", client.Request{Query: `{ projects { id } }`}); err != nil {
		t.Fatal(err)
	}
	next(t, s, "next")
	next(t, s, "complete")
	if err := s.Send(t.Context(), fmt.Appendf(nil, `{"type":"ping","payload":{"token":%q}}`, bob.secret)); err != nil {
		t.Fatal(err)
	}
	if code := servertest.CloseCode(t, s.Socket); code != 4401 {
		t.Errorf("the token of another account closed it with %d", code)
	}
}

// So does authenticate for a collaboration socket.
func TestAuthenticateMovesACollaborationSocket(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	ann, bob := registered(t, url, "ann"), registered(t, url, "bob")
	project := ann.created(t, url)
	var data struct{ Login struct{ SessionID string } }
	person{}.does(t, url, fmt.Sprintf(`mutation { login(input: {email: "ann", password: %q}) { sessionId } }`, password), &data)
	second := person{ann.id, data.Login.SessionID}
	people, err := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + ann.secret}}}.
		Collaboration(t.Context(), url, project)
	if err != nil {
		t.Fatal(err)
	}
	defer people.CloseNow()
	say := func(frame string) {
		t.Helper()
		if err := people.Send(t.Context(), []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	answers := func() {
		t.Helper()
		say(`{"type":"ping"}`)
		if frame, err := people.Receive(t.Context()); err != nil || string(frame) != `{"type":"pong"}` {
			t.Fatalf("got %s, %v", frame, err)
		}
	}
	say(fmt.Sprintf(`{"type":"authenticate","token":%q}`, second.secret))
	answers() // it has moved: messages are taken in order
	second.does(t, url, `mutation { endOtherSessions }`, nil)
	ann.fails(t, url, `{ projects { id } }`, "UNAUTHENTICATED")
	answers()
	say(fmt.Sprintf(`{"type":"authenticate","token":%q}`, bob.secret))
	if code := servertest.CloseCode(t, people); code != 4401 {
		t.Errorf("the token of another account closed it with %d", code)
	}
}

// One document computes one hash, under whatever names.
func TestOneHashADocument(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	login := fmt.Sprintf(`login(input: {email: "ann", password: %q}) { sessionId }`, password)
	for _, document := range []string{
		`mutation { a: ` + login + ` b: ` + login + ` }`,
		`mutation { ...f ... on Mutation { ` + login + ` } } fragment f on Mutation { x: ` + login + ` }`,
		`mutation { ` + login + ` redeemCode(code: "x", password: "y") { sessionId } }`,
	} {
		person{}.fails(t, url, document, "BAD_REQUEST")
	}
	person{}.fails(t, url, `mutation { `+login+` }`, "UNAUTHENTICATED")
}

// A thousand passwords by aliases, twenty a document and over three replicas, are none: no document is executed, whether its sender is
// known or not, and nobody is locked out.
func TestAThousandPasswordsByAliases(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 3, required)
	registered(t, replicas[0].URL, "ann")
	bob := registered(t, replicas[0].URL, "bob")
	for i := range 50 {
		var document strings.Builder
		document.WriteString("mutation {")
		for alias := range 20 {
			fmt.Fprintf(&document, ` a%d: login(input: {email: "ann", password: "guess %d"}) { sessionId }`, alias, 20*i+alias)
		}
		document.WriteString(" }")
		if i%2 == 0 {
			bob.fails(t, replicas[i%3].URL, document.String(), "BAD_REQUEST")
		} else {
			person{}.fails(t, replicas[i%3].URL, document.String(), "UNAUTHENTICATED")
		}
	}
	if n := pgtest.Count(t, pgtest.Connect(t, database), `SELECT count(*) FROM login_attempts WHERE failed`); n != 0 {
		t.Errorf("%d passwords were compared", n)
	}
	person{}.does(t, replicas[1].URL, fmt.Sprintf(`mutation { login(input: {email: "ann", password: %q}) { sessionId } }`, password), nil)
}

// rpc sends a message to /mcp with the secret of a person, and returns status, headers and body.
func (p person) rpc(t *testing.T, url, session, method, params string) (int, http.Header, string) {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if p.secret != "" {
		r.Header.Set("Authorization", "Bearer "+p.secret)
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// Agents act by tokens: within their scopes, named by them, in sessions that nobody else can use.
func TestAgentsWithTokens(t *testing.T) {
	t.Parallel()
	replicas := servertest.StartOn(t, pgtest.New(t), 2, required)
	here, there := replicas[0].URL, replicas[1].URL
	status, header, _ := person{}.rpc(t, here, "", "tools/call", `{"name":"list_projects","arguments":{}}`)
	want := fmt.Sprintf(`Bearer resource_metadata="%s/.well-known/oauth-protected-resource/mcp"`, here)
	if status != http.StatusUnauthorized || header.Get("WWW-Authenticate") != want {
		t.Errorf("nobody gets %d %v", status, header)
	}
	metadata, err := http.Get(here + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Body.Close()
	var said struct{ Resource string }
	if err := json.NewDecoder(metadata.Body).Decode(&said); err != nil || said.Resource != here+"/mcp" {
		t.Errorf("the metadata name %q, %v", said.Resource, err)
	}
	ann, bob := registered(t, here, "ann"), registered(t, here, "bob")
	project := ann.created(t, here)
	token := func(p person, scopes, more string) person {
		var data struct{ CreateToken struct{ Secret string } }
		p.does(t, here, fmt.Sprintf(`mutation { createToken(name: "Bot", scopes: [%s]%s) { secret } }`, scopes, more), &data)
		return person{p.id, data.CreateToken.Secret}
	}
	edit := fmt.Sprintf(`{"name":"edit_plan","arguments":{"project_id":%d,"operations":[{"op":"add_node","node_type":"GraphNode","label":"By a bot"}]}}`, project)
	for name, c := range map[string]struct {
		who  person
		says string
	}{
		"a reader": {token(ann, "READ", ""), "FORBIDDEN"}, "an editor": {token(ann, "EDIT", ""), `"version"`},
		"a token of another project": {token(ann, "EDIT", fmt.Sprintf(`, projectId: %d`, ann.created(t, here))), "NOT_FOUND"},
		"a stranger's":               {token(bob, "EDIT", ""), "NOT_FOUND"}, "a person": {ann, `"version"`},
	} {
		if status, _, text := c.who.rpc(t, there, "", "tools/call", edit); status != http.StatusOK || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s, want %s", name, status, text, c.says)
		}
	}
	var history struct {
		PlanHistory struct {
			Changes []struct{ ActorName, ActorKind string }
		}
	}
	ann.does(t, here, fmt.Sprintf(`{ planHistory(projectId: %d) { changes { actorName actorKind } } }`, project), &history)
	if !slices.ContainsFunc(history.PlanHistory.Changes, func(c struct{ ActorName, ActorKind string }) bool {
		return c.ActorName == "Bot of Ann" && c.ActorKind == "agent"
	}) {
		t.Errorf("%+v does not name the token", history)
	}
	bot := token(ann, "READ", "")
	_, header, _ = bot.rpc(t, here, "", "initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}`)
	session := header.Get("Mcp-Session-Id")
	if status, _, text := bot.rpc(t, there, session, "tools/list", `{}`); status != http.StatusOK {
		t.Errorf("its own session: %d %s", status, text)
	}
	for name, who := range map[string]person{"a stranger": token(bob, "READ", ""), "another token of the owner": token(ann, "READ", "")} {
		if status, _, text := who.rpc(t, there, session, "tools/list", `{}`); status != http.StatusNotFound {
			t.Errorf("%s uses the session: %d %s", name, status, text)
		}
	}
}
