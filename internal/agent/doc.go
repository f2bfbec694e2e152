// Package agent says who an agent is and what waits for it.
//
// Clients of the Model Context Protocol before 2026 have sessions. A session is a row, and so is each of its subscriptions, so any replica
// serves any request of it, behind a balancer that knows nothing of sessions. Two things of a session are in the memory of one replica all
// the same: its stream, and each call that waits for a word of the client. Each of them has a mailbox here.
//
//	POST on replica B ─> Send ─> table mcp_inbox ─> COMMIT ─> 202 to the client
//	                                  │                └─> line m <session> ┄┄> replica A: Wake
//	                                  └──────────── Take (locked, in order) <─────────┘
//	POST on replica A ─> Send ─> what the table has, then the message ─> mailbox ─> 202
//
// These rules keep the messages of a session in the order in which they were accepted, each once:
//
//   - Whoever puts messages into the inbox or takes them out locks the session's row first. So numbers follow commits. On one replica
//     changes of a session take turns before that, so that a busy session holds few connections of the pool.
//   - A message for a mailbox of the own replica is accepted in memory, after what the table has was taken: that was accepted before.
//   - One goroutine at a time takes into a mailbox, and only its owner takes out of it. A session has one stream: the newest has its id in
//     the session's row, and an older one is told ErrReplaced.
//   - When the answer to the COMMIT of a take is lost, the mailbox keeps what it read, and takes it again. What comes again was not
//     deleted then, and has the same number; what does not come was deleted. Either way the mailbox has it, once.
//
// So a message that was accepted is lost only with its mailbox, or when nobody takes it for a minute, or for 5 s where it is passing: the
// cancellation of a call, which most often has ended.
//
// Lines may be lost. Behind them stands a look each second, for all mailboxes of a replica in one statement, and none where there are none.
package agent
