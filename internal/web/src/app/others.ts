// Who else changed what, lately.
import type { AppliedChange } from '../client/index.ts'

/** More changes are not remembered. */
const most = 500

/** The latest changes that this window heard of. */
export interface Others {
  hear(change: AppliedChange): void
  /** The last change of a node or edge; undefined when that was too long ago, or came with a whole plan. */
  lastOf(id: string): AppliedChange | undefined
  /** The change that made a version. */
  at(version: number): AppliedChange | undefined
}

export function createOthers(): Others {
  const changes: AppliedChange[] = []
  return {
    hear(change) {
      changes.push(change)
      if (changes.length > most) changes.shift()
    },
    lastOf: (id) => changes.findLast(({ nodeIds, edgeIds }) => nodeIds.includes(id) || edgeIds.includes(id)),
    at: (version) => changes.find((change) => change.version === version),
  }
}
