// Package collab serves /ws/collaboration: presence frames for browsers.
//
// A session is a socket with one goroutine, which reads. A change of its room wakes it: then a writer runs, which polls the room for what
// changed since the last time, writes that, and ends. Nothing is queued for a session, so a client that reads slowly gets the newest state
// less often. Frames are encoded once and shared by all sessions of a project.
//
//	read ─> Join, Move, Leave ─> room ─> wake ─> push: roster, or changes since ─> frames
//
// A browser knows people by their user id. So all connections with one user id are shown to it as one person, online while any of them is.
// But connections with the browser's own user id (all editors of the existing client are "anonymous") would take the place of its own, so
// each of those is shown to it under an alias, such as anonymous#1a2b3c4d.
//
// A cursor_update may have a member that the existing client does not send:
//
//	"dragging": {"nodeIds": ["a", "b"], "dx": 12.5, "dy": -3}
//
// It says which nodes are moved with the mouse, and how far, until a cursor_update comes without it. Others find it, or null, beside the
// position in the documents of a user_presence. It names 1 to 50 nodes, whose ids have at most 3,000 bytes together as JSON.
package collab
