// What nodes show of what they read or build: of the plan's states, of how far builds are, and of why graphs are out of date.
import type { GraphExecution, Plan, PlanNode } from '../client/index.ts'
import type { NodeState, NodeStates } from '../app/node-state.ts'
import { count } from '../app/words.ts'
import type { ExecutionsSubscription } from './gql/graphql.ts'

/** How far the build of a node is. */
export type Progress = ExecutionsSubscription['executions']

/** What is known of builds beside the plan, by the ids of nodes. */
export interface Known {
  progress: ReadonlyMap<string, Progress>
  /** Why what was built would become something else now. It counts as long as the node shows the execution that it was said of. */
  stale: ReadonlyMap<string, Staleness>
}

export interface Staleness {
  of: GraphExecution
  because: readonly string[]
}

export const nothingKnown: Known = { progress: new Map(), stale: new Map() }

/** Whether a build of a node is asked for, or under way. */
export function isOpen({ graphExecution }: PlanNode): boolean {
  return graphExecution?.executionState === 'pending' || graphExecution?.executionState === 'processing'
}

/** The state of a node; undefined while there is none. */
export function stateOf(node: PlanNode, known: Known): NodeState | undefined {
  const { datasourceExecution: source, graphExecution: graph } = node
  if (source) {
    if (source.executionState === 'error') return failed(source.errorMessage)
    if (source.executionState === 'completed') return { kind: 'done', sign: '✓', words: `Read ${source.filename}` }
    return { kind: 'waiting', sign: '…', words: 'Being read' }
  }
  if (!graph) return undefined
  switch (graph.executionState) {
    case 'pending':
    case 'processing':
      return openState(graph.executionState, known.progress.get(node.id))
    case 'error': return failed(graph.errorMessage)
    case 'completed': {
      const stale = known.stale.get(node.id)
      if (stale?.of === graph) return { kind: 'stale', sign: '△', words: ['Out of date', ...(stale.because.length > 0 ? [stale.because.join(', ')] : [])].join(': ') }
      return { kind: 'done', sign: '✓', words: sizeOf(graph) }
    }
    default: return undefined // it was cancelled before anything was built
  }
}

/** Such as "4 nodes, 3 edges". */
export function sizeOf({ nodeCount, edgeCount }: { nodeCount: number; edgeCount: number }): string {
  return `${count(nodeCount, 'node', 'nodes')}, ${count(edgeCount, 'edge', 'edges')}`
}

function failed(message: string | null): NodeState {
  return { kind: 'failed', sign: '✕', words: message ? `Failed: ${message}` : 'Failed' }
}

// A replica may be at work for a moment before the plan says so.
function openState(state: 'pending' | 'processing', progress: Progress | undefined): NodeState {
  const attempt = progress && progress.attempt > 1 ? [`attempt ${progress.attempt}`] : []
  if (state === 'pending' && progress?.state !== 'processing') {
    return { kind: 'waiting', sign: '…', words: ['Waiting', ...attempt].join(', ') }
  }
  const { phase, done, total, replica } = progress ?? {}
  const far = typeof done === 'number' && (done > 0 || typeof total === 'number')
    ? [` ${done.toLocaleString('en')}${typeof total === 'number' ? ` of ${total.toLocaleString('en')}` : ''}`]
    : []
  const doing = phase ? [`: ${phase}`, ...far] : []
  return {
    kind: 'building', sign: '▸',
    words: [`Building${doing.join('')}`, ...attempt, ...(replica ? [`on replica ${replica.slice(0, 8)}`] : [])].join(', '),
  }
}

/** The states of all nodes; the same map, or the same states in it, as far as nothing changed. */
export function statesOf(plan: Plan, known: Known, before: NodeStates): NodeStates {
  const states = new Map<string, NodeState>()
  let isSame = true
  for (const node of plan.nodes.values()) {
    const was = before.get(node.id)
    let state = stateOf(node, known)
    if (state && was && state.kind === was.kind && state.words === was.words) state = was
    if (state) states.set(node.id, state)
    isSame &&= state === was
  }
  return isSame && states.size === before.size ? before : states
}

/** Whether a plan has what another has of all that builds look at. */
export function isSameToBuilds(one: Plan, other: Plan): boolean {
  const isSame = (node: PlanNode, before: PlanNode | undefined) => before !== undefined &&
    node.nodeType === before.nodeType && node.config === before.config && node.graphExecution === before.graphExecution &&
    node.datasourceExecution === before.datasourceExecution
  return one.nodes.size === other.nodes.size && one.edges.size === other.edges.size &&
    [...other.nodes.values()].every((node) => isSame(node, one.nodes.get(node.id))) &&
    [...other.edges.values()].every((edge) => one.edges.get(edge.id) === edge)
}

/** More than that many that end together are counted, and not named. */
const mostNamed = 3

/** What has ended from one plan to the next, in words; "" for nothing. A build may be so fast that nobody has seen it under way. */
export function endsInWords(before: Plan, plan: Plan, states: NodeStates): string {
  const ended = [...plan.nodes.values()].flatMap((node) => {
    const was = before.nodes.get(node.id)
    const [now, then] = [node.graphExecution, was?.graphExecution]
    if (!was || !now || now === then || isOpen(node)) return []
    const isAnother = isOpen(was) || now.computedDate !== (then?.computedDate ?? null) || (now.executionState === 'error' && then?.executionState !== 'error')
    return isAnother ? [{ label: node.metadata.label || node.id, now: states.get(node.id) }] : []
  })
  const hasFailed = ({ now }: (typeof ended)[number]) => now?.kind === 'failed'
  if (ended.length > mostNamed) {
    const failures = ended.filter(hasFailed).length
    return `${count(ended.length - failures, 'build has', 'builds have')} ended${failures > 0 ? `, and ${failures} failed` : ''}`
  }
  return ended.map((end) => {
    if (hasFailed(end)) return `${end.label}: ${end.now!.words}`
    return end.now?.kind === 'done' ? `${end.label} is built: ${end.now.words}` : `The build of ${end.label} has ended`
  }).join('. ')
}

/** The sources that have no file, among a node and all that leads to it, or in the whole plan. */
export function sourcesWithoutFile(plan: Plan, nodeId: string | null): PlanNode[] {
  let found: Set<string>
  if (nodeId === null) found = new Set(plan.nodes.keys())
  else {
    found = new Set([nodeId])
    for (const id of found) { // it goes on through what is added meanwhile
      for (const { source, target } of plan.edges.values()) if (target === id) found.add(source)
    }
  }
  return [...plan.nodes.values()].filter(({ id, nodeType, datasourceExecution }) => (
    found.has(id) && nodeType === 'DataSourceNode' && !datasourceExecution))
}
