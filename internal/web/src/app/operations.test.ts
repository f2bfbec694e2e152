import { expect, test } from 'vitest'
import type { Edit, NodeType, Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { addConnected, addNode, align, connect, distribute, reconnect, remove, rename, within } from './operations.ts'
import type { Rules } from './rules.ts'

const node = (id: string, x = 0, y = 0, nodeType: NodeType = 'GraphNode'): PlanNode => (
  { id, nodeType, position: { x, y }, metadata: { label: id, description: 'Why' }, config: '{}' })
const edge = (source: string, target: string): PlanEdge => ({
  id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: 'Way', dataType: 'GRAPH_DATA' },
})
const byId = <T extends { id: string }>(all: T[]) => new Map(all.map((each) => [each.id, each]))
const plan = (nodes: PlanNode[], edges: PlanEdge[] = []): Plan => ({ version: 1, nodes: byId(nodes), edges: byId(edges) })
const rules = new Map([['MergeNode', { configSchema: { properties: { mergeStrategy: { default: 'Union' }, other: {} } } }]]) as unknown as Rules
const places = ([edit]: Edit[]) => (edit && 'moveNodes' in edit ? edit.moveNodes.map(({ nodeId, position }) => [nodeId, position.x, position.y]) : [])

test('a node is added with the defaults of its kind', () => {
  expect(addNode(plan([]), rules, 'MergeNode', { x: 1.4, y: 2.6 }).edits).toMatchObject([
    { addNode: { nodeType: 'MergeNode', position: { x: 1, y: 3 }, metadata: { label: 'Merge', description: null }, config: '{"mergeStrategy":"Union"}' } }])
})

test('a node that would cover others moves down', () => {
  const crowded = plan([node('a', 100, 100), node('b', 150, 180), node('far', 900, 260)])
  expect(addNode(crowded, rules, 'MergeNode', { x: 120, y: 90 }).edits).toMatchObject([{ addNode: { position: { x: 120, y: 330 } } }])
})

test.each([
  ['source', { source: 'a', metadata: { dataType: 'GRAPH_REFERENCE' } }],
  ['target', { target: 'a', metadata: { dataType: 'GRAPH_DATA' } }],
] as const)('a node and its edge, which was begun at a %s, are one change', (type, expected) => {
  const { ids, edits } = addConnected(plan([node('a')]), rules, 'TransformNode', { x: 500, y: 0 }, { node: 'a', type })
  expect(edits).toMatchObject([{ addNode: { id: ids[0] } }, { addEdge: expected }])
  expect(edits).toHaveLength(2)
})

test('the output of a graph is a reference, and others are data', () => {
  const both = plan([node('g'), node('t', 0, 0, 'TransformNode')])
  expect(connect(both, 'g', 't')).toMatchObject([{ addEdge: { source: 'g', target: 't', metadata: { dataType: 'GRAPH_REFERENCE' } } }])
  expect(connect(both, 't', 'g')).toMatchObject([{ addEdge: { source: 't', target: 'g', metadata: { dataType: 'GRAPH_DATA' } } }])
})

test('an edge that leads elsewhere is another one, with its label', () => {
  const three = plan([node('a'), node('b'), node('c')], [edge('a', 'b')])
  expect(reconnect(three, edge('a', 'b'), 'a', 'b')).toEqual([])
  expect(reconnect(three, edge('a', 'b'), 'a', 'c')).toMatchObject([{ deleteEdge: 'a-b' }, { addEdge: { source: 'a', target: 'c', metadata: { label: 'Way' } } }])
})

test('a label is changed with its description, and only as it was seen', () => {
  expect(rename(node('a'), 'a')).toEqual([])
  expect(rename(node('a'), 'b')).toEqual([
    { updateNode: { id: 'a', updates: { metadata: { label: 'b', description: 'Why' } }, expected: { metadata: { label: 'a', description: 'Why' } } } }])
})

test('edges go with their nodes, and are not deleted once more', () => {
  const three = plan([node('a'), node('b'), node('c')], [edge('a', 'b'), edge('b', 'c')])
  expect(remove(three, ['a'], ['a-b', 'b-c'])).toEqual([{ deleteEdge: 'b-c' }, { deleteNode: 'a' }])
})

const scattered = plan([node('a', 0, 10), node('b', 100, 50), node('c', 41, 30)])

test.each([
  ['x', 0, [['b', 0, 50], ['c', 0, 30]]],
  ['x', 0.5, [['a', 50, 10], ['b', 50, 50], ['c', 50, 30]]],
  ['x', 1, [['a', 100, 10], ['c', 100, 30]]],
  ['y', 0, [['b', 100, 10], ['c', 41, 10]]],
  ['y', 0.5, [['a', 0, 30], ['b', 100, 30]]],
  ['y', 1, [['a', 0, 50], ['c', 41, 50]]],
] as const)('nodes are aligned along %s at %d', (axis, part, expected) => {
  expect(places(align(scattered, ['a', 'b', 'c'], axis, part))).toEqual(expected)
})

test('nodes are distributed between the first and the last', () => {
  expect(places(distribute(scattered, ['b', 'a', 'c'], 'x'))).toEqual([['c', 50, 30]])
  expect(distribute(scattered, ['b', 'a', 'c'], 'y')).toEqual([])
})

test('places are where the server takes them', () => {
  const at = (...all: [x: number, y: number][]) => new Map(all.map(([x, y], i) => [String(i), { x, y }]))
  const near = at([-5, 0], [280, 100_000])
  expect(within(near)).toEqual(near)
  expect(within(at([0, 60_000], [0, 120_000]))).toEqual(at([0, 40_000], [0, 100_000]))
  expect(within(at([-150_000, 0], [-50_000, 7]))).toEqual(at([-100_000, 0], [0, 7]))
  expect(within(at([0, 0], [200_000, 0], [400_000, 0]))).toEqual(at([-100_000, 0], [0, 0], [100_000, 0]))
  expect(within(new Map())).toEqual(new Map())
})
