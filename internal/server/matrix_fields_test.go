package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/graph"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// arguments are those that fit each root field that needs some. What is in braces is found on the stage.
var arguments = map[string]string{
	"project":                `id: {project}`,
	"user":                   `id: {user of owner}`,
	"userByUsername":         `username: "owner"`,
	"userByEmail":            `email: "owner@example.com"`,
	"projectCollaborators":   `projectId: {project}`,
	"projectCollaborator":    `id: {helper here}`,
	"userCollaborations":     `userId: {user of owner}`,
	"userProjectAccess":      `userId: {user of viewer}, projectId: {project}`,
	"userSessions":           `userId: {user of owner}`,
	"session":                `sessionId: "{session}"`,
	"presence":               `projectId: {project}`,
	"getPlanDag":             `projectId: {project}`,
	"planDag":                `projectId: {project}`,
	"validatePlanDag":        `planDag: {version: "1", nodes: [], edges: [], metadata: {version: "1"}}`,
	"dataSource":             `id: {source}`,
	"dataSources":            `projectId: {project}`,
	"availableDataSources":   `projectId: {project}`,
	"downloadDataSourceRaw":  `id: {source}`,
	"downloadDataSourceJson": `id: {source}`,
	"datasourcePreview":      `projectId: {project}, nodeId: "{table}"`,
	"graphs":                 `projectId: {project}`,
	"graph":                  `id: {graph}`,
	"graphPreview":           `projectId: {project}, nodeId: "g"`,
	"planHistory":            `projectId: {project}, all: true`,
	"planAt":                 `projectId: {project}, version: 1`,
	"planDiff":               `projectId: {project}, from: 1`,
	"plan":                   `id: {plan}`,
	"proposals":              `projectId: {project}`,

	"createProject": `input: {name: "Mine"}`,
	"updateProject": `id: {project}, input: {name: "Renamed"}`,
	"deleteProject": `id: {project}`,
	"register": `input: {email: "new{n}@example.com", username: "new{n}", displayName: "New",
		password: "{password}"}`,
	"login":                     `input: {email: "owner", password: "{password}"}`,
	"logout":                    `sessionId: ""`,
	"redeemCode":                `code: "{code}", password: "{password}"`,
	"changePassword":            `current: "{password}", new: "{password}"`,
	"updateUser":                `userId: {user of owner}, input: {displayName: "Owner"}`,
	"endSession":                `id: {session}`,
	"createToken":               `name: "Bot", scopes: [READ]`,
	"rotateToken":               `id: {token}`,
	"revokeToken":               `id: {token}`,
	"inviteCollaborator":        `input: {projectId: {project}, email: "stranger", role: "viewer"}`,
	"acceptCollaboration":       `collaborationId: {invitee here}`,
	"declineCollaboration":      `collaborationId: {invitee here}`,
	"updateCollaboratorRole":    `input: {collaboratorId: {helper here}, role: "editor"}`,
	"removeCollaborator":        `collaborationId: {helper here}`,
	"joinProjectCollaboration":  `projectId: {project}, clientId: "tab"`,
	"leaveProjectCollaboration": `projectId: {project}, clientId: "tab"`,
	"updatePlanDag": `projectId: {project}, planDag: {version: "{version}", nodes: [], edges: [],
		metadata: {version: ""}}`,
	"addPlanDagNode": `projectId: {project}, node: {id: "n", nodeType: GraphNode, position: {x: 0, y: 0},
		metadata: {label: "N"}, config: "{}"}`,
	"updatePlanDagNode":     `projectId: {project}, nodeId: "g", updates: {metadata: {label: "N"}}`,
	"deletePlanDagNode":     `projectId: {project}, nodeId: "g"`,
	"movePlanDagNode":       `projectId: {project}, nodeId: "g", position: {x: 7, y: 7}`,
	"batchMovePlanDagNodes": `projectId: {project}, nodePositions: [{nodeId: "g", position: {x: 7, y: 7}}]`,
	"addPlanDagEdge": `projectId: {project}, edge: {id: "h", source: "{table}", target: "x",
		metadata: {dataType: GRAPH_DATA}}`,
	"updatePlanDagEdge": `projectId: {project}, edgeId: "e", updates: {metadata: {label: "E",
		dataType: GRAPH_DATA}}`,
	"deletePlanDagEdge": `projectId: {project}, edgeId: "e"`,
	"createDataSourceFromFile": `input: {projectId: {project}, name: "More", filename: "more.csv", fileFormat: CSV, dataType: NODES,
		fileContent: "aWQsbGFiZWwKMSxPbmUK"}`,
	"bulkUploadDataSources": `projectId: {project}, files: [{name: "More", filename: "more.csv",
		fileContent: "aWQsbGFiZWwKMSxPbmUK"}]`,
	"updateDataSource":    `id: {source}, input: {name: "Renamed"}`,
	"deleteDataSource":    `id: {source}`,
	"reprocessDataSource": `id: {source}`,
	"editPlan":            `projectId: {project}, edits: [{deleteNode: "o"}]`,
	"createGraph":         `input: {projectId: {project}, name: "Third"}`,
	"updateGraph":         `id: {graph}, input: {name: "Renamed"}`,
	"deleteGraph":         `id: {graph}`,
	"executeNode":         `projectId: {project}, nodeId: "g"`,
	"executePlan":         `id: {plan}`,
	"importPlanYaml": `projectId: {project}, yamlContent: """
		import:
		  profiles:
		    - filename: nodes.csv
		      filetype: Nodes
		export:
		  profiles:
		    - filename: a.json
		      exporter: JSON
		"""`,
	"exportNodeOutput": `projectId: {project}, nodeId: "o"`,
	"cancelExecution":  `projectId: {project}`,
	"undoChange":       `projectId: {project}, version: {change}`,
	"redoChange":       `projectId: {project}, version: {undo}`,
	"restorePlan":      `projectId: {project}, version: 1, expectedVersion: {version}`,
	"createPlan":       `input: {projectId: {project}, name: "Plan", yamlContent: ""}`,
	"updatePlan":       `id: {plan}, input: {name: "Plan", yamlContent: ""}`,
	"deletePlan":       `id: {plan}`,
	"decideProposal":   `projectId: {project}, id: 1, decision: REJECT`,

	"planDagDeltaChanged": `projectId: {project}`,
	"planEvents":          `projectId: {project}`,
	"planDagUpdated":      `planId: "{plan}"`,
	"collaborationEvents": `planId: "{plan}"`,
	"executions":          `projectId: {project}`,
	"proposalsChanged":    `projectId: {project}`,
}

// Some root fields need more than a project.
var (
	// Those of accounts end sessions and tokens, so everybody asks by new ones.
	ofAccounts = []string{
		"register", "login", "logout", "redeemCode", "changePassword", "updateUser", "endSession", "endOtherSessions",
		"createToken", "rotateToken", "revokeToken",
	}
	// Of a plan that nobody wrote to.
	ofBare = []string{"createPlan"}
	// What is built already is for all who may see it; only who may run has the rest built.
	ofBuilt = []string{"exportNodeOutput"}
	// False is no refusal: nothing was being built.
	alsoFalse = []string{"cancelExecution"}
	// A page that has nothing is like a list that has nothing.
	pages = map[string]string{"projectList": "projects"}
)

// maxNesting is how deep the generated queries go, but for those that would be too complex.
const maxNesting = 4

var nesting = map[string]int{"graphs": 1}

// selection selects all fields of a type that need no arguments, and what is in them. No type is in itself. It notes what it selects.
func selection(schema *ast.Schema, typeName string, path []string, most int, selected map[string]bool) string {
	definition := schema.Types[typeName]
	if definition.IsLeafType() || len(path) == most {
		return ""
	}
	var b strings.Builder
	for _, field := range definition.Fields {
		name := field.Type.Name()
		needs := slices.ContainsFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull && a.DefaultValue == nil })
		if needs || strings.HasPrefix(field.Name, "__") || slices.Contains(path, name) || name == typeName {
			continue
		}
		inner := selection(schema, name, append(slices.Clone(path), typeName), most, selected)
		if inner == "" && !schema.Types[name].IsLeafType() {
			continue
		}
		selected[typeName+"."+field.Name] = true
		fmt.Fprintf(&b, " %s%s", field.Name, inner)
	}
	if b.Len() == 0 {
		return ""
	}
	return " {" + b.String() + " }"
}

// Every field that can be asked for, and everybody who might ask.
func TestRightsOfFields(t *testing.T) {
	t.Parallel()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: graph.SDL()})
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	shared := s.furnished()
	s.people["owner"].does(t, s.urls[0], shared.fill(`mutation { exportNodeOutput(projectId: {project}, nodeId: "o") { success } }`), nil)
	s.people["owner"].does(t, s.urls[0], shared.fill(`mutation { joinProjectCollaboration(projectId: {project}, clientId: "there") }`), nil)
	table, selected := rightsTable{}, map[string]bool{}
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		kind := strings.ToLower(root.Name)
		for _, field := range root.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			args, ok := arguments[field.Name]
			needs := slices.ContainsFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull && a.DefaultValue == nil })
			if needs && !ok {
				t.Errorf("no arguments that fit %s: add them", field.Name)
				continue
			}
			if ok {
				args = "(" + args + ")"
			}
			selected[root.Name+"."+field.Name] = true
			inner := selection(schema, field.Type.Name(), nil, cmp.Or(nesting[field.Name], maxNesting), selected)
			document := kind + " { " + field.Name + args + inner + " }"
			cells := make([]string, len(askers))
			for i, asker := range askers {
				switch kind {
				case "query":
					cells[i] = s.queried(asker, field.Name, document, shared)
				case "mutation":
					cells[i] = s.mutated(asker, field.Name, document, &shared, i)
				default:
					cells[i] = s.subscribed(asker, document, shared, i)
				}
			}
			table[root.Name+"."+field.Name] = cells
		}
	}
	for name, definition := range schema.Types {
		if definition.Kind != ast.Object || strings.HasPrefix(name, "__") {
			continue
		}
		for _, field := range definition.Fields {
			if !strings.HasPrefix(field.Name, "__") && !selected[name+"."+field.Name] {
				t.Errorf("no query reaches %s.%s", name, field.Name)
			}
		}
	}
	table.compare(t, "field", askers)
}

// queried executes a query on both replicas, which have to agree.
func (s *stage) queried(asker, field, document string, f found) string {
	s.t.Helper()
	p := s.people[asker]
	if field == "session" {
		f["session"] = s.sessionOf(s.people["owner"])
	}
	var cells [2]string
	for i, url := range s.urls {
		cells[i] = cellOfAnswer(field, p.asks(s.t, url, f.fill(document)))
	}
	if cells[0] != cells[1] {
		s.t.Errorf("%s of %s: the replicas say %q and %q", field, asker, cells[0], cells[1])
	}
	return cells[0]
}

// mutated executes a mutation. Who is refused asks both replicas; who is not changes something, and leaves it to nobody else.
func (s *stage) mutated(asker, field, document string, shared *found, turn int) string {
	s.t.Helper()
	p, f := s.people[asker], *shared
	switch {
	case slices.Contains(ofAccounts, field):
		p, f = s.newcomer(asker, field)
	case slices.Contains(ofBare, field):
		f = s.bare()
	case slices.Contains(ofBuilt, field):
		s.people["owner"].does(s.t, s.urls[0], f.fill(document), nil)
	}
	first, second := s.urls[turn%2], s.urls[(turn+1)%2]
	cell := cellOfAnswer(field, p.asks(s.t, first, f.fill(document)))
	switch {
	case cell == cellYes && slices.Contains(ofAccounts, field):
		if id := s.people[asker].id; id != 0 && p.secret != s.people[asker].secret && asker != "READ token" {
			s.people[asker] = s.signedIn(asker) // the session of before may have ended
		}
	case cell == cellYes && !slices.Contains(ofBare, field):
		*shared = s.furnished()
	}
	if cell == cellYes {
		return cell
	}
	if again := cellOfAnswer(field, p.asks(s.t, second, f.fill(document))); again != cell {
		s.t.Errorf("%s of %s: the replicas say %q and %q", field, asker, cell, again)
	}
	return cell
}

// newcomer is somebody with a session that is used once, and what the fields of accounts are about.
func (s *stage) newcomer(asker, field string) (person, found) {
	s.t.Helper()
	f := found{"n": s.next(), "password": password, "user of owner": fmt.Sprint(s.people["owner"].id)}
	switch field {
	case "endSession":
		f["session"] = s.sessionOf(s.signedIn("owner"))
	case "rotateToken", "revokeToken":
		var data struct {
			CreateToken struct{ Token struct{ ID int } }
		}
		s.people["owner"].does(s.t, s.urls[0], `mutation { createToken(name: "Spare", scopes: [READ]) { token { id } } }`, &data)
		f["token"] = fmt.Sprint(data.CreateToken.Token.ID)
	case "redeemCode":
		code, err := s.accounts.Reset(s.t.Context(), int32(s.people["forgetful"].id))
		if err != nil {
			s.t.Fatal(err)
		}
		f["code"] = code
	}
	if asker == "nobody" || asker == "ended session" || asker == "READ token" {
		return s.people[asker], f
	}
	return s.signedIn(asker), f
}

// sessionOf returns the public id of a session.
func (s *stage) sessionOf(p person) string {
	s.t.Helper()
	var data struct{ Session struct{ ID int } }
	p.does(s.t, s.urls[0], fmt.Sprintf(`{ session(sessionId: %q) { id } }`, p.secret), &data)
	return fmt.Sprint(data.Session.ID)
}

// cellOfAnswer is the cell of an answer for a root field.
func cellOfAnswer(field string, answer *client.Answer) string {
	if len(answer.Errors) > 0 {
		if cell := cellOf(answer.Code()); cell != answer.Code() {
			return cell
		}
		return fmt.Sprintf("%s: %s", answer.Code(), answer.Errors[0].Message)
	}
	var data map[string]json.RawMessage
	if err := json.Unmarshal(answer.Data, &data); err != nil {
		return err.Error()
	}
	value := string(data[field])
	if list, ok := pages[field]; ok {
		var page map[string]json.RawMessage
		_ = json.Unmarshal(data[field], &page) // nothing is no page
		value = string(page[list])
	}
	if value == "null" || value == "[]" || value == "" || value == "false" && !slices.Contains(alsoFalse, field) {
		return cellAbsent
	}
	return cellYes
}

// subscribed follows a subscription until something comes, or it ends. What it waits for is made again and again: a subscription does not
// say when it has begun.
func (s *stage) subscribed(asker, document string, f found, turn int) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), pgtest.Patience)
	defer cancel()
	socket, cell := s.socket(ctx, asker, turn)
	if socket == nil {
		return cell
	}
	defer socket.CloseNow()
	if err := socket.Subscribe(ctx, "1", client.Request{Query: f.fill(document)}); err != nil {
		s.t.Fatal(err)
	}
	came := make(chan string, 1)
	go func() {
		m, err := socket.Next(ctx)
		switch {
		case err != nil:
			came <- err.Error()
		case m.Type == "next":
			came <- cellYes
		default:
			came <- cellOf(codeIn(m.Payload))
		}
	}()
	for n := 0; ; n++ {
		select {
		case cell := <-came:
			return cell
		default:
			s.people["owner"].does(s.t, s.urls[n%2], f.fill(fmt.Sprintf(
				`mutation { movePlanDagNode(projectId: {project}, nodeId: "g", position: {x: %d, y: %d}) { id } }`, n, turn+10)), nil)
		}
	}
}

// codeIn returns the code of the first of some errors.
func codeIn(payload json.RawMessage) string {
	var list []struct {
		Message    string
		Extensions struct{ Code string }
	}
	if err := json.Unmarshal(payload, &list); err != nil || len(list) == 0 {
		return string(payload)
	}
	return list[0].Extensions.Code
}

// socket opens a GraphQL socket as somebody, with the secret in connection_init. It is nil when the server closes it, with the cell for
// that.
func (s *stage) socket(ctx context.Context, asker string, turn int) (*client.GraphQLSocket, string) {
	s.t.Helper()
	return s.socketWith(ctx, turn, "", s.people[asker].secret)
}

// socketWith is socket with one secret in the handshake and one in connection_init.
func (s *stage) socketWith(ctx context.Context, turn int, handshake, secret string) (*client.GraphQLSocket, string) {
	s.t.Helper()
	header := http.Header{}
	if handshake != "" {
		header.Set("Authorization", "Bearer "+handshake)
	}
	raw, err := client.Dialer{Timeout: pgtest.Patience, Header: header}.Open(ctx, s.urls[turn%2], client.GraphQLPath, client.Subprotocol)
	if err != nil {
		return nil, cellOfClose(err)
	}
	socket := client.GraphQLSocket{Socket: raw}
	payload := "{}"
	if secret != "" {
		payload = fmt.Sprintf(`{"token":%q}`, secret)
	}
	if err := socket.Send(ctx, fmt.Appendf(nil, `{"type":"connection_init","payload":%s}`, payload)); err != nil {
		s.t.Fatal(err)
	}
	m, err := socket.Next(ctx)
	if err == nil && m.Type == "connection_ack" {
		return &socket, cellYes
	}
	raw.CloseNow()
	return nil, cellOfClose(err)
}

// cellOfClose is the cell of a socket that did not open, or was closed.
func cellOfClose(err error) string {
	text := fmt.Sprint(err)
	for code, cell := range map[string]string{"4401": cellSignIn, "401": cellSignIn, "4403": cellNo, "403": cellNo, "404": cellAbsent} {
		if strings.Contains(text, code) {
			return cell
		}
	}
	return text
}
