// Changes that wait for their answer, as pure functions: what is sent next, and what an answer does.
import { touches, type Change, type Edit, type Move } from './edits.ts'
import type { Failure } from './request.ts'

/** A change that the server's plan does not show yet. */
export interface Waiting extends Change {
  /** It may have reached the server, so it must stay as it is: its operation id stands for just this. */
  sent: boolean
  /** The version of the plan with it, once it was accepted. It stays in view until the plan that is followed is as far. */
  accepted?: number
}

/** What became of a change that was sent. */
export type Outcome = { version: number } | { failure: Failure }

/** Requests have at most that many changes. */
export const maxBatch = 20

/** Adds a change behind the others. Moves of the same nodes that nobody has sent yet are replaced by it. */
export function enqueue(queue: readonly Waiting[], change: Change): Waiting[] {
  const moved = new Set(movesOf(change)?.map((move) => move.nodeId))
  const kept = queue.flatMap((waiting) => {
    const moves = moved.size && !waiting.sent ? movesOf(waiting) : undefined
    const left = moves?.filter((move) => !moved.has(move.nodeId))
    if (!left || left.length === moves?.length) return [waiting]
    return left.length ? [{ ...waiting, edits: [{ moveNodes: left }] }] : []
  })
  return [...kept, { ...change, sent: false }]
}

/** The moves of a change that does nothing else. */
function movesOf({ edits }: { edits: Edit[] }): Move[] | undefined {
  const [only, ...others] = edits
  return only && 'moveNodes' in only && others.length === 0 ? only.moveNodes : undefined
}

/**
 * The changes to send next, in order. Those of one request may be tried in turn although one before them has to wait, so
 * they have to be independent: none touches what another changes.
 */
export function nextBatch(queue: readonly Waiting[], most = maxBatch): Waiting[] {
  const batch: Waiting[] = []
  const written = new Set<string>()
  const needed = new Set<string>()
  for (const change of queue) {
    if (change.accepted !== undefined) continue
    const parts = change.edits.map(touches)
    const writes = parts.flatMap((part) => part.writes)
    const needs = parts.flatMap((part) => part.needs)
    const depends = writes.some((id) => written.has(id) || needed.has(id)) || needs.some((id) => written.has(id))
    if (batch.length === most || depends) break
    batch.push(change)
    for (const id of writes) written.add(id)
    for (const id of needs) needed.add(id)
  }
  return batch
}

/** What the outcomes of a batch do to the queue, what was refused, and the failure to wait for, if any. */
export function settle(queue: readonly Waiting[], batch: readonly Waiting[], outcomes: readonly (Outcome | undefined)[]) {
  const refused: { change: Change; failure: Failure }[] = []
  const accepted = new Map<string, number>()
  let wait: Failure | undefined
  batch.forEach((change, i) => {
    const outcome = outcomes[i]
    if (!outcome) return
    if (!('failure' in outcome)) accepted.set(change.opId, outcome.version)
    else if (outcome.failure.passes) wait ??= outcome.failure
    // Behind a change that has to wait, a refusal may only say that this one came too early. It is asked for again.
    else if (!wait) refused.push({ change, failure: outcome.failure })
  })
  const gone = new Set(refused.map(({ change }) => change.opId))
  const left = queue
    .filter((change) => !gone.has(change.opId))
    .map((change) => (accepted.has(change.opId) ? { ...change, accepted: accepted.get(change.opId)! } : change))
  // Its own event may have come before the answer, and taken it out of the queue.
  const known = new Set(queue.map((change) => change.opId))
  return { queue: left, refused: refused.filter(({ change }) => known.has(change.opId)), wait }
}
