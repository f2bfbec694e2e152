// Package plan is the plan DAG: its rules, versions, changes and history.
//
// A change is a list of edits. One round trip locks the project's head and reads what the edits want; the edits then work on
// that draft, which records operations with the values before and after; a second round trip writes what the draft became, the
// event with those operations, and commits. Only the parts that an edit touches are read, so an edit costs the same in any plan.
//
//	Change ─> queue ─> lock, read ─> draft ─> edits apply ─> write, event, commit ─> feed, wire
//
// The head's lock makes versions gap-free and in commit order. What a watcher sees is the event's row, whether it comes from
// this replica's memory, another replica's line, or the log.
package plan
