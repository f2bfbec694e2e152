package collab

import (
	"layercake/internal/presence"
	"layercake/internal/socket"
)

// projectDeleted ends the sockets of a project that is gone. The existing client comes back after every code but this one.
var projectDeleted = socket.Reason{Code: 1000, Text: "The project was deleted", Label: "project"}

// labels are those of the reasons that not every transport has.
var labels = []string{projectDeleted.Label, socket.LabelKicked}

// leaveReasons say why connections left, for the log, by the label of why their socket closed.
var leaveReasons = map[string]presence.Reason{
	socket.Client.Label: presence.ReasonClosed, socket.Lost.Label: presence.ReasonLost, socket.Silent.Label: presence.ReasonSilent,
	socket.Slow.Label: presence.ReasonSlow, socket.LabelMessage: presence.ReasonProtocol, projectDeleted.Label: presence.ReasonDeleted,
	socket.LabelDrain: presence.ReasonDrained, socket.LabelKicked: presence.ReasonKicked,
}
