// Package mcpserver serves the core to agents over MCP.
//
// The official SDK speaks the protocol: one mcp.Server a replica, everything registered once. This package decides, before it, who serves a
// request, and says what the tools do.
//
//	request ─> Handler ─> who calls, what they may (scope), room, body
//	             │
//	             ├─ one request for itself (any version) ─> SDK, stateless ─> tool ─> core
//	             └─ GET ─> a page that says what to paste where
//
// A tool is a definition and a function from typed arguments to a typed result (tool.go). Its schemas come from the types. A failure is a
// result, too: a JSON text with the fault's code, its details, and what to do.
//
// A resource is what a tool says by default, or what the binary holds, under a URI (resources.go). A prompt is a template in a file, with
// arguments that are checked and shown as data (prompts.go). What fails of the two is an error of the protocol (protocol.go).
package mcpserver
