package mcpserver

import (
	"strconv"
	"strings"
	"testing"
)

func TestResourceAt(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]struct {
		template string
		id       int32
	}{
		"layercake://node-types":                    {"layercake://node-types", 0},
		"layercake://health":                        {"layercake://health", 0},
		"layercake://schema/graphql":                {"layercake://schema/graphql", 0},
		"layercake://projects/7":                    {"layercake://projects/{project_id}", 7},
		"layercake://projects/7/plan":               {"layercake://projects/{project_id}/plan", 7},
		"layercake://projects/2147483647/changes":   {"layercake://projects/{project_id}/changes", 1<<31 - 1},
		"layercake://projects/7/presence":           {"layercake://projects/{project_id}/presence", 7},
		"layercake://plans/3":                       {"layercake://plans/{plan_id}", 3},
		"layercake://graphs/7/dot":                  {"layercake://graphs/{project_id}/dot", 7},
		"layercake://analysis/7/connectivity":       {"layercake://analysis/{project_id}/connectivity", 7},
		"layercake://graphs/7/{format}":             {},
		"layercake://graphs/7/custom":               {},
		"layercake://graphs/7/DOT":                  {},
		"layercake://graphs/07/dot":                 {},
		"layercake://graphs/7/dot/":                 {},
		"layercake://graphs/7/":                     {},
		"layercake://graphs/7":                      {},
		"layercake://analysis/7/beauty":             {},
		"layercake://projects/0":                    {},
		"layercake://projects/-1":                   {},
		"layercake://projects/+7":                   {},
		"layercake://projects/07":                   {},
		"layercake://projects/%37":                  {},
		"layercake://projects/2147483648":           {},
		"layercake://projects/99999999999999999999": {},
		"layercake://projects/seven":                {},
		"layercake://projects/":                     {},
		"layercake://projects//plan":                {},
		"layercake://projects/7/":                   {},
		"layercake://projects/7/plans":              {},
		"layercake://projects/7/plan/":              {},
		"layercake://projects/7?x":                  {},
		"layercake://projects/{project_id}":         {},
		"layercake://projects/7\n":                  {},
		"LAYERCAKE://projects/7":                    {},
		"http://projects/7":                         {},
		"":                                          {},
	} {
		if got, id, ok := resourceAt(uri); got.uri != want.template || id != want.id || ok != (want.template != "") {
			t.Errorf("%q is %q, %d, %v", uri, got.uri, id, ok)
		}
	}
}

func FuzzResourceAt(f *testing.F) {
	for _, r := range resources {
		f.Add(r.uri)
		f.Add(strings.NewReplacer("{project_id}", "7", "{plan_id}", "12").Replace(r.uri))
	}
	f.Add("layercake://projects/007/plan")
	f.Fuzz(func(t *testing.T, uri string) {
		r, id, ok := resourceAt(uri)
		if !ok {
			return
		}
		before, _, after, template := r.template()
		if again := before + strconv.Itoa(int(id)) + after; template && again != uri || !template && r.uri != uri {
			t.Errorf("%q is %q with %d", uri, r.uri, id)
		}
		if !isURI(uri) {
			t.Errorf("%q is a resource and cannot be a URI", uri)
		}
	})
}

func TestProjectCursor(t *testing.T) {
	t.Parallel()
	if after, ok := parseProjectCursor(projectCursor(97)); !ok || after != 97 {
		t.Errorf("%d %v", after, ok)
	}
	for _, cursor := range []string{"x", "cHJvamVjdCA", "cHJvamVjdCAw", "97", projectCursor(-1), projectCursor(97) + "="} {
		if after, ok := parseProjectCursor(cursor); ok {
			t.Errorf("%q is %d", cursor, after)
		}
	}
}
