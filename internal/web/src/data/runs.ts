// Builds that this window asks for, and ends.
import { Failure, newId } from '../client/index.ts'
import { isNow } from '../app/history-state.ts'
import { planOf, selected, tell, update, type Desk } from '../app/desk.ts'
import { withRetries } from '../app/retry.ts'
import { connection } from '../app/session.ts'
import { say } from '../app/undo-state.ts'
import { listed, messageOf } from '../app/words.ts'
import { isPast } from './files.ts'
import { CancelDocument, ExecuteNodeDocument, ExecutePlanDocument, ProjectAccessDocument } from './gql/graphql.ts'
import { lacksSampleFiles, sampleWords } from './sample-files.ts'
import { isOpen, sourcesWithoutFile } from './states.ts'

/** The selected node, if it is one that can be run: one of them, which builds or writes something. */
export function runnable(desk: Desk): string | null {
  const { nodes, edges } = selected(desk)
  const node = nodes.length === 1 && edges.length === 0 ? planOf(desk)?.nodes.get(nodes[0]!) : undefined
  return node && node.nodeType !== 'DataSourceNode' && isNow(desk) ? node.id : null
}

/** Whether anything is asked for, or under way, of a node or of the whole plan. */
export function isRunning(desk: Desk, nodeId: string | null): boolean {
  return [...planOf(desk)?.nodes.values() ?? []].some((node) => (nodeId === null || node.id === nodeId) && isOpen(node))
}

/** Builds what is out of date among a node and all that it needs, or in the whole plan for null, and says what became of it. */
export async function run(desk: Desk, nodeId: string | null): Promise<void> {
  const plan = planOf(desk)
  if (!plan || isPast(desk)) return
  const empty = sourcesWithoutFile(plan, nodeId)
  const sources = [...plan.nodes.values()].filter(({ nodeType }) => nodeType === 'DataSourceNode')
  // What lacks nothing can be built beside what lacks something.
  if (empty.length > 0 && (nodeId !== null || empty.length === sources.length)) {
    const names = listed.format(empty.map(({ id, metadata }) => `“${metadata.label || id}”`))
    return tell(desk, `${names} ${empty.length === 1 ? 'has no file: drop a CSV, TSV or JSON file on it' : 'have no file: drop a CSV, TSV or JSON file on each'}, ` +
      `or select it and choose one.${lacksSampleFiles(desk) ? ` “${sampleWords}” is in the menu of the canvas, and behind Ctrl+K.` : ''}`)
  }
  update(desk, { message: null }) // of the run before
  const { id: projectId } = desk.project
  const ids = { opId: newId(), clientId: connection.clientId }
  try {
    if (desk.project.plan.snapshot().waiting > 0) say(desk, 'The run waits until your edits are sent')
    await sent(desk)
    const { message } = await withRetries(async () => {
      if (nodeId !== null) return (await connection.request(ExecuteNodeDocument, { projectId, nodeId, ...ids })).executeNode
      const { project } = await connection.request(ProjectAccessDocument, { projectId })
      return (await connection.request(ExecutePlanDocument, { id: project!.plan!.id, ...ids })).executePlan
    })
    say(desk, message)
  } catch (error) {
    tell(desk, `Not built: ${messageOf(error)}`)
  }
}

/** Ends the build of a node and of what depends on it, or all of the plan for null. */
export async function cancel(desk: Desk, nodeId: string | null): Promise<void> {
  const variables = { projectId: desk.project.id, nodeId, opId: newId(), clientId: connection.clientId }
  try {
    const { cancelExecution } = await withRetries(() => connection.request(CancelDocument, variables))
    say(desk, cancelExecution ? 'Cancelled. What was built before is still there' : 'There was nothing to cancel')
  } catch (error) {
    tell(desk, `Not cancelled: ${messageOf(error)}`)
  }
}

/** Waits until the server has what was edited here: it would build another plan than the one that is shown. */
function sent({ project: { plan } }: Desk): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const { waiting, status } = plan.snapshot()
      if (waiting > 0 && status.state !== 'ended') return
      stop()
      if (status.state === 'ended') reject(new Failure(status.failure.code, status.failure.message))
      else resolve()
    }
    const stop = plan.subscribe(look)
    look()
  })
}
