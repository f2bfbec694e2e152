package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"golang.org/x/sync/errgroup"
)

const goodPassword = "correct horse 7 battery"

// home is where the people of these tests are.
var home = auth.From{Address: netip.MustParseAddr("192.0.2.7"), RequestID: "request"}

func register(t *testing.T, a *auth.Accounts, name string) (auth.Signed, auth.Principal) {
	t.Helper()
	signed, err := a.Register(t.Context(), home, auth.Principal{}, auth.RegisterInput{
		Email: name + "@example.com", Username: name, DisplayName: strings.ToUpper(name), Password: goodPassword,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Look(t.Context(), auth.From{}, signed.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed, p
}

func TestRegisterAndLogin(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a := core.Accounts
	signed, p := register(t, a, "ann")
	if p.Account != signed.User.ID || p.ID != fmt.Sprint(signed.User.ID) || p.Kind != auth.KindUser || p.Name != "ANN" || p.Scopes != nil {
		t.Errorf("%+v", p)
	}
	for name, in := range map[string]auth.LoginInput{
		"by e-mail": {Email: "ann@example.com", Password: goodPassword}, "in another case": {Email: "ANN@Example.com", Password: goodPassword},
		"by name": {Email: "ann", Password: goodPassword},
	} {
		again, err := a.Login(t.Context(), home, auth.Principal{}, in)
		if err != nil || again.User.ID != signed.User.ID || again.Secret == signed.Secret || again.User.LastLoginAt == nil {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
	before := a.Hashes()
	for name, in := range map[string]auth.LoginInput{
		"wrong": {Email: "ann@example.com", Password: goodPassword + " "}, "unknown": {Email: "bob@example.com", Password: goodPassword},
		"empty": {}, "a NUL": {Email: "a\x00", Password: "x"}, "long": {Email: strings.Repeat("x", 10_000), Password: "x"},
	} {
		if _, err := a.Login(t.Context(), home, auth.Principal{}, in); !fault.Is(err, fault.Unauthenticated) || err.Error() != "Invalid email or password" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := a.Hashes() - before; n != 5 {
		t.Errorf("5 logins computed %d hashes, want one each, also for accounts that do not exist", n)
	}
	for name, in := range map[string]auth.RegisterInput{
		"Email validation failed":        {Email: "ann", Username: "abc", DisplayName: "A", Password: goodPassword},
		"Username validation failed":     {Email: "a@b.c", Username: "a b", DisplayName: "A", Password: goodPassword},
		"Display name validation failed": {Email: "a@b.c", Username: "abc", DisplayName: " ", Password: goodPassword},
		"The password has 7 characters":  {Email: "a@b.c", Username: "abc", DisplayName: "A", Password: "1234567"},
		"guessed first":                  {Email: "a@b.c", Username: "abc", DisplayName: "A", Password: "Password1"},
		"made of a name":                 {Email: "a@b.c", Username: "abc", DisplayName: "A", Password: "layercake1"},
		"User with this email already":   {Email: "ANN@example.com", Username: "abc", DisplayName: "A", Password: goodPassword},
		"Username already taken":         {Email: "a@b.c", Username: "ANN", DisplayName: "A", Password: goodPassword},
	} {
		if _, err := a.Register(t.Context(), home, auth.Principal{}, in); fault.From(err) == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	conn := pgtest.Connect(t, core.Database)
	if dump := pgtest.Texts(t, conn, `SELECT u::text FROM users u UNION ALL SELECT s::text FROM sessions s UNION ALL SELECT l::text FROM security_log l`); strings.Contains(
		strings.Join(dump, "\n"), signed.Secret) || strings.Contains(strings.Join(dump, "\n"), goodPassword) {
		t.Error("a secret is in a table")
	}
}

func TestWhatEnds(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	signed, p := register(t, a, "ann")
	ended := func(what, secret string) {
		t.Helper()
		if _, err := a.Look(t.Context(), auth.From{}, secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	login := func(former auth.Principal) (auth.Signed, auth.Principal) {
		t.Helper()
		s, err := a.Login(t.Context(), home, former, auth.LoginInput{Email: "ann", Password: goodPassword})
		if err != nil {
			t.Fatal(err)
		}
		who, err := a.Look(t.Context(), auth.From{}, s.Secret)
		if err != nil {
			t.Fatal(err)
		}
		return s, who
	}
	second, p2 := login(p)
	ended("the session that the browser had at login", signed.Secret)
	third, p3 := login(auth.Principal{})
	if ok, own, err := a.Logout(t.Context(), home, p2, ""); err != nil || !ok || !own {
		t.Errorf("logout: %v, %v", ok, err)
	}
	ended("logged out", second.Secret)
	fourth, p4 := login(auth.Principal{})
	if err := a.ChangePassword(t.Context(), home, p3, "wrong", goodPassword+"!"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a wrong current password: %v", err)
	}
	if err := a.ChangePassword(t.Context(), home, p3, goodPassword, goodPassword+"!"); err != nil {
		t.Error(err)
	}
	ended("another session when the password changes", fourth.Secret)
	if _, err := a.Look(t.Context(), auth.From{}, third.Secret); err != nil {
		t.Errorf("the session that changed it: %v", err)
	}
	if ok, err := a.EndSession(t.Context(), home, p3, p4.Credential.ID); ok || err != nil {
		t.Errorf("a session that has ended: %v, %v", ok, err)
	}
	for _, secret := range []string{
		"", "lcs_", third.Secret[:20], third.Secret + "x", strings.Replace(third.Secret, "lcs_", "lc_", 1), strings.Repeat("lcs_", 1<<18),
		"lcs_" + strings.Repeat("A", 49), "lcs_\x00" + third.Secret[5:],
	} {
		ended(fmt.Sprintf("%.30q", secret), secret)
	}
	pgtest.Exec(t, conn, `UPDATE sessions SET created_at = now() - interval '2 days', expires_at = now() - interval '1 s' WHERE ended_at IS NULL`)
	ended("expired", third.Secret)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.Open = false; cfg.Registration = "open" })
	a := core.Accounts
	_, ann := register(t, a, "ann")
	_, bob := register(t, a, "bob")
	token, secret, err := a.CreateToken(t.Context(), home, ann, auth.NewTokenInput{Name: "CI", Scopes: []auth.Scope{auth.ScopeRead}, Days: 30})
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Look(t.Context(), auth.From{}, secret)
	if err != nil || p.Kind != auth.KindAgent || p.Name != "CI of ANN" || p.Account != ann.Account || p.ID == ann.ID || p.OpActor() == ann.OpActor() {
		t.Errorf("%+v, %v", p, err)
	}
	if _, _, err := a.CreateToken(t.Context(), home, p, auth.NewTokenInput{Name: "x", Scopes: []auth.Scope{auth.ScopeEdit}, Days: 1}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a token makes a token: %v", err)
	}
	if ok, err := a.RevokeToken(t.Context(), home, bob, token.ID); ok || err != nil {
		t.Errorf("somebody else's: %v, %v", ok, err)
	}
	_, fresh, err := a.RotateToken(t.Context(), home, ann, token.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, fresh} {
		if _, err := a.Look(t.Context(), auth.From{}, s); err != nil {
			t.Errorf("after the rotation: %v", err)
		}
	}
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, `UPDATE tokens SET former_until = now() - interval '1 s'`)
	if _, err := a.Look(t.Context(), auth.From{}, secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an hour after the rotation: %v", err)
	}
	if ok, err := a.RevokeToken(t.Context(), home, ann, token.ID); !ok || err != nil {
		t.Errorf("revoked: %v, %v", ok, err)
	}
	if _, err := a.Look(t.Context(), auth.From{}, fresh); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("revoked: %v", err)
	}
	for name, in := range map[string]auth.NewTokenInput{
		"blank": {Name: " ", Scopes: []auth.Scope{auth.ScopeRead}, Days: 1}, "no scope": {Name: "x", Days: 1}, "no days": {Name: "x", Scopes: []auth.Scope{auth.ScopeRead}},
		"too many days": {Name: "x", Scopes: []auth.Scope{auth.ScopeRead}, Days: 366}, "a line": {Name: "a\nb", Scopes: []auth.Scope{auth.ScopeRead}, Days: 1},
	} {
		if _, _, err := a.CreateToken(t.Context(), home, ann, in); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However many try at once, over three replicas, ten wrong passwords are all that are compared with the right one's account.
func TestAttemptsOverReplicas(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var replicas []*auth.Accounts
	for range 3 {
		replicas = append(replicas, servertest.StartCoreOn(t, database, nil).Accounts)
	}
	register(t, replicas[0], "ann")
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[fault.Code]int{}
	attack := auth.From{Address: netip.MustParseAddr("2001:db8::1")}
	for i := range 60 {
		all.Go(func() {
			from := attack
			if i%2 == 1 {
				from.Address = netip.MustParseAddr("2001:db8::2") // the same network
			}
			_, err := replicas[i%3].Login(context.WithoutCancel(t.Context()), from, auth.Principal{}, auth.LoginInput{Email: "ann", Password: "guess"})
			mu.Lock()
			defer mu.Unlock()
			f := fault.From(err)
			if f == nil {
				t.Errorf("%v", err)
				return
			}
			codes[f.Code]++
			if f.Code == fault.RateLimited && f.Details["retryAfterMs"] == nil {
				t.Errorf("%+v does not say when to try again", f)
			}
		})
	}
	all.Wait()
	conn := pgtest.Connect(t, database)
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM login_attempts WHERE failed`); n != 10 || codes[fault.Unauthenticated] > 10 {
		t.Errorf("%d were counted, and the answers are %v", n, codes)
	}
	// The owner still gets in from where they have been before, and from anywhere else.
	for _, from := range []auth.From{home, {Address: netip.MustParseAddr("198.51.100.1")}} {
		if _, err := replicas[1].Login(t.Context(), from, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword}); err != nil {
			t.Errorf("the owner from %s: %v", from.Address, err)
		}
	}
	if _, err := replicas[1].Login(t.Context(), attack, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword}); !fault.Is(err, fault.RateLimited) {
		t.Errorf("the right password after too many wrong ones: %v", err)
	}
}

// Of a thousand passwords that are tried over three replicas, all at once, no more are compared than the limits of a pair, of a network and
// of an account say. The owner still signs in from where they have been before.
func TestAThousandPasswords(t *testing.T) {
	t.Parallel()
	const tries = 1000
	one, many := netip.MustParseAddr("203.0.113.1"), func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }
	for name, c := range map[string]struct {
		account func(i int) string
		address func(i int) netip.Addr
		most    int64
	}{
		"for an account, from a network":     {func(int) string { return "ann" }, func(int) netip.Addr { return one }, 10},
		"for many accounts, from a network":  {func(i int) string { return fmt.Sprint("somebody", i) }, func(int) netip.Addr { return one }, 100},
		"for an account, from many networks": {func(int) string { return "ann" }, many, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			var replicas []*auth.Accounts
			for range 3 {
				replicas = append(replicas, servertest.StartCoreOn(t, database, func(cfg *server.Config) { cfg.Patience = pgtest.Patience }).Accounts)
			}
			register(t, replicas[0], "ann")
			pgtest.Exec(t, pgtest.Connect(t, database), `INSERT INTO users (username, display_name, avatar_color, password_hash)
				SELECT 'somebody' || i, 'Somebody', '', $1 FROM generate_series(0, 999) i`, auth.CheapHash(goodPassword))
			pgtest.Exec(t, pgtest.Connect(t, database), `UPDATE users SET password_hash = $1`, auth.CheapHash(goodPassword))
			hashes := func() (n int64) {
				for _, a := range replicas {
					n += a.Hashes()
				}
				return n
			}
			in := auth.LoginInput{Email: "ann", Password: goodPassword}
			if _, err := replicas[0].Login(t.Context(), home, auth.Principal{}, in); err != nil {
				t.Fatal(err)
			}
			before := hashes()
			var all errgroup.Group
			all.SetLimit(60)
			for i := range tries {
				all.Go(func() error {
					_, err := replicas[i%3].Login(context.WithoutCancel(t.Context()), auth.From{Address: c.address(i)}, auth.Principal{},
						auth.LoginInput{Email: c.account(i), Password: fmt.Sprint("guess ", i)})
					if !fault.Is(err, fault.Unauthenticated) && !fault.Is(err, fault.RateLimited) {
						return fmt.Errorf("try %d: %w", i, err)
					}
					return nil
				})
			}
			if err := all.Wait(); err != nil {
				t.Error(err)
			}
			if n := hashes() - before; n != c.most {
				t.Errorf("%d passwords were compared, want %d", n, c.most)
			}
			if _, err := replicas[1].Login(t.Context(), home, auth.Principal{}, in); err != nil {
				t.Errorf("the owner: %v", err)
			}
			if _, err := replicas[2].Login(t.Context(), auth.From{Address: c.address(0)}, auth.Principal{}, in); !fault.Is(err, fault.RateLimited) {
				t.Errorf("the right password after too many wrong ones: %v", err)
			}
		})
	}
}

func TestCodesOfOperators(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.Open = false })
	a := core.Accounts
	if _, err := a.Register(t.Context(), home, auth.Principal{}, auth.RegisterInput{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("registration is closed: %v", err)
	}
	u, code, err := a.CreateUser(t.Context(), auth.RegisterInput{Username: "ann", DisplayName: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.RedeemCode(t.Context(), home, auth.Principal{}, code, "short"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a short password: %v", err)
	}
	signed, err := a.RedeemCode(t.Context(), home, auth.Principal{}, code, goodPassword)
	if err != nil || signed.User.ID != u.ID {
		t.Fatalf("%+v, %v", signed, err)
	}
	if _, err := a.RedeemCode(t.Context(), home, auth.Principal{}, code, goodPassword); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("used twice: %v", err)
	}
	if err := a.SetDisabled(t.Context(), u.ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a disabled account: %v", err)
	}
	_, err = a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword})
	if f := fault.From(err); f == nil || f.Message != "Account is deactivated" {
		t.Errorf("login of a disabled account: %v", err)
	}
	if err := errors.Join(a.SetDisabled(t.Context(), u.ID, false)); err != nil {
		t.Fatal(err)
	}
	second, err := a.Reset(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, `UPDATE users SET code_expires = now() - interval '1 s'`)
	if _, err := a.RedeemCode(t.Context(), home, auth.Principal{}, second, goodPassword); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after an hour: %v", err)
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM security_log WHERE event IN ('account_created', 'code_made', 'code_redeemed', 'login', 'account_disabled', 'account_enabled')`); n != 7 {
		t.Errorf("%d entries: %v", n, pgtest.Texts(t, conn, `SELECT event FROM security_log ORDER BY id`))
	}
}
