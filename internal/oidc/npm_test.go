package oidc_test

import (
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/oidc"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// A provider that other people wrote, and that says e-mails only when it is asked for more.
func TestNPMProvider(t *testing.T) {
	t.Parallel()
	const secret = "a secret with + and / and %: of characters that addresses write otherwise"
	provider := "http://" + servertest.Address(t)
	d := deploy(t, func(cfg *server.Config) {
		cfg.OIDC = oidc.Config{Issuer: provider, ClientID: clientID, ClientSecret: secret, Scopes: "openid profile email"}
	})
	t.Log(npmtest.RunMCP(t, "single-sign-on.mjs", "URL="+d.urls[0], "OTHER_URL="+d.urls[1], "PROVIDER="+provider, "SECRET="+secret))
}
