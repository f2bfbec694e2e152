package server

import (
	"log/slog"
	"net/http"
	"testing"

	"layercake/internal/oidc"

	"github.com/go-chi/chi/v5"
)

// Patterns returns the patterns of all routes for clients.
func Patterns(t *testing.T) []string {
	t.Helper()
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	s.core, s.oidc = &Core{}, oidc.New(oidc.Options{}) // the handlers are not called
	return patternsOf(t, s.routes())
}

// AdminPatterns returns the patterns of all routes of the admin address.
func AdminPatterns(t *testing.T) []string {
	t.Helper()
	return patternsOf(t, New(Config{Log: slog.New(slog.DiscardHandler)}).adminRoutes())
}

func patternsOf(t *testing.T, router http.Handler) (patterns []string) {
	t.Helper()
	seen := map[string]bool{}
	err := chi.Walk(router.(chi.Router), func(_, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
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
