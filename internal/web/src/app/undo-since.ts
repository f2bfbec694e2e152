// Takes back all that somebody did since a time.
import type { Desk } from './desk.ts'
import { largestPage, readHistory, type LogEntry } from './log.ts'
import { inTurn, stopRun, take } from './undo.ts'
import { say, setUndo } from './undo-state.ts'
import { count, messageOf } from './words.ts'

/** Somebody whose changes are meant: an actor of the log, or a person or agent who is there, as presence names them. */
export type Author = { name: string } & ({ actorId: string } | { userId: string })

/**
 * Takes back what somebody did since a time, newest first, one undo a change, and stops at the first conflict, or when it is told to.
 * Changes that were taken back already, or that take others back, stay.
 */
export async function undoSince(desk: Desk, who: Author, since: Date): Promise<void> {
  if (desk.undo.get().run) return
  const { name } = who
  const run = (done: number, of: number | null) => setUndo(desk, { run: { name, done, of } })
  const isStopped = () => desk.undo.get().run === null
  run(0, null)
  try {
    const versions = await changesSince(desk, who, since)
    let done = 0
    let problem: string | null = null
    for (const version of versions) {
      if (isStopped()) break
      run(done, versions.length)
      problem = await inTurn(() => take(desk, { redo: false, version }))
      if (problem !== null) break
      done++
    }
    const result = `Undone: ${done} of ${count(versions.length, 'change', 'changes')} of ${name}`
    say(desk, problem === null ? result : `${result}. The next one was not: ${problem}`)
  } catch (error) {
    say(desk, messageOf(error))
  } finally {
    stopRun(desk)
  }
}

/** The versions of the changes of somebody since a time that stand, newest first. */
async function changesSince(desk: Desk, who: Author, since: Date): Promise<number[]> {
  const versions: number[] = []
  let before: number | null = null
  for (;;) {
    const { changes, more } = await readHistory(desk.project.id, { before, limit: largestPage, actorId: 'actorId' in who ? who.actorId : null })
    const recent = changes.filter(({ timestamp }) => new Date(timestamp) >= since)
    const meant = recent.filter((change) => change.undoes === null && change.undoneBy === null && isBy(who, change))
    versions.push(...meant.map(({ version }) => version))
    if (!more || recent.length < changes.length || changes.length === 0) return versions
    before = changes.at(-1)!.version
  }
}

/** Agents, and people with an account, are there by the id of their actor, others by that of their window. */
function isBy(who: Author, { actorId, clientId }: LogEntry): boolean {
  return 'actorId' in who ? actorId === who.actorId : actorId === who.userId || clientId === who.userId
}
