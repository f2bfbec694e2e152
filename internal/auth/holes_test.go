package auth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
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

// Whoever proved a password gets no session when it was replaced, or the account disabled, before the session began; and a hash that is
// made anew does not bring the old password back.
func TestPasswordReplacedDuringALogin(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"replaced": `UPDATE users SET password_hash = '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'`,
		"disabled": `UPDATE users SET disabled_at = now()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := servertest.StartCore(t, nil)
			a := core.Accounts
			register(t, a, "ann")
			conn := pgtest.Connect(t, core.Database)
			pgtest.Exec(t, conn, "BEGIN")
			pgtest.Exec(t, conn, change) // holds the account until it is committed
			answer := make(chan error, 1)
			go func() {
				_, err := a.Login(context.WithoutCancel(t.Context()), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword})
				answer <- err
			}()
			pgtest.AwaitCount(t, pgtest.Connect(t, core.Database), 1, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
			pgtest.Exec(t, conn, "COMMIT")
			if err := <-answer; !fault.Is(err, fault.Unauthenticated) && !fault.Is(err, fault.Forbidden) {
				t.Errorf("the login: %v", err)
			}
			if n := pgtest.Count(t, conn, `SELECT count(*) FROM sessions WHERE ended_at IS NULL`); n != 1 {
				t.Errorf("%d sessions, want the one of the registration", n)
			}
		})
	}
}

// A hash of another cost is replaced at login, and a code that an operator gave stays good.
func TestHashesAreMadeAnew(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	signed, _ := register(t, a, "ann")
	first := pgtest.Texts(t, conn, `SELECT password_hash FROM users`)[0]
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(first)
	}
	code, err := a.Reset(t.Context(), signed.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, conn, `UPDATE users SET password_hash = $1`, auth.CheapHash(goodPassword))
	before := a.Hashes()
	if _, err := a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	now := pgtest.Texts(t, conn, `SELECT password_hash FROM users`)[0]
	if n := a.Hashes() - before; n != 2 || !strings.HasPrefix(now, "$argon2id$v=19$m=19456,t=2,p=1$") || now == first {
		t.Errorf("%d hashes, and the new one is %s", n, now)
	}
	if _, err := a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword}); err != nil {
		t.Error(err)
	}
	if _, err := a.RedeemCode(t.Context(), home, auth.Principal{}, code, goodPassword+"!"); err != nil {
		t.Errorf("the code: %v", err)
	}
}

// Strangers who fail at registrations, codes and names that look like another count lock nobody out.
func TestNobodyLocksOthersOut(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	signed, p := register(t, a, "ann")
	// What they could fill by 100 networks, at once.
	for i := range 11 {
		from := auth.From{Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}
		for _, name := range []string{"code", "register", fmt.Sprint("account ", p.Account), fmt.Sprint("password ", p.Account)} {
			_, err := a.Login(t.Context(), from, auth.Principal{}, auth.LoginInput{Email: name, Password: "guess"})
			if !fault.Is(err, fault.Unauthenticated) {
				t.Fatal(err)
			}
		}
		_, _ = a.RedeemCode(t.Context(), from, auth.Principal{}, "wrong", goodPassword)
	}
	pgtest.Exec(t, conn, `INSERT INTO login_attempts (account, network, failed)
		SELECT a.account, a.network, true FROM login_attempts a, generate_series(1, 9) WHERE a.failed`)
	elsewhere := auth.From{Address: netip.MustParseAddr("198.51.100.9")}
	code, err := a.Reset(t.Context(), signed.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.RedeemCode(t.Context(), elsewhere, auth.Principal{}, code, goodPassword+"!"); err != nil {
		t.Errorf("a code: %v", err)
	}
	again, err := a.Login(t.Context(), elsewhere, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword + "!"})
	if err != nil {
		t.Fatal(err)
	}
	p, err = a.Look(t.Context(), auth.From{}, again.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ChangePassword(t.Context(), elsewhere, p, goodPassword+"!", goodPassword+"?"); err != nil {
		t.Errorf("a new password: %v", err)
	}
	if _, err := a.Register(t.Context(), elsewhere, auth.Principal{}, auth.RegisterInput{
		Email: "bob@example.com", Username: "bob", DisplayName: "Bob", Password: goodPassword,
	}); err != nil {
		t.Errorf("a registration: %v", err)
	}
}

// A hundred failures for an account leave only networks where it signed in, and a hundred of a network leave none there.
func TestLimitsOfAccountsAndNetworks(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	register(t, a, "ann")
	in := auth.LoginInput{Email: "ann", Password: goodPassword}
	if _, err := a.Login(t.Context(), home, auth.Principal{}, in); err != nil {
		t.Fatal(err)
	}
	fill := func(account, network string) {
		pgtest.Exec(t, conn, `INSERT INTO login_attempts (account, network, failed) SELECT `+account+`, `+network+`, true FROM generate_series(1, 100) i`)
	}
	fill(`encode(sha256('login ann'), 'hex')`, `(host('203.0.113.0'::inet + i) || '/32')::cidr`)
	elsewhere := auth.From{Address: netip.MustParseAddr("198.51.100.9")}
	if _, err := a.Login(t.Context(), elsewhere, auth.Principal{}, in); !fault.Is(err, fault.RateLimited) {
		t.Errorf("from elsewhere: %v", err)
	}
	if _, err := a.Login(t.Context(), home, auth.Principal{}, in); err != nil {
		t.Errorf("from where the account signed in: %v", err)
	}
	fill(`encode(sha256(i::text::bytea), 'hex')`, `'192.0.2.7/32'`)
	_, err := a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "bob", Password: "guess"})
	if f := fault.From(err); f == nil || f.Code != fault.RateLimited || f.Details["retryAfterMs"] == nil {
		t.Errorf("from a network with a hundred failures: %v", err)
	}
	pgtest.Exec(t, conn, `UPDATE login_attempts SET at = at - interval '16 minutes' WHERE failed`)
	if _, err := a.Login(t.Context(), elsewhere, auth.Principal{}, in); err != nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM security_log WHERE event = 'limit_met'`); n != 2 {
		t.Errorf("%d entries of limits, want one for each network", n)
	}
}

// Whoever waits in a crowd, for a hash or to be counted, in vain, has not failed.
func TestHashesTakeTurns(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.Patience = time.Second })
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	register(t, a, "ann")
	before := a.Hashes()
	for what, hold := range map[string]func() func(){"to hash": a.HoldHashes, "to be counted": a.HoldCounts} {
		release := hold()
		in := auth.LoginInput{Email: "ann", Password: goodPassword}
		if _, err := a.Login(t.Context(), home, auth.Principal{}, in); !fault.Is(err, fault.RateLimited) {
			t.Errorf("without a turn %s: %v", what, err)
		}
		release()
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM login_attempts WHERE failed`); n != 0 || a.Hashes() != before {
		t.Errorf("%d attempts count, and %d hashes were computed", n, a.Hashes()-before)
	}
}

func TestFiftySessionsAndTokens(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	first, p := register(t, a, "ann")
	pgtest.Exec(t, conn, `INSERT INTO sessions (user_id, secret_hash, expires_at) SELECT $1, sha256(i::text::bytea), now() + interval '1 h' FROM generate_series(1, 49) i`,
		p.Account)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			_, err := a.Login(context.WithoutCancel(t.Context()), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM sessions WHERE ended_at IS NULL`); n != 50 {
		t.Errorf("%d sessions, want 50", n)
	}
	if _, err := a.Look(t.Context(), auth.From{}, first.Secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the oldest: %v", err)
	}
	second, err := a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = a.Look(t.Context(), auth.From{}, second.Secret); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, conn, `INSERT INTO tokens (user_id, name, scopes, secret_hash, expires_at)
		SELECT $1, 'x', '{READ}', sha256(i::text::bytea), now() + interval '1 h' FROM generate_series(1, 49) i`, p.Account)
	for range 3 {
		all.Go(func() {
			_, _, _ = a.CreateToken(context.WithoutCancel(t.Context()), home, p, auth.NewTokenInput{Name: "x", Scopes: []auth.Scope{auth.ScopeRead}, Days: 1})
		})
	}
	all.Wait()
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM tokens`); n != 50 {
		t.Errorf("%d tokens, want 50", n)
	}
}

// Looking a session up writes nothing but its last use, once a minute, and one that nobody uses ends where that is configured.
func TestUse(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.SessionIdle = time.Hour })
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	signed, _ := register(t, a, "ann")
	state := func() string {
		return pgtest.Texts(t, conn, `SELECT s.xmin::text || ' ' || s.last_used_at FROM sessions s`)[0]
	}
	before := state()
	for range 3 {
		if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); err != nil {
			t.Fatal(err)
		}
	}
	if state() != before {
		t.Error("a look within a minute writes")
	}
	pgtest.Exec(t, conn, `UPDATE sessions SET last_used_at = now() - interval '2 minutes'`)
	if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM sessions WHERE last_used_at > now() - interval '1 minute'`); n != 1 {
		t.Error("the use was not noted")
	}
	pgtest.Exec(t, conn, `UPDATE sessions SET last_used_at = now() - interval '2 hours'`)
	if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("idle: %v", err)
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM security_log WHERE event = 'token_used_after_end' AND username = 'ann'`); n != 1 {
		t.Errorf("%d entries of its use after the end", n)
	}
}

// Nobody is let in while the database is away.
func TestNobodyIsLetInWithoutADatabase(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	signed, _ := register(t, core.Accounts, "ann")
	gone, cancel := context.WithCancel(t.Context())
	cancel() // every statement fails
	if p, err := core.Accounts.Look(gone, auth.From{}, signed.Secret); err == nil || p.Account != 0 {
		t.Errorf("a look: %+v, %v", p, err)
	}
	in := auth.LoginInput{Email: "ann", Password: goodPassword}
	if s, err := core.Accounts.Login(gone, home, auth.Principal{}, in); err == nil || s.Secret != "" {
		t.Errorf("a login: %v", err)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("Our own Secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := auth.NewAccounts(auth.AccountsConfig{PasswordList: list, ContextWords: []string{"plans.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	for password, good := range map[string]bool{
		"1234567": false, "ÄÖÜäöüß": false, "ÄÖÜäöüßx": true, strings.Repeat("界", 256): true, strings.Repeat("界", 257): false,
		"password1": false, "PASSWORD1": false, "iloveyou1": false, "our own secret": false, "layercake!": false, "plans1234": false,
		"annabel123": false, "annabel and the lighthouse": true, "smith2026": false, " spaces count ": true, "no composition rules": true,
		"with a \x00 inside": true, "not \xff text 1234": false,
	} {
		if err := a.CheckPassword(password, "annabel.smith@mail.example", "annabel"); (err == nil) != good || err != nil && !fault.Is(err, fault.BadRequest) {
			t.Errorf("%.30q: %v, good is %t", password, err, good)
		}
	}
	// They are hashed as they are received, to the last byte.
	long := strings.Repeat("x", 72)
	for typed, same := range map[string]bool{long + "a": true, long + "b": false, long: false, long + "a ": false, long + "A": false, long + "a\x00": false} {
		if a.Matches(typed, auth.CheapHash(long+"a")) != same {
			t.Errorf("%q: not %t", typed[72:], same)
		}
	}
	if _, err := auth.NewAccounts(auth.AccountsConfig{PasswordList: list + " away"}); err == nil {
		t.Error("a list that is not there was read")
	}
}

func TestNamesOfAccounts(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	signed, p := register(t, a, "ann")
	for name, in := range map[string]auth.RegisterInput{
		"a line in the e-mail":        {Email: "a\nb@example.com", Username: "abc", DisplayName: "A"},
		"two @":                       {Email: "a@b@c.d", Username: "abc", DisplayName: "A"},
		"no dot":                      {Email: "a@b", Username: "abc", DisplayName: "A"},
		"a dot at the end":            {Email: "a@b.", Username: "abc", DisplayName: "A"},
		"a long e-mail":               {Email: strings.Repeat("a", 251) + "@b.c", Username: "abc", DisplayName: "A"},
		"a line in the user name":     {Email: "a@b.c", Username: "a\nb", DisplayName: "A"},
		"a short user name":           {Email: "a@b.c", Username: "ab", DisplayName: "A"},
		"no UTF-8":                    {Email: "a@b.c", Username: "ab\xff", DisplayName: "A"},
		"a line in the display name":  {Email: "a@b.c", Username: "abc", DisplayName: "A\nevent=login"},
		"an override of direction":    {Email: "a@b.c", Username: "abc", DisplayName: "A\u202e"},
		"a display name of 101 bytes": {Email: "a@b.c", Username: "abc", DisplayName: strings.Repeat("x", 101)},
	} {
		in.Password = goodPassword
		if _, err := a.Register(t.Context(), home, auth.Principal{}, in); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An id names its account, even if another one has it as the user name.
	pgtest.Exec(t, conn, `INSERT INTO users (id, username, display_name, avatar_color) OVERRIDING SYSTEM VALUE VALUES (5000, 'cleo', 'x', ''), (5001, '5000', 'x', '')`)
	for name, want := range map[string]int32{"5000": 5000, "cleo": 5000, "5001": 5001, "ann": signed.User.ID, "ANN@example.com": signed.User.ID, "5000x": 0, "": 0} {
		if u, err := a.Named(t.Context(), name); u.ID != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %+v, %v", name, u, err)
		}
	}
	// An e-mail needs the password; what is not said stays.
	email, name, wrong, right := "new@example.com", "Ann B.", "wrong", goodPassword
	for what, in := range map[string]auth.UpdateUserInput{"no password": {Email: &email}, "a wrong one": {Email: &email, Password: &wrong}} {
		if _, err := a.UpdateUser(t.Context(), home, p, p.Account, in); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if u, err := a.UpdateUser(t.Context(), home, p, p.Account, auth.UpdateUserInput{DisplayName: &name}); err != nil || u.Email != "ann@example.com" {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := a.UpdateUser(t.Context(), home, p, p.Account, auth.UpdateUserInput{Email: &email, Password: &right}); err != nil || u.Email != email || u.DisplayName != name {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestTrimAccounts(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	_, p := register(t, a, "ann")
	pgtest.Exec(t, conn, `DELETE FROM security_log`)
	pgtest.Exec(t, conn, `DELETE FROM login_attempts`)
	pgtest.Exec(t, conn, `INSERT INTO tokens (user_id, name, scopes, secret_hash, created_at, expires_at, ended_at, ended_by)
		SELECT $1, 'x', '{READ}', sha256(i::text::bytea), now() - interval '20 days', now() + interval '300 days', now() - i * interval '1 day', 'x'
		FROM generate_series(6, 8, 2) i`, p.Account)
	pgtest.Exec(t, conn, `INSERT INTO login_attempts (account, network, failed, at) SELECT repeat('a', 64), '10.0.0.0/8', f, now() - d * interval '1 day'
		FROM (VALUES (true, 2), (false, 2), (false, 31)) v (f, d)`)
	pgtest.Exec(t, conn, `INSERT INTO security_log (event, by_whom, at) SELECT 'x', 'x', now() - d * interval '1 day' FROM (VALUES (89), (91)) v (d)`)
	if n, err := a.Trim(t.Context()); n != 4 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}

// A password counts however old it is.
func TestOldPasswords(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	register(t, a, "ann")
	pgtest.Exec(t, conn, `UPDATE users SET created_at = now() - interval '30 years', updated_at = now() - interval '30 years'`)
	pgtest.Exec(t, conn, `DELETE FROM sessions`)
	if _, err := a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword}); err != nil {
		t.Error(err)
	}
}

// Each secret has 32 random bytes of its own, and none is made of the public id of its session.
func TestSecrets(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a := core.Accounts
	signed, p := register(t, a, "ann")
	_, token, err := a.CreateToken(t.Context(), home, p, auth.NewTokenInput{Name: "x", Scopes: []auth.Scope{auth.ScopeRead}, Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Login(t.Context(), home, auth.Principal{}, auth.LoginInput{Email: "ann", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	const checksum = 6 // characters, at the end
	seen := map[byte]int{}
	for secret, prefix := range map[string]string{signed.Secret: "lcs_", again.Secret: "lcs_", token: "lc_"} {
		text, ok := strings.CutPrefix(secret, prefix)
		if !ok || len(text) <= checksum {
			t.Fatalf("it does not begin with %s", prefix)
		}
		random, err := base64.RawURLEncoding.DecodeString(text[:len(text)-checksum])
		if err != nil || len(random) != 32 {
			t.Errorf("%s: %d bytes, %v", prefix, len(random), err)
		}
		for _, b := range random {
			seen[b]++
		}
		if _, err := a.Look(t.Context(), auth.From{}, fmt.Sprint(prefix, signed.Session.ID)); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a public id: %v", err)
		}
	}
	if signed.Secret == again.Secret || len(seen) < 50 { // of 96 random bytes, about 80 differ
		t.Errorf("%d different bytes", len(seen))
	}
}

// A reset ends nothing by itself: nobody is signed out by whoever asks for one. Its code, which sets a new password, ends all sessions.
func TestResetEndsSessions(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a := core.Accounts
	signed, p := register(t, a, "ann")
	code, err := a.Reset(t.Context(), p.Account)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); err != nil {
		t.Errorf("before the code is used: %v", err)
	}
	again, err := a.RedeemCode(t.Context(), home, auth.Principal{}, code, goodPassword+"!")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Look(t.Context(), auth.From{}, signed.Secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the session of before: %v", err)
	}
	if _, err := a.Look(t.Context(), auth.From{}, again.Secret); err != nil {
		t.Errorf("the session of the code: %v", err)
	}
	in := auth.LoginInput{Email: "ann", Password: goodPassword}
	if _, err := a.Login(t.Context(), home, auth.Principal{}, in); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the password of before: %v", err)
	}
}
