import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyEdit } from '../client/edits.ts'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { neighbourOf, orderOf } from './order.ts'
import { sampleEdits } from './sample.ts'

function planOf(nodes: [id: string, x: number, y: number][], edges: [source: string, target: string][]): Plan {
  const node = ([id, x, y]: [string, number, number]): PlanNode => (
    { id, nodeType: 'MergeNode', position: { x, y }, metadata: { label: id, description: null }, config: '{}' })
  const edge = ([source, target]: [string, string]): PlanEdge => (
    { id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' } })
  return { version: 1, nodes: new Map(nodes.map((each) => [each[0], node(each)])), edges: new Map(edges.map((each) => [`${each[0]}-${each[1]}`, edge(each)])) }
}

const ids = (plan: Plan) => orderOf(plan).items.map(({ id }) => id)

test('each node comes with the edges that lead from it, along the flow', () => {
  const draft = { version: 1, nodes: new Map(), edges: new Map() }
  for (const edit of sampleEdits().toReversed()) applyEdit(draft, edit)
  for (const edit of sampleEdits()) applyEdit(draft, edit)
  expect(ids(draft)).toEqual([
    'datasourcenode_001', 'edge_1_4', 'datasourcenode_002', 'edge_2_4', 'datasourcenode_003', 'edge_3_4', 'mergenode_004', 'edge_4_5',
    'transformnode_005', 'edge_5_6', 'graphnode_006', 'edge_6_7', 'edge_6_8', 'outputnode_007', 'outputnode_008',
  ])
  expect(orderOf(draft).degrees.get('mergenode_004')).toEqual({ inputs: 3, outputs: 1 })
})

test('a target to the left still comes behind its source; equals go by place, then by id', () => {
  expect(ids(planOf([['a', 0, 0], ['b', 900, 0]], [['b', 'a']]))).toEqual(['b', 'b-a', 'a'])
  expect(ids(planOf([['d', 0, 0], ['c', 0, 0], ['b', 0, -1], ['a', 1, -9]], []))).toEqual(['b', 'c', 'd', 'a'])
})

test('any plan is read once, sources before targets, whatever the order it came in', () => {
  const plans = fc.integer({ min: 1, max: 12 }).chain((count) => fc.record({
    nodes: fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), { minLength: count, maxLength: count }),
    edges: fc.uniqueArray(fc.tuple(fc.nat(count - 1), fc.nat(count - 1)), { selector: String }),
  }))
  fc.assert(fc.property(plans, ({ nodes, edges }) => {
    const named = nodes.map(([x, y], i): [string, number, number] => [String(i), x, y])
    const forward = edges.filter(([a, b]) => a < b).map(([a, b]): [string, string] => [String(a), String(b)])
    const order = ids(planOf(named, forward))
    expect(new Set(order).size).toBe(order.length)
    expect(order.length).toBe(named.length + forward.length)
    for (const [a, b] of forward) {
      expect(order.indexOf(a)).toBeLessThan(order.indexOf(`${a}-${b}`))
      expect(order.indexOf(`${a}-${b}`)).toBeLessThan(order.indexOf(b))
    }
    expect(ids(planOf(named.toReversed(), forward.toReversed()))).toEqual(order)
  }))
})

test('nodes in a circle are read, too', () => {
  expect(ids(planOf([['a', 0, 0], ['b', 1, 0], ['c', 2, 0]], [['a', 'b'], ['b', 'a']]))).toEqual(['c', 'a', 'a-b', 'b', 'b-a'])
})

test('where an item was, the next one that is left takes its place', () => {
  const before = orderOf(planOf([['a', 0, 0], ['b', 1, 0], ['c', 2, 0]], [['b', 'c']])).items
  const left = (...those: string[]) => before.filter(({ id }) => those.includes(id))
  expect(neighbourOf('b', before, left('a', 'c'))?.id).toBe('c')
  expect(neighbourOf('c', before, left('a', 'b'))?.id).toBe('b')
  expect(neighbourOf('a', before, [])).toBeUndefined()
  expect(neighbourOf('x', before, before)).toBeUndefined()
})
