package postgres_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// Prepared statements keep their plans. Those that are made while the tables are nearly empty, as in a new deployment, would read whole
// tables, and go on doing so while these grow.
func TestStatementsUseIndexesOfEmptyTables(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	pgtest.Exec(t, pgtest.Connect(t, database), "VACUUM ANALYZE")
	d := open(t, database)
	err := d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
		if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan"); err != nil {
			return err
		}
		for name, statement := range statements(t) {
			plan := explain(t, conn, statement)
			for _, scan := range wholeTable.FindAllStringSubmatch(plan, -1) {
				if !slices.Contains(few, scan[1]) {
					t.Errorf("%s reads all of %s:\n%s", name, scan[1], plan)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var wholeTable = regexp.MustCompile(`Seq Scan on (\w+)`)

// few are tables that never have more than some rows.
var few = []string{"replicas", "cleanups", "wire_keys", "mcp_totals"}

// statements returns all statements of package db by name.
func statements(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../db/*.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			constant, ok := decl.(*ast.GenDecl)
			if !ok || constant.Tok != token.CONST {
				continue
			}
			spec, _ := constant.Specs[0].(*ast.ValueSpec)
			text, _ := spec.Values[0].(*ast.BasicLit)
			if found[spec.Names[0].Name], err = strconv.Unquote(text.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("package db has no statements")
	}
	return found
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// explain returns the plan that a session keeps for a statement.
func explain(t *testing.T, conn *pgx.Conn, statement string) string {
	t.Helper()
	if _, rest, _ := strings.Cut(statement, "\n"); strings.HasPrefix(rest, "SET ") {
		return "" // has no plan
	}
	highest := 0
	for _, match := range parameter.FindAllStringSubmatch(statement, -1) {
		n, _ := strconv.Atoi(match[1]) // digits
		highest = max(highest, n)
	}
	arguments := ""
	if highest > 0 {
		arguments = "(" + strings.TrimSuffix(strings.Repeat("NULL,", highest), ",") + ")"
	}
	pgtest.Exec(t, conn, "PREPARE asked AS "+statement)
	defer pgtest.Exec(t, conn, "DEALLOCATE asked")
	rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE asked%s", arguments))
	if err != nil {
		t.Fatalf("%v: %s", err, statement)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v: %s", err, statement)
	}
	return strings.Join(lines, "\n")
}
