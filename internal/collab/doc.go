// Package collab serves /ws/collaboration: presence frames for browsers.
//
// A session is a socket with one goroutine, which reads. What changes in its room wakes it: then, and only then, a writer runs, which
// looks at what changed since the last time and ends. Nothing is queued for a session; whoever reads slowly gets the newest state less
// often. Frames are encoded once and shared by all sessions of a project.
//
//	read ─> Join, Move, Leave ─> room ─> wake ─> push: roster, or changes since ─> frames
//
// A browser knows people by their user id. So everybody with another id than its own is shown as one person, online while any of
// their connections is. But people with the browser's own id (all editors of the existing client are "anonymous") would take its
// place, so each of their connections is shown to it under an id of its own.
package collab
