// Proposals on the canvas: what each would do, as a pure function of the plan.
import type { NodeType, Plan, PlanNode, Position } from '../client/index.ts'
import { height, width } from './card.tsx'
import { kindOf } from './kinds.tsx'
import { noMarks, type Mark, type Marks } from './marks.ts'
import type { Proposal, Proposals } from './proposals.ts'
import { count, listed } from './words.ts'

/** One step of a proposal, as the tool edit_plan takes it. */
interface ProposedStep {
  op: string
  id?: string
  node_type?: NodeType
  label?: string
  description?: string
  x?: number
  y?: number
  source?: string
  target?: string
}

const stepsOf = ({ operations }: Proposal) => operations as ProposedStep[]

const verbs: Record<string, string> = { add: 'add', delete: 'delete', move: 'move', update: 'change' }

/** What a proposal would do, such as: add “Teams” and delete 2 edges. */
export function proposalSummary(plan: Plan, proposal: Proposal): string {
  const found = new Map<string, ProposedStep[]>()
  for (const step of stepsOf(proposal)) found.set(step.op, [...(found.get(step.op) ?? []), step])
  return listed.format([...found].map(([op, steps]) => {
    const [verb, what] = op.split('_') as [string, string]
    const [{ id = '', label }, ...others] = steps as [ProposedStep, ...ProposedStep[]]
    const one = what === 'node' && others.length === 0 ? plan.nodes.get(id)?.metadata.label ?? label ?? id : ''
    return `${verbs[verb] ?? verb} ${one ? `“${one}”` : count(steps.length, what, `${what}s`)}`
  }))
}

/** The nodes that a proposal is about. */
export function proposedNodes(proposal: Proposal): string[] {
  return stepsOf(proposal).flatMap((step, i) => {
    const ends = [step.source, step.target].filter((id) => id !== undefined)
    return step.op.endsWith('_node') ? [idOf(proposal, step, i)] : ends
  })
}

/** The server chooses ids that a proposal leaves out when it is accepted. */
function idOf({ id }: Proposal, step: ProposedStep, i: number): string {
  return step.id || `proposal ${id}, ${i}`
}

/** A plan with what is proposed: what would be added is there, too, and all that would change is marked. What does not fit any more is left out. */
export function withGhosts(plan: Plan, proposals: Proposals): { plan: Plan; marks: Marks } {
  if (proposals.size === 0) return { plan, marks: noMarks }
  const nodes = new Map(plan.nodes)
  const edges = new Map(plan.edges)
  const marks = { nodes: new Map<string, Mark>(), edges: new Map<string, Mark>() }
  for (const proposal of proposals.values()) {
    const mark = (kind: Mark['kind'], verb: string): Mark => ({ kind, words: `${proposal.byName} would ${verb} this` })
    const steps = stepsOf(proposal)
    steps.forEach((step, i) => {
      const id = idOf(proposal, step, i)
      const there = { node: plan.nodes.has(id), edge: edgeOf(plan, step) }
      if (step.op === 'add_node' && !nodes.has(id)) {
        nodes.set(id, ghostOf(id, step, placeOf(id, step, steps, nodes)))
        marks.nodes.set(id, mark('added', 'add'))
      } else if (step.op === 'delete_node' && there.node) {
        marks.nodes.set(id, mark('gone', 'delete'))
        for (const { id: edge, source, target } of plan.edges.values()) if (source === id || target === id) marks.edges.set(edge, mark('gone', 'delete'))
      } else if ((step.op === 'update_node' || step.op === 'move_node') && there.node) {
        marks.nodes.set(id, mark('changed', step.op === 'move_node' ? 'move' : 'change'))
      } else if (step.op === 'delete_edge' && there.edge) marks.edges.set(there.edge, mark('gone', 'delete'))
      else if (step.op === 'update_edge' && there.edge) marks.edges.set(there.edge, mark('changed', 'change'))
    })
    // Edges come last, since they may lead to a node that is added behind them.
    steps.forEach((step, i) => {
      const { op, source = '', target = '', label } = step
      const id = idOf(proposal, step, i)
      if (op !== 'add_edge' || edges.has(id) || !nodes.has(source) || !nodes.has(target)) return
      edges.set(id, { id, source, target, sourceHandle: null, targetHandle: null, metadata: { label: label ?? null, dataType: 'GRAPH_DATA' } })
      marks.edges.set(id, mark('added', 'add'))
    })
  }
  return { plan: { version: plan.version, nodes, edges }, marks }
}

function ghostOf(id: string, { node_type: nodeType = 'GraphNode', label, description }: ProposedStep, position: Position): PlanNode {
  return { id, nodeType, position, metadata: { label: label ?? kindOf(nodeType).word, description: description ?? null }, config: '{}' }
}

/** Where the step says, or right of the node that leads to it, or below all. The server places it more carefully when it is accepted. */
function placeOf(id: string, { x, y }: ProposedStep, steps: readonly ProposedStep[], nodes: ReadonlyMap<string, PlanNode>): Position {
  if (x !== undefined && y !== undefined) return { x, y }
  const places = [...nodes.values()].map(({ position }) => position)
  const input = steps.find(({ op, target, source }) => op === 'add_edge' && target === id && nodes.has(source ?? ''))?.source
  let at = input === undefined
    ? { x: Math.min(0, ...places.map((place) => place.x)), y: Math.max(-height, ...places.map((place) => place.y)) + 1.5 * height }
    : { x: nodes.get(input)!.position.x + 1.4 * width, y: nodes.get(input)!.position.y }
  while (places.some((place) => Math.abs(place.x - at.x) < width && Math.abs(place.y - at.y) < height)) at = { ...at, y: at.y + 1.5 * height }
  return at
}

/** The edge that a step names by its id or by its ends. */
function edgeOf({ edges }: Plan, { id, source, target }: ProposedStep): string | undefined {
  if (id) return edges.has(id) ? id : undefined
  return [...edges.values()].find((edge) => edge.source === source && edge.target === target)?.id
}
