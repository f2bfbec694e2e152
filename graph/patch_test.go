package graph_test

import (
	"testing"

	"layercake/internal/npmtest"
)

// The existing client's way to follow a plan, by the library that it uses.
func TestDeltasGuardThemselves(t *testing.T) {
	t.Parallel()
	s := online(t)
	t.Log(npmtest.Run(t, "patch.mjs", "URL="+s.url))
}
