package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"layercake/internal/fault"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
)

// cost is what argon2id takes: RFC 9106, and the parameters that OWASP names for servers.
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// usualCost is that of new hashes. A hash has its own beside it, and is made anew at the next login when they differ.
var usualCost = cost{memory: 19 << 10, time: 2, threads: 1}

const (
	saltBytes = 16
	keyBytes  = 32
)

// hashPatience is how long a request waits for its turn to hash, unless tests say otherwise.
const hashPatience = time.Second

// hasher computes hashes, so many at once that the rest of the server has its share of the cores and of the memory.
type hasher struct {
	cost     cost
	patience time.Duration
	turns    *semaphore.Weighted
	computed atomic.Int64
	unknown  string // a hash of no password, which is compared when there is no account
}

// maxHashes is how many are computed at once: half as many as there are cores.
func maxHashes() int64 { return int64(max(1, runtime.GOMAXPROCS(0)/2)) }

func newHasher(c cost, patience time.Duration) *hasher {
	h := &hasher{cost: c, patience: cmp.Or(patience, hashPatience), turns: semaphore.NewWeighted(maxHashes())}
	h.unknown = c.encode(make([]byte, saltBytes), make([]byte, keyBytes))
	return h
}

var errCrowd = fault.New(fault.RateLimited, "Too many people sign in at this moment, try again").With("retryAfterMs", 1000)

// turn waits for a turn, and fails with the fault RateLimited when there is none soon.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	if err := h.turns.Acquire(waiting, 1); err != nil {
		return nil, errCrowd.Because(err)
	}
	return func() { h.turns.Release(1) }, nil
}

// hash returns the hash of a password, in the PHC format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails
	return h.cost.encode(salt, h.key(h.cost, password, salt)), nil
}

// check reports whether a password is that of a hash; stale says that the hash has another cost than new ones. An empty hash is that of
// nobody, and costs as much as any.
func (h *hasher) check(ctx context.Context, password, hash string) (ok, stale bool, err error) {
	nobody := hash == ""
	if nobody {
		hash = h.unknown
	}
	c, salt, want, err := decodeHash(hash)
	if err != nil {
		return false, false, err
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	same := subtle.ConstantTimeCompare(h.key(c, password, salt), want) == 1
	return same && !nobody, c != h.cost, nil
}

func (h *hasher) key(c cost, password string, salt []byte) []byte {
	h.computed.Add(1)
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, keyBytes)
}

func (c cost) encode(salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.threads,
		b.EncodeToString(salt), b.EncodeToString(key))
}

func decodeHash(hash string) (c cost, salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, fmt.Errorf("a password hash is of an unknown kind")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil {
		return c, nil, nil, fmt.Errorf("parameters of a password hash: %w", err)
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(key) != keyBytes {
		return c, nil, nil, fmt.Errorf("a password hash is damaged")
	}
	return c, salt, key, nil
}

// The limits of passwords, in characters. There are no rules of composition: length is what counts (NIST SP 800-63B).
const (
	minPassword  = 8
	maxPassword  = 256
	goodPassword = 15
)

// checkPassword refuses passwords that are easily guessed: short ones, common ones, and those made of what everybody knows of the account.
// They are taken as they are, without trimming.
func (a *Accounts) checkPassword(password string, known ...string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < minPassword:
		return fault.New(fault.BadRequest, fmt.Sprintf("The password has %d characters: at least %d are needed, and %d or more are good",
			n, minPassword, goodPassword))
	case n > maxPassword:
		return fault.New(fault.BadRequest, fmt.Sprintf("The password has %d characters, more than %d", n, maxPassword))
	case !utf8.ValidString(password):
		return fault.New(fault.BadRequest, "The password is no UTF-8")
	}
	plain := strings.ToLower(password)
	if a.common[plain] {
		return fault.New(fault.BadRequest, "The password is among those that are guessed first: choose another one")
	}
	for _, text := range append(known, a.cfg.ContextWords...) {
		for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune("@.-_+ ", r) }) {
			// What is left beside the word has to be a password by itself.
			if len(word) >= 4 && utf8.RuneCountInString(strings.ReplaceAll(plain, word, "")) < minPassword-2 {
				return fault.New(fault.BadRequest, "The password is made of a name of the account or of this service: choose another one")
			}
		}
	}
	return nil
}
