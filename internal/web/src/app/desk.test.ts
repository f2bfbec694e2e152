import { expect, test } from 'vitest'
import type { Edit } from '../client/index.ts'
import { change, createDesk, select, selected } from './desk.ts'
import type { OpenProject } from './session.ts'

function start(...nodeIds: string[]) {
  const changes: Edit[][] = []
  const plan = { version: 1, nodes: new Map(nodeIds.map((id) => [id, { id }])), edges: new Map() }
  const project = { plan: { change: (edits: Edit[]) => changes.push(edits), snapshot: () => ({ plan }) } } as unknown as OpenProject
  return { desk: createDesk(project), changes }
}

const deletions = (count: number) => Array.from({ length: count }, (_, i): Edit => ({ deleteNode: `n${i}` }))

test('what the server would not take in one change is not made, and a sentence says so', () => {
  const { desk, changes } = start()
  expect(change(desk, deletions(501))).toBe(false)
  expect(desk.state.get().message).toContain('501 edits')
  expect(change(desk, deletions(500))).toBe(true)
  expect(change(desk, [])).toBe(true)
  expect(changes.map((edits) => edits.length)).toEqual([500])
})

test('what somebody deleted is not selected any more', () => {
  const { desk } = start('a', 'b')
  select(desk, ['a', 'gone'], ['gone too'])
  expect(selected(desk)).toEqual({ nodes: ['a'], edges: [] })
})
