package collab

import (
	"layercake/internal/auth"
	"layercake/internal/presence"
	"layercake/internal/socket"
)

// projectDeleted ends the sockets of a project that is gone. The existing client comes back after every code but this one.
var projectDeleted = socket.Reason{Code: 1000, Text: "The project was deleted", Label: "project"}

// removed ends the sockets of whoever has lost the right to be in the project.
var removed = socket.Reason{Code: 4403, Text: auth.ErrRemoved.Message, Label: "right"}

// labels are the labels of reasons that not every transport has.
var labels = []string{projectDeleted.Label, removed.Label, socket.LabelKicked, socket.LabelAuth}

// leaveReasons are the reasons for the log of visits, by the label of the reason for which the socket closed.
var leaveReasons = map[string]presence.Reason{
	socket.Client.Label: presence.ReasonClosed, socket.Lost.Label: presence.ReasonLost, socket.Silent.Label: presence.ReasonSilent,
	socket.Broken.Label: presence.ReasonLost,
	socket.Slow.Label:   presence.ReasonSlow, socket.LabelMessage: presence.ReasonProtocol, projectDeleted.Label: presence.ReasonDeleted,
	removed.Label: presence.ReasonKicked, socket.LabelAuth: presence.ReasonKicked,
	socket.LabelDrain: presence.ReasonDrained, socket.LabelKicked: presence.ReasonKicked,
}
