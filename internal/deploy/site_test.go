package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// builtClient is the folder of a client as a build makes it: that of internal/web/testdata, with the library that it talks by.
func builtClient(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../web/testdata/client")); err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(npmtest.Package(t, "graphql-ws"), "dist")
	parts, err := filepath.Glob(filepath.Join(library, "common-*.js"))
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	for from, to := range map[string]string{filepath.Join(library, "client.js"): "graphql-ws.js", parts[0]: filepath.Base(parts[0])} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "assets", to), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A client that somebody built for servers without accounts works where everybody signs in, on replicas that are one address.
func TestAnotherClientBehindHaproxy(t *testing.T) {
	t.Parallel()
	dir, database := builtClient(t), pgtest.New(t)
	required := func(c *server.Config) { c.Open, c.WebDir = false, dir }
	var addresses []string
	for _, replica := range servertest.StartOn(t, database, 2, required) {
		addresses = append(addresses, strings.TrimPrefix(replica.URL, "http://"))
	}
	url, _ := balance(t, addresses)
	accounts := servertest.StartCoreOn(t, database, required).Accounts
	env := []string{"URL=" + url, "PSQL=" + filepath.Join(pgtest.Binaries(t), "psql"), "DATABASE=" + database}
	for _, name := range []string{"Ann", "Bob"} {
		_, code, err := accounts.CreateUser(t.Context(), auth.RegisterInput{Username: strings.ToLower(name), DisplayName: name})
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, strings.ToUpper(name)+"="+code)
	}
	t.Log(npmtest.RunInBrowser(t, "site.mjs", env...))
}
