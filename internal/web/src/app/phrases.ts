// Elements and changes of a plan in words, for those who hear it.
import type { AppliedChange, Edit, Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { groupBy } from './group.ts'
import { kindOf } from './kinds.tsx'
import type { Degree } from './order.ts'
import { count } from './words.ts'

/** What a node is called: its kind, its label, and how much leads to it and from it. */
export function nameOfNode({ nodeType, metadata }: PlanNode, { inputs, outputs }: Degree): string {
  return `${kindOf(nodeType).word} ${metadata.label}, ${count(inputs, 'input', 'inputs')}, ${count(outputs, 'output', 'outputs')}`
}

/** What an edge is called: where it leads. */
export function nameOfEdge(plan: Plan, { source, target }: Pick<PlanEdge, 'source' | 'target'>): string {
  return `from ${labelOf(plan, source)} to ${labelOf(plan, target)}`
}

/** What a node is called by people. */
export function labelOf(plan: Plan | null, id: string): string {
  return plan?.nodes.get(id)?.metadata.label || id
}

/** What a change of one's own did, such as "Connected Calls to Teams". The plan is that of before. */
export function wordsForEdits(edits: readonly Edit[], plan: Plan): string {
  const [first, ...others] = edits
  if (!first) return ''
  if (others.length > 0) {
    const kinds = new Set(edits.map((edit) => Object.keys(edit)[0]!.replace(/[A-Z].*/, '')))
    const done = kinds.size === 1 ? ({ add: 'Added', delete: 'Deleted' }[[...kinds][0]!] ?? 'Changed') : 'Changed'
    return `${done} ${count(edits.length, 'element', 'elements')}`
  }
  if ('addNode' in first) return `Added ${first.addNode.metadata.label}`
  if ('updateNode' in first) {
    const label = first.updateNode.updates.metadata?.label
    const was = labelOf(plan, first.updateNode.id)
    return label === undefined || label === was ? `Changed ${was}` : `Renamed ${was} to ${label}`
  }
  if ('moveNodes' in first) {
    const [move, ...more] = first.moveNodes
    return `Moved ${more.length > 0 ? count(more.length + 1, 'node', 'nodes') : labelOf(plan, move!.nodeId)}`
  }
  if ('deleteNode' in first) return `Deleted ${labelOf(plan, first.deleteNode)}`
  if ('addEdge' in first) return `Connected ${labelOf(plan, first.addEdge.source)} to ${labelOf(plan, first.addEdge.target)}`
  const edge = plan.edges.get('updateEdge' in first ? first.updateEdge.id : first.deleteEdge)
  return `${'updateEdge' in first ? 'Changed' : 'Deleted'} the edge ${edge ? nameOfEdge(plan, edge) : ''}`
}

/** What others did between two states of a plan, such as "Jade Lynx moved 3 nodes": a sentence for each of them. */
export function wordsForChanges(changes: readonly AppliedChange[], before: Plan, after: Plan): string {
  const sentences = [...groupBy(changes, ({ actorId, actorName }) => `${actorId} ${actorName}`).values()].map((theirs) => {
    const nodes = new Set(theirs.flatMap(({ nodeIds }) => nodeIds))
    const edges = new Set(theirs.flatMap(({ edgeIds }) => edgeIds))
    const parts = [
      ...partsFor(nodes, 'node', before.nodes, after.nodes, (id) => labelOf(after.nodes.has(id) ? after : before, id)),
      ...partsFor(edges, 'edge', before.edges, after.edges),
    ]
    return parts.length > 0 ? `${theirs[0]!.actorName} ${parts.join(', ')}` : ''
  })
  return sentences.filter(Boolean).join('. ')
}

function partsFor<T extends PlanNode | PlanEdge>(
  ids: Iterable<string>, noun: string, before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>, name?: (id: string) => string,
): string[] {
  const deeds = groupBy(ids, (id) => deed(before.get(id), after.get(id)))
  return [...deeds].flatMap(([did, done]) => {
    if (did === null) return []
    return [`${did} ${done.length === 1 && name ? name(done[0]!) : count(done.length, noun, `${noun}s`)}`]
  })
}

/** What became of an element; null when nothing is left of it to tell. */
function deed(before: PlanNode | PlanEdge | undefined, after: PlanNode | PlanEdge | undefined): string | null {
  if (!before) return after ? 'added' : null
  if (!after) return 'deleted'
  if (!('position' in before && 'position' in after)) return 'changed'
  const moved = before.position.x !== after.position.x || before.position.y !== after.position.y
  const rest = JSON.stringify([before.metadata, before.config]) === JSON.stringify([after.metadata, after.config])
  return moved && rest ? 'moved' : 'changed'
}
