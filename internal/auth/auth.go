// Package auth says who is calling, and what they may do.
//
//	credential ─> Accounts.Look ─> Principal ─> Rights.Project ─> Access ─> a method of the core, which asks May
//
// A credential is looked up once a request or socket, in Postgres, so that what ended has ended everywhere. Rights are by project, and an
// Access is the only thing that opens one.
package auth

import "github.com/google/uuid"

// Kind is what sort of caller an actor is. It is stored with every event.
type Kind string

// The kinds of actors.
const (
	KindAnonymous Kind = "anonymous" // open mode, no credential
	KindUser      Kind = "user"      // a person who signed in
	KindAgent     Kind = "agent"     // a program that acts for somebody: for the account of its token, or, without one, for whoever runs it
	KindSystem    Kind = "system"    // the server itself
)

// Actor is who asks for something. The core takes it as its second argument.
type Actor struct {
	ID        string // stable for one caller, never empty
	LastingID string // of an agent, in all its sessions; empty for others
	Kind      Kind
	Name      string // for people to read
	Account   int32  // the account that it is, or acts for; 0 without a credential
}

// Is reports whether another actor is evidently the same caller: the same actor, or an agent of that name and address in another session.
func (a Actor) Is(other Actor) bool {
	return a.ID == other.ID || a.LastingID != "" && a.LastingID == other.LastingID
}

// OpActor returns the name among whose operation ids the actor's are unique. Who has no credential may be somebody else with the next
// request, for all that anybody knows: all of them share their ids under the name "".
func (a Actor) OpActor() string {
	if a.Account == 0 && (a.Kind == KindAnonymous || a.Kind == KindAgent) {
		return ""
	}
	return a.ID
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

// agents is the namespace of the ids that agents get from their keys (RFC 9562, UUIDv5).
var agents = uuid.MustParse("9a1f6c58-3b7e-5d42-8c06-e27d4b915f3a")

// Agent returns the actor of a program. The same key gives the same actor, so a key names what is one agent for people: a name that it
// goes by, with the session or the address that it calls from. The lasting key names it in all its sessions.
func Agent(key, lastingKey, name string) Actor {
	id := func(key string) string { return uuid.NewSHA1(agents, []byte(key)).String() }
	return Actor{ID: id(key), LastingID: id(lastingKey), Kind: KindAgent, Name: name}
}
