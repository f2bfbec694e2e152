import { expect, test } from 'vitest'
import { contrast } from '../app/colors.ts'
import { around, find, layersOf, networkOf } from './network.ts'

const node = (id: string, layer: string | null = null, label: string | null = id) => ({ id, label, layer })
const layer = (layerId: string, properties: unknown = null, color: string | null = null) => ({ layerId, name: `Layer ${layerId}`, color, properties })
const network = (nodes: ReturnType<typeof node>[], edges: [string, string][]) => (
  networkOf({ nodes, edges: edges.map(([source, target]) => ({ source, target })) }, layersOf({ layers: [], nodes })))

test('layers have their colours, made to stand out, and a count; those without nodes are left out', () => {
  const layers = layersOf({
    layers: [layer('a', { background_color: '1f6feb' }), layer('b', { background_color: 'eeeeee' }), layer('c', null, '#f00'), layer('d'), layer('empty')],
    nodes: [node('1', 'a'), node('2', 'a'), node('3', 'b'), node('4', 'c'), node('5', 'd'), node('6', 'unknown'), node('7')],
  })
  expect(layers.map(({ id, name, count }) => [id, name, count])).toEqual([
    ['a', 'Layer a', 2], ['b', 'Layer b', 1], ['c', 'Layer c', 1], ['d', 'Layer d', 1], ['unknown', 'unknown', 1], ['', 'No layer', 1]])
  expect(new Set(layers.map(({ color }) => color)).size).toBe(6)
  for (const { color } of layers) for (const page of ['#fafaf9', '#1c1917']) expect(contrast(color, page)).toBeGreaterThanOrEqual(3)
})

test('what is no colour is none', () => {
  const colors = ['red', 'javascript:x', '12345', {}, 7].map((background_color) => layersOf({ layers: [layer('a', { background_color })], nodes: [node('1', 'a')] })[0]!.color)
  expect(new Set(colors).size).toBe(1)
})

test('a graph begins the same way each time, with several edges between the same nodes, and to themselves', () => {
  const [one, other] = [0, 1].map(() => network([node('a', null, 'A <b>'), node('b', null, null)], [['a', 'b'], ['a', 'b'], ['b', 'b']]))
  expect(one!.export().nodes).toEqual(other!.export().nodes)
  expect(one!.size).toBe(3)
  expect(one!.nodes().map((id) => one!.getNodeAttribute(id, 'label'))).toEqual(['A <b>', 'b'])
})

test('neighbours are found in both directions, step by step', () => {
  const chain = network(['a', 'b', 'c', 'd', 'e'].map((id) => node(id)), [['a', 'b'], ['c', 'b'], ['c', 'd'], ['d', 'e'], ['b', 'b']])
  expect([...around(chain, 'b', 1)].toSorted()).toEqual(['a', 'b', 'c'])
  expect([...around(chain, 'b', 2)].toSorted()).toEqual(['a', 'b', 'c', 'd'])
  expect([...around(chain, 'e', 0)]).toEqual(['e'])
})

test('nodes are found by label or id, the best first', () => {
  const some = network([node('x1', null, 'My node'), node('x2', null, 'Node of others'), node('node', null, 'Other'), node('x3', null, 'Last')], [])
  expect(find(some, ' NODE ', 10)).toEqual(['node', 'x2', 'x1'])
  expect(find(some, 'x', 2)).toEqual(['x1', 'x2'])
  expect(find(some, '  ', 10)).toEqual([])
})
