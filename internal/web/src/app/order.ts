// The order in which a plan reads: along its flow.
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { groupBy } from './group.ts'

/** A node or an edge. */
export type Item = { kind: 'node' | 'edge'; id: string }

/** How many edges lead to a node, and from it. */
export interface Degree {
  inputs: number
  outputs: number
}

export interface Order {
  nodes: readonly PlanNode[]
  /** In the order of their sources, then of their targets. */
  edges: readonly PlanEdge[]
  /** Each node, and behind it the edges that lead from it. */
  items: readonly Item[]
  degrees: ReadonlyMap<string, Degree>
}

const orders = new WeakMap<Plan, Order>() // a plan that is shown never changes

/** The order of a plan: sources before targets; else from left to right, from top to bottom, by id. */
export function orderOf(plan: Plan): Order {
  let order = orders.get(plan)
  if (!order) orders.set(plan, order = inOrder(plan))
  return order
}

function inOrder(plan: Plan): Order {
  const degrees = new Map([...plan.nodes.keys()].map((id) => [id, { inputs: 0, outputs: 0 }]))
  const from = groupBy(plan.edges.values(), (edge) => edge.source)
  for (const { source, target } of plan.edges.values()) {
    const [one, other] = [degrees.get(source), degrees.get(target)]
    if (one) one.outputs++
    if (other) other.inputs++
  }
  // A node is one step behind the last of its sources. What is in a circle, which the server refuses, stays without a depth and comes last.
  const depths = new Map<string, number>()
  const open = new Map([...degrees].map(([id, { inputs }]) => [id, inputs]))
  let ready = [...open].flatMap(([id, inputs]) => (inputs === 0 ? [id] : []))
  for (let depth = 0; ready.length > 0; depth++) {
    const next: string[] = []
    for (const id of ready) {
      depths.set(id, depth)
      for (const { target } of from.get(id) ?? []) {
        const left = (open.get(target) ?? 0) - 1
        open.set(target, left)
        if (left === 0) next.push(target)
      }
    }
    ready = next
  }
  const depth = (node: PlanNode) => depths.get(node.id) ?? Number.MAX_SAFE_INTEGER
  const nodes = [...plan.nodes.values()].toSorted((a, b) => (
    depth(a) - depth(b) || a.position.x - b.position.x || a.position.y - b.position.y || (a.id < b.id ? -1 : 1)))
  const places = new Map(nodes.map(({ id }, i) => [id, i]))
  const place = (id: string) => places.get(id) ?? nodes.length
  const outputs = (id: string) => (from.get(id) ?? []).toSorted((a, b) => place(a.target) - place(b.target) || (a.id < b.id ? -1 : 1))
  const groups = nodes.map((node) => ({ node, edges: outputs(node.id) }))
  return {
    nodes, degrees, edges: groups.flatMap(({ edges }) => edges),
    items: groups.flatMap(({ node, edges }): Item[] => [{ kind: 'node', id: node.id }, ...edges.map(({ id }): Item => ({ kind: 'edge', id }))]),
  }
}

/** The item that stands in for one that is gone: the next that is left, or the last before it. */
export function neighbourOf(gone: string, before: readonly Item[], after: readonly Item[]): Item | undefined {
  const left = new Set(after.map(({ id }) => id))
  const at = before.findIndex(({ id }) => id === gone)
  if (at < 0) return undefined
  return before.slice(at).find(({ id }) => left.has(id)) ?? before.slice(0, at).findLast(({ id }) => left.has(id))
}
