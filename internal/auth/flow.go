package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// FlowTTL is how long a sign-in at an identity provider may take.
const FlowTTL = 10 * time.Minute

// maxFlows is how many flows of one network may be under way: a thousand people who all sign in within ten minutes.
const maxFlows = 1000

// Flow is a sign-in under way at an identity provider. It begins on one replica and may end on another one, in the same browser.
type Flow struct {
	State    string // what the provider gives back; only its hash is stored
	Nonce    string // what the ID token has to have
	Verifier string // of PKCE
	ReturnTo string // path where the browser goes afterwards
	Joins    int32  // the account that the identity is to be joined to; 0 for a sign-in
}

var (
	errTooManyFlows = fault.New(fault.RateLimited, "Too many sign-ins are under way from your network: wait, then try again").
			With("retryAfterMs", time.Minute.Milliseconds())
	errNoFlow = fault.New(fault.Unauthenticated,
		"This sign-in is over, was used already, or began in another browser or at another address of this server: begin again")
)

// RandomText returns 256 random bits as text that fits into addresses and cookies.
func RandomText() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// BeginFlow begins a sign-in in a browser, which is named by a secret of its own. Faults: RateLimited.
func (a *Accounts) BeginFlow(ctx context.Context, from From, browser, returnTo string) (Flow, error) {
	return a.beginFlow(ctx, from, browser, Flow{ReturnTo: returnTo})
}

// BeginJoin begins a sign-in whose identity is to be joined to the account of the caller, who proves it as for another e-mail: whoever has
// the identity has the account from then on. Faults: those of BeginFlow, Unauthenticated, Forbidden.
func (a *Accounts) BeginJoin(ctx context.Context, from From, p Principal, current, browser, returnTo string) (Flow, error) {
	row, err := a.prove(ctx, from, p, current)
	if err != nil {
		return Flow{}, err
	}
	return a.beginFlow(ctx, from, browser, Flow{ReturnTo: returnTo, Joins: row.ID})
}

func (a *Accounts) beginFlow(ctx context.Context, from From, browser string, f Flow) (Flow, error) {
	f.State, f.Nonce, f.Verifier = RandomText(), RandomText(), RandomText()
	params := db.InsertFlowParams{
		StateHash: hashOf(f.State), BrowserHash: hashOf(browser), Nonce: f.Nonce, Verifier: f.Verifier, ReturnTo: f.ReturnTo,
		Network: from.network(), Ttl: FlowTTL.Seconds(), Most: maxFlows,
	}
	if f.Joins != 0 {
		params.Joins = &f.Joins
	}
	var n int64
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		n, err = q.InsertFlow(ctx, params)
		return err
	})
	switch {
	case err != nil:
		return Flow{}, fmt.Errorf("begin a flow: %w", err)
	case n == 0:
		return Flow{}, errTooManyFlows
	}
	return f, nil
}

// TakeFlow ends a flow by its state, in the browser that began it. It succeeds once. Faults: Unauthenticated.
func (a *Accounts) TakeFlow(ctx context.Context, state, browser string) (Flow, error) {
	var row db.TakeFlowRow
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.TakeFlow(ctx, db.TakeFlowParams{StateHash: hashOf(state), BrowserHash: hashOf(browser)})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Flow{}, errNoFlow
	case err != nil:
		return Flow{}, fmt.Errorf("take a flow: %w", err)
	}
	return Flow{State: state, Nonce: row.Nonce, Verifier: row.Verifier, ReturnTo: row.ReturnTo, Joins: value(row.Joins)}, nil
}
