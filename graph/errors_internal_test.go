package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/outage"
	"layercake/internal/task"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

func TestEveryCodeHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, code := range append(fault.Codes(), persistedQueryNotSupported) {
		w := httptest.NewRecorder()
		e := wireError(t.Context(), fault.New(code, "A message").With("detail", "more"))
		(&Handler{pace: DefaultPace}).respond(w, caller.AnswerTo(code).Status, mediaJSON, &graphql.Response{Errors: gqlerror.List{e}})
		var got struct {
			Errors []struct {
				Message    string
				Extensions map[string]any
			}
			Data *json.RawMessage
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		x := got.Errors[0].Extensions
		if got.Errors[0].Message != "A message" || x["code"] != string(code) || x["detail"] != "more" || got.Data != nil {
			t.Errorf("%s: %s", code, w.Body)
		}
		retryable := code == fault.Unavailable || code == fault.RateLimited
		if _, told := x["retryAfterMs"]; told != retryable {
			t.Errorf("%s: retryAfterMs told: %v", code, told)
		}
		if told := w.Header().Get("Retry-After") != ""; told != retryable {
			t.Errorf("%s: Retry-After told: %v", code, told)
		}
	}
}

// Whoever finds a request that fails can send it a thousand times.
func TestRequestsThatFailDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := &presenter{log: slog.New(outage.Limit(slog.NewTextHandler(&log, nil)))}
		for n := range 1000 {
			_ = p.present(t.Context(), fmt.Errorf("request %d", n))
			_ = p.present(t.Context(), fault.New(fault.BadRequest, "A mistake of the client"))
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // of the bubble: what passes between requests
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 10 {
			t.Fatalf("%d lines in 10 s, want one a second: %.2000s", len(lines), log.String())
		}
		for n, line := range lines {
			if !strings.Contains(line, "level=ERROR") || n > 0 && !strings.Contains(line, "suppressed=99") {
				t.Errorf("line %d is %s", n, line)
			}
		}
	})
}

func TestPresent(t *testing.T) {
	t.Parallel()
	secret := errors.New("password of the database")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		ctx     context.Context
		err     error
		code    fault.Code
		message string
		logged  string // "" for nothing
	}{
		"a fault":                {t.Context(), fault.New(fault.Conflict, "The plan has changed"), fault.Conflict, "The plan has changed", ""},
		"a wrapped fault":        {t.Context(), fmt.Errorf("step: %w", fault.New(fault.NotFound, "Gone").Because(secret)), fault.NotFound, "Gone", ""},
		"anything else":          {t.Context(), secret, fault.Internal, "Internal server error", "password of the database"},
		"an internal fault":      {t.Context(), fault.New(fault.Internal, "Oh").Because(secret), fault.Internal, "Internal server error", "password"},
		"a panic":                {t.Context(), (&presenter{guard: task.NewGuard(nil, nil, "")}).recovered(t.Context(), "boom"), fault.Internal, "Internal server error", "boom"},
		"a time-out":             {t.Context(), fmt.Errorf("load: %w", context.DeadlineExceeded), fault.Unavailable, fault.Busy, "timed out"},
		"a client that left":     {canceled, fmt.Errorf("load: %w", context.Canceled), fault.Unavailable, fault.Busy, ""},
		"cancelled by ourselves": {t.Context(), fmt.Errorf("load: %w", context.Canceled), fault.Internal, "Internal server error", "canceled"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			p := &presenter{log: slog.New(slog.NewTextHandler(&log, nil))}
			var e *gqlerror.Error
			caller.Middleware(caller.Config{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				e = p.present(r.Context(), c.err)
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(c.ctx, http.MethodPost, "/graphql", nil))
			if e.Message != c.message || e.Extensions["code"] != string(c.code) {
				t.Errorf("got %q, %v", e.Message, e.Extensions)
			}
			id, _ := e.Extensions["requestId"].(string)
			if id == "" {
				t.Error("the error does not name the request")
			}
			if (c.logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), c.logged) {
				t.Errorf("logged %q, want %q", log.String(), c.logged)
			}
			if c.logged != "" && !strings.Contains(log.String(), id) {
				t.Errorf("the log does not name request %s: %q", id, log.String())
			}
		})
	}
}

func TestStripTypename(t *testing.T) {
	t.Parallel()
	v := map[string]any{
		"__typename": "A",
		"list":       []any{map[string]any{"__typename": "B", "x": 1}, "__typename"},
		"inner":      map[string]any{"__typename": "C", "text": "__typename"},
	}
	stripTypename(v)
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"inner":{"text":"__typename"},"list":[{"x":1},"__typename"]}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNegotiate(t *testing.T) {
	t.Parallel()
	cases := []struct {
		accept     string
		media      string
		acceptable bool
	}{
		{"", mediaJSON, true},
		{"*/*", mediaJSON, true},
		{"application/*", mediaJSON, true},
		{mediaJSON, mediaJSON, true},
		{mediaResponse, mediaResponse, true},
		{mediaResponse + "," + mediaJSON + ";q=0.9", mediaResponse, true},
		{mediaJSON + ";q=0.5, " + mediaResponse, mediaResponse, true},
		{mediaResponse + ";q=0.1, */*", mediaJSON, true},
		{mediaResponse + "; charset=utf-8", mediaResponse, true},
		{mediaResponse + "; charset=latin1", mediaJSON, false},
		{"text/html", mediaJSON, false},
		{mediaJSON + ";q=0", mediaJSON, false},
		{";;;", mediaJSON, false},
	}
	for _, c := range cases {
		var headers []string
		if c.accept != "" {
			headers = []string{c.accept}
		}
		if media, acceptable := negotiate(headers); media != c.media || acceptable != c.acceptable {
			t.Errorf("Accept %q: %s, %v", c.accept, media, acceptable)
		}
	}
}
