package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// Of two first sign-ins at once the second one finds the account that the first one has joined meanwhile.
func TestFirstSignInsAtOnce(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn, admin := core.Accounts, pgtest.Connect(t, core.Database), pgtest.Connect(t, core.Database)
	if _, _, err := a.CreateUser(t.Context(), auth.RegisterInput{Email: "ann@example.com", Username: "ann", DisplayName: "Ann"}); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, "SELECT FROM users FOR UPDATE")
	answer := make(chan error, 1)
	go func() {
		_, err := a.SignIn(context.WithoutCancel(t.Context()), home, auth.Principal{}, auth.Identity{
			Issuer: "https://a.example", Subject: "1", Email: "ann@example.com", EmailVerified: true,
		})
		answer <- err
	}()
	pgtest.AwaitCount(t, admin, 1, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	pgtest.Exec(t, conn, "INSERT INTO identities (issuer, subject, user_id) SELECT 'https://a.example', '1', id FROM users")
	pgtest.Exec(t, conn, "COMMIT")
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// A logout that is told while the answer to a sign-in is on its way ends that, too.
func TestLogoutBeforeItsSignIn(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a := core.Accounts
	at := time.Now().Truncate(time.Second)
	logout := func(id, session, subject string) (ended int) {
		t.Helper()
		ended, err := a.EndIssuerSessions(t.Context(), home, auth.IssuerLogout{
			Issuer: "https://a.example", ID: id, Issued: at, Until: at.Add(time.Hour), Session: session, Subject: subject,
		})
		if err != nil {
			t.Fatal(err)
		}
		return ended
	}
	signIn := func(session, subject string, issued time.Time) error {
		_, err := a.SignIn(t.Context(), home, auth.Principal{}, auth.Identity{
			Issuer: "https://a.example", Subject: subject, Session: session, Issued: issued, Username: "user-" + subject,
		})
		return err
	}
	logout("1", "s1", "1")
	logout("2", "", "2")
	for name, c := range map[string]struct {
		session, subject string
		issued           time.Duration
		refused          bool
	}{
		"the session":                    {"s1", "1", time.Minute, true},
		"another session of the subject": {"s2", "1", -time.Minute, false},
		"no session, before":             {"", "1", -time.Minute, true},
		"no session, after":              {"", "1", time.Minute, false},
		"the subject, before":            {"s3", "2", -time.Minute, true},
		"the subject, at that second":    {"s3", "2", 0, true},
		"the subject, after":             {"s4", "2", time.Minute, false},
		"somebody else":                  {"s5", "3", -time.Minute, false},
	} {
		if err := signIn(c.session, c.subject, at.Add(c.issued)); fault.Is(err, fault.Unauthenticated) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Sessions that began without one there end by their subject.
	if n := logout("3", "s9", "1"); n != 1 {
		t.Errorf("%d sessions ended, want the one without a session there", n)
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	ann := auth.Identity{
		Issuer: "https://a.example", Subject: "1", Email: "ann@example.com", EmailVerified: true, Name: "Ann\nB.", Username: "ann", Session: "s1",
	}
	var all sync.WaitGroup
	for range 3 { // the first sign-ins of one identity, at once
		all.Go(func() {
			if _, err := a.SignIn(context.WithoutCancel(t.Context()), home, auth.Principal{}, ann); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	signed, err := a.SignIn(t.Context(), home, auth.Principal{}, ann)
	if err != nil || signed.User.Username != "ann" || signed.User.DisplayName != "AnnB." || signed.User.Email != "ann@example.com" {
		t.Fatalf("%+v, %v", signed, err)
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM users`); n != 1 {
		t.Fatalf("%d accounts of one identity", n)
	}
	// The same subject elsewhere is somebody else, and so is whoever was given the e-mail since; a label is not a proof.
	other := ann
	other.Issuer = "https://b.example"
	if _, err := a.SignIn(t.Context(), home, auth.Principal{}, other); !fault.Is(err, fault.Forbidden) {
		t.Errorf("the e-mail of an account with an identity: %v", err)
	}
	other.EmailVerified = false
	second, err := a.SignIn(t.Context(), home, auth.Principal{}, other)
	if err != nil || second.User.ID == signed.User.ID || second.User.Email != "" || second.User.Username != "ann-2" {
		t.Errorf("%+v, %v", second, err)
	}
	_, bob := register(t, a, "bob")
	byMail := auth.Identity{Issuer: "https://a.example", Subject: "2", Email: "BOB@example.com", EmailVerified: true}
	if _, err := a.SignIn(t.Context(), home, auth.Principal{}, byMail); !fault.Is(err, fault.Forbidden) {
		t.Errorf("the e-mail of an account with a password: %v", err)
	}
	if err := a.Join(t.Context(), home, bob, byMail); err != nil {
		t.Fatal(err)
	}
	if err := a.Join(t.Context(), home, bob, byMail); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := a.Join(t.Context(), home, bob, ann); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody else's: %v", err)
	}
	if s, err := a.SignIn(t.Context(), home, auth.Principal{}, byMail); err != nil || s.User.ID != bob.Account {
		t.Errorf("%+v, %v", s, err)
	}
	for name, id := range map[string]auth.Identity{
		"nobody": {Issuer: "x"}, "no issuer": {Subject: "x"}, "a NUL": {Issuer: "x", Subject: "a\x00"}, "long": {Issuer: "x", Subject: strings.Repeat("x", 256)},
	} {
		if _, err := a.SignIn(t.Context(), home, auth.Principal{}, id); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A logout there ends what began by it, and nothing else.
	end := func(id, issuer, session, subject string) (int, error) {
		return a.EndIssuerSessions(t.Context(), home, auth.IssuerLogout{
			Issuer: issuer, ID: id, Until: time.Now().Add(time.Hour), Session: session, Subject: subject,
		})
	}
	for name, id := range map[string]string{"of everybody": "1", "without an id": "", "with a long id": strings.Repeat("x", 501)} {
		session := "s1"
		if id == "1" {
			session = ""
		}
		if _, err := end(id, ann.Issuer, session, ""); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for wrong, session := range map[string]string{"https://b.example": "s1", ann.Issuer: "s2"} {
		if n, err := end("2", wrong, session, "1"); (n != 0) != (wrong == other.Issuer) || err != nil {
			t.Errorf("%s: %d, %v", wrong, n, err)
		}
	}
	if n, err := end("3", ann.Issuer, "s1", ""); n != 4 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	if n, err := end("3", ann.Issuer, "s1", ""); n != 0 || !fault.Is(err, fault.Conflict) {
		t.Errorf("again: %d, %v", n, err)
	}
	if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("ended there: %v", err)
	}
	// Access tokens act for the account, never as it, and not at all without scopes.
	soon := time.Now().Add(time.Hour)
	reading := func(subject string, until time.Time) auth.Delegation {
		return auth.Delegation{Issuer: ann.Issuer, Subject: subject, Client: "desktop", Expires: until, Scopes: auth.Scopes{auth.ScopeRead}}
	}
	if p, err := a.PrincipalOf(t.Context(), auth.Delegation{Issuer: ann.Issuer, Subject: "1", Expires: soon}); !fault.Is(err, fault.Forbidden) || p.Account != 0 {
		t.Errorf("without scopes: %+v, %v", p, err)
	}
	p, err := a.PrincipalOf(t.Context(), reading("1", soon))
	if err != nil || p.Account != signed.User.ID || p.Kind != auth.KindAgent || p.Scopes == nil {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := p.Person(); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a person: %v", err)
	}
	// The next token of the same program is the same actor; another program's, or one that may do something else, is not.
	for name, c := range map[string]struct {
		client string
		scopes auth.Scopes
		same   bool
	}{
		"renewed": {"desktop", auth.Scopes{auth.ScopeRead}, true}, "of another program": {"laptop", auth.Scopes{auth.ScopeRead}, false},
		"with more scopes": {"desktop", auth.Scopes{auth.ScopeRead, auth.ScopeEdit}, false},
	} {
		d := reading("1", soon.Add(time.Minute))
		d.Client, d.Scopes = c.client, c.scopes
		if other, err := a.PrincipalOf(t.Context(), d); err != nil || (other.ID == p.ID) != c.same {
			t.Errorf("%s: %+v, %v", name, other, err)
		}
	}
	if p.Name != "desktop of "+signed.User.DisplayName {
		t.Errorf("the program is called %q", p.Name)
	}
	if err := a.SetDisabled(t.Context(), signed.User.ID, true); err != nil {
		t.Fatal(err)
	}
	for subject, until := range map[string]time.Time{"1": soon, "2": time.Now().Add(-time.Second), "3": soon} {
		if _, err := a.PrincipalOf(t.Context(), reading(subject, until)); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	ann.Session = "s9" // s1 has ended there
	if _, err := a.SignIn(t.Context(), home, auth.Principal{}, ann); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a disabled account: %v", err)
	}
}

// Where registration is closed, only who has an account signs in: one without a password is joined by its verified e-mail, once.
func TestIdentitiesOfAccountsThatOperatorsMade(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.Open = false })
	a := core.Accounts
	u, _, err := a.CreateUser(t.Context(), auth.RegisterInput{Username: "ann", DisplayName: "Ann", Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	ann := auth.Identity{Issuer: "https://a.example", Subject: "1", Email: "Ann@example.com"}
	if _, err := a.SignIn(t.Context(), home, auth.Principal{}, ann); !fault.Is(err, fault.Forbidden) {
		t.Errorf("an e-mail that nobody verified: %v", err)
	}
	ann.EmailVerified = true
	if s, err := a.SignIn(t.Context(), home, auth.Principal{}, ann); err != nil || s.User.ID != u.ID {
		t.Errorf("%+v, %v", s, err)
	}
	ann.Email = "changed@example.com"
	if s, err := a.SignIn(t.Context(), home, auth.Principal{}, ann); err != nil || s.User.ID != u.ID {
		t.Errorf("%+v, %v", s, err)
	}
}
