import { expect, test } from 'vitest'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { clipOf, paste, textOf, type Clip } from './clipboard.ts'

const node = (id: string, x: number): PlanNode => (
  { id, nodeType: 'GraphNode', position: { x, y: 0 }, metadata: { label: `Label of ${id}`, description: null }, config: '{"a":1}' })
const edge = (source: string, target: string): PlanEdge => ({
  id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: 'Way', dataType: 'GRAPH_REFERENCE' },
})
const byId = <T extends { id: string }>(all: T[]) => new Map(all.map((each) => [each.id, each]))
const plan: Plan = {
  version: 1, nodes: byId([node('a', 0), node('b', 300), node('c', 600)]), edges: byId([edge('a', 'b'), edge('b', 'c')]),
}

const clip = () => clipOf(textOf(plan, ['a', 'b'], 'here')) as Clip

test('what was copied is the nodes and the edges between them, and nothing else', () => {
  expect(clip()).toEqual({
    from: 'here', nodes: [node('a', 0), node('b', 300)], edges: [{ source: 'a', target: 'b', metadata: { label: 'Way', dataType: 'GRAPH_REFERENCE' } }],
  })
})

test('what is pasted has new ids, its inner edges, and the distances that it had', () => {
  const { ids, edits } = paste(plan, clip(), { x: 1_000, y: 500 }, 'here')
  const [one, other] = ids
  expect(new Set([...ids, ...plan.nodes.keys()]).size).toBe(5)
  expect(edits).toMatchObject([
    { addNode: { ...node('a', 850), id: one, position: { x: 850, y: 500 } } },
    { addNode: { ...node('b', 1_150), id: other, position: { x: 1_150, y: 500 } } },
    { addEdge: { source: one, target: other, metadata: { label: 'Way', dataType: 'GRAPH_REFERENCE' } } },
  ])
})

test('what is pasted beside the originals covers nothing that was pasted there before', () => {
  const once = { ...plan, nodes: new Map([...plan.nodes, ['d', { ...node('d', 340), position: { x: 340, y: 40 } }] as const]) }
  expect(paste(plan, clip(), null, 'here').edits[0]).toMatchObject({ addNode: { position: { x: 40, y: 40 } } })
  expect(paste(once, clip(), null, 'here').edits[0]).toMatchObject({ addNode: { position: { x: 80, y: 80 } } })
})

test('a data source goes with what is pasted within its project, and nowhere else', () => {
  const source = (config: string): PlanNode => ({ ...node('s', 0), nodeType: 'DataSourceNode', config })
  const configs = (config: string, into: string, text = (plain: string) => plain) => {
    const from: Plan = { version: 1, nodes: byId([source(config), { ...node('g', 300), config }]), edges: new Map() }
    const { edits } = paste(plan, clipOf(text(textOf(from, ['s', 'g'], 'here'))) as Clip, null, into)
    return edits.map((edit) => ('addNode' in edit ? edit.addNode.config : null))
  }
  const named = '{"dataSourceId": 3, "filename": "a.csv"}'
  expect(configs(named, 'here')).toEqual([named, named])
  expect(configs(named, 'there')).toEqual(['{"filename":"a.csv"}', named])
  expect(configs(named, 'here', (text) => text.replace('"from":"here",', ''))).toEqual(['{"filename":"a.csv"}', named])
  for (const other of ['{ "a": 1 }', 'null', 'no JSON']) expect(configs(other, 'there')).toEqual([other, other])
})

test.each([
  ['a text of somebody else', 'Hello', null],
  ['JSON of somebody else', '{"nodes": [], "edges": []}', null],
  ['half of it', textOf(plan, ['a'], 'here').slice(0, 60), 'damaged'],
  ['another release', '{"layercake": 2, "nodes": [], "edges": []}', 'another release'],
  ['no list', '{"layercake": 1, "nodes": {}, "edges": []}', 'damaged'],
  ['a node without a place', textOf(plan, ['a'], 'here').replace('"x":0', '"x":null'), 'damaged'],
  ['a node where no plan has one', textOf(plan, ['a'], 'here').replace('"x":0', '"x":2e20'), 'damaged'], // so far out, numbers are not next to each other
  ['a kind that nobody knows', textOf(plan, ['a'], 'here').replace('GraphNode', 'constructor'), 'damaged'],
  ['an edge to nowhere', textOf(plan, ['a', 'b'], 'here').replace('"target":"b"', '"target":"c"'), 'damaged'],
  ['a node twice', textOf(plan, ['a', 'c'], 'here').replace('"id":"c"', '"id":"a"'), 'damaged'],
  ['nothing at all', '{"layercake": 1, "nodes": [null], "edges": [null]}', 'damaged'],
])('%s is not pasted', (_, text, because) => {
  const said = clipOf(text)
  if (because === null) expect(said).toBeNull()
  else expect(said).toContain(because)
})
