// What gestures and commands do to a plan: each returns the edits of one change.
import { newId, type Edit, type NodeType, type Plan, type PlanEdge, type PlanNode, type Position } from '../client/index.ts'
import { height, width } from './card.tsx'
import { kindOf } from './kinds.tsx'
import type { Rules } from './rules.ts'

/** The end of an edge that is being drawn: the node that it begins at, and whether that is its source. */
export interface End {
  node: string
  type: 'source' | 'target'
}

/** The nodes that a change adds, beside its edits. */
export interface Addition {
  ids: string[]
  edits: Edit[]
}

/** The server takes no place that is farther out, along either axis. */
export const farthest = 100_000

/** Adds a node of a kind, with the defaults that its schema names. It moves down until it covers no other. */
export function addNode(plan: Plan, rules: Rules, nodeType: NodeType, at: Position): Addition {
  const node: PlanNode = {
    id: newNodeId(nodeType), nodeType, position: freePlace(plan, at), metadata: { label: kindOf(nodeType).word, description: null },
    config: JSON.stringify(defaultsOf(rules.get(nodeType)?.configSchema)),
  }
  return { ids: [node.id], edits: [{ addNode: node }] }
}

/** Adds a node of a kind, and an edge between it and another node. */
export function addConnected(plan: Plan, rules: Rules, nodeType: NodeType, at: Position, { node, type }: End): Addition {
  const added = addNode(plan, rules, nodeType, at)
  const [id] = added.ids as [string]
  const other = plan.nodes.get(node)?.nodeType
  const edge = type === 'source' ? newEdge(other, node, id) : newEdge(nodeType, id, node)
  return { ids: [id], edits: [...added.edits, { addEdge: edge }] }
}

/** Names a node that is not there yet. */
export function newNodeId(nodeType: NodeType): string {
  return `${nodeType.toLowerCase()}_${newId().slice(0, 12)}`
}

function freePlace({ nodes }: Plan, { x, y }: Position): Position {
  const place = { x: Math.round(x), y: Math.round(y) }
  const gap = 16
  const taken = [...nodes.values()].map(({ position }) => position).filter((other) => Math.abs(other.x - place.x) < width + gap)
  while (taken.some((other) => Math.abs(other.y - place.y) < height + gap)) place.y += height + gap
  return place
}

function defaultsOf(schema: unknown): Record<string, unknown> {
  const { properties = {} } = (schema ?? {}) as { properties?: Record<string, { default?: unknown }> }
  return Object.fromEntries(Object.entries(properties).flatMap(([name, part]) => ('default' in part ? [[name, part.default]] : [])))
}

/** Leads an edge from one node to another. */
export function connect(plan: Plan, source: string, target: string): Edit[] {
  return [{ addEdge: newEdge(plan.nodes.get(source)?.nodeType, source, target) }]
}

/** Leads an edge elsewhere: an edge keeps its ends, so another one takes its place. */
export function reconnect(plan: Plan, { id, source, target, metadata }: PlanEdge, newSource: string, newTarget: string): Edit[] {
  if (source === newSource && target === newTarget) return []
  const edge = newEdge(plan.nodes.get(newSource)?.nodeType, newSource, newTarget)
  return [{ deleteEdge: id }, { addEdge: { ...edge, metadata: { ...edge.metadata, label: metadata.label } } }]
}

/** An edge that is not there yet. What it carries follows from where it begins. */
export function newEdge(sourceType: NodeType | undefined, source: string, target: string): PlanEdge {
  return {
    id: `edge_${newId().slice(0, 12)}`, source, target, sourceHandle: null, targetHandle: null,
    metadata: { label: null, dataType: sourceType === 'GraphNode' ? 'GRAPH_REFERENCE' : 'GRAPH_DATA' },
  }
}

/** Gives a node another label, unless somebody else did so since it was seen. */
export function rename({ id, metadata }: PlanNode, label: string): Edit[] {
  if (label === metadata.label) return []
  return [{ updateNode: { id, updates: { metadata: { ...metadata, label } }, expected: { metadata } } }]
}

/** Deletes nodes, with their edges, and edges. */
export function remove(plan: Plan, nodes: readonly string[], edges: readonly string[]): Edit[] {
  const gone = new Set(nodes)
  const left = edges.filter((id) => {
    const edge = plan.edges.get(id)
    return edge && !gone.has(edge.source) && !gone.has(edge.target)
  })
  return [...left.map((id): Edit => ({ deleteEdge: id })), ...nodes.map((id): Edit => ({ deleteNode: id }))]
}

/** Moves nodes to new places. */
export function move(positions: ReadonlyMap<string, Position>): Edit[] {
  return positions.size === 0 ? [] : [{ moveNodes: [...positions].map(([nodeId, { x, y }]) => ({ nodeId, position: { x, y } })) }]
}

/** The same places, moved as far as the server needs it to take them, and closer together when they span more than it has. */
export function within(places: ReadonlyMap<string, Position>): Map<string, Position> {
  const fit = (values: number[]) => {
    const first = Math.min(...values)
    const span = Math.max(...values) - first
    const scale = Math.min(1, 2 * farthest / span)
    const start = Math.max(-farthest, Math.min(first, farthest - span * scale))
    return (value: number) => Math.round(start + (value - first) * scale)
  }
  const all = [...places.values()]
  const [fitX, fitY] = [fit(all.map(({ x }) => x)), fit(all.map(({ y }) => y))]
  return new Map([...places].map(([id, { x, y }]) => [id, { x: fitX(x), y: fitY(y) }]))
}

type Axis = 'x' | 'y'

/** Puts nodes into a row or a column, at a part of the way from the first of them to the last. */
export function align(plan: Plan, ids: readonly string[], axis: Axis, part: 0 | 0.5 | 1): Edit[] {
  const places = ids.map((id) => plan.nodes.get(id)!.position[axis])
  const [first, last] = [Math.min(...places), Math.max(...places)]
  const place = Math.round(first + (last - first) * part)
  return moveAlong(plan, axis, ids.map((id) => [id, place]))
}

/** Puts equal distances between nodes. The first and the last stay. */
export function distribute(plan: Plan, ids: readonly string[], axis: Axis): Edit[] {
  const place = (id: string) => plan.nodes.get(id)!.position[axis]
  const ordered = ids.toSorted((one, other) => place(one) - place(other))
  const first = place(ordered[0]!)
  const step = (place(ordered.at(-1)!) - first) / (ordered.length - 1)
  return moveAlong(plan, axis, ordered.map((id, i) => [id, Math.round(first + i * step)]))
}

function moveAlong(plan: Plan, axis: Axis, places: readonly (readonly [string, number])[]): Edit[] {
  return move(new Map(places.flatMap(([id, place]) => {
    const { position } = plan.nodes.get(id)!
    return position[axis] === place ? [] : [[id, { ...position, [axis]: place }] as const]
  })))
}

/** Moves nodes together, so that the first of them comes to a place. */
export function moveTo(plan: Plan, ids: readonly string[], place: Position): Edit[] {
  const first = plan.nodes.get(ids[0] ?? '')?.position
  if (!first) return []
  const [dx, dy] = [Math.round(place.x) - first.x, Math.round(place.y) - first.y]
  return move(new Map(ids.map((id) => {
    const { x, y } = plan.nodes.get(id)!.position
    return [id, { x: x + dx, y: y + dy }]
  })))
}
