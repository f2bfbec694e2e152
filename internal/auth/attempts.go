package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
)

// Failures within 15 minutes after which nothing more is tried.
const (
	maxPairFailures    = 10  // of an account from a network
	maxNetworkFailures = 100 // of a network
	maxAccountFailures = 100 // of an account, from networks where it did not sign in within 30 days: so nobody locks others out
)

// What is tried: each counts for itself, so that nobody fills the count of one by another. Registrations and codes name no account that
// somebody could be locked out of, and are counted by network only.
func loginOf(typed string) string       { return "login " + typed }
func passwordOf(account int32) string   { return fmt.Sprint("password ", account) }
func (f From) registrationFrom() string { return "register " + f.network().String() }
func (f From) redemptionFrom() string   { return "code " + f.network().String() }

// attempt counts a try to prove an account, before any hash is computed, and refuses it with the fault RateLimited when there were too many
// failures. It counts as a failure until it succeeds, so that many at once, on whichever replicas, are no more than the limit.
func (a *Accounts) attempt(ctx context.Context, from From, subject string) (id int64, err error) {
	done, err := a.counting(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	account, network := counted(subject), from.network()
	var refused *fault.Error
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		if err := q.LockAttempts(ctx, db.LockAttemptsParams{Account: account, Network: network.String()}); err != nil {
			return err
		}
		count, err := q.CountAttempts(ctx, db.CountAttemptsParams{Account: account, Network: network})
		if err != nil {
			return err
		}
		refused = nil
		if count.Pair >= maxPairFailures || count.OfNetwork >= maxNetworkFailures || count.OfAccount >= maxAccountFailures && !count.Known {
			refused = fault.New(fault.RateLimited, "Too many failed attempts: wait, then try again").With("retryAfterMs", max(1000, count.OverMs))
			return nil
		}
		id, err = q.InsertAttempt(ctx, db.InsertAttemptParams{Account: account, Network: network})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count an attempt: %w", err)
	}
	if refused != nil {
		a.Note(ctx, from, Entry{Event: "limit_met", By: "nobody", Detail: "from " + network.String()})
		return 0, refused
	}
	return id, nil
}

// counted is the name under which attempts at a subject are counted: it may be a password in the wrong field.
func counted(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return hex.EncodeToString(sum[:])
}

// noteNetwork remembers that somebody signed in to an account from a network, so that they may try again from there, by any of its names,
// whatever others do.
func noteNetwork(ctx context.Context, q *db.Queries, from From, row db.User) error {
	names := []string{counted(loginOf(strings.ToLower(row.Username)))}
	if row.Email != nil {
		names = append(names, counted(loginOf(strings.ToLower(*row.Email))))
	}
	return q.NoteNetwork(ctx, db.NoteNetworkParams{Network: from.network(), Accounts: names})
}

// maxCounting is how many attempts a replica counts at once. Those of one network wait for each other in the database, each with a
// connection that others would lack.
const maxCounting = 2

// counting waits for a turn to count an attempt, and fails with the fault RateLimited when there is none soon.
func (a *Accounts) counting(ctx context.Context) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, cmp.Or(a.cfg.Patience, hashPatience))
	defer cancel()
	if err := a.counts.Acquire(waiting, 1); err != nil {
		return nil, errCrowd.Because(err)
	}
	return func() { a.counts.Release(1) }, nil
}

// unproved takes an attempt back for which no hash was computed: it says nothing of the password, and whoever waits in a crowd is no
// attacker.
func (a *Accounts) unproved(ctx context.Context, attempt int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // the caller may be gone
	defer cancel()
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error { return q.DeleteAttempt(ctx, attempt) })
	if err != nil {
		a.cfg.Log.DebugContext(ctx, "cannot take an attempt back", "error", err)
	}
}

func (a *Accounts) succeeded(ctx context.Context, attempt int64) error {
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error { return q.AttemptSucceeded(ctx, attempt) })
	return internal("note that an attempt succeeded", err)
}
