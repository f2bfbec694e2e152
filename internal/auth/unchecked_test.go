package auth_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An access that nobody checked is for the server's own work. Whoever makes another one comes here and says why.
func TestWhoMakesUncheckedAccesses(t *testing.T) {
	t.Parallel()
	want := []string{
		"internal/collaborator/collaborator.go", // accepts an invitation, which is what allows it: read in the same transaction
		"internal/executor/builder.go",          // claims and finishes builds that somebody asked for
		"internal/mcpserver/watch.go",           // says that something changed to listeners, each of which was checked
		"internal/server/server.go",             // cancels a build for an operator's command
	}
	var got []string
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".tools") {
			return skipped(err)
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "internal/auth/") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err == nil && strings.Contains(string(text), "auth.Unchecked") {
			got = append(got, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("unchecked accesses are made by %v, want %v", got, want)
	}
}

// skipped leaves a folder out, or returns an error.
func skipped(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}
