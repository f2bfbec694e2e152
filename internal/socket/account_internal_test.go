package socket

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
)

// An account has so many sockets of all transports together, whenever each became one of its. A place is free when its socket has ended.
func TestSocketsOfAnAccount(t *testing.T) {
	t.Parallel()
	r := New(Options{PerAccount: 2})
	one, other := r.Transport("one", Timing{}), r.Transport("other", Timing{})
	by := func(transport *Transport, account int32) *Socket {
		c := caller.Caller{Principal: auth.Principal{Actor: auth.Actor{Account: account}}}
		w := httptest.NewRecorder()
		s := transport.Admit(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(caller.With(t.Context(), c)))
		if (s == nil) != (w.Code == http.StatusTooManyRequests) ||
			s == nil && (w.Header().Get("Retry-After") != "10" || !strings.Contains(w.Body.String(), "LAYERCAKE_ACCOUNT_SOCKETS")) {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		return s
	}
	first, late := by(one, 7), by(other, 0) // the second says later who it is
	if err := late.Own(7); err != nil {
		t.Fatal(err)
	}
	if err := late.Own(7); err != nil {
		t.Errorf("again: %v", err)
	}
	if by(one, 7) != nil || by(other, 7) != nil {
		t.Error("a third is admitted")
	}
	unknown, stranger := by(one, 0), by(one, 8)
	if err := unknown.Own(7); !fault.Is(err, fault.RateLimited) {
		t.Errorf("a third that says later who it is: %v", err)
	}
	if stranger == nil {
		t.Fatal("another account is refused")
	}
	if n := r.Count(); n != 4 {
		t.Errorf("%d sockets", n)
	}
	late.Release()
	if err := unknown.Own(7); err != nil {
		t.Errorf("in the place of one that has ended: %v", err)
	}
	for _, s := range []*Socket{first, unknown, stranger} {
		s.Release()
	}
	if len(r.accounts.open) != 0 {
		t.Errorf("left are %v", r.accounts.open)
	}
}
