package socket

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Reason is why a socket closes. The reasons that only one transport has stand in a file of that transport.
type Reason struct {
	Code   int    // of the close frame; of no use where the connection is cut off
	Text   string // what the client is told; cut to what a close frame holds
	Label  string // the reason in sockets_closed_total
	Return bool   // the client should connect again
}

// The reasons that every transport has. The connections of Lost, Silent and Slow are cut off: their clients see no code.
var (
	Client = Reason{Code: 1000, Label: "client"}               // the client said goodbye
	Lost   = Reason{Code: 1000, Label: "lost", Return: true}   // the connection broke
	Silent = Reason{Code: 1000, Label: "silent", Return: true} // nothing came for too long
	Slow   = Reason{Code: 1000, Label: "slow", Return: true}   // a message could not be written in time
	TooBig = Violation(1009, "")                               // a message was over MaxMessage; the library has told the client
)

// Labels of the reasons that are made with what is told to one client.
const (
	LabelMessage = "message" // the client broke the protocol
	LabelDrain   = "drain"   // this replica stops, or sends its clients elsewhere
	LabelKicked  = "kicked"  // an operator closed the socket
)

// CommonLabels are those of the reasons that every transport has.
var CommonLabels = []string{Client.Label, Lost.Label, Silent.Label, Slow.Label, LabelMessage, LabelDrain}

// Violation is how a client broke the protocol. Coming back would not help: it would break it again.
func Violation(code int, text string) Reason {
	return Reason{Code: code, Text: text, Label: LabelMessage}
}

// Kicked is an operator's wish, in the operator's words.
func Kicked(text string) Reason {
	return Reason{Code: 4000, Text: text, Label: LabelKicked}
}

// maxAway is how long a client that is sent away is told to wait at most.
const maxAway = 2 * time.Second

// away is how long one client is told to wait: each another time, lest a stutter of this replica becomes one of the others.
func away() time.Duration { return maxAway/20 + rand.N(maxAway-maxAway/20) }

// drained sends one client to another replica. The text says when to connect there, as in {"retryAfterMs":700}.
func drained() Reason {
	return Reason{Code: 1012, Text: fmt.Sprintf(`{"retryAfterMs":%d}`, away().Milliseconds()), Label: LabelDrain, Return: true}
}
