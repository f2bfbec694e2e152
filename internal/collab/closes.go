package collab

import (
	"strings"

	"layercake/internal/presence"

	"github.com/coder/websocket"
)

// The close codes that we send. The existing client comes back after all but 1000.
const (
	closeEnded   = websocket.StatusNormalClosure  // 1000: the project was deleted; do not come back
	closeTooBig  = websocket.StatusMessageTooBig  // 1009: a frame over maxFrame, sent by the library
	closeRestart = websocket.StatusServiceRestart // 1012: this replica stops; come back after retryAfterMs
	closeKicked  = websocket.StatusCode(4000)     // an operator closed it; the reason says why
)

// Why sockets close, for the metrics.
const (
	closedClient  = "client"  // it said goodbye
	closedLost    = "lost"    // the connection broke
	closedSilent  = "silent"  // nothing came for too long
	closedSlow    = "slow"    // a frame could not be written in time
	closedMessage = "message" // the client broke the protocol
	closedProject = "project" // the project was deleted
	closedDrain   = "drain"   // this replica stops, or sends its clients elsewhere
	closedKicked  = "kicked"  // an operator closed it
)

var closeReasons = []string{
	closedClient, closedLost, closedSilent, closedSlow, closedMessage, closedProject, closedDrain, closedKicked,
}

// leaveReasons say why connections left, for the log.
var leaveReasons = map[string]presence.Reason{
	closedClient: presence.ReasonClosed, closedLost: presence.ReasonLost, closedSilent: presence.ReasonSilent,
	closedSlow: presence.ReasonSlow, closedMessage: presence.ReasonProtocol, closedProject: presence.ReasonDeleted,
	closedDrain: presence.ReasonDrained, closedKicked: presence.ReasonKicked,
}

// clip shortens a reason to what a close frame holds.
func clip(reason string) string {
	const most = 123
	return strings.ToValidUTF8(reason[:min(len(reason), most)], "")
}
