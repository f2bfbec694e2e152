// How changes are sent. This is the only place that knows which mutations the server has: each edit is a field of its own, so the
// edits of one change are one request, but not yet all or nothing.
import type { Change, Edit } from './edits.ts'
import type { Outcome } from './queue.ts'
import { Failure, type Answer, type Post } from './request.ts'

/** A field of a mutation: its name, and the arguments with their types. */
interface Field {
  name: string
  arguments: Record<string, [type: string, value: unknown]>
}

function fieldOf(edit: Edit): Field {
  if ('addNode' in edit) return { name: 'addPlanDagNode', arguments: { node: ['PlanDagNodeInput!', edit.addNode] } }
  if ('updateNode' in edit) {
    const { id, updates } = edit.updateNode
    return { name: 'updatePlanDagNode', arguments: { nodeId: ['String!', id], updates: ['PlanDagNodeUpdateInput!', updates] } }
  }
  if ('moveNodes' in edit) {
    return { name: 'batchMovePlanDagNodes', arguments: { nodePositions: ['[NodePositionInput!]!', edit.moveNodes] } }
  }
  if ('deleteNode' in edit) return { name: 'deletePlanDagNode', arguments: { nodeId: ['String!', edit.deleteNode] } }
  if ('addEdge' in edit) return { name: 'addPlanDagEdge', arguments: { edge: ['PlanDagEdgeInput!', edit.addEdge] } }
  if ('updateEdge' in edit) {
    const { id, updates } = edit.updateEdge
    return { name: 'updatePlanDagEdge', arguments: { edgeId: ['String!', id], updates: ['PlanDagEdgeUpdateInput!', updates] } }
  }
  return { name: 'deletePlanDagEdge', arguments: { edgeId: ['String!', edit.deleteEdge] } }
}

/** The operation ids of a change's edits. The first is the change's own. */
function opIdsOf(change: Change): string[] {
  return change.edits.map((_, i) => (i === 0 ? change.opId : `${change.opId}.${i}`))
}

/** Whether an event with this operation id shows the whole change. */
export function completes(change: Change, opId: string): boolean {
  return opIdsOf(change).at(-1) === opId
}

/** One document for all changes, and its variables. */
export function documentOf(projectId: number, changes: readonly Change[]) {
  const declarations = ['$projectId: Int!']
  const fields: string[] = []
  const variables: Record<string, unknown> = { projectId }
  const declare = (type: string, value: unknown) => {
    const name = `v${declarations.length}`
    declarations.push(`$${name}: ${type}`)
    variables[name] = value
    return `$${name}`
  }
  changes.forEach((change, i) => {
    const opIds = opIdsOf(change)
    change.edits.forEach((edit, j) => {
      const field = fieldOf(edit)
      const own = Object.entries(field.arguments).map(([name, [type, value]]) => `${name}: ${declare(type, value)}`)
      const common = [`opId: ${declare('String', opIds[j])}`, `clientId: ${declare('String', change.clientId)}`]
      fields.push(`${alias(i, j)}: ${field.name}(projectId: $projectId, ${[...own, ...common].join(', ')}) { id }`)
    })
  })
  return { document: `mutation (${declarations.join(', ')}) {\n  ${fields.join('\n  ')}\n}`, variables }
}

const alias = (change: number, edit: number) => `c${change}e${edit}`

/**
 * Sends changes by one request, and returns what became of each, or undefined where the answer does not say: a field that may not be
 * null and failed takes the data of all others with it. Fails when nothing was executed.
 */
export async function sendChanges(post: Post, projectId: number, changes: readonly Change[]): Promise<(Outcome | undefined)[]> {
  const { document, variables } = documentOf(projectId, changes)
  const answer: Answer<unknown> = await post(document, variables)
  const failures = new Map<string, Failure>()
  for (const error of answer.errors ?? []) {
    const field = error.path?.[0]
    // An error without a field is about the request as a whole.
    if (field === undefined) throw Failure.from(error)
    failures.set(String(field), Failure.from(error))
  }
  return changes.map((change, i): Outcome | undefined => {
    const failure = change.edits.map((_, j) => failures.get(alias(i, j))).find((found) => found)
    if (failure) return { failure }
    return answer.data ? {} : undefined
  })
}
