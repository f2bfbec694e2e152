import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { compared, inverse, authorsSince, pace, planAt, type Entry, type Step } from './past.ts'
import { summaryOf } from './summary.ts'

const node = (id: string, x = 0, label = id): PlanNode => (
  { id, nodeType: 'GraphNode', position: { x, y: 0 }, metadata: { label, description: null }, config: '{}' })
const edge = (source: string, target: string): PlanEdge => ({
  id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' },
})
const planOf = (version: number, nodes: PlanNode[], edges: PlanEdge[] = []): Plan => (
  { version, nodes: new Map(nodes.map((each) => [each.id, each])), edges: new Map(edges.map((each) => [each.id, each])) })

/** The steps that add, change or remove a node: removing takes its edges first, as the server does. */
function steps(plan: Plan, id: string, x: number | null): Step[] {
  const before = plan.nodes.get(id) ?? null
  if (x !== null) return [{ kind: before ? 'NODE_UPDATED' : 'NODE_ADDED', id, before, after: node(id, x) }]
  if (!before) return []
  const gone = [...plan.edges.values()].filter(({ source, target }) => source === id || target === id)
  return [
    ...gone.map((each) => ({ kind: 'EDGE_REMOVED', id: each.id, before: each, after: null })),
    { kind: 'NODE_REMOVED', id, before, after: null },
  ]
}

function forwards(plan: Plan, operations: readonly Step[]): Plan {
  const after = { version: plan.version + 1, nodes: new Map(plan.nodes), edges: new Map(plan.edges) }
  for (const { kind, id, after: element } of operations) {
    const elements: Map<string, unknown> = kind.startsWith('NODE') ? after.nodes : after.edges
    if (element === null) elements.delete(id)
    else elements.set(id, element)
  }
  return after
}

const ids = ['a', 'b', 'c', 'd']
const gesture = fc.oneof(
  fc.record({ id: fc.constantFrom(...ids), x: fc.option(fc.integer({ min: 0, max: 5 })) }),
  fc.record({ source: fc.constantFrom(...ids), target: fc.constantFrom(...ids) }),
)

test('states backwards are those that there were', () => {
  fc.assert(fc.property(fc.array(fc.array(gesture, { maxLength: 4 }), { maxLength: 12 }), (all) => {
    let now = planOf(0, [])
    const states = [now]
    const changes = new Map<number, Entry>()
    for (const gestures of all) {
      const operations: Step[] = []
      let draft = now
      for (const each of gestures) {
        const next = 'id' in each ? steps(draft, each.id, each.x) : []
        if ('source' in each && draft.nodes.has(each.source) && draft.nodes.has(each.target)) {
          const { source, target } = each
          if (!draft.edges.has(`${source}-${target}`)) next.push({ kind: 'EDGE_ADDED', id: `${source}-${target}`, before: null, after: edge(source, target) })
        }
        operations.push(...next)
        draft = forwards(draft, next)
      }
      now = { ...draft, version: now.version + 1 }
      states.push(now)
      changes.set(now.version, { version: now.version, actorName: 'A', operations })
    }
    const known = { changes, plans: new Map([[now.version, now]]) }
    states.forEach((state, version) => {
      const found = planAt(known, version)!
      expect(new Map([...found.nodes].toSorted())).toEqual(new Map([...state.nodes].toSorted()))
      expect(new Map([...found.edges].toSorted())).toEqual(new Map([...state.edges].toSorted()))
    })
  }))
})

test('a state is not made up where changes are missing', () => {
  const known = { changes: new Map([[3, { version: 3, actorName: 'A', operations: [] }]]), plans: new Map([[3, planOf(3, [])]]) }
  expect(planAt(known, 2)?.version).toBe(2)
  expect(planAt(known, 1)).toBeUndefined()
  expect(planAt(known, 4)).toBeUndefined()
})

test('what differs from now is marked, and what came since is there', () => {
  const then = planOf(1, [node('a'), node('b'), node('c')], [edge('a', 'b')])
  const now = planOf(4, [node('a'), node('b', 9), node('d')])
  const authors = authorsSince({
    plans: new Map(),
    changes: new Map([
      [4, { version: 4, actorName: 'Azure Owl', operations: [{ kind: 'NODE_UPDATED', id: 'b' }, { kind: 'NODE_UPDATED', id: 'd' }] }],
      [2, { version: 2, actorName: 'Ivory Lynx', operations: [{ kind: 'NODE_UPDATED', id: 'b' }, { kind: 'NODE_ADDED', id: 'd' }] }],
    ]),
  }, 1)
  const { plan, marks } = compared(then, now, authors)
  expect([...plan.nodes.keys()]).toEqual(['a', 'b', 'c', 'd'])
  expect(plan.nodes.get('b')?.position.x).toBe(0)
  expect([...marks.nodes].map(([id, { words }]) => `${id} ${words}`)).toEqual(['b changed since by Azure Owl', 'c deleted since', 'd added since by Ivory Lynx'])
  expect([...marks.edges.values()]).toEqual([{ kind: 'gone', words: 'deleted since' }])
})

test('a config that is only written in another way is the same', () => {
  const [one, other] = ['{"a":1,"b":{"c":[1,2],"d":null}}', '{ "b": {"d": null, "c": [1, 2]}, "a": 1 }'].map((config) => ({ ...node('a'), config }))
  expect(compared(planOf(1, [one!]), planOf(2, [other!]), () => undefined).marks.nodes.size).toBe(0)
  expect(compared(planOf(1, [one!]), planOf(2, [{ ...other!, config: '{"a":1,"b":{"c":[2,1],"d":null}}' }]), () => undefined).marks.nodes.size).toBe(1)
})

test('changes in words', () => {
  const moved: Step = { kind: 'NODE_UPDATED', id: 'a', before: node('a'), after: node('a', 5) }
  const renamed: Step = { kind: 'NODE_UPDATED', id: 'a', before: node('a', 0, 'One'), after: node('a', 0, 'Two') }
  const added: Step = { kind: 'NODE_ADDED', id: 'b', before: null, after: node('b', 0, 'Teams') }
  const connected: Step = { kind: 'EDGE_ADDED', id: 'a-b', before: null, after: edge('a', 'b') }
  expect(summaryOf([moved, { ...moved, id: 'b' }, { ...moved, id: 'c' }])).toBe('moved 3 nodes')
  expect(summaryOf([renamed])).toBe('renamed “One” to “Two”')
  expect(summaryOf(inverse([renamed]))).toBe('renamed “Two” to “One”')
  expect(summaryOf([added, connected])).toBe('added “Teams” and 1 edge')
  expect(summaryOf(inverse([added, connected]))).toBe('deleted “Teams” and 1 edge')
  expect(summaryOf([moved, added])).toBe('moved “a” and added “Teams”')
  expect(summaryOf([])).toBe('changed nothing')
})

test('playing takes at most 20 seconds', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 1_000_000 }), (versions) => {
    const { interval, stride } = pace(versions)
    expect(Math.ceil(versions / stride) * interval).toBeLessThanOrEqual(20_000)
    expect(interval).toBeGreaterThanOrEqual(100)
  }))
  expect(pace(3)).toEqual({ interval: 500, stride: 1 })
})
