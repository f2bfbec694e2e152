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
package collab
