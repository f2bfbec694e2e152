// Package presence says who is in a project now, and where.
//
// The connection is the key: user, name, colour and document are attributes of it. Each replica decides about its own
// connections and tells the others what became of them; of theirs it knows what they say.
//
//	Join, Move, Leave ─> room (memory) ─> watchers
//	                       │
//	                       ├─ joined, left ─> flusher ─> table presence ─> lines ┄┄> rooms of other replicas
//	                       └─ moved ──────────────────────> lines, conflated ┄┄┄┄┄┄> rooms of other replicas
//	                              (and the table, where it rests)
//
// What a connection was is kept in presence_log, one row a visit: since it became who it is, until it left.
//
// What is written is held under the lease of the replica's incarnation (package replica) and ends with it: whoever finds an expired
// lease removes it and says so, and a replica whose own lease is gone begins another incarnation and writes everything anew. Lines may be
// lost. Behind them stands the table, which each replica compares with its memory every 15 s, and at once when it may have missed
// something: for its own connections memory is right, for those of others the table is, except for what was touched since the question
// was sent.
package presence
