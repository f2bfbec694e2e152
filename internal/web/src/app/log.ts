// Reads the log of a plan: its changes, and the plan as it was.
import type { Plan, PlanEdge, PlanNode, PlanStore } from '../client/index.ts'
import { HistoryDocument, PlanAtDocument, type EntryFragment, type HistoryQuery } from './gql/graphql.ts'
import { withRetries } from './retry.ts'
import { connection } from './session.ts'

export type LogEntry = EntryFragment

/** An answer of the server has at most 10,000 fields, and a change counts for more than 50 of them. */
export const largestPage = 150

/** Milliseconds between two looks at what came in, where many change a plan at once. */
export const readingRest = 250

interface Page {
  /** Only changes below this version; null for the newest. */
  before?: number | null
  limit: number
  /** Whose changes; null for anybody's. */
  actorId?: string | null
  /** Of which node or edge; null for any. */
  elementId?: string | null
  /** Also what the server did. */
  all?: boolean
}

/** Calls a function when the plan that is followed is of another version, until what it returns is called. */
export function onNewVersion(plan: PlanStore, call: () => void): () => void {
  let last = plan.snapshot().plan?.version
  return plan.subscribe(() => {
    const version = plan.snapshot().plan?.version
    if (version !== last) call()
    last = version
  })
}

/** Reads a page of changes, newest first. */
export async function readHistory(
  projectId: number, { before = null, limit, actorId = null, elementId = null, all = false }: Page,
): Promise<HistoryQuery['planHistory']> {
  const variables = { projectId, before, limit, actorId, elementId, all }
  return (await withRetries(() => connection.request(HistoryDocument, variables))).planHistory
}

/** Reads the plan after a version. */
export async function readPlanAt(projectId: number, version: number): Promise<Plan> {
  const { planAt: { nodes, edges } } = await withRetries(() => connection.request(PlanAtDocument, { projectId, version }))
  return {
    version, nodes: new Map(nodes.map((node: PlanNode) => [node.id, node])), edges: new Map(edges.map((edge: PlanEdge) => [edge.id, edge])),
  }
}
