package child_test

import (
	"io"
	"strings"
	"testing"

	"layercake/internal/child"
)

func TestPrefixedKeepsLinesWhole(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	shared := child.NewLines(&out)
	a, b := shared.Prefixed("1 | "), shared.Prefixed("2 | ")
	for _, w := range []struct {
		to   io.Writer
		text string
	}{{a, "hal"}, {b, "one\ntwo\n"}, {a, "ves\nrest"}} {
		if n, err := io.WriteString(w.to, w.text); n != len(w.text) || err != nil {
			t.Fatalf("write = %d, %v", n, err)
		}
	}
	if want := "2 | one\n2 | two\n1 | halves\n"; out.String() != want {
		t.Errorf("out = %q, want %q", out.String(), want)
	}
}
