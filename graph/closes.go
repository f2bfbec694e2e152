package graph

import (
	"layercake/internal/fault"
	"layercake/internal/socket"
)

// The reasons for which sockets of graphql-transport-ws close, beside those that all sockets have. Clients connect again after codes 1012
// and 1013, and give up after a code of the protocol.
var (
	closeUnauthorized = socket.Violation(4401, "Unauthorized") // subscribe before connection_init
	closeSubprotocol  = socket.Violation(4406, "Subprotocol not acceptable")
	closeSecondInit   = socket.Violation(4429, "Too many initialisation requests")

	closeInitTimeout = socket.Reason{Code: 4408, Text: "Connection initialisation timeout", Label: "init"}

	closeBusy  = socket.Reason{Code: 1013, Text: fault.Busy, Label: socket.LabelAuth, Reconnect: true}
	closeFlood = socket.Reason{Code: 1013, Text: "Too many messages, connect again later", Label: "flood", Reconnect: true}
)

// labels are the labels of reasons that only this transport has.
var labels = []string{socket.LabelAuth, socket.LabelKicked, closeInitTimeout.Label, closeFlood.Label, labelLimit}

const labelLimit = "limit" // the account has all that it may have

// closeLimit is the reason when an account has as many sockets, or makes as many requests, as it may. The client comes back later.
func closeLimit(text string) socket.Reason {
	return socket.Reason{Code: 1013, Text: text, Label: labelLimit, Reconnect: true}
}

func closeBadMessage(what string) socket.Reason {
	return socket.Violation(4400, "Invalid message: "+what)
}

func closeDuplicateID(id string) socket.Reason {
	return socket.Violation(4409, "Subscriber for "+id+" already exists")
}
