package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"layercake/internal/fault"

	"github.com/google/uuid"
)

// MaxName is how many characters the name of an agent may have.
const MaxName = 100

// DefaultName is the name of an agent that has no other.
const DefaultName = "Agent"

// Client is what a client program says of itself.
type Client struct {
	Name, Title, Version string // may be empty
}

// Identity is who an agent is, as far as that can be known of somebody without a credential.
type Identity struct {
	Key        string // what tells it apart from other agents, for auth.Agent
	LastingKey string // the same in all its sessions
	Name       string // for people to read
}

// Of returns the identity of the agent that sent a request. Its name is the header in which its owner named it, else the client's title,
// else the client's name. One name in one session is one agent; without a session, which is uuid.Nil, one name at one client address is.
// That one is also what lasts of an agent, however many sessions it begins one after the other or beside each other.
// It fails with fault.BadRequest when the header is no name. What a client program calls itself its owner cannot change, so that is mended
// instead.
func Of(header string, client Client, session uuid.UUID, network netip.Prefix) (Identity, error) {
	name := strings.TrimSpace(header)
	switch {
	case name != "":
		if err := checkName(name); err != nil {
			return Identity{}, err
		}
	case mended(client.Title) != "":
		name = mended(client.Title)
	case mended(client.Name) != "":
		name = mended(client.Name)
	default:
		name = DefaultName
	}
	who := Identity{LastingKey: name + "\nnetwork " + network.String(), Name: name} // no name has a line break
	who.Key = who.LastingKey
	if session != uuid.Nil {
		who.Key = name + "\nsession " + session.String()
	}
	return who, nil
}

func checkName(name string) error {
	const field = "X-Layercake-Agent"
	if !utf8.ValidString(name) {
		return fault.New(fault.BadRequest, field+" is no UTF-8")
	}
	if n := utf8.RuneCountInString(name); n > MaxName {
		return fault.New(fault.BadRequest, fmt.Sprintf("%s has %d characters, more than %d", field, n, MaxName))
	}
	return fault.CheckName(field, name)
}

// mended returns a name without what a name cannot have, and its beginning when it is too long.
func mended(name string) string {
	visible := strings.Map(func(r rune) rune {
		if fault.Hidden(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if characters := []rune(visible); len(characters) > MaxName {
		visible = string(characters[:MaxName])
	}
	return strings.TrimSpace(visible)
}
