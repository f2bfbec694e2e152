package collaborator_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/collaborator"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

var home = auth.From{Address: netip.MustParseAddr("192.0.2.7")}

// deployment is two cores on one database, where everybody signs in, and a project of Ann's.
type deployment struct {
	t       *testing.T
	cores   [2]*servertest.Core
	conn    *pgx.Conn
	ann     auth.Principal
	project int32
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	required := func(cfg *server.Config) { cfg.Open, cfg.Registration = false, "open" }
	first := servertest.StartCore(t, required)
	d := &deployment{t: t, cores: [2]*servertest.Core{first, servertest.StartCoreOn(t, first.Database, required)}}
	d.conn = pgtest.Connect(t, first.Database)
	d.ann = d.registered("ann")
	reach, err := first.Rights.Reach(d.ann)
	if err != nil {
		t.Fatal(err)
	}
	p, err := first.Projects.Create(t.Context(), reach, project.Input{Name: "Ann's"})
	if err != nil {
		t.Fatal(err)
	}
	d.project = p.ID
	return d
}

func (d *deployment) registered(name string) auth.Principal {
	d.t.Helper()
	signed, err := d.cores[0].Accounts.Register(d.t.Context(), home, auth.Principal{}, auth.RegisterInput{
		Email: name + "@example.com", Username: name, DisplayName: name, Password: "correct horse 7 battery",
	})
	if err != nil {
		d.t.Fatal(err)
	}
	p, err := d.cores[1].Accounts.Look(d.t.Context(), auth.From{}, signed.Secret)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *deployment) access(p auth.Principal) auth.Access {
	d.t.Helper()
	access, err := d.cores[0].Rights.Project(d.t.Context(), p, d.project)
	if err != nil {
		d.t.Fatal(err)
	}
	return access
}

// invited invites somebody by Ann.
func (d *deployment) invited(name, role string) collaborator.Collaborator {
	d.t.Helper()
	c, err := d.cores[0].Collaborators.Invite(d.t.Context(), home, d.ann, d.access(d.ann), name, role)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// joined is invited by somebody who accepts.
func (d *deployment) joined(p auth.Principal, role string) collaborator.Collaborator {
	d.t.Helper()
	c, err := d.cores[1].Collaborators.Accept(d.t.Context(), home, p, d.invited(p.Username, role).ID)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// own is the collaborator that somebody is.
func (d *deployment) own(p auth.Principal) int32 {
	d.t.Helper()
	c, err := d.cores[0].Collaborators.In(d.t.Context(), d.access(p), p.Account)
	if err != nil || c == nil {
		d.t.Fatalf("%+v, %v", c, err)
	}
	return c.ID
}

// events counts the events of a kind in the project's log.
func (d *deployment) events(kind string) int {
	d.t.Helper()
	const count = `SELECT count(*) FROM events WHERE project_id = $1 AND body::text LIKE '%' || $2 || '%'`
	return pgtest.Count(d.t, d.conn, count, d.project, kind)
}

// atOnce calls two functions at once, and returns their errors.
func atOnce(a, b func() error) (first, second error) {
	var both sync.WaitGroup
	both.Go(func() { first = a() })
	both.Go(func() { second = b() })
	both.Wait()
	return first, second
}

// Two owners who both go, or lower each other, at once and on two replicas, leave one.
func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	leave := func(core *servertest.Core, p auth.Principal, own, _ int32) error {
		return core.Collaborators.Remove(context.Background(), home, p, own)
	}
	for name, do := range map[string]func(core *servertest.Core, p auth.Principal, own, other int32) error{
		"both leave": leave,
		"each removes the other": func(core *servertest.Core, p auth.Principal, _, other int32) error {
			return core.Collaborators.Remove(context.Background(), home, p, other)
		},
		"each lowers the other": func(core *servertest.Core, p auth.Principal, _, other int32) error {
			_, err := core.Collaborators.SetRole(context.Background(), home, p, other, "viewer")
			return err
		},
		"each lowers themselves": func(core *servertest.Core, p auth.Principal, own, _ int32) error {
			_, err := core.Collaborators.SetRole(context.Background(), home, p, own, "editor")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			bob := d.registered("bob")
			his, hers := d.joined(bob, "owner").ID, d.own(d.ann)
			first, second := atOnce(
				func() error { return do(d.cores[0], d.ann, hers, his) },
				func() error { return do(d.cores[1], bob, his, hers) },
			)
			if (first == nil) == (second == nil) {
				t.Fatalf("%v, %v: want one of them to be refused", first, second)
			}
			refusal := first
			if first == nil {
				refusal = second
			}
			if !fault.Is(refusal, fault.Conflict) && !fault.Is(refusal, fault.Forbidden) && !fault.Is(refusal, fault.NotFound) {
				t.Errorf("refused with %v", refusal)
			}
			if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM collaborators WHERE role = 'owner' AND status = 'accepted' AND active`); n != 1 {
				t.Fatalf("the project has %d owners", n)
			}
			left, own := d.ann, hers
			if d.role(bob) == "owner" {
				left, own = bob, his
			}
			if err := leave(d.cores[0], left, own, 0); !fault.Is(err, fault.Conflict) {
				t.Errorf("the last owner leaves: %v", err)
			}
		})
	}
}

// role is the role of somebody, "" for none.
func (d *deployment) role(p auth.Principal) auth.Role {
	d.t.Helper()
	access, err := d.cores[1].Rights.Project(d.t.Context(), p, d.project)
	if err != nil && !fault.Is(err, fault.NotFound) {
		d.t.Fatal(err)
	}
	return access.Role()
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	bob, eve := d.registered("bob"), d.registered("eve")
	invitation := d.invited("bob", "editor").ID
	accept := func(core int, p auth.Principal) error {
		_, err := d.cores[core].Collaborators.Accept(context.Background(), home, p, invitation)
		return err
	}
	for name, p := range map[string]auth.Principal{"somebody else": eve, "whoever invited": d.ann} {
		if err := accept(0, p); !fault.Is(err, fault.NotFound) {
			t.Errorf("accepted by %s: %v", name, err)
		}
	}
	if err := accept(0, auth.Principal{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("accepted by nobody: %v", err)
	}
	if d.role(bob) != "" || d.events("COLLABORATOR") != 0 {
		t.Errorf("an invitation gives the role %q, and there are %d events", d.role(bob), d.events("COLLABORATOR"))
	}
	first, second := atOnce(func() error { return accept(0, bob) }, func() error { return accept(1, bob) })
	if (first == nil) == (second == nil) || !fault.Is(errors.Join(first, second), fault.NotFound) {
		t.Errorf("accepted twice at once: %v, %v", first, second)
	}
	if d.role(bob) != auth.Editor || d.events("COLLABORATOR_ADDED") != 1 {
		t.Errorf("the role is %q, and there are %d events", d.role(bob), d.events("COLLABORATOR_ADDED"))
	}
	if n := pgtest.Count(t, d.conn, `SELECT count(*) FROM events WHERE body::text LIKE '%@example.com%'`); n != 0 {
		t.Error("an event has an e-mail")
	}
	if err := d.cores[1].Collaborators.Remove(t.Context(), home, d.ann, invitation); err != nil {
		t.Fatal(err)
	}
	if err := accept(0, bob); !fault.Is(err, fault.NotFound) || d.role(bob) != "" {
		t.Errorf("accepted after the removal: %v, role %q", err, d.role(bob))
	}
	if d.joined(bob, "viewer").ID != invitation || d.role(bob) != auth.Viewer {
		t.Errorf("invited again: %q", d.role(bob))
	}
	declined := d.invited("eve", "owner").ID
	if _, err := d.cores[0].Collaborators.Decline(t.Context(), home, eve, declined); err != nil {
		t.Fatal(err)
	}
	if _, err := d.cores[0].Collaborators.Accept(t.Context(), home, eve, declined); !fault.Is(err, fault.NotFound) || d.role(eve) != "" {
		t.Errorf("accepted after declining: %v", err)
	}
}

// What was checked before a role was taken away counts for nothing under the lock of the change.
func TestRoleLoweredBetweenCheckAndCommit(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	bob := d.registered("bob")
	id := d.joined(bob, "editor").ID
	checked := d.access(bob)
	change := func() error {
		_, err := d.cores[0].Plans.Change(t.Context(), checked, plan.Change{Edits: []plan.Edit{plan.AddNode{Node: plan.Node{
			ID: "n", NodeType: plan.GraphNode, Config: "{}",
		}}}})
		return err
	}
	if _, err := d.cores[1].Collaborators.SetRole(t.Context(), home, d.ann, id, "viewer"); err != nil {
		t.Fatal(err)
	}
	if err := change(); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a change of a viewer who was an editor: %v", err)
	}
	if err := d.cores[1].Collaborators.Remove(t.Context(), home, d.ann, id); err != nil {
		t.Fatal(err)
	}
	if err := change(); !fault.Is(err, fault.NotFound) {
		t.Errorf("a change of somebody who was removed: %v", err)
	}
	if n := d.events("NODE_ADDED"); n != 0 {
		t.Errorf("%d changes were written", n)
	}
	d.joined(bob, "editor")
	if err := change(); err != nil {
		t.Errorf("an editor again: %v", err)
	}
}

// The log of security has each change of a right, whoever made it and however fast, under names that nobody chooses for the moment.
func TestLogOfRights(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	bob := d.registered("bob")
	c := d.joined(bob, "editor")
	operator := "an operator on the command line"
	if _, err := d.cores[0].Accounts.UpdateUser(t.Context(), home, d.ann, d.ann.Account, auth.UpdateUserInput{DisplayName: &operator}); err != nil {
		t.Fatal(err)
	}
	d.ann.Name = operator
	for _, role := range []string{"viewer", "editor", "viewer"} {
		if _, err := d.cores[0].Collaborators.SetRole(t.Context(), home, d.ann, c.ID, role); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.cores[0].Collaborators.Remove(t.Context(), home, d.ann, c.ID); err != nil {
		t.Fatal(err)
	}
	got := pgtest.Texts(t, d.conn, `SELECT concat_ws(' ', event, username, by_whom, detail) FROM security_log WHERE event LIKE 'collaborator%' ORDER BY id`)
	of := fmt.Sprintf("project %d, ", d.project)
	want := []string{
		"collaborator_invited bob ann " + of + "editor", "collaborator_accepted bob bob " + of + "editor",
		"collaborator_role bob ann " + of + "viewer", "collaborator_role bob ann " + of + "editor", "collaborator_role bob ann " + of + "viewer",
		"collaborator_removed bob ann " + of + "viewer",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An account is invited by its names, and not by what looks like the id of another one.
func TestInviteByDigits(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	bob := d.registered("bob")
	digits := d.registered(fmt.Sprintf("%03d", bob.Account))
	if c := d.invited(digits.Username, "viewer"); c.UserID != digits.Account {
		t.Errorf("account %d was invited, want %d", c.UserID, digits.Account)
	}
}
