package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"layercake/internal/fault"
)

// The beginnings of secrets, by which people and scanners of published files know them.
const (
	sessionPrefix = "lcs_"
	tokenPrefix   = "lc_"
	codePrefix    = "lcc_"
)

const (
	secretBytes = 32
	codeBytes   = 16 // a code lives an hour, is used once, and sets nothing but a password
)

// newSecret returns a new secret: prefix, random bytes, and a checksum by which a typing error is found without a look-up.
func newSecret(prefix string, bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // it never fails
	text := prefix + base64.RawURLEncoding.EncodeToString(b)
	return text + checksum(text)
}

func checksum(text string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text)))
	return base64.RawURLEncoding.EncodeToString(sum)
}

// kindOf returns the prefix of a secret, or "" for a text that is none: its length or its checksum is wrong.
func kindOf(secret string) string {
	bytes := secretBytes
	var prefix string
	switch {
	case strings.HasPrefix(secret, sessionPrefix):
		prefix = sessionPrefix
	case strings.HasPrefix(secret, codePrefix):
		prefix, bytes = codePrefix, codeBytes
	case strings.HasPrefix(secret, tokenPrefix):
		prefix = tokenPrefix
	default:
		return ""
	}
	end := len(prefix) + base64.RawURLEncoding.EncodedLen(bytes)
	if len(secret) != end+len(checksum("")) || checksum(secret[:end]) != secret[end:] {
		return ""
	}
	return prefix
}

// LooksLikeSecret reports whether a text begins like the secret of a session or of a token, whether it is one or not.
func LooksLikeSecret(text string) bool {
	return strings.HasPrefix(text, sessionPrefix) || strings.HasPrefix(text, tokenPrefix)
}

// hashOf returns what is stored of a secret. A plain hash is enough: nobody can guess so many random bytes.
func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// errWrongSecret is the fault for a secret that proves nothing, whatever the reason: who has it learns no more.
var errWrongSecret = fault.New(fault.Unauthenticated, "The credential is not valid, or not any more: sign in again")
