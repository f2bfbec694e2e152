import { instance } from '@viz-js/viz'
import { describe, expect, test } from 'vitest'
import type { Plan, PlanEdge, PlanNode, Position } from '../client/index.ts'
import { centred, dotOf, graphOf, placesOf } from './dot.ts'

/** A plan of nodes at positions, and of edges between them. */
function planOf(positions: Record<string, Position>, edges: [source: string, target: string][]): Plan {
  return {
    version: 1,
    nodes: new Map(Object.entries(positions).map(([id, position]) => [id, { id, position } as PlanNode])),
    edges: new Map(edges.map(([source, target], i) => [String(i), { id: String(i), source, target } as PlanEdge])),
  }
}

const at = { x: 0, y: 0 }
const edgesIn = (dot: string) => [...dot.matchAll(/^(\d+) -> (\d+)$/gm)].map(([, from, to]): [number, number] => [Number(from), Number(to)])

/** The pairs of nodes of which one can be reached from the other. */
function order(edges: [number, number][]): Set<string> {
  const found = new Set<string>()
  const walk = (from: number, node: number) => {
    for (const [source, target] of edges) {
      if (source !== node || found.has(`${from} ${target}`)) continue
      found.add(`${from} ${target}`)
      walk(from, target)
    }
  }
  for (const from of new Set(edges.map(([source]) => source))) walk(from, from)
  return found
}

test('nodes are numbers in the order of their ids, and edges count once', () => {
  const edges: [string, string][] = [['b', 'c'], ['b', 'a'], ['b', 'a'], ['gone', 'a']]
  const graph = graphOf(planOf({ c: at, a: at, b: at }, edges))
  expect(graph).toEqual({ ids: ['a', 'b', 'c'], targets: [[], [0, 2], []] })
  expect(graphOf(planOf({ b: at, a: at, c: at }, edges.toReversed()))).toEqual(graph)
  expect(graphOf(planOf({ c: at, a: at, b: at }, edges), new Set(['a', 'b', 'gone']))).toEqual({ ids: ['a', 'b'], targets: [[], [0]] })
})

test('nothing of an id is in DOT', () => {
  const dot = (one: string, two: string) => dotOf(graphOf(planOf({ [one]: at, [two]: at }, [[two, one]])))
  expect(dot('"]; }', 'x -> y')).toBe(dot('a', 'b'))
  expect(edgesIn(dot('"]; }', 'x -> y'))).toEqual([[1, 0]])
})

describe('a crowded plan', () => {
  const ids = Array.from({ length: 100 }, (_, i) => `n${String(i).padStart(3, '0')}`)
  const nodes = Object.fromEntries(ids.map((id) => [id, at]))

  test('is ordered by the longest ways', () => {
    const all = ids.flatMap((source, i) => ids.slice(i + 1).map((target): [string, string] => [source, target]))
    expect(edgesIn(dotOf(graphOf(planOf(nodes, all))))).toEqual(ids.slice(1).map((_, i) => [i, i + 1]))
  })

  test.each([['without', []], ['with', [['n099', 'n000'], ['n050', 'n049']]]] as [string, [string, string][]][])('keeps its order %s cycles', (_, cycles) => {
    const some = ids.flatMap((source, i) => ids.slice(i + 1).filter((__, j) => (i * 7 + j * j) % 4 === 0).map((target): [string, string] => [source, target]))
    const graph = graphOf(planOf(nodes, [...some, ...cycles]))
    const edges = graph.targets.flatMap((list, from) => list.map((to): [number, number] => [from, to]))
    const shown = edgesIn(dotOf(graph))
    expect(edges.length).toBeGreaterThan(1_000)
    expect(shown.length).toBeLessThan(edges.length)
    expect(order(shown)).toEqual(order(edges))
  })
})

test('places are corners in whole units', () => {
  const draw = (points: [number, number][]) => [{ op: 'c' }, { op: 'p', points }]
  const drawing = {
    objects: [{ name: '1', _draw_: draw([[480.4, 64], [280.4, 64], [280.4, 0], [480.4, 0]]) }, { name: '0', _draw_: draw([[200, 64], [0, 0.6]]) }],
  }
  expect(placesOf({ ids: ['a', 'b'], targets: [[], []] }, drawing)).toEqual(new Map([['b', { x: 280, y: 0 }], ['a', { x: 0, y: 1 }]]))
  expect(placesOf({ ids: [], targets: [] }, {})).toEqual(new Map())
})

test('some nodes stay around their centre, also when they are laid out again', () => {
  const places = new Map([['a', { x: 0, y: 0 }], ['b', { x: 281, y: 0 }]])
  const once = centred(places, planOf({ a: { x: 900, y: 77 }, b: { x: 1_100, y: -20 }, far: { x: 9_000, y: 0 } }, []))
  expect(once).toEqual(new Map([['a', { x: 860, y: 29 }], ['b', { x: 1_141, y: 29 }]]))
  expect(centred(places, planOf(Object.fromEntries(once), []))).toEqual(once)
  expect(centred(new Map(), planOf({}, []))).toEqual(new Map())
})

test('Graphviz draws a flow from left to right', async () => {
  const plan = planOf({ in: at, other: at, merge: at, out: at }, [['in', 'merge'], ['other', 'merge'], ['merge', 'out']])
  const graph = graphOf(plan)
  const drawing = JSON.parse((await instance()).renderString(dotOf(graph), { format: 'json', yInvert: true }))
  expect(Object.fromEntries(placesOf(graph, drawing))).toEqual({
    in: { x: 0, y: 0 }, other: { x: 0, y: 120 }, merge: { x: 280, y: 60 }, out: { x: 560, y: 60 },
  })
})
