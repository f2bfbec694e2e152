package planfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"layercake/internal/planfile"
)

// TestFound runs small inputs behind public bug reports of other products.
func TestFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refused  string
		warnings []string
		output   string // in out/a.dot or out/a.json
	}{
		"b01-unclosed-quote": {
			refused: `import profile 2 (edges.csv): row 2: field 4 begins with a quote that is never closed: "5 inch\ne2,b,a,back`,
		},
		"b02-cr-only":          {output: `"id": "e1"`},
		"b03-duplicate-header": {refused: `import profile 1 (nodes.csv): The table has two columns called "label"`},
		"b04-thousands": {
			warnings: []string{`import profile 1 (nodes.csv): row 3, column "weight": "1,234" is not a number; the weight is 1`},
			output:   `"weight": 2`,
		},
		"b05-edge-list": {
			warnings: []string{
				`import profile 2 (edges.csv): the table has no column "id": its edges are called by their rows, such as "edge_2"`,
			},
			output: `"id": "edge_3"`,
		},
		"b06-hindi-id":    {output: `"source": "नाम"`},
		"b07-plan-bom":    {output: `label="T"`},
		"b08-name-1.10":   {output: `label="1.10"`},
		"b09-plan-latin1": {refused: "The file is not UTF-8: byte 17 is 0xFC; save it as UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var warnings []string
			opt := planfile.Options{Dir: dir, Warn: func(text string) { warnings = append(warnings, text) }}
			err := planfile.Run(t.Context(), filepath.Join("testdata", "found", name, "plan.yaml"), opt)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%v, want %q", err, c.refused)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("written: %v, %v", left, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(warnings, c.warnings) {
				t.Errorf("warnings %q, want %q", warnings, c.warnings)
			}
			if got := read(t, filepath.Join(dir, "out", "a.dot")) + read(t, filepath.Join(dir, "out", "a.json")); !strings.Contains(got, c.output) {
				t.Errorf("no %s in\n%s", c.output, got)
			}
		})
	}
}
