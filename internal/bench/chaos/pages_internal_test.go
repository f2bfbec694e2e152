package chaos

import (
	"strings"
	"testing"
)

// Where nothing can show pages, the storm goes on without them, and says what is missing.
func TestPagesNeedABrowser(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if p, err := startPages("../../web"); p != nil || err == nil || err.Error() != "node is not installed" {
		t.Errorf("without Node: %v, %v", p, err)
	}
	var none *pages
	if err := none.follow(t.Context(), 2, nil, nil); err != nil {
		t.Error(err)
	}
	if r := none.agree(t.Context()); r.Pages != 0 || !r.OK() {
		t.Errorf("without pages: %v", r)
	}
	none.close()
}

func TestPagesNeedTheirPackages(t *testing.T) {
	t.Parallel()
	p, err := startPages(t.TempDir())
	if p != nil || err == nil || !strings.HasSuffix(err.Error(), "is not installed") && !strings.Contains(err.Error(), "run `make web`") {
		t.Errorf("without packages: %v, %v", p, err)
	}
}
