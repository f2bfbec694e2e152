package graph_test

import (
	"strings"
	"testing"

	"layercake/internal/npmtest"
)

func TestGraphQLOverHTTPAudits(t *testing.T) {
	t.Parallel()
	s := offline(t)
	out := npmtest.Run(t, "graphql-http.mjs", "URL="+s.url+"/graphql")
	if got := strings.TrimSpace(out); got != "61 of 61" {
		t.Errorf("audits passed: %s, want 61 of 61", got)
	}
}
