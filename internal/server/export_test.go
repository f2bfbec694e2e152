package server

import (
	"log/slog"
	"net/http"
	"testing"

	"layercake/internal/oidc"

	"github.com/go-chi/chi/v5"
)

// Patterns returns the patterns of all routes for clients.
func Patterns(t *testing.T) (patterns []string) {
	t.Helper()
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	s.core, s.oidc = &Core{}, oidc.New(oidc.Options{}) // the handlers are not called
	router := s.routes().(chi.Router)
	seen := map[string]bool{}
	err := chi.Walk(router, func(_, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !seen[pattern] {
			seen[pattern], patterns = true, append(patterns, pattern)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return patterns
}
