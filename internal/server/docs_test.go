package server_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"layercake/internal/client"
	"layercake/internal/golden"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5/pgconn"
)

// example is a query of the page, and its answer.
var example = regexp.MustCompile("(?s)```sql\n(.*?)```\n\n```text\n(.*?)```")

// Every query of the page works, has an answer, and the answer has the columns that the page shows.
func TestPageForDBAs(t *testing.T) {
	t.Parallel()
	const path = "../../docs/sql.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	database := pgtest.Server(t).URL // roles belong to the whole server
	replicas := servertest.StartOn(t, database, 3, nil)
	for _, name := range []string{"Atlas", "Borealis", "Cartography", "Delta", "Estuary", "Fjord", "Glacier"} {
		if a := ask(t, replicas[0].URL, fmt.Sprintf(`mutation { createProject(input: {name: %q}) { id } }`, name)); a.Code() != "" {
			t.Fatal(a.Errors)
		}
	}
	dba := openConsole(t, database)
	change := func(replica int, query string) {
		t.Helper()
		if a := ask(t, replicas[replica].URL, query); a.Code() != "" {
			t.Fatal(a.Errors)
		}
	}
	for n, label := range []string{"Customers", "Orders", "Sales"} {
		query := strings.ReplaceAll(addNode(n), "projectId: 1", "projectId: 7")
		change(n, strings.ReplaceAll(query, `label: ""`, fmt.Sprintf("label: %q", label)))
	}
	pgtest.Exec(t, dba.conn, "UPDATE events SET at = at - interval '4 days'") // the page asks for the plan of three days ago
	pgtest.Exec(t, dba.conn, "UPDATE plans SET created_at = created_at - interval '5 days'")
	change(1, `mutation { updatePlanDagNode(projectId: 7, nodeId: "n2", updates: {metadata: {label: "Sales by region"}}) { id } }`)
	change(2, `mutation { deletePlanDagNode(projectId: 7, nodeId: "n1", clientId: "tab-4711") { id } }`)
	for n, name := range []string{"Ann", "Bob", "Cleo", "Bob"} {
		visit(t, enter(t, replicas[n%3].URL, 7, client.Join{UserID: strings.ToLower(name), UserName: name, DocumentID: "plan-dag-canvas"}))
	}
	dba.await("4", "SELECT count(*)::text FROM layercake.who")
	dba.await("4", "SELECT coalesce(sum(sockets), 0)::text FROM layercake.replicas")
	dba.await("4", "SELECT count(*)::text FROM layercake.presence_log")

	pgtest.Exec(t, dba.conn, "INSERT INTO proposal_heads (project_id, revision, last_id) VALUES (7, 3, 2)")
	pgtest.Exec(t, dba.conn, `INSERT INTO proposals (project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor,
			op_id, request_hash, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at)
		VALUES (7, 1, 3, 'REJECTED', '[]', 2, 4, 'Split the sales', 'p', 'agent', 'Planner', '', '1', '', 'a', 'anonymous', 'Ann', '3', now()),
			(7, 2, 2, 'OPEN', '[]', 2, 4, 'Orders by month', 'p', 'agent', 'Planner', '', '2', '', NULL, NULL, NULL, NULL, NULL)`)
	pgtest.Exec(t, dba.conn, `INSERT INTO mcp_sessions (id, transport, protocol_version, client_name, client_title, client_version, parameters, agent_id,
			agent_name, network, scope, expires_at)
		VALUES ('5e55104a-0000-4000-8000-000000000000', 'http', '2025-11-25', 'planner', 'Planner', '1.0', '{}', 'p', 'Planner', '',
			'read_only=true&project=7', now() + interval '24 h')`)

	pgtest.Exec(t, dba.conn, `INSERT INTO graphs (id, project_id, node_id, name, state) VALUES (1, 7, 'n0', 'Customers', 'processing')`)
	pgtest.Exec(t, dba.conn, `INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, attempt, replica, reason, requested_by, started_at,
			finished_at, nodes, edges)
		VALUES (7, 'n0', 'Customers', 1, 1, 'completed', 1, gen_random_uuid(), 'it was never built', 'Ann', now() - interval '50 s', now() - interval '42 s',
			81234, 400120),
		(7, 'n0', 'Customers', 1, 2, 'processing', 1, NULL, 'customers.csv was replaced', 'Bob', now() - interval '3 s', NULL, NULL, NULL)`)
	pgtest.Exec(t, dba.conn, `INSERT INTO claims (graph_id, project_id, incarnation, generation, phase, done, total)
		SELECT 1, 7, min(incarnation::text)::uuid, 2, 'writing', 250000, 481354 FROM replicas`)
	pgtest.Exec(t, dba.conn, `INSERT INTO data_sources (project_id, name, filename, format, kind, status, file_id, size, sha256, row_count)
		VALUES (7, 'Customers', 'customers.csv', 'csv', 'nodes', 'active', 1, 5961234, '5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8', 81234),
			(7, 'Orders', 'orders.csv', 'csv', 'edges', 'active', 2, 21961234, '0b14d501a594442a01c6859541bcb3e8164d183d32937b851835442f69d5c94e', 400120)`)

	pgtest.Exec(t, dba.conn, `INSERT INTO users (username, email, display_name, avatar_color)
		VALUES ('ann', 'ann@example.com', 'Ann', '#3b82f6'), ('cleo', 'cleo@example.com', 'Cleo', '#10b981')`)
	pgtest.Exec(t, dba.conn, `INSERT INTO sessions (user_id, secret_hash, expires_at, address)
		SELECT id, sha256(username::bytea), now() + interval '20 h', '192.0.2.7' FROM users`)
	pgtest.Exec(t, dba.conn, `INSERT INTO tokens (user_id, name, scopes, secret_hash, expires_at)
		SELECT id, 'Nightly import', '{EDIT}', sha256('x'), now() + interval '30 days' FROM users WHERE username = 'cleo'`)
	pgtest.Exec(t, dba.conn, `INSERT INTO collaborators (project_id, user_id, role, status, invited_by, joined_at)
		SELECT 7, u.id, CASE u.username WHEN 'ann' THEN 'owner' ELSE 'editor' END, 'accepted', (SELECT id FROM users WHERE username = 'ann' AND u.username <> 'ann'), now()
		FROM users u`)

	count := 0
	answered := example.ReplaceAllStringFunc(string(page), func(block string) string {
		count++
		parts := example.FindStringSubmatch(block)
		results, err := dba.conn.PgConn().Exec(t.Context(), parts[1]).ReadAll()
		if err != nil {
			t.Errorf("%s%v", parts[1], err)
			return block
		}
		answer := table(results[len(results)-1])
		if len(results[len(results)-1].Rows) == 0 {
			t.Errorf("%sno rows", parts[1])
		}
		got, _, _ := strings.Cut(answer, "\n")
		want, _, _ := strings.Cut(parts[2], "\n")
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") && !golden.Updating() {
			t.Errorf("%sthe answer begins with\n%s\nand the page says\n%s", parts[1], got, want)
		}
		if strings.Contains(parts[1], "kick") || strings.Contains(parts[1], "drain") {
			dba.await("0", "SELECT count(*)::text FROM layercake.commands WHERE acted_at IS NULL")
		}
		return "```sql\n" + parts[1] + "```\n\n```text\n" + answer + "```"
	})
	if all := strings.Count(string(page), "```sql"); all != count || count < 10 {
		t.Errorf("%d of %d queries have an answer, want all, and ten at least", count, all)
	}
	if golden.Updating() {
		if err := os.WriteFile(path, []byte(answered), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table shows an answer as psql does.
func table(r *pgconn.Result) string {
	lines := make([][]string, len(r.Rows)+1)
	widths := make([]int, len(r.FieldDescriptions))
	for c, f := range r.FieldDescriptions {
		lines[0] = append(lines[0], f.Name)
		widths[c] = len(f.Name)
		for n, row := range r.Rows {
			lines[n+1] = append(lines[n+1], string(row[c]))
			widths[c] = max(widths[c], utf8.RuneCount(row[c]))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for c, text := range line {
			lines[n][c] = text + strings.Repeat(" ", widths[c]-utf8.RuneCountInString(text))
		}
		b.WriteString(strings.TrimRight(" "+strings.Join(line, " | "), " ") + "\n")
		if n == 0 {
			for c, width := range widths {
				b.WriteString("+"[:min(c, 1)] + strings.Repeat("-", width+2))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
