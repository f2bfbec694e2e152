package auth

import "context"

// CheapHash returns a hash of a former, cheap cost.
func CheapHash(password string) string {
	h := newHasher(cost{memory: 64, time: 1, threads: 1}, 0)
	hash, err := h.hash(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return hash
}

// Matches reports whether a password is that of a hash.
func (a *Accounts) Matches(password, hash string) bool {
	ok, _, err := a.hasher.check(context.Background(), password, hash)
	return ok && err == nil
}

// HoldHashes takes all turns to hash, until release.
func (a *Accounts) HoldHashes() (release func()) {
	turns := maxHashes()
	if err := a.hasher.turns.Acquire(context.Background(), turns); err != nil {
		panic(err)
	}
	return func() { a.hasher.turns.Release(turns) }
}

// HoldCounts takes all turns to count attempts, until release.
func (a *Accounts) HoldCounts() (release func()) {
	if err := a.counts.Acquire(context.Background(), maxCounting); err != nil {
		panic(err)
	}
	return func() { a.counts.Release(maxCounting) }
}

// CheckPassword checks a password by the rules.
func (a *Accounts) CheckPassword(password string, known ...string) error {
	return a.checkPassword(password, known...)
}

// Hashes returns how many hashes were computed since the start: one for each attempt, whether there is such an account or not.
func (a *Accounts) Hashes() int64 { return a.hasher.computed.Load() }
