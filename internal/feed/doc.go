// Package feed is the ordered, gap-free tail of each watched project's events.
//
// A feed advances by exactly one version at a time, whoever brings the event:
//
//	own commit ─┐                  ┌─ watcher at 41 ─ the tail
//	a line      ├─> version + 1 ──>│  watcher at 42 ─ waits
//	the log     ┘    (feed)        └─ watcher at  7 ─ reads the log
//
// An event at or below the feed's version is dropped, the next one is applied, one beyond waits for those before it: for 5 ms,
// since a line may be under way, then they are read from the log. A sweep asks for the heads of all feeds every second and
// whenever somebody doubts, so a lost line costs a second and never an event.
//
// Watchers are cursors. They pull at their own pace; nothing is queued for them. One that falls behind the tail, or comes to an event
// that is too large to keep, reads the log when it is the turn of its project; one that falls behind the log, or whose epoch is over,
// missed events and goes on from the head.
//
// Every comparison with a table remembers what the feed held when the query was sent and compares with that: an answer that
// was true when it was asked for is not a regression when it arrives.
package feed
