package web_test

import (
	"fmt"
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/server/servertest"
)

// BenchmarkPage prints what the page takes in a browser. SECONDS and MEMORY_SECONDS say how long it looks.
func BenchmarkPage(b *testing.B) {
	replicas := servertest.Start(b, 2, nil)
	for b.Loop() {
		fmt.Print(npmtest.RunInBrowser(b, "figures.mjs", "URL="+replicas[0].URL, "OTHER_URL="+replicas[1].URL)) // logs of benchmarks are cut
	}
}
