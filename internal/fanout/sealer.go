package fanout

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strconv"
)

// sealer seals payloads, and opens those of others. Whoever may connect to a database may listen to any channel there, and speak on it. So
// what replicas say is of no use to others, and what others say is not heard: a payload travels as base64 of a nonce, the payload in
// AES-256-GCM, and its tag. The key is in a table that only the role of the replicas may read, and each session reads it anew.
//
// The tag also covers the channel and the process id of the session that notifies, which a listener takes from the notification: the
// server writes both, and nobody can forge them. So what somebody heard and says again, from a session of their own, cannot be opened. A
// session that happens to get the process id of one that has ended could say again what that one said. Such a payload has a number that
// its sender used before, and is dropped by all who have heard that sender since they began to listen. For others it is as if the payload
// came late: feeds know its versions, and rooms compare with the table.
//
// Nonces are random. NIST allows 2^32 of them for one key, for which the chance that two are the same is below 2^-32. A deployment
// that says 100 payloads a second makes as many within 16 months: `layercake migrate --new-wire-key` begins anew.
//
// A sealer belongs to one goroutine.
type sealer struct {
	aead                  cipher.AEAD
	plain, sealed, base64 []byte // buffers, used again for each payload
}

func newSealer(key []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead: aead}, err
}

// sealedBytes is how long a payload of n bytes is when it is sealed: nonce and tag are 28 bytes.
func sealedBytes(n int) int { return base64.RawStdEncoding.EncodedLen(n + 28) }

// seal returns what the session of a process says on a channel.
func (s *sealer) seal(channel Channel, pid uint32, payload string) string {
	s.plain = append(s.plain[:0], payload...)
	s.sealed = s.aead.Seal(s.sealed[:0], nil, s.plain, origin(channel, pid))
	s.base64 = base64.RawStdEncoding.AppendEncode(s.base64[:0], s.sealed)
	return string(s.base64)
}

// open returns the payload that the session of a process has sealed for a channel.
func (s *sealer) open(channel Channel, pid uint32, sealed string) (payload string, err error) {
	s.base64 = append(s.base64[:0], sealed...)
	if s.sealed, err = base64.RawStdEncoding.AppendDecode(s.sealed[:0], s.base64); err != nil {
		return "", err
	}
	if s.plain, err = s.aead.Open(s.plain[:0], nil, s.sealed, origin(channel, pid)); err != nil {
		return "", fmt.Errorf("open a payload of %d bytes: %w", len(sealed), err)
	}
	return string(s.plain), nil
}

// origin is what a tag says of where its payload was said.
func origin(channel Channel, pid uint32) []byte {
	return strconv.AppendUint([]byte(channel.sealed()+" "), uint64(pid), 10)
}
