// What gestures and commands do to a plan: each returns the edits of one change.
import { newId, type Edit, type NodeType, type Plan, type PlanEdge, type Position } from '../client/index.ts'
import { kindOf } from './kinds.tsx'
import type { Rules } from './rules.ts'

/** Adds a node of a kind, with the defaults that its schema names. */
export function addNode(rules: Rules, nodeType: NodeType, { x, y }: Position): { id: string; edits: Edit[] } {
  const id = `${nodeType.toLowerCase()}_${newId().slice(0, 12)}`
  return {
    id,
    edits: [{
      addNode: {
        id, nodeType, position: { x: Math.round(x), y: Math.round(y) }, metadata: { label: kindOf(nodeType).word, description: null },
        config: JSON.stringify(defaultsOf(rules.get(nodeType)?.configSchema)),
      },
    }],
  }
}

function defaultsOf(schema: unknown): Record<string, unknown> {
  const { properties = {} } = (schema ?? {}) as { properties?: Record<string, { default?: unknown }> }
  return Object.fromEntries(Object.entries(properties).flatMap(([name, part]) => ('default' in part ? [[name, part.default]] : [])))
}

/** Leads an edge from one node to another. */
export function connect(plan: Plan, source: string, target: string): Edit[] {
  const edge: PlanEdge = {
    id: `edge_${newId().slice(0, 12)}`, source, target, sourceHandle: null, targetHandle: null,
    metadata: { label: null, dataType: plan.nodes.get(source)?.nodeType === 'GraphNode' ? 'GRAPH_REFERENCE' : 'GRAPH_DATA' },
  }
  return [{ addEdge: edge }]
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
