package auth

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"layercake/internal/db"
)

// Entry is one of the log of security. It never has a secret.
type Entry struct {
	Event    string // such as login_failed
	User     int32  // the account; 0 for none
	Username string
	By       string // who did it, for people
	Detail   string
}

// note is what counts as the same refusal: an entry from one network, about one subject.
type note struct {
	Entry
	network netip.Prefix
	subject [sha256.Size]byte // hash of what else tells refusals apart: it may be long, or a secret in the wrong field
}

// notes remembers which refusals were logged within a minute: whoever is refused again and again fills no log.
type notes struct {
	mu   sync.Mutex
	last map[note]time.Time
}

const (
	notePause = time.Minute
	maxNotes  = 10_000
)

func newNotes() *notes { return &notes{last: make(map[note]time.Time)} }

// first reports whether an entry is the first of its kind within a minute.
func (n *notes) first(e note, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last, ok := n.last[e]; ok && now.Sub(last) < notePause {
		return false
	}
	if len(n.last) >= maxNotes {
		clear(n.last)
	}
	n.last[e] = now
	return true
}

// Note writes an entry of what was refused, one a minute and caller at most. A failure to write it fails no request: it is in the server's
// log.
func (a *Accounts) Note(ctx context.Context, from From, e Entry) { a.note(ctx, from, "", e) }

func (a *Accounts) note(ctx context.Context, from From, subject string, e Entry) {
	if !a.refusal.first(note{e, from.network(), sha256.Sum256([]byte(subject))}, time.Now()) {
		return
	}
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error { return Record(ctx, q, from, e) })
	if err != nil {
		a.cfg.Log.WarnContext(ctx, "cannot write to the log of security", "event", e.Event, "user", e.User, "error", err)
	}
}

// Record writes an entry in the transaction of what it tells.
func Record(ctx context.Context, q *db.Queries, from From, e Entry) error {
	params := db.InsertSecurityEventParams{
		Event: e.Event, Username: optionalText(e.Username), ByWhom: clip(e.By, 200), Address: from.address(),
		RequestID: optionalText(clip(from.RequestID, 200)), Detail: optionalText(clip(e.Detail, 1000)),
	}
	if params.ByWhom == "" {
		params.ByWhom = "nobody"
	}
	if e.User != 0 {
		params.UserID = &e.User
	}
	return q.InsertSecurityEvent(ctx, params)
}

// by names who changes an account: its owner, or an operator who acts for it.
func by(p Principal) string {
	if p.Credential.ID == 0 {
		return byOperator
	}
	return p.Username
}

func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// clip cuts a text to so many characters.
func clip(s string, most int) string {
	for i := range s {
		if most--; most < 0 {
			return s[:i]
		}
	}
	return s
}
