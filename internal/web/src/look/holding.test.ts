import { expect, test } from 'vitest'
import type { GraphExecution, NodeType, Plan, PlanNode } from '../client/index.ts'
import { holdingOf } from './holding.ts'

const node = (id: string, nodeType: NodeType, more: Partial<PlanNode> = {}): PlanNode => (
  { id, nodeType, position: { x: 0, y: 0 }, metadata: { label: `Label of ${id}`, description: null }, config: '{}', ...more })

const built = (parts: Partial<GraphExecution>) => node('g', 'GraphNode', {
  graphExecution: { graphId: 7, nodeCount: 1, edgeCount: 0, executionState: 'completed', computedDate: '2026-01-01T00:00:00Z', errorMessage: null, ...parts },
})

const read = (parts: object) => node('s', 'DataSourceNode', {
  datasourceExecution: { dataSourceId: 5, filename: 'f.csv', status: 'active', processedAt: '2026-01-01T00:00:00Z', executionState: 'completed', errorMessage: null, ...parts },
})

const plan = (nodes: PlanNode[], edges: [string, string][] = []): Plan => ({
  version: 1, nodes: new Map(nodes.map((each) => [each.id, each])),
  edges: new Map(edges.map(([source, target], i) => [`${i}`, { id: `${i}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' } }])),
})

const held = (one: PlanNode) => holdingOf(plan([one]), one)

test.each([
  [node('s', 'DataSourceNode'), 'no file yet'],
  [read({ executionState: 'error', errorMessage: 'no id' }), 'The file f.csv cannot be read: no id.'],
  [read({ executionState: 'processing' }), 'is being read'],
  [node('m', 'MergeNode'), 'This merge has not been built yet. Run it'],
  [built({ executionState: 'processing', computedDate: null }), 'is being built'],
  [built({ executionState: 'error', computedDate: null, errorMessage: 'loop' }), 'could not be built: loop'],
  [node('o', 'OutputNode'), 'Connect one'],
])('what holds nothing says why, and what to do', (one, words) => {
  expect(held(one)).toMatchObject({ kind: 'nothing', note: expect.stringContaining(words) })
})

test('what holds something has another key when that is another', () => {
  expect(held(read({}))).toMatchObject({ kind: 'source', id: 5, note: '' })
  expect(held(built({}))).toMatchObject({ kind: 'graph', id: 7, note: '' })
  expect(held(built({ executionState: 'processing' }))).toMatchObject({ kind: 'graph', key: held(built({})).key, note: expect.stringContaining('being built again') })
  expect(held(built({ executionState: 'error', errorMessage: 'loop' })).note).toBe('The last run failed: loop. This is what was built before.')
  expect(held(built({ computedDate: '2026-01-02T00:00:00Z' })).key).not.toBe(held(built({})).key)
  expect(held(read({ processedAt: '2026-01-02T00:00:00Z' })).key).not.toBe(held(read({})).key)
})

test('an output holds what the node before it holds', () => {
  const [source, output] = [built({}), node('o', 'OutputNode')]
  expect(holdingOf(plan([source, output], [['g', 'o']]), output)).toMatchObject({ kind: 'graph', node: source, note: expect.stringContaining('Label of g') })
})
