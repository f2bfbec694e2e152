// What a node of a plan holds: rows of a file, a graph, or nothing yet, and why.
import type { Plan, PlanNode } from '../client/index.ts'
import { kindOf } from '../app/kinds.tsx'

export type Holding = {
  /** The node that holds it: for an output the one before it. */
  node: PlanNode
  /** Another one when other contents have taken the place of these. */
  key: string
  /** A sentence about what is shown; empty when there is nothing to say. */
  note: string
} & ({ kind: 'source' | 'graph'; id: number } | { kind: 'nothing' })

/** What a node holds, as far as the plan says it. An output holds nothing of its own: what it writes is what the node before it holds. */
export function holdingOf(plan: Plan, node: PlanNode): Holding {
  if (node.nodeType === 'OutputNode') {
    const [edge] = [...plan.edges.values()].filter(({ target }) => target === node.id)
    const before = edge && plan.nodes.get(edge.source)
    if (!before) return nothing(node, 'An output writes what the node before it holds. Connect one to it, and look again.')
    const held = holdingOf(plan, before)
    return { ...held, note: [`This is what ${before.metadata.label || before.id} holds, which the output writes.`, held.note].join(' ').trim() }
  }
  return node.nodeType === 'DataSourceNode' ? ofSource(node) : ofGraph(node)
}

function ofSource(node: PlanNode): Holding {
  const source = node.datasourceExecution
  if (!source) return nothing(node, 'This source has no file yet. Choose one in the inspector, or drop one on the node.')
  if (source.executionState === 'error') {
    return nothing(node, `The file ${source.filename} cannot be read: ${source.errorMessage ?? 'nobody knows why'}. Replace it in the inspector.`)
  }
  if (source.executionState !== 'completed') return nothing(node, `The file ${source.filename} is being read. Its rows come here when that is done.`)
  return { kind: 'source', node, id: source.dataSourceId, key: `source ${source.dataSourceId} ${source.processedAt}`, note: '' }
}

function ofGraph(node: PlanNode): Holding {
  const graph = node.graphExecution
  const state = graph?.executionState
  const isBusy = state === 'pending' || state === 'processing'
  if (graph?.computedDate) {
    const note = state === 'error' ? `The last run failed: ${graph.errorMessage ?? 'nobody knows why'}. This is what was built before.`
      : isBusy ? 'It is being built again. This is what was built before.' : ''
    return { kind: 'graph', node, id: graph.graphId, key: `graph ${graph.graphId} ${graph.computedDate}`, note }
  }
  if (state === 'error') return nothing(node, `This could not be built: ${graph?.errorMessage ?? 'nobody knows why'}. Mend that, and run it again.`)
  if (isBusy) return nothing(node, 'This is being built. It comes here when that is done.')
  return nothing(node, `This ${kindOf(node.nodeType).word.toLowerCase()} has not been built yet. Run it, and it comes here.`)
}

const nothing = (node: PlanNode, note: string): Holding => ({ kind: 'nothing', node, key: note, note })
