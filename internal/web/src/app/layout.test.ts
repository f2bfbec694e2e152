import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Plan, PlanNode } from '../client/index.ts'
import type { Drawing } from './dot.ts'
import { layOut } from './layout.ts'

/** Stands for a worker, and keeps what it is asked. */
class Standin {
  static all: Standin[] = []
  asked: string[] = []
  ended = false
  onmessage: (event: { data: Drawing }) => void = () => {}
  onerror = () => {}
  constructor() { Standin.all.push(this) }
  postMessage(dot: string) { this.asked.push(dot) }
  terminate() { this.ended = true }
  answer(x: number) { this.onmessage({ data: { objects: [{ name: '0', _draw_: [{ op: 'p', points: [[x, 0]] }] }] } }) }
}

const plan: Plan = { version: 1, nodes: new Map([['a', { id: 'a', position: { x: 7, y: 7 } } as PlanNode]]), edges: new Map() }
const newest = () => Standin.all.at(-1)!

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('Worker', Standin)
  vi.stubGlobal('location', new URL('https://layercake.test/projects/1'))
})
afterEach(async () => {
  newest().onerror() // the next test begins without a worker
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('one worker draws one plan after the other', async () => {
  const count = Standin.all.length
  for (const x of [1, 2]) {
    const places = layOut(plan)
    newest().answer(x)
    await expect(places).resolves.toEqual(new Map([['a', { x, y: 0 }]]))
  }
  expect(Standin.all.length).toBe(count + 1)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(newest().ended).toBe(false)
  const some = layOut(plan, new Set(['a']))
  newest().answer(500)
  await expect(some).resolves.toEqual(new Map([['a', { x: 7, y: 7 }]]))
})

test('a worker that takes too long is ended', async () => {
  const late = expect(layOut(plan)).rejects.toMatchObject({ name: 'Failure', message: expect.stringContaining('Lay out fewer nodes') })
  const slow = newest()
  await vi.advanceTimersByTimeAsync(9_999)
  expect(slow.ended).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  await late
  expect(slow.ended).toBe(true)
  const places = layOut(plan)
  expect(newest()).not.toBe(slow)
  newest().answer(3)
  await expect(places).resolves.toEqual(new Map([['a', { x: 3, y: 0 }]]))
})

test('only the latest layout counts', async () => {
  const first = expect(layOut(plan)).rejects.toMatchObject({ name: 'AbortError' })
  const former = newest()
  const second = layOut(plan)
  await first
  expect(former.ended).toBe(true)
  newest().answer(4)
  await expect(second).resolves.toEqual(new Map([['a', { x: 4, y: 0 }]]))
})

test('a worker that breaks says what to do', async () => {
  const broken = expect(layOut(plan)).rejects.toMatchObject({ name: 'Failure', message: expect.stringContaining('Reload the page') })
  newest().onerror()
  await broken
  expect(newest().ended).toBe(true)
})
