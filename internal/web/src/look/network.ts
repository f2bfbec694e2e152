// A graph as it is drawn by points and lines: where its nodes begin, their colours, and what is near to which.
import { MultiDirectedGraph } from 'graphology'
import { standingOut } from '../app/colors.ts'
import type { GraphPictureQuery } from './gql/graphql.ts'

export type Preview = NonNullable<GraphPictureQuery['graphPreview']>

/** A layer as the legend shows it. */
export interface Layer {
  id: string
  name: string
  color: string
  /** How many nodes are in it. */
  count: number
}

/** Colours of layers that have none. */
const spare = ['#1d4ed8', '#c2410c', '#047857', '#a21caf', '#4d7c0f', '#0e7490', '#b91c1c', '#6d28d9']

const grey = '#78716c'

/** The layers of the nodes, in the order of the graph, with colours that stand out on light and dark; then those that only nodes name, and that of nodes without one. */
export function layersOf({ layers, nodes }: Pick<Preview, 'layers' | 'nodes'>): Layer[] {
  const counts = new Map<string, number>()
  for (const { layer } of nodes) counts.set(layer ?? '', (counts.get(layer ?? '') ?? 0) + 1)
  const named = layers.map(({ layerId, name, color, properties }, i): Layer => {
    const count = counts.get(layerId) ?? 0
    counts.delete(layerId)
    return { id: layerId, name: name || layerId, color: standingOut(colorOf(color, properties) ?? spare[i % spare.length]!), count }
  })
  const others = [...counts].map(([id, count], i): Layer => (
    { id, name: id || 'No layer', color: standingOut(id ? spare[(layers.length + i) % spare.length]! : grey), count }))
  return [...named, ...others].filter(({ count }) => count > 0)
}

function colorOf(color: string | null, properties: unknown): string | undefined {
  const { background_color: background } = (properties ?? {}) as { background_color?: unknown }
  const digits = String(background ?? color ?? '').replace(/^#/, '')
  if (/^[0-9a-f]{3}$/i.test(digits)) return `#${digits.replace(/./g, '$&$&')}`
  return /^[0-9a-f]{6}$/i.test(digits) ? `#${digits}` : undefined
}

/** The attributes that are drawn of a node. */
export type Point = { x: number; y: number; size: number; label: string; color: string; layer: string }

export type Network = MultiDirectedGraph<Point>

/** The turn from one point to the next by which they fill a circle evenly. */
const golden = Math.PI * (3 - Math.sqrt(5))

/** The graph of a preview. Its nodes begin where their number says, so that it looks the same each time. */
export function networkOf({ nodes, edges }: Pick<Preview, 'nodes' | 'edges'>, layers: readonly Layer[]): Network {
  const network: Network = new MultiDirectedGraph<Point>()
  const colors = new Map(layers.map(({ id, color }) => [id, color]))
  nodes.forEach(({ id, label, layer }, i) => {
    const [far, turn] = [Math.sqrt(i) * 10, i * golden]
    network.addNode(id, {
      x: far * Math.cos(turn), y: far * Math.sin(turn), size: 1, label: label || id, color: colors.get(layer ?? '') ?? grey, layer: layer ?? '',
    })
  })
  for (const { source, target } of edges) network.addEdge(source, target)
  const least = nodes.length > 5_000 ? 1 : 2
  network.updateEachNodeAttributes((id, point) => ({ ...point, size: least + Math.min(8, Math.log2(1 + network.degree(id))) }))
  return network
}

/** The nodes that so many steps lead to, along edges or against them; the node itself included. */
export function around(network: Network, id: string, steps: number): Set<string> {
  const found = new Set([id])
  let last = [id]
  for (let step = 0; step < steps; step++) {
    const next: string[] = []
    for (const each of last) {
      network.forEachNeighbor(each, (neighbour) => {
        if (found.has(neighbour)) return
        found.add(neighbour)
        next.push(neighbour)
      })
    }
    last = next
  }
  return found
}

/** Nodes whose label or id has a text in it, the best first: the one that is it, then those that begin with it. */
export function find(network: Network, text: string, most: number): string[] {
  const typed = text.trim().toLowerCase()
  if (!typed) return []
  const ranks: string[][] = [[], [], []]
  network.forEachNode((id, { label }) => {
    const [name, key] = [label.toLowerCase(), id.toLowerCase()]
    if (name === typed || key === typed) ranks[0]!.push(id)
    else if (name.startsWith(typed) || key.startsWith(typed)) ranks[1]!.push(id)
    else if (name.includes(typed) || key.includes(typed)) ranks[2]!.push(id)
  })
  return ranks.flat().slice(0, most)
}

/** More rounds make a layout better. Of larger graphs each takes longer. */
export function roundsFor(nodes: number): number {
  return nodes <= 2_000 ? 200 : nodes <= 10_000 ? 150 : 80
}
