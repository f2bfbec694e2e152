import { expect, test } from 'vitest'
import type { Plan, PlanNode } from '../client/index.ts'
import { afterClick, whereabouts } from './follow.ts'

test('the first click goes there, the second follows, the third ends it', () => {
  const first = afterClick(null, 'a')
  const second = afterClick(first, 'a')
  expect([first, second, afterClick(second, 'a')]).toEqual([{ userId: 'a', follows: false }, { userId: 'a', follows: true }, null])
})

test('a click on another goes to them, whoever was followed', () => {
  expect(afterClick({ userId: 'a', follows: true }, 'b')).toEqual({ userId: 'b', follows: false })
})

test('somebody is at their pointer, else at their node', () => {
  const plan: Plan = { version: 1, nodes: new Map([['n', { id: 'n', position: { x: 100, y: 200 } } as PlanNode]]), edges: new Map() }
  expect(whereabouts({ cursor: { x: 1, y: 2 }, selectedNodeId: 'n' }, plan)).toEqual({ x: 1, y: 2 })
  expect(whereabouts({ cursor: null, selectedNodeId: 'n' }, plan)).toEqual({ x: 200, y: 232 })
  expect(whereabouts({ cursor: null, selectedNodeId: 'gone' }, plan)).toBeNull()
  expect(whereabouts({ cursor: null, selectedNodeId: null }, plan)).toBeNull()
  expect(whereabouts({ cursor: null, selectedNodeId: 'n' }, null)).toBeNull()
})
