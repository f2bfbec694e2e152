import { describe, expect, it } from 'vitest'
import type { GraphExecution, Plan, PlanNode } from '../client/index.ts'
import { endsInWords, isSameToBuilds, nothingKnown, sourcesWithoutFile, stateOf, statesOf, type Known, type Progress } from './states.ts'

const graphOf = (parts: Partial<GraphExecution> = {}): GraphExecution => (
  { graphId: 1, nodeCount: 4, edgeCount: 1, executionState: 'completed', computedDate: null, errorMessage: null, ...parts })

function nodeOf(id: string, parts: Partial<PlanNode> = {}): PlanNode {
  return { id, nodeType: 'GraphNode', position: { x: 0, y: 0 }, metadata: { label: id.toUpperCase(), description: null }, config: '{}', ...parts }
}

function planOf(nodes: PlanNode[], edges: [string, string][] = []): Plan {
  return {
    version: 1, nodes: new Map(nodes.map((node) => [node.id, node])),
    edges: new Map(edges.map(([source, target]) => [`${source}-${target}`, {
      id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' },
    }])),
  }
}

const progressOf = (parts: Partial<Progress>): Known => ({
  ...nothingKnown,
  progress: new Map([['a', { nodeId: 'a', state: 'processing', phase: null, done: null, total: null, attempt: 1, replica: null, ...parts }]]),
})

const source = (executionState: string, errorMessage: string | null = null) => nodeOf('s', {
  nodeType: 'DataSourceNode', datasourceExecution: { dataSourceId: 1, filename: 'n.csv', status: '', processedAt: null, executionState, errorMessage },
})

describe('the state of a node', () => {
  const built = (parts: Partial<GraphExecution>) => nodeOf('a', { graphExecution: graphOf(parts) })
  it.each([
    ['nothing was asked for', nodeOf('a'), nothingKnown, undefined],
    ['it was cancelled before it was built', built({ executionState: 'not_started' }), nothingKnown, undefined],
    ['it waits', built({ executionState: 'pending' }), nothingKnown, 'waiting: Waiting'],
    ['it waits after an attempt', built({ executionState: 'pending' }), progressOf({ state: 'pending', attempt: 2 }), 'waiting: Waiting, attempt 2'],
    ['a replica has begun, and the plan does not say so yet', built({ executionState: 'pending' }), progressOf({ phase: 'reading', done: 0 }), 'building: Building: reading'],
    ['it is built', built({ executionState: 'processing' }), nothingKnown, 'building: Building'],
    ['it is built, and how far that is', built({ executionState: 'processing' }),
      progressOf({ phase: 'writing', done: 1_500, total: 20_000, replica: '0123456789ab' }), 'building: Building: writing 1,500 of 20,000, on replica 01234567'],
    ['nobody knows how much there is', built({ executionState: 'processing' }), progressOf({ phase: 'reading', done: 12 }), 'building: Building: reading 12'],
    ['it is there', built({}), nothingKnown, 'done: 4 nodes, 1 edge'],
    ['it has failed', built({ executionState: 'error', errorMessage: 'An input failed' }), nothingKnown, 'failed: Failed: An input failed'],
    ['a file was read', source('completed'), nothingKnown, 'done: Read n.csv'],
    ['a file cannot be used', source('error', 'No label'), nothingKnown, 'failed: Failed: No label'],
    ['somebody sends a file', source('processing'), nothingKnown, 'waiting: Being read'],
  ])('%s', (_, node, known, want) => {
    const state = stateOf(node, known)
    expect(state && `${state.kind}: ${state.words}`).toBe(want)
  })

  it('is out of date as long as it shows what that was said of', () => {
    const of = graphOf()
    const known: Known = { ...nothingKnown, stale: new Map([['a', { of, because: ['its settings changed', 'n.csv was replaced'] }]]) }
    expect(stateOf(nodeOf('a', { graphExecution: of }), known)?.words).toBe('Out of date: its settings changed, n.csv was replaced')
    expect(stateOf(nodeOf('a', { graphExecution: graphOf() }), known)?.kind).toBe('done')
  })

  it('stays the same object until it is another one', () => {
    const plan = planOf([nodeOf('a', { graphExecution: graphOf() }), nodeOf('b')])
    const before = statesOf(plan, nothingKnown, new Map())
    expect(before.size).toBe(1)
    expect(statesOf(planOf([nodeOf('a', { graphExecution: graphOf() }), nodeOf('c')]), nothingKnown, before)).toBe(before)
    const after = statesOf(planOf([...plan.nodes.values(), source('completed')]), nothingKnown, before)
    expect(after).not.toBe(before)
    expect(after.get('a')).toBe(before.get('a'))
    expect(statesOf(planOf([nodeOf('b')]), nothingKnown, after).size).toBe(0)
  })
})

describe('what has ended', () => {
  const at = (...states: string[]) => planOf(states.map((executionState, i) => (
    nodeOf('abcdef'[i]!, { graphExecution: graphOf({ executionState, errorMessage: executionState === 'error' ? 'Why' : null }) }))))
  const said = (before: Plan, after: Plan) => endsInWords(before, after, statesOf(after, nothingKnown, new Map()))
  it('is said of each, or counted', () => {
    expect(said(at('pending', 'processing', 'processing'), at('completed', 'error', 'not_started'))).toBe(
      'A is built: 4 nodes, 1 edge. B: Failed: Why. The build of C has ended')
    expect(said(at('pending', 'pending', 'pending', 'pending'), at('completed', 'completed', 'error', 'completed'))).toBe('3 builds have ended, and 1 failed')
  })
  it('is said also when nobody saw it begin', () => {
    const built = (computedDate: string) => planOf([nodeOf('a', { graphExecution: graphOf({ computedDate }) })])
    expect(said(planOf([nodeOf('a')]), built('1'))).toBe('A is built: 4 nodes, 1 edge')
    expect(said(built('1'), built('2'))).toBe('A is built: 4 nodes, 1 edge')
    expect(said(at('completed'), at('error'))).toBe('A: Failed: Why')
    expect(said(built('1'), built('1'))).toBe('') // the plan was read again
  })
  it('is nothing that goes on, was there before, or is gone', () => {
    expect(said(at('pending', 'completed'), at('processing', 'completed'))).toBe('')
    expect(said(at('pending'), planOf([]))).toBe('')
    expect(said(planOf([source('processing')]), planOf([source('completed')]))).toBe('')
  })
})

it('finds the sources that lack a file before they are missed', () => {
  const plan = planOf(
    [{ ...source('completed'), id: 'full' }, nodeOf('empty', { nodeType: 'DataSourceNode' }), nodeOf('far', { nodeType: 'DataSourceNode' }),
      nodeOf('a'), nodeOf('b'), nodeOf('c')],
    [['full', 'a'], ['empty', 'b'], ['far', 'empty'], ['a', 'c'], ['b', 'c']])
  const ids = (nodeId: string | null) => sourcesWithoutFile(plan, nodeId).map(({ id }) => id)
  expect(ids('a')).toEqual([])
  expect(ids('c')).toEqual(['empty', 'far'])
  expect(ids(null)).toEqual(['empty', 'far'])
})

it('asks again for what builds look at, and not for places and labels', () => {
  const node = nodeOf('a', { graphExecution: graphOf() })
  const plan = planOf([node])
  expect(isSameToBuilds(plan, planOf([{ ...node, position: { x: 5, y: 5 }, metadata: { label: 'Other', description: null } }]))).toBe(true)
  expect(isSameToBuilds(plan, planOf([{ ...node, config: '{"a":1}' }]))).toBe(false)
  expect(isSameToBuilds(plan, planOf([{ ...node, graphExecution: graphOf() }]))).toBe(false)
  expect(isSameToBuilds(plan, planOf([node, nodeOf('b')]))).toBe(false)
  expect(isSameToBuilds(planOf([node, nodeOf('b')]), planOf([node, nodeOf('b')], [['a', 'b']]))).toBe(false)
})
