package oidc_test

import (
	"os"
	"os/exec"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/npmtest"
	"layercake/internal/server/servertest"
)

// The whole of it in a browser, which knows what a site is, which cookies it sends, and where a page may lead.
func TestSingleSignOnInABrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	d := deploy(t, nil)
	core := servertest.StartCoreOn(t, d.database, nil)
	_, code, err := core.Accounts.CreateUser(t.Context(), auth.RegisterInput{Username: "bob", DisplayName: "Bob"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(npmtest.RunWeb(t, "single-sign-on.mjs", "URL="+d.urls[0], "PROVIDER="+d.URL, "CODE="+code, "CHROMIUM="+chromium))
}
