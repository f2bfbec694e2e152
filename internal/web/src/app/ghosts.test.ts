import { expect, test } from 'vitest'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { proposalSummary, withGhosts } from './ghosts.ts'
import type { Proposal } from './proposals.ts'

const node = (id: string, x: number, y: number): PlanNode => (
  { id, nodeType: 'GraphNode', position: { x, y }, metadata: { label: `The ${id}`, description: null }, config: '{}' })
const edge = (source: string, target: string): PlanEdge => ({
  id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' },
})
const plan: Plan = {
  version: 3,
  nodes: new Map(['a', 'b', 'c'].map((id, i) => [id, node(id, i * 300, 0)])),
  edges: new Map([['a-b', edge('a', 'b')], ['b-c', edge('b', 'c')]]),
}
const proposal = (operations: object[], id = 1): Proposal => (
  { id, status: 'OPEN', byId: 'x', byName: 'Robo', note: null, operations, reason: null, decidedByName: null })
const ghosts = (...proposals: Proposal[]) => withGhosts(plan, new Map(proposals.map((each) => [each.id, each])))

test('without proposals the plan is the same', () => {
  expect(ghosts().plan).toBe(plan)
})

test('what would be added is there, and connected, wherever its edges stand', () => {
  const { plan: shown, marks } = ghosts(proposal([
    { op: 'add_edge', source: 'c', target: 'out' }, { op: 'add_node', id: 'out', node_type: 'OutputNode', label: 'Out' },
    { op: 'add_node', node_type: 'CopyNode', x: 7, y: 8 },
  ]))
  expect([...shown.nodes.keys()]).toEqual(['a', 'b', 'c', 'out', 'proposal 1, 2'])
  expect(shown.nodes.get('out')!.position.x).toBeGreaterThan(plan.nodes.get('c')!.position.x)
  expect(shown.nodes.get('proposal 1, 2')).toMatchObject({ position: { x: 7, y: 8 }, metadata: { label: 'Copy' } })
  expect([...marks.nodes.values()].map(({ kind, words }) => `${kind}: ${words}`))
    .toEqual(['added: Robo would add this', 'added: Robo would add this'])
  expect([...marks.edges]).toEqual([['proposal 1, 0', { kind: 'added', words: 'Robo would add this' }]])
})

test('what would be deleted takes its edges along, and what would change is marked', () => {
  const { plan: shown, marks } = ghosts(proposal([
    { op: 'delete_node', id: 'a' }, { op: 'update_node', id: 'b', label: 'B' }, { op: 'delete_edge', source: 'b', target: 'c' },
  ]))
  expect([...shown.nodes.keys()]).toEqual(['a', 'b', 'c'])
  expect([...marks.nodes].map(([id, { kind }]) => `${id} ${kind}`)).toEqual(['a gone', 'b changed'])
  expect([...marks.edges].map(([id, { kind }]) => `${id} ${kind}`)).toEqual(['a-b gone', 'b-c gone'])
})

test('nodes without a place cover no other', () => {
  const { plan: shown } = ghosts(
    proposal([{ op: 'add_node', node_type: 'GraphNode' }, { op: 'add_node', node_type: 'GraphNode' }]),
    proposal([{ op: 'add_node', node_type: 'GraphNode' }], 2),
  )
  const places = [...shown.nodes.values()].map(({ position }) => `${position.x} ${position.y}`)
  expect(new Set(places).size).toBe(6)
})

test('what does not fit the plan any more is left out', () => {
  const { plan: shown, marks } = ghosts(proposal([
    { op: 'delete_node', id: 'gone' }, { op: 'add_edge', source: 'a', target: 'gone' }, { op: 'add_node', id: 'a', node_type: 'GraphNode' },
    { op: 'delete_edge', id: 'gone' }, { op: 'of_another_release', id: 'a' },
  ]))
  expect(shown.nodes).toEqual(plan.nodes)
  expect(shown.edges).toEqual(plan.edges)
  expect(marks.nodes.size + marks.edges.size).toBe(0)
})

test('proposals in words', () => {
  expect(proposalSummary(plan, proposal([{ op: 'delete_node', id: 'a' }, { op: 'add_edge', source: 'b', target: 'c' }])))
    .toBe('delete “The a” and add 1 edge')
  expect(proposalSummary(plan, proposal([{ op: 'add_node', label: 'Teams' }]))).toBe('add “Teams”')
  expect(proposalSummary(plan, proposal([{ op: 'add_node' }]))).toBe('add 1 node')
  expect(proposalSummary(plan, proposal([{ op: 'move_node', id: 'a' }, { op: 'move_node', id: 'b' }]))).toBe('move 2 nodes')
})
