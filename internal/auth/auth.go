// Package auth says who is calling.
package auth

import "github.com/google/uuid"

// Kind is what sort of caller an actor is. It is stored with every event.
type Kind string

// The kinds of actors.
const (
	KindAnonymous Kind = "anonymous" // open mode, no credential
	KindSystem    Kind = "system"    // the server itself
)

// Actor is who asks for something. The core takes it as its second argument.
type Actor struct {
	ID   string // stable for one caller, never empty
	Kind Kind
	Name string // for people to read
}

// clients is the namespace of the ids that anonymous callers get from the client id they state (RFC 9562, UUIDv5).
var clients = uuid.MustParse("4d2b6e0c-5d0f-5b0a-9a55-0c3f5a7a2f61")

// Anonymous returns the actor of a caller without a credential. The same client id gives the same actor; without one each
// call makes a new actor, so a transport calls it once per request or socket.
func Anonymous(clientID string) Actor {
	id := uuid.New()
	if clientID != "" {
		id = uuid.NewSHA1(clients, []byte(clientID))
	}
	return Actor{ID: id.String(), Kind: KindAnonymous, Name: "Anonymous User"}
}
