// Looks at the plan of the past: which version, what was read of it, and going back to it.
import { Failure, newId, type Plan } from '../client/index.ts'
import type { Desk } from './desk.ts'
import { RestoreDocument } from './gql/graphql.ts'
import { setHistory } from './history-state.ts'
import { largestPage, readHistory, readPlanAt, type LogEntry } from './log.ts'
import { pace, planAt, type Known } from './past.ts'
import { withRetries } from './retry.ts'
import { connection } from './session.ts'
import { summaryOf } from './summary.ts'
import { say } from './undo-state.ts'
import { messageOf } from './words.ts'

/** Reads the changes that are newer than those that are known, and for the first time the newest ones. */
export async function extend(desk: Desk): Promise<void> {
  try {
    for (let before: number | null = null; ;) {
      const { newest: known } = desk.history.get()
      const { changes, oldest, version, more } = await readHistory(desk.project.id, { before, limit: largestPage, all: true })
      remember(desk, changes)
      const last = changes.at(-1)?.version
      const isAll = !more || last === undefined || known === 0 || last <= known + 1
      if (!desk.history.get().open) return
      if (isAll) return setHistory(desk, { oldest, newest: Math.max(version, changes[0]?.version ?? 0) })
      before = last
    }
  } catch (error) {
    say(desk, messageOf(error))
  }
}

/** Whole plans that are kept, since some are large. */
const mostPlans = 10

function remember(desk: Desk, changes: readonly LogEntry[], plan?: Plan): void {
  const { known, open } = desk.history.get()
  if (!open) return
  setHistory(desk, {
    known: {
      changes: new Map([...known.changes, ...changes.map((change) => [change.version, change] as const)]),
      plans: plan ? new Map([...[...known.plans].slice(1 - mostPlans), [plan.version, plan]]) : known.plans,
    },
  })
}

const reading = new WeakSet<Desk>()

/** Shows the plan after a version; null is now. Of several that are wanted while one is read, the last one is read next. */
export function look(desk: Desk, version: number | null): void {
  const { newest, oldest } = desk.history.get()
  const wanted = version === null || (newest > 0 && version >= newest) ? null : Math.max(version, oldest)
  setHistory(desk, { wanted, ...(wanted === null && { past: null }) })
  void show(desk)
}

async function show(desk: Desk): Promise<void> {
  for (;;) {
    const { known, wanted, newest } = desk.history.get()
    const plan = wanted === null ? null : planAt(known, wanted)
    if (plan !== undefined) return setHistory(desk, { past: plan })
    if (reading.has(desk)) return
    reading.add(desk)
    try {
      // Where the changes between are known, one plan is enough for all that is before it.
      const from = newest > 0 && isKnownUpTo(known, wanted!, newest) ? newest : wanted!
      const [page, read] = await Promise.all([
        known.changes.has(wanted!) ? null : readHistory(desk.project.id, { before: wanted! + 1, limit: largestPage, all: true }),
        readPlanAt(desk.project.id, from),
      ])
      remember(desk, page?.changes ?? [], read)
    } catch (error) {
      say(desk, messageOf(error))
      return setHistory(desk, { wanted: null, past: null, playing: false })
    } finally {
      reading.delete(desk)
    }
  }
}

function isKnownUpTo({ changes }: Known, version: number, newest: number): boolean {
  for (let at = version + 1; at <= newest; at++) if (!changes.has(at)) return false
  return true
}

/** Goes through the versions from the one that is shown, or the oldest that was read, to now. */
export async function play(desk: Desk): Promise<void> {
  const { wanted, known, newest, oldest } = desk.history.get()
  const read = Math.min(...known.changes.keys(), newest)
  const first = wanted ?? Math.max(oldest, read - 1)
  const { interval, stride } = pace(newest - first)
  setHistory(desk, { playing: true })
  for (let version = first; ; version += stride) {
    if (version >= newest) break
    look(desk, version)
    await new Promise((resolve) => setTimeout(resolve, interval))
    if (!desk.history.get().playing) return
  }
  pause(desk)
  look(desk, null)
}

export function pause(desk: Desk): void {
  setHistory(desk, { playing: false })
}

/** Makes the plan what is shown, by one change; fails when somebody has changed it since a version. */
export async function restore(desk: Desk, expectedVersion: number): Promise<void> {
  const { past } = desk.history.get()
  if (!past) return
  const variables = {
    projectId: desk.project.id, version: past.version, expectedVersion, opId: newId(), clientId: connection.clientId,
  }
  try {
    const { restorePlan: { change, notes } } = await withRetries(() => connection.request(RestoreDocument, variables))
    say(desk, [`Restored: ${change ? summaryOf(change.operations) : 'nothing was different'}`, ...notes].join('. '))
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'CONFLICT')) throw error
    throw new Error('The plan has changed meanwhile. To replace that, too, press Restore again.', { cause: error })
  }
  look(desk, null)
}
