package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/postgres/pgtest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A statement reads the rows that it is about, however large the rest of the project is, and whatever the statistics said when its session
// planned it: sessions keep their plans while a project grows. The statements are planned in a database in some state, then one project
// gets a thousand rows of everything, and then it is counted what they read there.
func TestLookUpsReadFewRowsWhateverTheStatisticsSay(t *testing.T) {
	t.Parallel()
	for name, state := range map[string][]string{
		"never analyzed":                   nil,
		"analyzed empty":                   {"VACUUM ANALYZE"},
		"one row":                          {project(1, 1, 1), "ANALYZE"},
		"some small projects":              {project(1, 100, 3), "ANALYZE"},
		"many small projects":              {project(1, 3000, 3), "VACUUM ANALYZE"},
		"very many projects of one row":    {project(1, 20000, 1), "VACUUM ANALYZE"},
		"a large project":                  {project(1, 1, 1000), "ANALYZE"},
		"a large project among many":       {project(1, 2000, 3), project(2001, 2001, 1000), "ANALYZE"},
		"a large project that was deleted": {project(1, 1, 1000), "ANALYZE", "DELETE FROM projects; DELETE FROM contents; DELETE FROM content_nodes; DELETE FROM content_edges; DELETE FROM mcp_sessions; DELETE FROM project_operations; DELETE FROM users; DELETE FROM oidc_flows; DELETE FROM oidc_logouts"},
		"a large project that vacuum removed": {
			project(1, 1, 1000), "ANALYZE", "DELETE FROM projects; DELETE FROM contents; DELETE FROM content_nodes; DELETE FROM content_edges; DELETE FROM presence; DELETE FROM presence_log; DELETE FROM mcp_sessions; DELETE FROM project_operations; DELETE FROM users; DELETE FROM oidc_flows; DELETE FROM oidc_logouts", "VACUUM",
		},
		"some rows, not analyzed since none":    {"ANALYZE", project(1, 100, 3)},
		"a large project, not analyzed since 0": {"ANALYZE", project(1, 1, 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			admin := pgtest.Connect(t, database)
			const tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
			for _, table := range pgtest.Texts(t, admin, tables) {
				pgtest.Exec(t, admin, "ALTER TABLE "+table+" SET (autovacuum_enabled = false)") // it would make sessions plan again
			}
			pgtest.Exec(t, admin, "INSERT INTO replicas (incarnation, version, address, expires_at) VALUES ($1, '', '', 'infinity')", replica)
			for _, statement := range state {
				for part := range strings.SplitSeq(statement, ";") { // VACUUM wants to be alone
					pgtest.Exec(t, admin, part)
				}
			}
			err := open(t, database).Requests.Do(t.Context(), func(conn *pgx.Conn) error {
				pgtest.Exec(t, conn, "SET plan_cache_mode = force_generic_plan")
				for _, call := range lookUps {
					_, _, _ = measure(t, conn, call) // what it looks up, or refers to, is not there yet
				}
				for part := range strings.SplitSeq(project(large, large, 1000), ";") {
					pgtest.Exec(t, admin, part)
				}
				for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
					pgtest.Exec(t, conn, "SET plan_cache_mode = "+mode)
					for _, name := range slices.Sorted(maps.Keys(lookUps)) {
						rows, pages, err := measure(t, conn, lookUps[name])
						if err != nil {
							t.Errorf("%s: %v", name, err)
						}
						// A scan of a whole index that finds one row reads pages only.
						if rows > mostRows || pages > mostPages {
							t.Errorf("%s, %s: %d rows, %d pages, want at most %d and %d", mode, name, rows, pages, mostRows, mostPages)
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Whoever adds a statement says whether it looks up a few rows.
func TestStatementsAreLookUpsOrNot(t *testing.T) {
	t.Parallel()
	for name := range statements(t) {
		if (lookUps[name] != nil) == slices.Contains(wholes, name) {
			t.Errorf("%s must be either in lookUps or in wholes", name)
		}
	}
}

// wholes are statements that read all of a project, a room, a replica or the deployment, or no rows at all, or tables that have few.
var wholes = []string{
	"SetPassword", "SetCode", "GetUserByCode", "NoteLogin", "SetDisabled", "InsertSession",
	"EndOldSessions", "EndSession", "EndSessionBySecret", "EndSessionsBut", "EndIssuerSessions", "InsertToken",
	"RotateToken", "EndToken", "EndTokens", "GetIdentity", "InsertIdentity", "CountIdentities", "ReplaceHash", "DeleteAttempt", "InsertSecurityEvent",
	"TellSessionsEnded", "ListProjectsWithoutOwner", "AdoptProject", "TrimSessions", "TrimTokens", "TrimAttempts",
	"TrimSecurityLog", "TrimFlows", "TrimLogouts", "LockAttempts", "CountAttempts", "InsertAttempt", "NoteNetwork",
	"AttemptSucceeded", "ListUsers", "ListOwnedCollaborators", "InsertUser", "UpdateUserNames", "TouchSession",
	"TouchToken", "LockUser", "ListCollaborators", "InviteCollaborator", "AcceptCollaboration", "DeclineCollaboration",
	"SetCollaboratorRole", "RemoveCollaborator", "CountOwners", "InsertFlow",
	"CountDataSources", "CountPlanNodes", "GetFailedDataSource", "ListDataSources", "ListNodesOfDataSources", "InsertFile",
	"CloseEdgeGaps", "CloseNodeGaps", "ListPlanEdges", "ListPlanNodes", "FindPlanNodes", "ListPlanLinks",
	"DeleteProject", "DeleteGuestsOfProject", "ListPresence", "UpsertGuest", "DeletePresenceOfReplica", "ListOwnPresence",
	"CountProjects", "ListProjects", "ListRecentProjects", "ListLive", "ListProjectsToTrim", "ListCheckpointsDue", "EndLostVisits",
	"InsertProject", "InsertHead", "InsertPlan", "GetClock", "DoNotWaitForDisk", "DoNotWaitForDiskInBatch", "KickGuests", "GetMCPFigures",
	"TryLockCleanUp", "GetWireKey", "UpsertWireKey", "LockGuestMakers", "ListCommands", "LockCommand", "UpdateCommandActed", "DeleteOldCommands",
	"TryLockCleanUp", "GetWireKey", "UpsertWireKey", "LockGuestMakers", "ListCommands", "UpdateCommandActed", "DeleteOldCommands",
	"ListSteps", "ListStepLinks", "ListStepSources", "ListStepGraphs", "ListOpenBuilds", "ListClaims", "ListWork", "GetTurn", "LockLogouts", "LockSignIns", "IsLoggedOut",
	"DeleteLeftClaims",
	"ListGraphs", "ListForgottenContents", "ListForgottenFiles", "GetStorageFigures", "ClaimExpiredReplica", "DeleteReplica", "GetOldestWire", "HasLease", "InsertReplica", "RenewReplica",
}

// What a look-up may read: some read ten rows of the log, and follow what these take back. The database looks references up itself.
const mostRows, mostPages = 60, 120

// measure returns how many rows a call reads, with entries of indexes, and how many pages it looks at. What it writes is rolled back.
func measure(t *testing.T, conn *pgx.Conn, call call) (rows, pages int, err error) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	read := func() (rows, pages int) {
		const ask = `SELECT sum(pg_stat_get_xact_tuples_returned(oid))::int, sum(pg_stat_get_xact_blocks_fetched(oid))::int
			FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')`
		if err := tx.QueryRow(t.Context(), ask).Scan(&rows, &pages); err != nil {
			t.Fatal(err)
		}
		return rows, pages
	}
	rowsBefore, pagesBefore := read()
	if err := call(t.Context(), db.New(tx)); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, err
	}
	rows, pages = read()
	return rows - rowsBefore, pages - pagesBefore, nil
}

// content is one of the large project, with a thousand nodes and edges. The other contents, and the graphs, are large * 1000 + n.
const content = large*1000 + 1

// large is the id of the project that grows, and replica serves everybody.
const (
	large                  = 1000000
	largeFile, largeSource = 1000*large + 500, 1000*large + 500 // one of its files, and one of its data sources
	replica                = "00000000-0000-0000-0000-000000000001"
)

var (
	incarnation = uuid.MustParse(replica)
	served      = []uuid.UUID{uuid.MustParse("01000000-0000-0000-0001-000000000500")} // of the large project
	guest       = []uuid.UUID{uuid.MustParse("01000000-0000-0000-0002-000000000500")}
	session     = uuid.MustParse("01000000-0000-0000-0004-000000000500")
	joined      = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	flowHash    = sha256.Sum256([]byte("flow 1000000x500"))
)

// project returns statements that make projects, each with a chain of so many nodes, and as many events, checkpoints, connections, guests,
// visits that ended, operations that made projects, proposals, and sessions of agents with a subscription and two messages. Every second
// event takes back the one before; ten guests, operations, sessions and inboxes are too old; ten proposals are open, and the next ten are too
// old. There are said to be 1,003 sessions, whatever the project is.
func project(first, last, size int) string {
	return strings.NewReplacer("@first", strconv.Itoa(first), "@last", strconv.Itoa(last), "@size", strconv.Itoa(size), "@replica", replica).Replace(`
INSERT INTO projects (id, name) SELECT p, 'project ' || p FROM generate_series(@first, @last) p;
INSERT INTO heads (project_id, version, log_size) SELECT p, @size, 100 * @size FROM generate_series(@first, @last) p;
INSERT INTO plans (id, project_id, name) SELECT p, p, 'plan' FROM generate_series(@first, @last) p;
INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at)
	SELECT p, 'node-' || n, n, 'GraphNode', 0, 0, 'label', '{}', now(), now() FROM generate_series(@first, @last) p, generate_series(0, @size) n;
INSERT INTO plan_edges (project_id, id, ordinal, source, target, data_type, created_at, updated_at)
	SELECT p, 'edge-' || n, n, 'node-' || n, 'node-' || n + 1, 'GRAPH_DATA', now(), now()
	FROM generate_series(@first, @last) p, generate_series(0, @size - 1) n;
INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body, hash, size, total_size, undoes)
	SELECT p, n, now() - interval '1 hour' + n * interval '1 s', 'actor', md5(p || 'x' || n)::uuid::text, '', '{}', '12345678', 100, 100 * n,
		CASE WHEN n % 2 = 0 THEN n - 1 END
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO checkpoints (project_id, version, body, sum)
	SELECT p, n, '{}', sha256('') FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport, caller,
	network, joined_at, active_at, expires_at)
	SELECT format('%s-0000-0000-000%s-%s', lpad(p::text, 8, '0'), g, lpad(n::text, 12, '0'))::uuid, CASE g WHEN 1 THEN '@replica'::uuid END, p, 1, 'user', 'name', '', false, 'graphql',
		CASE g WHEN 2 THEN 'caller ' || p || n END, CASE g WHEN 2 THEN 'network ' || p || n END, '2026-01-01', now(),
		CASE g WHEN 2 THEN now() + (n - 10) * interval '1 hour' END
	FROM generate_series(@first, @last) p, generate_series(1, 2) g, generate_series(1, @size) n;
INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent, left_at, reason)
	SELECT format('%s-0000-0000-000%s-%s', lpad(p::text, 8, '0'), g, lpad(n::text, 12, '0'))::uuid, '2026-01-01', '@replica', p, 'user',
		'name', false, CASE g WHEN 3 THEN now() END, CASE g WHEN 3 THEN 'left' END
	FROM generate_series(@first, @last) p, generate_series(1, 3) g, generate_series(1, @size) n;
INSERT INTO files (id, project_id, size, touched_at) OVERRIDING SYSTEM VALUE
	SELECT p * 1000::bigint + n, p, 1, now() FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO file_chunks (file_id, ordinal, body)
	SELECT p * 1000::bigint + n, 0, 'x' FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO data_sources (id, project_id, name, filename, format, kind, status, file_id, size, sha256, marks)
	SELECT p * 1000 + n, p, 'name', 'n.csv', 'csv', 'nodes', 'active', p * 1000::bigint + n, 1, '', '{3}'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO project_operations (op_actor, op_id, request_hash, project_id, at)
	SELECT 'actor', p || 'x' || n, sha256(''), p, now() + (n - 10) * interval '1 hour'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO proposal_heads (project_id, revision, last_id) SELECT p, @size, @size FROM generate_series(@first, @last) p;
INSERT INTO proposals (project_id, id, revision, status, operations, size, base_version, by_id, by_kind, by_name, op_actor, op_id, request_hash,
	decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at)
	SELECT p, n, n, CASE WHEN d IS NULL THEN 'OPEN' ELSE 'ACCEPTED' END, '[]', 2, 0, 'id', 'agent', 'name', 'actor', md5(p || 'x' || n), '',
		d, d, d, d, CASE WHEN d IS NOT NULL THEN now() + (n - 20) * interval '1 hour' END
	FROM generate_series(@first, @last) p, generate_series(1, @size) n, LATERAL (SELECT CASE WHEN n > 10 THEN 'somebody' END) o (d);
INSERT INTO mcp_sessions (id, transport, protocol_version, client_name, client_title, client_version, parameters, agent_id, agent_name, network,
	seen_at, expires_at)
	SELECT format('%s-0000-0000-0004-%s', lpad(p::text, 8, '0'), lpad(n::text, 12, '0'))::uuid, 'http', '', '', '', '', '{}', 'id', 'name', '',
		'2026-01-01', now() + (n - 10) * interval '1 hour'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO mcp_subscriptions (session_id, uri)
	SELECT format('%s-0000-0000-0004-%s', lpad(p::text, 8, '0'), lpad(n::text, 12, '0'))::uuid, 'uri'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO mcp_inbox (session_id, key, body, passing, at)
	SELECT format('%s-0000-0000-0004-%s', lpad(p::text, 8, '0'), lpad(n::text, 12, '0'))::uuid, 'key', 'body', g = 2, now() + (n - 10) * interval '1 hour'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n, generate_series(1, 2) g;
INSERT INTO contents (id, project_id, hash, nodes, edges, touched_at) OVERRIDING SYSTEM VALUE
	SELECT p * 1000 + n, p, 'hash-' || n, CASE n WHEN 1 THEN @size ELSE 0 END, CASE n WHEN 1 THEN @size ELSE 0 END, now() + (n - 10) * interval '1 hour'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO content_nodes (content_id, ordinal, id, label, weight, is_partition)
	SELECT p * 1000 + 1, n - 1, md5(n::text), 'label', 1, false FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO content_edges (content_id, ordinal, id, source, target, label, weight)
	SELECT p * 1000 + 1, n - 1, md5(n::text), 'a', 'b', 'label', 1 FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO graphs (id, project_id, node_id, name, content_id, content_hash)
	SELECT p * 1000 + n, p, 'node-' || n, 'name', p * 1000 + n, 'hash-' || n
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO layers (graph_id, ordinal, layer_id, name)
	SELECT p * 1000 + n, g, 'layer-' || g, 'name'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n, generate_series(0, 1) g;
INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, requested_by, finished_at)
	SELECT p, 'node-' || n, 'label', p * 1000 + n, 1, CASE WHEN n < 10 THEN 'pending' ELSE 'completed' END, 'somebody',
		CASE WHEN n > 10 THEN now() + (n - 20) * interval '1 hour' END
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO claims (graph_id, project_id, incarnation, generation)
	SELECT p * 1000 + n, p, '@replica', 1 FROM generate_series(@first, @last) p, generate_series(2, @size) n;
INSERT INTO users (id, email, username, display_name, avatar_color) OVERRIDING SYSTEM VALUE
	SELECT p * 1000 + n, p || 'x' || n || '@example.com', 'user-' || p || '-' || n, 'name', '' FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO users (id, username, display_name, avatar_color) OVERRIDING SYSTEM VALUE
	SELECT -p, 'owner-' || p, 'name', '' FROM generate_series(@first, @last) p;
INSERT INTO collaborators (project_id, user_id, role, status)
	SELECT p, p * 1000 + n, 'editor', 'accepted' FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO sessions (id, user_id, secret_hash, expires_at, issuer, issuer_session, subject) OVERRIDING SYSTEM VALUE
	SELECT p * 1000 + n, p * 1000 + n, sha256(('session ' || p || 'x' || n)::bytea), now() + (n - 10) * interval '1 day' + interval '1 minute', 'issuer', p || 'x' || n, 'subject'
	FROM generate_series(@first, @last) p, generate_series(11, @size) n;
INSERT INTO tokens (id, user_id, name, scopes, secret_hash, former_hash, former_until, expires_at) OVERRIDING SYSTEM VALUE
	SELECT p * 1000 + n, p * 1000 + n, 'name', '{READ}', sha256(('token ' || p || 'x' || n)::bytea), sha256(('former ' || p || 'x' || n)::bytea), now(), now() + interval '1 day'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO login_attempts (account, network, failed, at)
	SELECT encode(sha256((p || 'x' || n)::bytea), 'hex'), '192.0.2.1', true, now() FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO oidc_flows (state_hash, browser_hash, nonce, verifier, return_to, network, expires_at)
	SELECT sha256(('flow ' || p || 'x' || n)::bytea), sha256('browser'), repeat('n', 43), repeat('v', 43), '/', '192.0.2.1', now() + interval '1 hour'
	FROM generate_series(@first, @last) p, generate_series(1, @size) n;
INSERT INTO oidc_logouts (issuer, jti, expires_at)
	SELECT 'issuer', p || 'x' || n, now() + interval '1 hour' FROM generate_series(@first, @last) p, generate_series(1, @size) n;
UPDATE mcp_totals SET sessions = 1003`)
}

// call is one of a statement, with its arguments.
type call func(context.Context, *db.Queries) error

// get makes a call of a statement that has an answer.
func get[P, R any](f func(*db.Queries, context.Context, P) (R, error), params P) call {
	return func(ctx context.Context, q *db.Queries) error {
		_, err := f(q, ctx, params)
		return err
	}
}

// do makes a call of a statement that has none.
func do[P any](f func(*db.Queries, context.Context, P) error, params P) call {
	return func(ctx context.Context, q *db.Queries) error { return f(q, ctx, params) }
}

// lookUps are calls of statements that look up a few rows of the large project.
var lookUps = map[string]call{
	"StepHead":             get((*db.Queries).StepHead, large),
	"HoldHead":             get((*db.Queries).HoldHead, large),
	"FinishHead":           do((*db.Queries).FinishHead, db.FinishHeadParams{ProjectID: large, Hash: "12345678"}),
	"GetHead":              get((*db.Queries).GetHead, large),
	"LockHead":             get((*db.Queries).LockHead, large),
	"GetLogEnds":           get((*db.Queries).GetLogEnds, large),
	"ListFeedHeads":        get((*db.Queries).ListFeedHeads, []int32{large}),
	"GetUser":              get((*db.Queries).GetUser, largeSource),
	"GetUserByName":        get((*db.Queries).GetUserByName, "user-1000000-500"),
	"GetUserByEmail":       get((*db.Queries).GetUserByEmail, "1000000x500@example.com"),
	"ListUsersByID":        get((*db.Queries).ListUsersByID, []int32{largeSource}),
	"GetCollaborator":      get((*db.Queries).GetCollaborator, 500),
	"GetCollaboratorOf":    get((*db.Queries).GetCollaboratorOf, db.GetCollaboratorOfParams{UserID: largeSource, ProjectID: large}),
	"ListCollaborationsOf": get((*db.Queries).ListCollaborationsOf, largeSource),
	"TakeFlow":             get((*db.Queries).TakeFlow, db.TakeFlowParams{StateHash: flowHash[:], BrowserHash: make([]byte, 32)}),
	"InsertLogout":         get((*db.Queries).InsertLogout, db.InsertLogoutParams{Issuer: "issuer", Jti: "1000000x500", ExpiresAt: joined}),
	"GetUserByIdentity":    get((*db.Queries).GetUserByIdentity, db.GetUserByIdentityParams{}),
	"GetSessionBySecret":   get((*db.Queries).GetSessionBySecret, db.GetSessionBySecretParams{SecretHash: make([]byte, 32)}),
	"GetTokenBySecret":     get((*db.Queries).GetTokenBySecret, make([]byte, 32)),
	"HoldSession":          get((*db.Queries).HoldSession, db.HoldSessionParams{ID: largeSource, UserID: largeSource}),
	"GetSession":           get((*db.Queries).GetSession, db.GetSessionParams{ID: largeSource, UserID: largeSource}),
	"ListSessions":         get((*db.Queries).ListSessions, largeSource),
	"ListTokens":           get((*db.Queries).ListTokens, largeSource),
	"CountTokens":          get((*db.Queries).CountTokens, largeSource),
	"ListEnded": get((*db.Queries).ListEnded, db.ListEndedParams{
		Sessions: []int32{largeSource}, Tokens: []int32{largeSource}, Secrets: [][]byte{make([]byte, 8)}, Accounts: []int32{largeSource}, RoleUsers: []int32{largeSource}, RoleProjects: []int32{large},
	}),
	"ListRoles":           get((*db.Queries).ListRoles, db.ListRolesParams{UserID: largeSource, ProjectIds: []int32{large}}),
	"GetRole":             get((*db.Queries).GetRole, db.GetRoleParams{UserID: largeSource, ProjectID: large}),
	"InsertOwner":         do((*db.Queries).InsertOwner, db.InsertOwnerParams{UserID: -large, ProjectID: large}),
	"GetProjectOfPlan":    get((*db.Queries).GetProjectOfPlan, large),
	"GetProjectOfSource":  get((*db.Queries).GetProjectOfSource, largeSource),
	"GetProjectOfGraph":   get((*db.Queries).GetProjectOfGraph, largeSource),
	"GetProject":          get((*db.Queries).GetProject, large),
	"UpdateProject":       get((*db.Queries).UpdateProject, db.UpdateProjectParams{ID: large, Name: "new"}),
	"ListProjectIDs":      get((*db.Queries).ListProjectIDs, []int32{large}),
	"GetPlanOfProject":    get((*db.Queries).GetPlanOfProject, large),
	"ListPlansByProject":  get((*db.Queries).ListPlansByProject, db.ListPlansByProjectParams{ProjectIds: []int32{large}}),
	"UpdatePlan":          do((*db.Queries).UpdatePlan, db.UpdatePlanParams{ProjectID: large, Name: "new"}),
	"UpdatePlanGaps":      do((*db.Queries).UpdatePlanGaps, db.UpdatePlanGapsParams{ProjectID: large, NodeGaps: []int64{}, EdgeGaps: []int64{}}),
	"GetPlanShape":        get((*db.Queries).GetPlanShape, large),
	"GetPlanNode":         get((*db.Queries).GetPlanNode, db.GetPlanNodeParams{ProjectID: large, ID: "node-500"}),
	"GetPlanEdge":         get((*db.Queries).GetPlanEdge, db.GetPlanEdgeParams{ProjectID: large, ID: "edge-500"}),
	"ListPlanEdgesOfNode": get((*db.Queries).ListPlanEdgesOfNode, db.ListPlanEdgesOfNodeParams{ProjectID: large, Node: "node-500"}),
	"ListPlanLinksFrom":   get((*db.Queries).ListPlanLinksFrom, db.ListPlanLinksFromParams{ProjectID: large, Node: "node-995"}),
	"InsertPlanNodes": do((*db.Queries).InsertPlanNodes, db.InsertPlanNodesParams{
		ProjectID: large, Ids: []string{"new"}, Ordinals: []int64{2000}, NodeTypes: []string{"GraphNode"}, PositionXs: []float64{0},
		PositionYs: []float64{0}, SourcePositions: []string{""}, TargetPositions: []string{""}, Labels: []string{""}, Descriptions: []string{""},
		Configs: []string{"{}"}, CreatedAts: []time.Time{joined}, At: joined,
	}),
	"UpdatePlanNode":          do((*db.Queries).UpdatePlanNode, db.UpdatePlanNodeParams{ProjectID: large, ID: "node-500", NodeType: "GraphNode", Config: []byte("{}")}),
	"ListSourceStates":        get((*db.Queries).ListSourceStates, db.ListSourceStatesParams{ProjectID: large, Ids: []int32{1, 500}}),
	"UpdatePlanNodeExecution": do((*db.Queries).UpdatePlanNodeExecution, db.UpdatePlanNodeExecutionParams{ProjectID: large, ID: "node-500"}),
	"DeletePlanNode":          do((*db.Queries).DeletePlanNode, db.DeletePlanNodeParams{ProjectID: large, ID: "node-500"}),
	"InsertPlanEdges": do((*db.Queries).InsertPlanEdges, db.InsertPlanEdgesParams{
		ProjectID: large, Ids: []string{"new"}, Ordinals: []int64{2000}, Sources: []string{"node-1"}, Targets: []string{"node-900"},
		SourceHandles: []string{""}, TargetHandles: []string{""}, Labels: []string{""}, DataTypes: []string{"GRAPH_DATA"},
		CreatedAts: []time.Time{joined}, At: joined,
	}),
	"UpdatePlanEdge": do((*db.Queries).UpdatePlanEdge, db.UpdatePlanEdgeParams{ProjectID: large, ID: "edge-500", DataType: "GRAPH_DATA"}),
	"DeletePlanEdge": do((*db.Queries).DeletePlanEdge, db.DeletePlanEdgeParams{ProjectID: large, ID: "edge-500"}),
	"InsertEvent": do((*db.Queries).InsertEvent, db.InsertEventParams{
		ProjectID: large, Version: 1001, At: joined, OpActor: "actor", OpID: "op", RequestHash: []byte{}, Body: []byte("{}"), Hash: "12345678", Size: 2, TotalSize: 100002,
	}),
	"GetOperation":    get((*db.Queries).GetOperation, db.GetOperationParams{ProjectID: large, OpActor: "actor", OpID: "op"}),
	"GetLogOfEdits":   get((*db.Queries).GetLogOfEdits, large),
	"ListEventBodies": get((*db.Queries).ListEventBodies, db.ListEventBodiesParams{ProjectID: large, After: 990, MaxBytes: 1 << 20, Most: 100}),
	"GetEventHash":    get((*db.Queries).GetEventHash, db.GetEventHashParams{ProjectID: large, Version: 500}),
	"ListEventsAfter": get((*db.Queries).ListEventsAfter, db.ListEventsAfterParams{
		ProjectIds: []int32{large}, After: []int64{990}, MaxBody: 1 << 16, MaxEvents: 100, MaxBytes: 1 << 20,
	}),
	"ListEventsForwards":  get((*db.Queries).ListEventsForwards, db.ListEventsForwardsParams{ProjectID: large, After: 490, Upto: 500}),
	"ListEventsBackwards": get((*db.Queries).ListEventsBackwards, db.ListEventsBackwardsParams{ProjectID: large, After: 490, Upto: 500}),
	"ListEventsAbout":     get((*db.Queries).ListEventsAbout, db.ListEventsAboutParams{ProjectID: large, First: 491, Last: 500, Texts: []string{"x"}}),
	"GetPast":             get((*db.Queries).GetPast, db.GetPastParams{ProjectID: large, Version: 500, Damaged: []int64{}}),
	"GetVersionAt":        get((*db.Queries).GetVersionAt, db.GetVersionAtParams{ProjectID: large, At: joined}),
	"GetNextRecordEvent":  get((*db.Queries).GetNextRecordEvent, db.GetNextRecordEventParams{ProjectID: large, Version: 998}),
	"ListHistory":         get((*db.Queries).ListHistory, db.ListHistoryParams{ProjectID: large, Before: 900, MaxBytes: 1 << 20, States: true, Everything: true, Most: 10}),
	"GetEventToUndo":      get((*db.Queries).GetEventToUndo, db.GetEventToUndoParams{ProjectID: large, Version: 500, Most: 1 << 20}),
	"GetUndoneBy":         get((*db.Queries).GetUndoneBy, db.GetUndoneByParams{ProjectID: large, Version: 499}),
	"ListUndoable":        get((*db.Queries).ListUndoable, db.ListUndoableParams{ProjectID: large, OpActor: "actor", Most: 10}),
	"ListUndoneOlder":     get((*db.Queries).ListUndoneOlder, db.ListUndoneOlderParams{ProjectID: large, Most: 10}),
	"GetCheckpoint":       get((*db.Queries).GetCheckpoint, db.GetCheckpointParams{ProjectID: large, Version: 500}),
	"InsertCheckpoint":    get((*db.Queries).InsertCheckpoint, db.InsertCheckpointParams{ProjectID: large, Version: 2000, Body: []byte("{}"), Sum: make([]byte, 32)}),
	"TrimEvents":          get((*db.Queries).TrimEvents, db.TrimEventsParams{ProjectID: large, Before: joined, Keep: 995, KeepBytes: 1 << 40, Chunk: 5, ChunkBytes: 1 << 20}),

	"UpsertPresence": do((*db.Queries).UpsertPresence, db.UpsertPresenceParams{
		Incarnation: incarnation, ConnectionIds: served, ProjectIds: []int32{large}, Revisions: []int64{2},
		UserIds: []string{"user"}, UserNames: []string{"name"}, AvatarColors: []string{""}, IsAgents: []bool{false}, Transports: []string{"graphql"},
		DocumentIds: []string{""}, DocumentTypes: []string{""}, Positions: []string{""}, SelectedNodeIds: []string{""}, DocumentAts: []time.Time{joined},
		JoinedAts: []time.Time{joined}, ActiveAts: []time.Time{joined},
	}),
	"DeletePresence": do((*db.Queries).DeletePresence, served),
	"BeginVisits": do((*db.Queries).BeginVisits, db.BeginVisitsParams{
		Incarnation: incarnation, ConnectionIds: served, JoinedAts: []time.Time{joined}, ProjectIds: []int32{large},
		UserIds: []string{"user"}, UserNames: []string{"name"}, IsAgents: []bool{false},
	}),
	"EndVisits": do((*db.Queries).EndVisits, db.EndVisitsParams{
		Incarnation: incarnation, ConnectionIds: served, JoinedAts: []time.Time{joined}, ProjectIds: []int32{large},
		UserIds: []string{"user"}, UserNames: []string{"name"}, IsAgents: []bool{false}, LeftAts: []time.Time{joined}, Reasons: []string{"left"},
	}),
	"UpdateGuests": get((*db.Queries).UpdateGuests, db.UpdateGuestsParams{
		ConnectionIds: guest, TtlSeconds: 90, DocumentIds: []string{""}, DocumentTypes: []string{""}, Positions: []string{""}, SelectedNodeIds: []string{""},
	}),
	"GetLastPlanNode":          get((*db.Queries).GetLastPlanNode, large),
	"GetNodeDegree":            get((*db.Queries).GetNodeDegree, db.GetNodeDegreeParams{ProjectID: large, ID: "node-500"}),
	"ListProjectsAfter":        get((*db.Queries).ListProjectsAfter, db.ListProjectsAfterParams{After: 10, Most: 10}),
	"GetProjectOperation":      get((*db.Queries).GetProjectOperation, db.GetProjectOperationParams{OpActor: "actor", OpID: "op"}),
	"GetRememberedOperation":   get((*db.Queries).GetRememberedOperation, db.GetRememberedOperationParams{OpActor: "actor", OpID: "op", ProjectID: large}),
	"GetRememberedAction":      get((*db.Queries).GetRememberedAction, db.GetRememberedActionParams{OpActor: "actor", OpID: "op", Action: "delete graph 7"}),
	"DeleteGuest":              get((*db.Queries).DeleteGuest, db.DeleteGuestParams{ConnectionID: guest[0], ProjectID: large}),
	"ReapGuests":               get((*db.Queries).ReapGuests, 3),
	"TrimVisits":               get((*db.Queries).TrimVisits, db.TrimVisitsParams{Before: new(time.Now().Add(time.Hour)), Chunk: 5}),
	"DeleteTrimmedCheckpoints": do((*db.Queries).DeleteTrimmedCheckpoints, large),

	"InsertProjectOperation": get((*db.Queries).InsertProjectOperation, db.InsertProjectOperationParams{
		OpActor: "actor", OpID: "op", RequestHash: make([]byte, 32), ProjectID: large,
	}),
	"InsertFileChunk": do((*db.Queries).InsertFileChunk, db.InsertFileChunkParams{FileID: largeFile, Ordinal: 1, Body: []byte("x"), Upload: []int64{largeFile}}),
	"GetFileChunk":    get((*db.Queries).GetFileChunk, db.GetFileChunkParams{FileID: largeFile}),
	"TouchFiles":      get((*db.Queries).TouchFiles, []int64{largeFile}),
	"ForgetFiles":     do((*db.Queries).ForgetFiles, []int64{largeFile}),
	"InsertDataSource": get((*db.Queries).InsertDataSource, db.InsertDataSourceParams{
		ProjectID: large, Format: "csv", Kind: "nodes", Status: "active", FileID: largeFile,
	}),
	"GetDataSource":        get((*db.Queries).GetDataSource, largeSource),
	"ListDataSourcesByID":  get((*db.Queries).ListDataSourcesByID, []int32{largeSource}),
	"GetDataSourceMark":    get((*db.Queries).GetDataSourceMark, db.GetDataSourceMarkParams{ID: largeSource, FileID: largeFile, Number: 1}),
	"UpdateDataSource":     get((*db.Queries).UpdateDataSource, db.UpdateDataSourceParams{ID: largeSource, ProjectID: large}),
	"UpdateDataSourceFile": get((*db.Queries).UpdateDataSourceFile, db.UpdateDataSourceFileParams{ID: largeSource, ProjectID: large, Format: "csv", Status: "active"}),
	"DeleteDataSource":     get((*db.Queries).DeleteDataSource, db.DeleteDataSourceParams{ID: largeSource, ProjectID: large}),

	"InsertRememberedOperation": do((*db.Queries).InsertRememberedOperation, db.InsertRememberedOperationParams{
		OpActor: "actor", OpID: "op-new", ProjectID: large, Action: "delete graph 7", RequestHash: make([]byte, 32),
	}),
	"DeleteOldOperations": get((*db.Queries).DeleteOldOperations, db.DeleteOldOperationsParams{Before: time.Now(), Chunk: 3}),

	"DeleteOldProjectOperations": get((*db.Queries).DeleteOldProjectOperations, db.DeleteOldProjectOperationsParams{Before: time.Now(), Chunk: 3}),

	"StepProposals":      get((*db.Queries).StepProposals, db.StepProposalsParams{ProjectID: large, Added: 1}),
	"ListProposalHeads":  get((*db.Queries).ListProposalHeads, []int32{large}),
	"CountOpenProposals": get((*db.Queries).CountOpenProposals, large),
	"InsertProposal": get((*db.Queries).InsertProposal, db.InsertProposalParams{
		ProjectID: large, ID: 2000, Revision: 2000, Operations: []byte("[]"), Size: 2, ByID: "id", ByKind: "agent", ByName: "name",
		OpActor: "actor", OpID: "op", RequestHash: []byte{},
	}),
	"GetProposal":            get((*db.Queries).GetProposal, db.GetProposalParams{ProjectID: large, ID: 500}),
	"GetProposalStatus":      get((*db.Queries).GetProposalStatus, db.GetProposalStatusParams{ProjectID: large, ID: 500}),
	"GetProposalOfOperation": get((*db.Queries).GetProposalOfOperation, db.GetProposalOfOperationParams{ProjectID: large, OpActor: "actor", OpID: "op"}),
	"ListProposals": get((*db.Queries).ListProposals, db.ListProposalsParams{
		Statuses: []string{"OPEN", "ACCEPTED"}, ProjectID: large, Below: 900, Most: 10, MaxBytes: 1 << 20,
	}),
	"HasProposalsBelow": get((*db.Queries).HasProposalsBelow, db.HasProposalsBelowParams{ProjectID: large, Statuses: []string{"OPEN"}, Below: 900}),
	"ListOpenProposals": get((*db.Queries).ListOpenProposals, db.ListOpenProposalsParams{
		ProjectID: large, After: 5, Upto: 900, Most: 10, MaxBytes: 1 << 20,
	}),
	"ListProposalsAfter": get((*db.Queries).ListProposalsAfter, db.ListProposalsAfterParams{ProjectID: large, After: 500, Most: 10, MaxBytes: 1 << 20}),
	"CloseProposal": get((*db.Queries).CloseProposal, db.CloseProposalParams{
		Revision: 2000, Status: "REJECTED", DecidedByID: "id", DecidedByKind: "agent", DecidedByName: "name", DecidedOpID: "op", ProjectID: large, ID: 5,
	}),
	"DeleteOldProposals": get((*db.Queries).DeleteOldProposals, db.DeleteOldProposalsParams{Before: time.Now(), Most: 3}),

	"InsertMCPSession": do((*db.Queries).InsertMCPSession, db.InsertMCPSessionParams{
		ID: uuid.New(), Transport: "http", Parameters: []byte("{}"), AgentID: "id", AgentName: "name", TtlSeconds: 90,
	}),
	"DeleteSilentMCPSessions": get((*db.Queries).DeleteSilentMCPSessions, 1000),
	"SeeMCPSession":           get((*db.Queries).SeeMCPSession, db.SeeMCPSessionParams{ID: session, TtlSeconds: 90}),
	"UpdateMCPSession": get((*db.Queries).UpdateMCPSession, db.UpdateMCPSessionParams{
		ID: session, Parameters: []byte("{}"), AgentID: "id", AgentName: "name",
	}),
	"DeleteMCPSession":      get((*db.Queries).DeleteMCPSession, session),
	"LockMCPSession":        get((*db.Queries).LockMCPSession, session),
	"ListMCPSubscriptions":  get((*db.Queries).ListMCPSubscriptions, session),
	"InsertMCPSubscription": do((*db.Queries).InsertMCPSubscription, db.InsertMCPSubscriptionParams{SessionID: session, Uri: "new"}),
	"DeleteMCPSubscription": get((*db.Queries).DeleteMCPSubscription, db.DeleteMCPSubscriptionParams{SessionID: session, Uri: "uri"}),
	"StepMCPSession":        do((*db.Queries).StepMCPSession, session),
	"UpdateMCPStream":       get((*db.Queries).UpdateMCPStream, db.UpdateMCPStreamParams{ID: session, StreamID: session, StreamReplica: incarnation}),
	"ClearMCPStreams":       do((*db.Queries).ClearMCPStreams, db.ClearMCPStreamsParams{Ids: []uuid.UUID{session}, StreamIds: []uuid.UUID{session}}),
	"DeleteOldMCPMessagesOfSession": get((*db.Queries).DeleteOldMCPMessagesOfSession, db.DeleteOldMCPMessagesOfSessionParams{
		SessionID: session, PassingSeconds: 5, AgeSeconds: 60,
	}),
	"DeleteDisplacedMCPMessages": do((*db.Queries).DeleteDisplacedMCPMessages, db.DeleteDisplacedMCPMessagesParams{SessionID: session}),
	"InsertMCPMessage": get((*db.Queries).InsertMCPMessage, db.InsertMCPMessageParams{
		SessionID: session, Key: "key", Body: []byte("body"), Most: 64, MostBytes: 1 << 20,
	}),
	"TakeMCPMessages": get((*db.Queries).TakeMCPMessages, db.TakeMCPMessagesParams{SessionID: session, Key: "key", Last: 1 << 40}),
	"ListMCPStates":   get((*db.Queries).ListMCPStates, []uuid.UUID{session}),
	"TrimMCPSessions": get((*db.Queries).TrimMCPSessions, 3),

	"InsertContent":       get((*db.Queries).InsertContent, db.InsertContentParams{ProjectID: large, Layers: []byte("[]")}),
	"StepContent":         get((*db.Queries).StepContent, db.StepContentParams{ID: content, AddNodes: 1, Nodes: 1000, Edges: 1000}),
	"CompleteContent":     get((*db.Queries).CompleteContent, db.CompleteContentParams{ID: content, Hash: "hash", Nodes: 1000, Edges: 1000}),
	"ShareContent":        get((*db.Queries).ShareContent, db.ShareContentParams{ProjectID: large, Hash: "hash-500"}),
	"GetContent":          get((*db.Queries).GetContent, content),
	"GetContentOfProject": get((*db.Queries).GetContentOfProject, db.GetContentOfProjectParams{ID: content, ProjectID: large}),
	"LockContent":         get((*db.Queries).LockContent, content),
	"TouchContent":        do((*db.Queries).TouchContent, content),
	"ListContentNodes": get((*db.Queries).ListContentNodes, db.ListContentNodesParams{
		ContentID: content, First: 900, Below: 910,
	}),
	"ListContentEdges": get((*db.Queries).ListContentEdges, db.ListContentEdgesParams{
		ContentID: content, First: 900, Below: 910,
	}),
	"GetGraph":       get((*db.Queries).GetGraph, large*1000+500),
	"GetGraphOfNode": get((*db.Queries).GetGraphOfNode, db.GetGraphOfNodeParams{ProjectID: large, NodeID: "node-500"}),
	"ListGraphsByID": get((*db.Queries).ListGraphsByID, []int32{large*1000 + 500, large*1000 + 501}),
	"RenameGraph":    get((*db.Queries).RenameGraph, db.RenameGraphParams{ID: large*1000 + 500, Name: "new"}),
	"InsertGraph":    do((*db.Queries).InsertGraph, db.InsertGraphParams{ProjectID: large, NodeID: "node-501", Name: "new"}),
	"FinishGraph": get((*db.Queries).FinishGraph, db.FinishGraphParams{
		ID: large*1000 + 500, ContentID: content, ContentHash: "hash", Recipe: "recipe",
	}),
	"ListLayers":        get((*db.Queries).ListLayers, []int32{large*1000 + 500, large*1000 + 501}),
	"DeleteOtherLayers": do((*db.Queries).DeleteOtherLayers, db.DeleteOtherLayersParams{GraphID: large*1000 + 500, LayerIds: []string{"layer-1"}}),
	"UpsertLayers": do((*db.Queries).UpsertLayers, db.UpsertLayersParams{
		GraphID: large*1000 + 500, Ordinals: []int32{0}, LayerIds: []string{"layer-1"}, Names: []string{"name"}, Properties: []string{"{}"},
	}),

	"InsertGraphs":     get((*db.Queries).InsertGraphs, db.InsertGraphsParams{ProjectID: large, NodeIds: []string{"node-0"}, Names: []string{"name"}}),
	"UpdateGraphBuilt": do((*db.Queries).UpdateGraphBuilt, db.UpdateGraphBuiltParams{ID: large*1000 + 500, State: "pending", Requested: 2}),
	"InsertBuild": do((*db.Queries).InsertBuild, db.InsertBuildParams{
		ProjectID: large, NodeID: "node-500", Label: "label", GraphID: large*1000 + 500, Generation: 2, State: "pending", RequestedBy: "somebody",
	}),
	"UpdateBuild": do((*db.Queries).UpdateBuild, db.UpdateBuildParams{ID: 500, Generation: 2, State: "completed"}),
	"InsertClaim": do((*db.Queries).InsertClaim, db.InsertClaimParams{GraphID: large*1000 + 1, ProjectID: large, Incarnation: incarnation, Generation: 2}),
	"DeleteClaim": get((*db.Queries).DeleteClaim, db.DeleteClaimParams{GraphID: large*1000 + 500, Incarnation: incarnation, Generation: 1}),
	"DropClaim":   do((*db.Queries).DropClaim, large*1000+500),
	"UpdateClaim": get((*db.Queries).UpdateClaim, db.UpdateClaimParams{
		GraphID: large*1000 + 500, Incarnation: incarnation, Generation: 1, Phase: "writing", Done: 1,
	}),
	"UpdateClaimContent": get((*db.Queries).UpdateClaimContent, db.UpdateClaimContentParams{
		ContentID: content, GraphID: large*1000 + 500, Incarnation: incarnation, Generation: 1,
	}),
	"CopyLayers":        do((*db.Queries).CopyLayers, db.CopyLayersParams{GraphID: large*1000 + 500, FromID: large*1000 + 501}),
	"DeleteLayersNotIn": do((*db.Queries).DeleteLayersNotIn, db.DeleteLayersNotInParams{GraphID: large*1000 + 500, FromID: large*1000 + 501}),

	"LockForgottenContent": get((*db.Queries).LockForgottenContent, db.LockForgottenContentParams{ID: content, Before: time.Now()}),
	"IsContentInUse":       get((*db.Queries).IsContentInUse, content),
	"DeleteContentNodes":   get((*db.Queries).DeleteContentNodes, db.DeleteContentNodesParams{ContentID: content, First: 990}),
	"DeleteContentEdges":   get((*db.Queries).DeleteContentEdges, db.DeleteContentEdgesParams{ContentID: content, First: 990}),
	"ShrinkContent":        do((*db.Queries).ShrinkContent, db.ShrinkContentParams{ID: content, Nodes: 990, Edges: 990}),
	"DeleteContent":        do((*db.Queries).DeleteContent, content+499),
	"LockForgottenFile":    get((*db.Queries).LockForgottenFile, db.LockForgottenFileParams{ID: content, Before: time.Now()}),
	"IsFileInUse":          get((*db.Queries).IsFileInUse, content),
	"DeleteFileChunks":     get((*db.Queries).DeleteFileChunks, db.DeleteFileChunksParams{FileID: content, First: 990}),
	"ShrinkFile":           do((*db.Queries).ShrinkFile, db.ShrinkFileParams{ID: content}),
	"DeleteFile":           do((*db.Queries).DeleteFile, content),
	"DeleteOldBuilds":      get((*db.Queries).DeleteOldBuilds, db.DeleteOldBuildsParams{Before: time.Now(), Chunk: 3}),
	"TrimMCPMessages":      get((*db.Queries).TrimMCPMessages, db.TrimMCPMessagesParams{AgeSeconds: 60, Chunk: 3}),
}
