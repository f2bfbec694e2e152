package fault_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/fault"
)

// A fault hides its cause from clients, not from whoever reads the log.
func TestLogsSayTheCause(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	err := fault.New(fault.Unavailable, fault.Busy).Because(errors.New("too many connections for role"))
	slog.New(slog.NewTextHandler(&log, nil)).Info("failed", "error", err)
	if !strings.Contains(log.String(), fault.Busy+": too many connections for role") {
		t.Errorf("the log says %s", &log)
	}
	if err.Error() != fault.Busy {
		t.Errorf("clients are told %q", err)
	}
}

// Codes is compared with the declarations, so that none is forgotten there.
func TestCodesAreAll(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []fault.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, fault.Code(text))
		}
		return true
	})
	if got := fault.Codes(); len(declared) < 8 || !slices.Equal(got, declared) {
		t.Errorf("got %v, declared are %v", got, declared)
	}
}
