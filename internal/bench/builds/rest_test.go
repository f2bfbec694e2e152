package builds_test

import (
	"strings"
	"testing"

	"layercake/internal/bench/builds"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// whole is a project with one graph of two nodes and an edge, as a build leaves it.
const whole = `
	INSERT INTO projects (id, name) VALUES (1, 'p');
	INSERT INTO heads (project_id, version, log_floor) VALUES (1, 5, 5);
	INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at, execution)
		VALUES (1, 'graph', 0, 'GraphNode', 0, 0, 'Graph', '{}', now(), now(), '{"graphId": 7, "executionState": "completed"}');
	INSERT INTO contents (id, project_id, hash, nodes, edges) OVERRIDING SYSTEM VALUE VALUES (3, 1, 'h', 2, 1), (4, 1, NULL, 0, 0);
	INSERT INTO content_nodes (content_id, ordinal, id, label, weight, is_partition) VALUES (3, 0, 'a', 'A', 1, false), (3, 1, 'b', 'B', 1, false);
	INSERT INTO content_edges (content_id, ordinal, id, source, target, label, weight) VALUES (3, 0, 'e', 'a', 'b', '', 1);
	INSERT INTO graphs (id, project_id, node_id, name, state, content_id, content_hash, node_count, edge_count)
		VALUES (7, 1, 'graph', 'Graph', 'completed', 3, 'h', 2, 1);
	INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, requested_by, finished_at)
		VALUES (1, 'graph', 'Graph', 7, 1, 'completed', 'somebody', now());
	INSERT INTO replicas (incarnation, version, address, expires_at) VALUES
		('00000000-0000-0000-0000-000000000001', 'v', '127.0.0.1:1', now() + interval '1 h')`

// AtRest names each thing that should not be so, and nothing else.
func TestAtRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, harm, want string }{
		{"as a build leaves it", "SELECT 1", ""},
		{"a gap in the log", "UPDATE heads SET version = 6", "the log of project 1 has 0 events between 5 and 6"},
		{"a build that never ended", "UPDATE builds SET state = 'processing', finished_at = NULL", "is still open"},
		{
			"a claim that is left", "INSERT INTO claims (graph_id, project_id, incarnation, generation) SELECT 7, 1, incarnation, 1 FROM replicas",
			"graph 7, project 1, is still claimed",
		},
		{"a graph that waits for nothing", "UPDATE graphs SET state = 'pending'", "is pending without a build"},
		{"a content without nodes", "DELETE FROM content_nodes WHERE ordinal = 1", "content 3 with 1 of 2 nodes and 1 of 1 edges"},
		{"a content without edges", "DELETE FROM content_edges", "content 3 with 2 of 2 nodes and 0 of 1 edges"},
		{"a hole in a content", "UPDATE content_nodes SET ordinal = 9 WHERE ordinal = 1", "content 3 with 2 of 2 nodes"},
		{"a content that is not complete", "UPDATE contents SET hash = NULL", "hash none"},
		{"a content that is gone", "DELETE FROM contents", "hash none"},
		{"a plan that shows something else", "UPDATE plan_nodes SET execution = '{\"executionState\": \"error\"}'", "and its graph is completed"},
		{"a plan that shows nothing", "UPDATE plan_nodes SET execution = NULL", "and its graph is completed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Connect(t, pgtest.New(t))
			for _, sql := range []string{whole, c.harm} {
				if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatal(err)
				}
			}
			problems, err := builds.AtRest(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(problems, "\n")
			if c.want == "" && text != "" || !strings.Contains(text, c.want) {
				t.Errorf("problems %q, want %q", text, c.want)
			}
		})
	}
}
