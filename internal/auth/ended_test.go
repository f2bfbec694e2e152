package auth_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// A request that was looked up while its session lived changes nothing of the account when that ended before the change: nothing outlives a
// session that was made after its end.
func TestNothingIsMadeAfterTheEnd(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	_, p := register(t, a, "ann")
	kept, _, err := a.CreateToken(t.Context(), home, p, readToken)
	if err != nil {
		t.Fatal(err)
	}
	name := "Another"
	changes := map[string]func() error{
		"make a token":   func() error { _, _, err := a.CreateToken(t.Context(), home, p, readToken); return err },
		"rotate a token": func() error { _, _, err := a.RotateToken(t.Context(), home, p, kept.ID); return err },
		"change the name": func() error {
			_, err := a.UpdateUser(t.Context(), home, p, p.Account, auth.UpdateUserInput{DisplayName: &name})
			return err
		},
		"join an identity": func() error {
			return a.Join(t.Context(), home, p, auth.Identity{Issuer: "https://id.example", Subject: "1"})
		},
		"set a password": func() error { return a.ChangePassword(t.Context(), home, p, goodPassword, goodPassword+" 2") },
	}
	for state, update := range map[string]string{
		"ended":    `UPDATE sessions SET ended_at = now(), ended_by = 'x'`,
		"disabled": `UPDATE sessions SET ended_at = NULL, ended_by = NULL; UPDATE users SET disabled_at = now()`,
	} {
		pgtest.Exec(t, conn, update)
		for what, change := range changes {
			if err := change(); !fault.Is(err, fault.Unauthenticated) && !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s, %s: %v", state, what, err)
			}
		}
	}
	pgtest.Exec(t, conn, `UPDATE sessions SET ended_at = NULL, ended_by = NULL; UPDATE users SET disabled_at = NULL`)
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM tokens t, users u WHERE t.former_hash IS NULL AND u.display_name = 'ANN'`); n != 1 {
		t.Errorf("%d tokens as before", n)
	}
	for what, change := range changes {
		if err := change(); err != nil {
			t.Errorf("before the end, %s: %v", what, err)
		}
	}
}

var readToken = auth.NewTokenInput{Name: "x", Scopes: []auth.Scope{auth.ScopeRead}, Days: 1}

// What was allowed before an account was disabled, and comes after that, is refused.
func TestAccessOfTheDisabled(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.Open, cfg.Registration = false, "open" })
	_, p := register(t, core.Accounts, "ann")
	reach, err := core.Rights.Reach(p)
	if err != nil {
		t.Fatal(err)
	}
	made, err := core.Projects.Create(t.Context(), reach, project.Input{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	access, err := core.Rights.Project(t.Context(), p, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	edit := plan.Change{Edits: []plan.Edit{plan.AddNode{Node: plan.Node{
		ID: "n", NodeType: plan.GraphNode, Config: "{}", Metadata: plan.NodeMetadata{Label: "n"},
	}}}}
	if err := core.Accounts.SetDisabled(t.Context(), p.Account, true); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Plans.Change(t.Context(), access, edit); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Forbidden) {
		t.Errorf("a change: %v", err)
	}
	if _, err := core.Rights.Project(t.Context(), p, made.ID); !errors.Is(err, auth.ErrNoProject) {
		t.Errorf("a look: %v", err)
	}
	orphans, err := core.Accounts.Orphans(t.Context())
	if err != nil || len(orphans) != 1 {
		t.Errorf("a project of the disabled: %v, %v", orphans, err)
	}
	if err := core.Accounts.SetDisabled(t.Context(), p.Account, false); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Plans.Change(t.Context(), access, edit); err != nil {
		t.Errorf("enabled again: %v", err)
	}
}

// What is open for a secret of a token ends with that secret, an hour after a rotation, and not with the next one's.
func TestHoldsEndWithTheirSecret(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a, conn := core.Accounts, pgtest.Connect(t, core.Database)
	_, p := register(t, a, "ann")
	token, first, err := a.CreateToken(t.Context(), home, p, readToken)
	if err != nil {
		t.Fatal(err)
	}
	hold := func(secret string) <-chan error {
		p, err := a.Look(t.Context(), home, secret)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		t.Cleanup(core.Keeper.Hold(p, func(why error) { ended <- why }))
		return ended
	}
	before := hold(first)
	_, second, err := a.RotateToken(t.Context(), home, p, token.ID)
	if err != nil {
		t.Fatal(err)
	}
	since, after := hold(first), hold(second)
	core.Keeper.Wake()
	_, q := register(t, a, "bob")
	ended := make(chan error, 1)
	t.Cleanup(core.Keeper.Hold(q, func(why error) { ended <- why }))
	pgtest.Exec(t, conn, `UPDATE sessions SET ended_at = now(), ended_by = 'x' WHERE user_id = $1`, q.Account)
	core.Keeper.Wake()
	wait(t, ended) // it has looked
	for name, open := range map[string]<-chan error{"before": before, "since": since, "after": after} {
		select {
		case why := <-open:
			t.Errorf("%s: it ended within the hour: %v", name, why)
		default:
		}
	}
	pgtest.Exec(t, conn, `UPDATE tokens SET former_until = now()`)
	core.Keeper.Wake()
	wait(t, before)
	wait(t, since)
	select {
	case why := <-after:
		t.Errorf("the new secret's: %v", why)
	default:
	}
	pgtest.Exec(t, conn, `UPDATE tokens SET ended_at = now(), ended_by = 'x'`)
	core.Keeper.Wake()
	wait(t, after)
}

func wait(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case why := <-ended:
		if !fault.Is(why, fault.Unauthenticated) {
			t.Errorf("it ends with %v", why)
		}
	case <-time.After(pgtest.Patience):
		t.Fatal("it does not end")
	}
}

// A session that nobody used ends what is open for it, too.
func TestHoldsOfIdleSessions(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, func(cfg *server.Config) { cfg.SessionIdle = time.Hour })
	_, p := register(t, core.Accounts, "ann")
	ended := make(chan error, 1)
	t.Cleanup(core.Keeper.Hold(p, func(why error) { ended <- why }))
	pgtest.Exec(t, pgtest.Connect(t, core.Database), `UPDATE sessions SET last_used_at = now() - interval '2 hours'`)
	core.Keeper.Wake()
	wait(t, ended)
}

// Failures of an account that exists leave no more behind than those of one that does not.
func TestFailuresLeaveTheSame(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	conn := pgtest.Connect(t, core.Database)
	register(t, core.Accounts, "ann")
	for _, name := range []string{"ann", "ann", "nobody", "nobody", "else", "else"} {
		in := auth.LoginInput{Email: name, Password: "wrong"}
		if _, err := core.Accounts.Login(t.Context(), home, auth.Principal{}, in); !fault.Is(err, fault.Unauthenticated) {
			t.Fatal(err)
		}
	}
	for who, want := range map[string]int{"username = 'ann'": 1, "username IS NULL": 2} { // one a minute of each name
		if n := pgtest.Count(t, conn, `SELECT count(*) FROM security_log WHERE event = 'login_failed' AND `+who); n != want {
			t.Errorf("%s: %d entries, want %d", who, n, want)
		}
	}
}

// Who signed in from a network, by an operator's code as well, may try again from there by any name, whatever others try elsewhere.
func TestNetworksOfAnAccountAreKnown(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	a := core.Accounts
	_, code, err := a.CreateUser(t.Context(), auth.RegisterInput{Email: "Ann@example.com", Username: "Ann", DisplayName: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.RedeemCode(t.Context(), home, auth.Principal{}, code, goodPassword); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, pgtest.Connect(t, core.Database), `INSERT INTO login_attempts (account, network, failed)
		SELECT encode(sha256(('login ' || n)::bytea), 'hex'), ('198.51.100.' || i)::cidr, true
		FROM unnest('{ann,ann@example.com}'::text[]) n, generate_series(1, 100) i`)
	elsewhere := auth.From{Address: netip.MustParseAddr("203.0.113.1")}
	for _, name := range []string{"ann", "ann@example.com", "ANN"} {
		in := auth.LoginInput{Email: name, Password: goodPassword}
		if _, err := a.Login(t.Context(), home, auth.Principal{}, in); err != nil {
			t.Errorf("%s from home: %v", name, err)
		}
		if _, err := a.Login(t.Context(), elsewhere, auth.Principal{}, in); !fault.Is(err, fault.RateLimited) {
			t.Errorf("%s from elsewhere: %v", name, err)
		}
	}
}
