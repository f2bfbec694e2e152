// What changes did, in words.
import type { PlanNode } from '../client/index.ts'
import { groupBy } from './group.ts'
import type { Step } from './past.ts'
import { count, listed } from './words.ts'

/** Such as: moved 3 nodes and added “Teams”. */
export function summaryOf(operations: readonly Step[]): string {
  const edits = operations.filter(({ kind }) => kind !== 'EXECUTION_CHANGED')
  if (edits.length === 0 && operations.length > 0) return 'told the state of a build'
  const done = groupBy(edits, verbOf)
  if (done.size === 0) return 'changed nothing'
  return listed.format([...done].map(([verb, steps]) => `${verb} ${objects(verb, steps)}`))
}

function verbOf({ kind, before, after }: Step): string {
  switch (kind) {
    case 'NODE_ADDED':
    case 'EDGE_ADDED': return 'added'
    case 'NODE_REMOVED':
    case 'EDGE_REMOVED': return 'deleted'
    case 'NODE_UPDATED': return verbOfUpdate(before as PlanNode, after as PlanNode)
    default: return 'changed'
  }
}

function verbOfUpdate(before: PlanNode, after: PlanNode): string {
  const moved = before.position.x !== after.position.x || before.position.y !== after.position.y
  const renamed = before.metadata.label !== after.metadata.label
  const changed = before.config !== after.config || (before.metadata.description ?? null) !== (after.metadata.description ?? null) ||
    before.nodeType !== after.nodeType
  if (moved && !renamed && !changed) return 'moved'
  if (renamed && !moved && !changed) return 'renamed'
  return 'changed'
}

function objects(verb: string, steps: readonly Step[]): string {
  const nodes = steps.filter(({ kind }) => kind.startsWith('NODE'))
  const edges = steps.filter(({ kind }) => kind.startsWith('EDGE'))
  const others = steps.length - nodes.length - edges.length
  return listed.format([
    ...(nodes.length > 0 ? [nodes.length === 1 ? nameOf(verb, nodes[0]!) : count(nodes.length, 'node', 'nodes')] : []),
    ...(edges.length > 0 ? [count(edges.length, 'edge', 'edges')] : []),
    ...(others > 0 ? ['the plan’s name or text'] : []),
  ])
}

function nameOf(verb: string, { id, before, after }: Step): string {
  const [was, is] = [before, after].map((node) => (node as PlanNode | null | undefined)?.metadata.label || id)
  return verb === 'renamed' ? `“${was}” to “${is}”` : `“${after ? is : was}”`
}
