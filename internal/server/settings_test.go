package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// notes is a log that a test reads while replicas write.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// emptyDatabase returns the URL of a database without a schema, and a session from before anybody changes its settings.
func emptyDatabase(t *testing.T) (database string, dba console) {
	t.Helper()
	database = pgtest.New(t)
	dba = openConsole(t, database)
	dba.run("DROP SCHEMA public CASCADE; DROP SCHEMA layercake CASCADE; CREATE SCHEMA public")
	return database, dba
}

// run executes statements; %[1]I stands for the database, %[2]I for the role.
func (c console) run(statements string) {
	c.t.Helper()
	const block = "DO $$ BEGIN EXECUTE format(%s, current_database(), session_user); END $$"
	for statement := range strings.SplitSeq(statements, "; ") {
		quoted := "'" + strings.ReplaceAll(strings.NewReplacer("%[1]", "%1$", "%[2]", "%2$").Replace(statement), "'", "''") + "'"
		if _, err := c.conn.Exec(c.t.Context(), fmt.Sprintf(block, quoted)); err != nil {
			c.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// dropsRole removes a role when the test has ended, and what it owns.
func dropsRole(t *testing.T, database, role string) {
	t.Helper()
	dba := openConsole(t, database)
	t.Cleanup(func() {
		for _, statement := range []string{"REASSIGN OWNED BY " + role + " TO CURRENT_USER", "DROP OWNED BY " + role, "DROP ROLE " + role} {
			if _, err := dba.conn.Exec(context.Background(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}

// works fails unless two replicas of an empty database do what replicas are for: changes from several writers at once are all accepted and
// seen through the other replica, texts are kept, and people come and leave.
func works(t *testing.T, dba console, here, there string) {
	t.Helper()
	newProject(t, here)
	// Whatever was looked up before, this is looked up through the other replica.
	f := follow(t, there, collaborationEvents, "project_1")
	begin(t, here, f)
	const writers, each = 6, 4
	var changes sync.WaitGroup
	for w := range writers {
		url := []string{here, there}[w%2]
		changes.Go(func() {
			for n := range each {
				if a := ask(t, url, addNode(each*w+n)); a.Code() != "" {
					t.Errorf("a change was refused: %+v", a.Errors)
				}
			}
		})
	}
	changes.Wait()
	for range writers * each {
		if e := f.next(); !strings.HasPrefix(e.String(), "NODE_CREATED n") {
			t.Errorf("%s, want a node to be created", e)
		}
	}
	const label = `Жук \ "ü" ☃`
	must(t, here, fmt.Sprintf(`mutation { addPlanDagNode(projectId: 1, node: {id: "text", nodeType: GraphNode, position: {x: 0.1, y: 2e-17},
		metadata: {label: %q}, config: "{}"}) { id } }`, label))
	f.tells("NODE_CREATED text")
	if got := dba.text("SELECT label FROM public.plan_nodes WHERE id = 'text'"); got != label {
		t.Errorf("the label is stored as %q, want %q", got, label)
	}
	var plan struct {
		GetPlanDag struct {
			Nodes []struct {
				ID       string
				Metadata struct{ Label string }
				Position struct{ X, Y float64 }
			}
		}
	}
	if err := json.Unmarshal(ask(t, there, `{ getPlanDag(projectId: 1) { nodes { id metadata { label } position { x y } } } }`).Data, &plan); err != nil {
		t.Fatal(err)
	}
	nodes := plan.GetPlanDag.Nodes
	if last := nodes[len(nodes)-1]; last.ID != "text" || last.Metadata.Label != label || last.Position.X != 0.1 || last.Position.Y != 2e-17 {
		t.Errorf("the plan ends with %+v", last)
	}
	ann := tab(t, here, "ann")
	f.tells("USER_JOINED ann")
	ann.CloseNow()
	f.tells("USER_LEFT ann")
	// Their figures say that heartbeats come back: each listens.
	dba.await("2", "SELECT count(*)::text FROM public.replicas WHERE heartbeat_ms IS NOT NULL")
}

// Roles and databases have settings of their own, made for other programs. Replicas work whatever they are, from the first migration on.
func TestSettingsOfTheDatabaseDoNotMatter(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string]string{
		"repeatable read":                     "ALTER DATABASE %[1]I SET default_transaction_isolation = 'repeatable read'",
		"serializable":                        "ALTER DATABASE %[1]I SET default_transaction_isolation = 'serializable'",
		"search_path":                         "CREATE SCHEMA other; ALTER DATABASE %[1]I SET search_path = other",
		"search_path of the role":             "CREATE SCHEMA %[2]I",
		"client_encoding":                     "ALTER DATABASE %[1]I SET client_encoding = 'LATIN1'",
		"standard_conforming_strings":         "ALTER DATABASE %[1]I SET standard_conforming_strings = off",
		"idle_session_timeout":                "ALTER DATABASE %[1]I SET idle_session_timeout = '300ms'",
		"statement_timeout":                   "ALTER DATABASE %[1]I SET statement_timeout = '1ms'",
		"lock_timeout":                        "ALTER DATABASE %[1]I SET lock_timeout = '1ms'",
		"idle_in_transaction_session_timeout": "ALTER DATABASE %[1]I SET idle_in_transaction_session_timeout = '1ms'",
		"how values are written": `ALTER DATABASE %[1]I SET TimeZone = 'Asia/Kathmandu'; ALTER DATABASE %[1]I SET DateStyle = 'German';
			ALTER DATABASE %[1]I SET IntervalStyle = 'sql_standard'; ALTER DATABASE %[1]I SET extra_float_digits = -15;
			ALTER DATABASE %[1]I SET bytea_output = 'escape'`,
		"all by the role": `CREATE SCHEMA other; ALTER ROLE %[2]I IN DATABASE %[1]I SET search_path = other;
			ALTER ROLE %[2]I IN DATABASE %[1]I SET default_transaction_isolation = 'serializable';
			ALTER ROLE %[2]I IN DATABASE %[1]I SET client_encoding = 'LATIN1';
			ALTER ROLE %[2]I IN DATABASE %[1]I SET standard_conforming_strings = off;
			ALTER ROLE %[2]I IN DATABASE %[1]I SET idle_session_timeout = '300ms';
			ALTER ROLE %[2]I IN DATABASE %[1]I SET statement_timeout = '1ms'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, dba := emptyDatabase(t)
			dba.run(strings.ReplaceAll(statements, ";\n\t\t\t", "; "))
			onlyInPublic(t, dba, database)
		})
	}
	for name, options := range map[string]string{
		"search_path in the URL": "&search_path=other", "search_path in the options": "&options=-csearch_path%3Dother",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, dba := emptyDatabase(t)
			dba.run("CREATE SCHEMA other")
			onlyInPublic(t, dba, database+options)
		})
	}
}

// onlyInPublic starts two replicas, lets them work, and looks for what they left where it does not belong.
func onlyInPublic(t *testing.T, dba console, database string) {
	t.Helper()
	var log notes
	replicas := servertest.StartOn(t, database, 2, func(c *server.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	works(t, dba, replicas[0].URL, replicas[1].URL)
	if text := log.String(); strings.Contains(text, "SQLSTATE") {
		t.Errorf("the server complained:\n%s", text)
	}
	const elsewhere = "SELECT count(*)::text FROM pg_tables WHERE schemaname NOT IN ('public', 'pg_catalog', 'information_schema')"
	if n := dba.text(elsewhere); n != "0" {
		t.Errorf("%s tables are in other schemas", n)
	}
}
