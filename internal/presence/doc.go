// Package presence says who is in a project now, and where.
//
// The connection is the key; user, name, colour and document are attributes of it. Each replica decides about the connections that it
// serves, its own, and sends lines about them to the others. About connections of others it knows what lines and the table say.
//
//	Join, Move, Leave ─> room (memory) ─> watchers
//	                       │
//	                       ├─ joined, left ─> flusher ─> table presence ─> lines ┄┄> rooms of other replicas
//	                       └─ cursor moved ───────────────> lines, conflated ┄┄┄┄┄┄> rooms of other replicas
//	                              (and the table, where it rests)
//
// A room is a value. A method that changes it returns the effects that follow for the table, for other replicas and for watchers, and the
// tracker carries them out afterwards, without the room's mutex. A room keeps its changes in the order of their sequence numbers, Seq. A
// watcher is a cursor into that order, without a queue: it reads the changes since its Seq or, when they are many or forgotten,
// the whole roster.
//
// Rows of the table are written under the lease of the replica's incarnation (package replica) and end with it: whoever finds an expired
// lease removes it with its rows and says so, and a replica that finds its own lease lost begins another incarnation and writes everything
// anew.
//
// Lines may be lost. Behind them stands the table, which each replica compares with its memory every 15 s, and at once when it may have
// missed a line (reconcile.go). These rules keep the comparison safe:
//
//   - For own connections memory is right. A row that is missing or old is written again, and one without a connection is deleted.
//   - For connections of others the table is right, except where a line spoke of the connection after the query was sent: that is newer
//     than the answer. The same holds for leaves, which a room remembers for a while.
//   - Each change of a connection steps its revision. Whatever comes with a revision that is known, or lower, is old.
//   - For a lease after an interruption, connections of others are removed only when the table has lacked them for a lease: their owners
//     may have been interrupted too, and those that live have written theirs anew by then. While the own lease may have been lost together
//     with the table's rows, none are removed.
//
// A cursor moves too often for the table. It is written once it has rested for a second. A room is read once more two seconds after it was
// loaded, for the cursors that came to rest just before: no line speaks of them any more, and the table learns of them late.
//
// Guests have no connection: clients that only send requests, such as agents. No replica serves them: whichever gets a request writes their
// row, so for them the table is right everywhere, and rooms hold them like connections of others.
//
//	SeeGuest, PlaceGuest ─> updates (memory) ─> table presence, 40 ms ─> own room, lines ┄┄> rooms of other replicas
//
// These rules keep rooms in step with the rows:
//
//   - What changes a guest steps the revision in the row, under its lock. The line about the change has the revision and the place that the
//     statement returned. So no line and no room is ahead of the row: of two replicas that place a guest at once the later statement has
//     the higher revision, and wins in every room in whatever order their lines come.
//   - A comparison with the table therefore never undoes a newer place, and repairs a lost line. No place waits until it rests: each that
//     a line speaks of is in the row already.
//   - Revisions follow the clock of the database when a row is inserted, so a guest that comes back is ahead of its own late leave.
//   - Rows expire on their own unless the guest does something. No line speaks of a renewal alone: rooms learn of it from the table.
//
// The log of visits, presence_log, has a row for each time that a connection was one user: it begins with the join, or the join as somebody
// else, and ends with the leave. Visits are written in the transaction that writes presence.
package presence
