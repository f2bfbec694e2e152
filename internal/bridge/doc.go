// Package bridge carries MCP between stdio and a server.
//
// Clients that only start programs speak MCP in lines: one message a line, on standard input and output. The server speaks it over HTTP.
// The bridge is a pipe between the two: messages pass as they are, and it looks only at what HTTP wants to know of them.
//
//	stdin ─> line ─> peek ─┬─ initialize: alone, before what follows
//	                       ├─ request: side by side ─> POST ─> its answer, one line out a message
//	                       ├─ notification, answer of the client: POST, before the next line is read
//	                       └─ notifications/cancelled: hangs up, and tells servers of older versions
//	session ─> GET ─> messages of the server, one line out each
//
// A request that cannot be answered is answered with an error that says what to do. Nothing that reached a server is sent again, unless the
// server said that it has not looked at it: 503 with Retry-After, and only where asking twice does no harm, or 404 for a session that it
// does not know any more. Then the bridge begins a new session with the client's own initialize and subscriptions, and the client notices
// nothing.
package bridge
