// Package mcpserver serves the core to agents over MCP.
//
// The official SDK speaks the protocol: one mcp.Server a replica, everything registered once. This package decides, before it, who serves a
// request, and says what the tools do.
//
//	request ─> Handler ─> who asks, what they may (scope), room, body
//	             │
//	             ├─ by itself, and what is quick of a session ─> SDK, stateless ─┐
//	             ├─ a call of a session that may ask ─> SDK, restored ───────────┼─> tool ─> core
//	             ├─ GET /mcp/sse ─> SDK on a stream <─ mailbox of package agent ─┘
//	             └─ subscriptions/listen, GET of a session ─> listener ─> stream
//
// A tool is a definition and a function from typed arguments to a typed result (tool.go). Its schemas come from the types. A failure is a
// result, too: a JSON text with the fault's code, its details, and what to do.
//
// A resource is what a tool says by default, or what the binary holds, under a URI (resources.go). A prompt is a template in a file, with
// arguments that are checked and shown as data (prompts.go). What fails of the two is an error of the protocol (protocol.go).
//
// A stream is a socket of the registry (eventsocket.go). The goroutine of its request owns it. Others mark what has changed, and write
// nothing but comments, so a client that does not read stops only its own.
package mcpserver
