package graph_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"layercake/internal/npmtest"
)

func TestSocketWithTheClientOfOthers(t *testing.T) {
	t.Parallel()
	s := online(t)
	const wait = 500 * time.Millisecond
	s.Hurry(wait, 30*time.Second, 90*time.Second, 10*time.Second)
	out := npmtest.Run(t, "graphql-ws.mjs", "URL="+s.url, "PROJECT="+strconv.Itoa(s.newProject(t)),
		"INIT_MS="+strconv.FormatInt(wait.Milliseconds(), 10))
	if !strings.HasSuffix(out, "passed\n") {
		t.Errorf("the script said %q", out)
	}
}
