package socket

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Reason is why a socket closes. The reasons that only one transport has stand in its closes.go.
type Reason struct {
	Code      int    // code of the close frame; without effect where the connection is cut off
	Text      string // text of the close frame, cut to what fits
	Label     string // reason in sockets_closed_total
	Reconnect bool   // the client should connect again
}

// The reasons that every transport has. Connections that close for Lost, Silent or Slow are cut off, so their clients see no code.
var (
	Client = Reason{Code: 1000, Label: "client"}                  // the client said goodbye
	Lost   = Reason{Code: 1000, Label: "lost", Reconnect: true}   // the connection broke
	Silent = Reason{Code: 1000, Label: "silent", Reconnect: true} // nothing came for too long
	Slow   = Reason{Code: 1000, Label: "slow", Reconnect: true}   // a message could not be written in time
	TooBig = Violation(1009, "")                                  // a message was over MaxMessage; the library has sent the close frame

	// Broken is for a panic in what the server did for this client. The same may happen again, so clients that give up after this code,
	// as those of graphql-transport-ws do, are right to.
	Broken = Reason{Code: 1011, Text: "Internal server error", Label: "internal"}
)

// Labels of the reasons that are made for one socket each, because their text differs.
const (
	LabelMessage = "message" // the client broke the protocol
	LabelDrain   = "drain"   // this replica stops, or sends its clients elsewhere
	LabelKicked  = "kicked"  // an operator closed the socket
	LabelAuth    = "auth"    // a credential was missing, wrong, or has ended
)

// CommonLabels are the labels that every transport has.
var CommonLabels = []string{Client.Label, Lost.Label, Silent.Label, Slow.Label, Broken.Label, LabelMessage, LabelDrain}

// Violation is the reason when a client broke the protocol. Connecting again would not help, because it would break it again.
func Violation(code int, text string) Reason {
	return Reason{Code: code, Text: text, Label: LabelMessage}
}

// Unauthorized is the reason when a credential is missing, proves nothing, or has ended. Clients of graphql-transport-ws take the code as
// final: they do not come back with the same one.
func Unauthorized(text string) Reason { return Reason{Code: 4401, Text: text, Label: LabelAuth} }

// Kicked is the reason when an operator closes the socket, with the operator's text.
func Kicked(text string) Reason {
	return Reason{Code: 4000, Text: text, Label: LabelKicked}
}

// maxReconnectDelay is the longest time that a client is told to wait before it connects to another replica.
const maxReconnectDelay = 2 * time.Second

// reconnectDelay returns the time that one client is told to wait. It is random, so that clients that this replica closed in one moment,
// for instance after a pause of its own, do not reach the others in one moment.
func reconnectDelay() time.Duration {
	return maxReconnectDelay/20 + rand.N(maxReconnectDelay-maxReconnectDelay/20)
}

// drained is the reason when a replica sends a client to another one. The text says when to connect, as in {"retryAfterMs":700}.
func drained() Reason {
	return Reason{Code: 1012, Text: fmt.Sprintf(`{"retryAfterMs":%d}`, reconnectDelay().Milliseconds()), Label: LabelDrain, Reconnect: true}
}
