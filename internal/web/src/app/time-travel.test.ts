import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { PlanNode } from '../client/index.ts'
import type { Desk } from './desk.ts'
import { connection } from './session.ts'
import { closeHistory, createHistory, openHistory } from './history-state.ts'
import { extend, look, pause, play } from './time-travel.ts'
import { createUndo } from './undo-state.ts'

vi.mock('./session.ts', () => ({ connection: { clientId: 'me', request: vi.fn() } }))

/** The newest version. In version n the one node is at x = n. */
let newest: number
/** What the server was asked, such as "plan 3" and "changes before 9". */
let asked: string[]

const node = (x: number): PlanNode => (
  { id: 'a', nodeType: 'GraphNode', position: { x, y: 0 }, metadata: { label: 'a', description: null }, config: '{}' })

beforeEach(() => {
  vi.useFakeTimers()
  asked = []
  newest = 1_000
  vi.mocked(connection.request).mockImplementation(async (document, variables): Promise<never> => {
    const { version, before, limit } = variables as { version: number; before: number | null; limit: number }
    if (!document.toString().includes('query History')) {
      asked.push(`plan ${version}`)
      return { planAt: { nodes: [node(version)], edges: [] } } as never
    }
    asked.push(`changes before ${before ?? 'now'}`)
    const last = before === null ? newest : before - 1
    const changes = Array.from({ length: Math.min(limit, last) }, (_, i) => last - i).map((each) => (
      { version: each, actorName: 'A', operations: [{ kind: 'NODE_UPDATED', id: 'a', before: node(each - 1), after: node(each) }] }))
    return { planHistory: { changes, more: last > limit, oldest: 0, version: newest } } as never
  })
})
afterEach(() => vi.useRealTimers())

async function opened(): Promise<Desk> {
  const desk = { project: { id: 1 }, undo: createUndo(), history: createHistory() } as unknown as Desk
  openHistory(desk)
  await extend(desk)
  return desk
}

const shown = (desk: Desk) => desk.history.get().past?.nodes.get('a')?.position.x

test('one plan serves all versions whose changes are known', async () => {
  const desk = await opened()
  for (const version of [990, 995, 900, 851]) {
    look(desk, version)
    await vi.advanceTimersByTimeAsync(0)
    expect(shown(desk)).toBe(version)
  }
  expect(asked).toEqual(['changes before now', 'plan 1000'])
})

test('a jump reads another plan, and what was changed before it', async () => {
  const desk = await opened()
  look(desk, 400)
  await vi.advanceTimersByTimeAsync(0)
  expect(shown(desk)).toBe(400)
  look(desk, 260)
  await vi.advanceTimersByTimeAsync(0)
  expect(shown(desk)).toBe(260)
  expect(asked.slice(1).toSorted()).toEqual(['changes before 401', 'plan 400'])
})

test('of many versions that are wanted at once, the last one is read', async () => {
  const desk = await opened()
  for (let version = 700; version >= 100; version--) look(desk, version)
  await vi.advanceTimersByTimeAsync(0)
  expect(shown(desk)).toBe(100)
  expect(asked.filter((each) => each.startsWith('plan'))).toHaveLength(2)
})

test('whoever goes back to now sees nothing of what comes in late', async () => {
  const desk = await opened()
  look(desk, 400)
  look(desk, null)
  await vi.advanceTimersByTimeAsync(0)
  expect(shown(desk)).toBeUndefined()
  look(desk, 300)
  closeHistory(desk)
  await vi.advanceTimersByTimeAsync(0)
  expect(desk.history.get()).toMatchObject({ open: false, past: null, wanted: null })
})

test('what comes in later can be looked at, too', async () => {
  const desk = await opened()
  newest = 1_400
  await extend(desk)
  look(desk, 1_100)
  await vi.advanceTimersByTimeAsync(0)
  expect(shown(desk)).toBe(1_100)
  expect(asked).toEqual(['changes before now', 'changes before now', 'changes before 1251', 'changes before 1101', 'plan 1400'])
})

test('playing ends at now, or where it is paused', async () => {
  newest = 40
  const desk = await opened()
  const seen: (number | undefined)[] = []
  desk.history.subscribe(() => {
    if (seen.at(-1) !== shown(desk)) seen.push(shown(desk))
  })
  look(desk, 37)
  await vi.advanceTimersByTimeAsync(0)
  const end = play(desk)
  await vi.runAllTimersAsync()
  await end
  expect(seen).toEqual([37, 38, 39, undefined])
  expect(desk.history.get().playing).toBe(false)

  void play(desk) // from the oldest that was read
  await vi.advanceTimersByTimeAsync(1_200)
  pause(desk)
  await vi.runAllTimersAsync()
  expect(shown(desk)).toBe(2)
})
