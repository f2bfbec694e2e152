package auth

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus"
)

// Keeper ends what is open for a credential or a right that has ended: sockets, subscriptions, streams. It asks the database for all of a
// replica together, every two seconds, and at once when a line says that something ended. So what ended has ended everywhere within
// seconds, also when every line is lost. While the database is away, what is open stays open; once it is back, that is asked first.
type Keeper struct {
	db    *postgres.Pool
	every time.Duration
	idle  time.Duration
	log   *slog.Logger
	guard *task.Guard
	wakes chan struct{} // capacity 1

	mu    sync.Mutex
	holds map[held]map[*hold]struct{}
}

// held names what is kept: a credential, or with a project the role of an account there.
type held struct {
	kind    CredentialKind
	id      int32
	project int32
	secret  string // of a token, see Credential
}

// roleOf is the kind of what names a role.
const roleOf CredentialKind = "role"

type hold struct {
	ended   func(error)
	expires time.Time // of an access token, which only its own time ends; zero for others
}

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	DB      *postgres.Pool
	Every   time.Duration // pause between two looks; 0 for two seconds
	Idle    time.Duration // time without use after which a session ends; 0 for any
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// NewKeeper returns a Keeper. It starts nothing.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Every == 0 {
		cfg.Every = 2 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{
		db: cfg.DB, every: cfg.Every, idle: cfg.Idle, log: cfg.Log, guard: task.NewGuard(cfg.Log, cfg.Metrics, "keeper"),
		wakes: make(chan struct{}, 1), holds: make(map[held]map[*hold]struct{}),
	}
}

var (
	// ErrEnded is the fault of whatever is open for a credential that has ended.
	ErrEnded = fault.New(fault.Unauthenticated, "The session has ended: sign in again")
	// ErrRemoved is the fault of whatever is open for a right that has ended.
	ErrRemoved = fault.New(fault.Forbidden, "You are no collaborator of this project any more")
)

// Hold calls ended, once and from another goroutine, when the credential of a principal has ended. The caller releases what it does not
// keep open any more. Who has no credential has none that could end.
func (k *Keeper) Hold(p Principal, ended func(error)) (release func()) {
	if p.Credential.Kind == NoCredential {
		return func() {}
	}
	h := &hold{ended: ended}
	name := held{kind: p.Credential.Kind, id: p.Credential.ID, secret: p.Credential.Secret}
	if p.Credential.Kind == AccessToken {
		name.id, h.expires = p.Account, p.Credential.Expires
	}
	return k.add(name, h)
}

// HoldAccess is Hold for the right to a project.
func (k *Keeper) HoldAccess(a Access, ended func(error)) (release func()) {
	account, stored := a.Stored()
	if !stored {
		return func() {}
	}
	return k.add(held{kind: roleOf, id: account, project: a.project}, &hold{ended: ended})
}

func (k *Keeper) add(name held, h *hold) (release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holds[name] == nil {
		k.holds[name] = make(map[*hold]struct{}, 1)
	}
	k.holds[name][h] = struct{}{}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.holds[name], h)
		if len(k.holds[name]) == 0 {
			delete(k.holds, name)
		}
	}
}

// Wake makes the keeper look at once: something has ended, or a line said so.
func (k *Keeper) Wake() { task.Wake(k.wakes) }

const (
	lookPause = 100 * time.Millisecond // least time between two looks

	// A look that does not end is given up, because its connection may be half-open: the next one, at once, gets another. Each has twice
	// the time of the one before, so a database that is only slow answers in the end.
	firstLook   = time.Second
	longestLook = 16 * time.Second
)

// Run looks until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	looking := outage.New(k.log, "cannot ask which credentials have ended, trying again", "")
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	limit := firstLook
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-k.wakes:
		}
		err := k.guard.Do(func() error { return k.look(ctx, limit) })
		looking.Note(ctx, err)
		if err == nil {
			limit = firstLook
		} else {
			limit = min(2*limit, longestLook)
			k.Wake()
		}
		task.Pause(ctx, lookPause) // anybody who may speak on the channel can say that something ended
	}
}

// look ends what has ended. It fails when the database does not say within a time.
func (k *Keeper) look(ctx context.Context, within time.Duration) error {
	params := db.ListEndedParams{Idle: k.idle.Seconds()}
	var over []held
	k.mu.Lock()
	names := slices.Collect(maps.Keys(k.holds))
	k.mu.Unlock()
	for _, name := range names {
		switch name.kind {
		case SessionSecret:
			params.Sessions = append(params.Sessions, name.id)
		case TokenSecret:
			params.Tokens, params.Secrets = append(params.Tokens, name.id), append(params.Secrets, []byte(name.secret))
		case AccessToken:
			params.Accounts = append(params.Accounts, name.id)
		case roleOf:
			params.RoleUsers, params.RoleProjects = append(params.RoleUsers, name.id), append(params.RoleProjects, name.project)
		case NoCredential:
		}
	}
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := k.db.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListEnded(ctx, params)
		for _, row := range rows {
			over = append(over, held{CredentialKind(row.Kind), row.ID, row.ProjectID, string(row.Secret)})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ask which credentials have ended: %w", err)
	}
	k.end(over, time.Now())
	return nil
}

// end ends what is held under names, and access tokens whose time is over.
func (k *Keeper) end(over []held, now time.Time) {
	type ending struct {
		ended func(error)
		why   error
	}
	var endings []ending
	k.mu.Lock()
	for _, name := range over {
		why := error(ErrEnded)
		if name.kind == roleOf {
			why = ErrRemoved
		}
		for h := range k.holds[name] {
			endings = append(endings, ending{h.ended, why})
		}
		delete(k.holds, name)
	}
	for name, holds := range k.holds {
		if name.kind != AccessToken {
			continue
		}
		for h := range holds {
			if now.After(h.expires) {
				endings = append(endings, ending{h.ended, ErrEnded})
				delete(holds, h)
			}
		}
		if len(holds) == 0 {
			delete(k.holds, name)
		}
	}
	k.mu.Unlock()
	for _, e := range endings { // without the lock: who ends releases
		e.ended(e.why)
	}
}
