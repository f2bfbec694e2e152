package oidc_test

import (
	"testing"

	"layercake/internal/auth"
	"layercake/internal/npmtest"
	"layercake/internal/server/servertest"
)

// The whole of it in a browser, which knows what a site is, which cookies it sends, and where a page may lead.
func TestSingleSignOnInABrowser(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	core := servertest.StartCoreOn(t, d.database, nil)
	_, code, err := core.Accounts.CreateUser(t.Context(), auth.RegisterInput{Username: "bob", DisplayName: "Bob"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(npmtest.RunInBrowser(t, "single-sign-on.mjs", "URL="+d.urls[0], "PROVIDER="+d.URL, "CODE="+code))
}
