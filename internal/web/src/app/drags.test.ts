import { expect, test } from 'vitest'
import type { Dragging, People, Person, Plan, PlanNode, Position } from '../client/index.ts'
import { dragOf, takeDrags, type Dragged } from './drags.ts'
import { placeAt } from './trail.ts'

function planWith(places: Record<string, Position>): Plan {
  return { version: 1, nodes: new Map(Object.entries(places).map(([id, position]) => [id, { id, position } as PlanNode])), edges: new Map() }
}

function peopleWith(drags: Record<string, Dragging | null>): People {
  return new Map(Object.entries(drags).map(([userId, dragging]) => [userId, { userId, dragging } as Person]))
}

const drag = (dx: number, dy: number, ...nodeIds: string[]): Dragging => ({ nodeIds, dx, dy })
const before = planWith({ n: { x: 10, y: 20 }, m: { x: 0, y: 0 } })
const after = planWith({ n: { x: 110, y: 20 }, m: { x: 0, y: 0 } })

/** Where each node is drawn when all has come to rest; nodes that are where the plan has them are absent. */
const rest = (known: Map<string, Dragged>) => Object.fromEntries([...known].map(([id, { trail }]) => [id, placeAt(trail, Infinity)]))

test('a node follows who drags it, and nodes that are not there do not matter', () => {
  const known = new Map<string, Dragged>()
  takeDrags(known, peopleWith({ a: drag(5, 0, 'n', 'gone') }), before, 0)
  takeDrags(known, peopleWith({ a: drag(50, 5, 'n', 'gone') }), before, 100)
  expect(rest(known)).toEqual({ n: { x: 60, y: 25 } })
  expect(placeAt(known.get('n')!.trail, 0)).toEqual({ x: 10, y: 20 })
})

test('what was dropped stays until the change comes', () => {
  const known = new Map<string, Dragged>()
  takeDrags(known, peopleWith({ a: drag(100, 0, 'n') }), before, 0)
  takeDrags(known, peopleWith({ a: null }), before, 100)
  takeDrags(known, peopleWith({ a: null }), before, 1_099)
  expect(rest(known)).toEqual({ n: { x: 110, y: 20 } })
  takeDrags(known, peopleWith({ a: null }), after, 1_099)
  expect(rest(known)).toEqual({})
})

test('what was dropped goes back when no change comes, also when the one who dragged has gone', () => {
  const known = new Map<string, Dragged>()
  takeDrags(known, peopleWith({ a: drag(100, 0, 'n') }), before, 0)
  takeDrags(known, peopleWith({}), before, 100)
  takeDrags(known, peopleWith({}), before, 1_100)
  expect(rest(known)).toEqual({})
})

test('a change that comes before the end of its drag does not count twice', () => {
  const known = new Map<string, Dragged>()
  takeDrags(known, peopleWith({ a: drag(90, 0, 'n') }), before, 0)
  takeDrags(known, peopleWith({ a: drag(100, 0, 'n') }), after, 10)
  expect(known.get('n')!.base).toEqual({ x: 10, y: 20 }) // which the plan has left, so it is drawn where the plan has it
  takeDrags(known, peopleWith({ a: null }), after, 20)
  expect(rest(known)).toEqual({})
})

test('who begins first has the node', () => {
  const known = new Map<string, Dragged>()
  takeDrags(known, peopleWith({ a: null, b: drag(7, 0, 'n') }), before, 0)
  takeDrags(known, peopleWith({ a: drag(50, 0, 'n', 'm'), b: drag(8, 0, 'n') }), before, 100)
  expect(rest(known)).toEqual({ n: { x: 18, y: 20 }, m: { x: 50, y: 0 } })
})

test('a node that is taken up again goes on from where it was seen', () => {
  const known = new Map<string, Dragged>()
  takeDrags(known, peopleWith({ a: drag(100, 0, 'n') }), before, 0)
  takeDrags(known, peopleWith({ a: null }), before, 500)
  takeDrags(known, peopleWith({ a: drag(60, 0, 'n') }), before, 600)
  expect(placeAt(known.get('n')!.trail, 600)).toEqual({ x: 110, y: 20 })
  expect(rest(known)).toEqual({ n: { x: 70, y: 20 } })
})

test('one tells by how much what one holds is off the plan', () => {
  expect(dragOf(before, new Map([['gone', { x: 0, y: 0 }], ['n', { x: 15, y: 10 }], ['m', { x: 5, y: -10 }]]))).toEqual(drag(5, -10, 'n', 'm'))
  expect(dragOf(before, new Map([['gone', { x: 0, y: 0 }]]))).toBeNull()
  expect(dragOf(before, new Map())).toBeNull()
  expect(dragOf(before, new Map([['n', { x: 15, y: 10 }], ['m', { x: 5, y: 10 }]]))).toBeNull()
})
