package graph_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"layercake/internal/executor"
	"layercake/internal/npmtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// Clients of other people do what the existing one does, over two replicas, and see builds begin and end in order.
func TestOtherClientsFromTablesToFiles(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release() // before replicas stop, which wait for their builds
	gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { release() }))
	defer gate.Close()
	replicas := servertest.Start(t, 2, func(c *server.Config) {
		c.BuildTiming = executor.DefaultTiming
		c.BuildTiming.Shown = time.Millisecond
		c.Reached = func(_ context.Context, p executor.Point, _ int32, _ string) {
			if p == executor.Computed {
				<-held
			}
		}
	})
	documents, err := json.Marshal(clientDocuments)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(file, documents, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Log(npmtest.Run(t, "data.mjs", "URL="+replicas[0].URL, "OTHER="+replicas[1].URL, "GATE="+gate.URL, "DOCUMENTS="+file))
}
