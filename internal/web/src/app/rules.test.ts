import { expect, test } from 'vitest'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { allowedKinds, allowedSources, allowedTargets, rulesOf } from './rules.ts'

const info = (nodeType: string, leadsTo: string[], maxInputs: number | null, maxOutputs: number | null) => (
  { nodeType, leadsTo, maxInputs, maxOutputs, minInputs: 0, does: '', configSchema: {}, example: {} })
const rules = rulesOf({
  nodeTypes: [
    info('DataSourceNode', ['GraphNode', 'TransformNode'], 0, null),
    info('GraphNode', ['GraphNode', 'TransformNode', 'CopyNode'], null, null),
    info('TransformNode', ['GraphNode'], 1, null),
    info('CopyNode', ['GraphNode'], 1, 1),
  ],
} as Parameters<typeof rulesOf>[0])

function planOf(nodes: Record<string, string>, edges: [string, string][]): Plan {
  return {
    version: 1,
    nodes: new Map(Object.entries(nodes).map(([id, nodeType]) => [id, { id, nodeType } as PlanNode])),
    edges: new Map(edges.map(([source, target], i) => [`e${i}`, { id: `e${i}`, source, target } as PlanEdge])),
  }
}

const plan = planOf(
  { s: 'DataSourceNode', a: 'GraphNode', b: 'GraphNode', t: 'TransformNode', u: 'TransformNode', c: 'CopyNode', new: 'NodeOfTomorrow' },
  [['s', 'a'], ['a', 't'], ['t', 'b'], ['b', 'c']],
)

test.each([
  ['s', ['b', 'u']], // neither what it leads to, nor a transform that has its input
  ['a', ['b', 'u']], // over others it leads there, which is no reason against an edge
  ['b', ['u']], // a would close a cycle, and so would t; c is there
  ['c', []], // both graphs are before it
  ['new', []],
  ['gone', []],
])('the output of %s may lead to %j', (id, targets) => {
  expect([...allowedTargets(plan, rules, id)]).toEqual(targets)
})

test.each([
  ['s', []],
  ['a', ['u']], // what comes after it would close a cycle
  ['b', ['s', 'a', 'u']],
  ['u', ['s', 'a', 'b']],
  ['t', []],
])('the input of %s may come from %j', (id, sources) => {
  expect([...allowedSources(plan, rules, id)]).toEqual(sources)
})

test.each([
  ['s', 'source', ['GraphNode', 'TransformNode']],
  ['a', 'source', ['GraphNode', 'TransformNode', 'CopyNode']],
  ['c', 'source', ['GraphNode']],
  ['a', 'target', ['DataSourceNode', 'GraphNode', 'TransformNode', 'CopyNode']],
  ['t', 'target', []], // it has its input
  ['s', 'target', []],
] as const)('an edge that begins at %s as its %s may end at new nodes of %j', (node, type, kinds) => {
  expect(allowedKinds(plan, rules, { node, type })).toEqual(kinds)
})
