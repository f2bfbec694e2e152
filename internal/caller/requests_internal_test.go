package caller

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// callerOf returns somebody with an account; 0 is nobody's.
func callerOf(account int32) Caller {
	return Caller{Principal: auth.Principal{Actor: auth.Actor{ID: "1", Account: account}}, admitted: true}
}

// An account is served at the rate, and after a pause a second's worth at once. What is refused does not count, and nobody else notices.
func TestRequestsOfAnAccount(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	l := NewRequests(4, metrics)
	now := time.Unix(1_800_000_000, 0)
	served := func(account int32, requests int) (n int) {
		for range requests {
			if l.admit(asker{account: account}, now) == nil {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		after         time.Duration
		account       int32
		asked, served int
	}{
		{0, 1, 10, 4},
		{0, 2, 4, 4},
		{0, 0, 100, 100}, // without an account
		{250 * time.Millisecond, 1, 10, 1},
		{100 * time.Millisecond, 1, 10, 0},
		{150 * time.Millisecond, 1, 10, 1},
		{time.Hour, 1, 10, 4},
	} {
		now = now.Add(step.after)
		if n := served(step.account, step.asked); n != step.served {
			t.Errorf("%+v: %d were served", step, n)
		}
	}
	err := l.admit(asker{account: 1}, now)
	if f := fault.From(err); !fault.Is(err, fault.RateLimited) || f.Details["retryAfterMs"] != int64(250) {
		t.Errorf("%v, %+v", err, fault.From(err))
	}
	if n := testutil.ToFloat64(l.refused); n != 6+9+10+9+6+1 {
		t.Errorf("%v refusals were counted", n)
	}
	for name, none := range map[string]*Requests{"0": NewRequests(0, nil), "no limit at all": nil} {
		for range 1000 {
			if err := none.Admit(callerOf(1)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// A program that asks without end keeps the people of its account from nothing, such as from ending it.
func TestProgramsAndPeopleOfAnAccount(t *testing.T) {
	t.Parallel()
	l := NewRequests(2, nil)
	program, person := callerOf(1), callerOf(1)
	program.Credential.Kind, person.Credential.Kind = auth.TokenSecret, auth.SessionSecret
	var refused error
	for refused == nil {
		refused = l.Admit(program)
	}
	if err := l.Admit(person); err != nil {
		t.Error(err)
	}
	if err := l.Admit(program); !fault.Is(err, fault.RateLimited) {
		t.Errorf("another program: %v", err)
	}
}

// A replica remembers no more accounts than that, and one that it forgets has all of its rate again.
func TestAccountsAreForgotten(t *testing.T) {
	t.Parallel()
	l := NewRequests(1, nil)
	now := time.Unix(1_800_000_000, 0)
	for account := range int32(maxAccounts + 1) {
		if err := l.admit(asker{account: account + 1}, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.accounts.Len(); n != maxAccounts {
		t.Errorf("%d accounts are remembered", n)
	}
	if err := l.admit(asker{account: 1}, now); err != nil {
		t.Errorf("the account that was quiet longest: %v", err)
	}
	if err := l.admit(asker{account: maxAccounts + 1}, now); !fault.Is(err, fault.RateLimited) {
		t.Errorf("the newest: %v", err)
	}
}

// Check says that there were too many. A credential that proves nothing costs nobody anything.
func TestRequestsOverTheLimit(t *testing.T) {
	t.Parallel()
	l := NewRequests(1, nil)
	ask := func(c Caller) (retry string, refusal error) {
		r := httptest.NewRequestWithContext(With(t.Context(), c), http.MethodGet, "/", nil)
		w := httptest.NewRecorder()
		l.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { refusal = From(r.Context()).Check() })).ServeHTTP(w, r)
		return w.Header().Get("Retry-After"), refusal
	}
	wrong := callerOf(1)
	wrong.refusal = fault.New(fault.Unauthenticated, "The session has ended")
	if _, err := ask(wrong); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a wrong credential: %v", err)
	}
	if retry, err := ask(callerOf(1)); err != nil || retry != "" {
		t.Errorf("the first: %v, %q", err, retry)
	}
	if retry, err := ask(callerOf(1)); !fault.Is(err, fault.RateLimited) || retry != "1" {
		t.Errorf("the second: %v, %q", err, retry)
	}
	if _, err := ask(callerOf(2)); err != nil {
		t.Errorf("another account: %v", err)
	}
}
