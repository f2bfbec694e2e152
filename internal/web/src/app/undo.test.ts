import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Failure } from '../client/index.ts'
import type { Desk } from './desk.ts'
import type { LogEntry } from './log.ts'
import { connection } from './session.ts'
import { stopRun, undoOwn, undoVersion } from './undo.ts'
import { createUndo, noteChange } from './undo-state.ts'
import { undoSince } from './undo-since.ts'

vi.mock('./session.ts', () => ({ connection: { clientId: 'me', request: vi.fn() } }))

const at = (minute: number) => `2026-11-30T12:${String(minute).padStart(2, '0')}:00.000000+00:00`

const entry = (version: number, parts: Partial<LogEntry> = {}): LogEntry => ({
  version, timestamp: at(version), clientId: 'theirs', actorId: 'them', actorName: 'Them', actorKind: 'anonymous', via: 'graphql', note: null,
  undoes: null, undoneBy: null, operations: [], ...parts,
})

/** The versions that were undone, with their operation ids; null for the newest own. */
let undone: [version: number | null, opId: string][]
/** What the server answers to an undo, if not that it is done. */
let refuse: (version: number | null) => Failure | undefined
let log: LogEntry[]

beforeEach(() => {
  vi.useFakeTimers()
  undone = []
  refuse = () => undefined
  vi.mocked(connection.request).mockImplementation(async (document, variables): Promise<never> => {
    const { version, opId, before, limit } = variables as { version: number | null; opId: string; before: number | null; limit: number }
    if (document.toString().includes('query History')) {
      const older = log.filter((each) => before === null || each.version < before)
      return { planHistory: { changes: older.slice(0, limit), more: older.length > limit, oldest: 0, version: 9 } } as never
    }
    undone.push([version, opId])
    const failure = refuse(version)
    if (failure) throw failure
    return { undoChange: { version: 10, notes: [], change: null } } as never
  })
})
afterEach(() => vi.useRealTimers())

function deskWith(waiting = 0): Desk {
  const plan = { drop: () => undefined, snapshot: () => ({ waiting, status: { state: 'live' } }), subscribe: () => () => {} }
  return { project: { id: 1, plan }, undo: createUndo() } as unknown as Desk
}

const versions = () => undone.map(([version]) => version)

test('what somebody did since a time is undone, newest first, but for what was undone or undoes', async () => {
  log = [
    entry(9), entry(8, { undoes: 7 }), entry(7, { undoneBy: 8 }), entry(6, { clientId: 'others', actorId: 'others' }), entry(5), entry(4), entry(3),
  ]
  const desk = deskWith()
  await undoSince(desk, { name: 'Them', userId: 'theirs' }, new Date(at(4)))
  expect(versions()).toEqual([9, 5, 4])
  expect(desk.undo.get()).toMatchObject({ said: 'Undone: 3 of 3 changes of Them', run: null })
  expect(new Set(undone.map(([, opId]) => opId)).size).toBe(3)
})

test('an agent is known by its actor, whatever its client says', async () => {
  log = [entry(9, { clientId: null, actorId: 'agent' }), entry(8)]
  await undoSince(deskWith(), { name: 'Robo', userId: 'agent' }, new Date(at(1)))
  expect(versions()).toEqual([9])
})

test('all pages are read as far as the time', async () => {
  log = Array.from({ length: 400 }, (_, i) => entry(400 - i, { timestamp: at(i < 200 ? 30 : 10) }))
  await undoSince(deskWith(), { name: 'Them', actorId: 'them' }, new Date(at(20)))
  expect(versions()).toEqual(Array.from({ length: 200 }, (_, i) => 400 - i))
})

const conflict = new Failure('CONFLICT', 'Others have changed it', {
  extensions: { conflicts: [{ kind: 'NODE_UPDATED', id: 'a', part: 'position', reason: 'changed since', expected: 1, current: 2, versions: [], actorNames: [] }] },
})

test('it stops at the first conflict, which is asked about', async () => {
  log = [entry(9), entry(8), entry(7)]
  refuse = (version) => (version === 8 ? conflict : undefined)
  const desk = deskWith()
  await undoSince(desk, { name: 'Them', userId: 'theirs' }, new Date(at(1)))
  expect(versions()).toEqual([9, 8])
  expect(desk.undo.get()).toMatchObject({
    said: 'Undone: 1 of 3 changes of Them. The next one was not: Others have changed it', run: null, question: { target: { version: 8 }, conflicts: [{ id: 'a' }] },
  })
})

test('it stops when it is told to, after what is under way', async () => {
  log = [entry(9), entry(8), entry(7)]
  const desk = deskWith()
  refuse = (version) => {
    if (version === 8) stopRun(desk)
    return undefined
  }
  await undoSince(desk, { name: 'Them', userId: 'theirs' }, new Date(at(1)))
  expect(versions()).toEqual([9, 8])
  expect(desk.undo.get().said).toBe('Undone: 2 of 3 changes of Them')
})

test('an undo whose answer was lost is asked for again under the same operation id', async () => {
  const failures = [new Failure('NETWORK', 'lost'), new Failure('UNAVAILABLE', 'busy')]
  refuse = () => failures.shift()
  const desk = deskWith()
  undoVersion(desk, 4)
  await vi.runAllTimersAsync()
  expect(versions()).toEqual([4, 4, 4])
  expect(new Set(undone.map(([, opId]) => opId)).size).toBe(1)
  expect(desk.undo.get().said).toBe('Undone: nothing was left to do')
})

test('an undo of the newest is not asked for again when there is a newer one', async () => {
  refuse = () => new Failure('NETWORK', 'lost')
  const desk = deskWith()
  undoOwn(desk)
  await vi.advanceTimersByTimeAsync(0)
  expect(versions()).toEqual([null])
  noteChange(desk)
  await vi.runAllTimersAsync()
  expect(versions()).toEqual([null])
  expect(desk.undo.get().said).toMatch(/^You went on editing/)
})
