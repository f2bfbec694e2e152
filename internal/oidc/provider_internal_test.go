package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/postgres/pgtest"
)

// What a provider says of itself is asked for once by all who need it, and again when it is old. While it is away, what it said before counts.
func TestWhatAProviderSaysOfItself(t *testing.T) {
	t.Parallel()
	var asked, version atomic.Int64
	var address string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, `{"issuer":"%[1]s","authorization_endpoint":"%[1]s/%[2]d","token_endpoint":"%[1]s/t","jwks_uri":"%[1]s/k"}`, address, version.Load())
	}))
	t.Cleanup(server.Close)
	address = server.URL
	p := newProvider(Config{Issuer: address, Patience: pgtest.Patience}, slog.New(slog.DiscardHandler))
	says := func(want string) {
		t.Helper()
		m, err := p.get(t.Context())
		if err != nil || m.Endpoint().AuthURL != address+want {
			t.Errorf("%+v, %v, want %s", m, err, want)
		}
	}
	// Whoever asks first may go away: others wait for the same answer.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.get(gone); err != nil {
		t.Errorf("the answer for others: %v", err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { says("/0") })
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	age := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.due = time.Now()
	}
	version.Store(1)
	says("/0")
	age()
	says("/1")
	server.Close()
	age()
	says("/1")
	says("/1")
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.due.After(time.Now()) {
		t.Error("it is asked again at once")
	}
}

// Providers write scopes as one text or as a list, and some the text as others write the list.
func TestScopesOfTokens(t *testing.T) {
	t.Parallel()
	want := auth.Scopes{auth.ScopeRead, auth.ScopeEdit}
	for _, text := range []string{
		`{"scope":"openid layercake:read layercake:edit"}`, `{"scp":["layercake:read","layercake:edit"]}`,
		`{"scp":"layercake:read layercake:edit"}`, `{"scope":"layercake:read","scp":"layercake:read layercake:edit"}`,
	} {
		var c claims
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.scopes(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", text, got)
		}
	}
}
