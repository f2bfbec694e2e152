// How the connection is, and what became of one's own edits: in words.
import { useSyncExternalStore } from 'react'
import type { Change, Edit, Failure, Plan, PlanSnapshot } from '../client/index.ts'
import type { OpenProject } from './session.ts'

export function Status({ shown }: { shown: PlanSnapshot }) {
  const { status, waiting, durable } = shown
  const words = {
    connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting',
    ended: status.state === 'ended' ? endedBecause(status.failure.code, status.failure.message) : '',
  }[status.state]
  return (
    <p className="status" role="status" data-state={status.state}>
      <span className="dot" aria-hidden="true" />
      {words}
      {waiting > 0 && <>, <span>{waiting === 1 ? '1 edit waiting' : `${waiting} edits waiting`}</span></>}
      {waiting > 0 && !durable && <> (lost with a reload)</>}
    </p>
  )
}

function endedBecause(code: string, message: string): string {
  if (code === 'NOT_FOUND') return 'There is no such project'
  if (code === 'KICKED') return `Disconnected by an operator: ${message}`
  return `Disconnected: ${message}`
}

/** What was refused, and what waits for a decision. */
export function Notices({ project: { plan, presence }, shown }: { project: OpenProject; shown: PlanSnapshot }) {
  const kicked = useSyncExternalStore(presence.subscribe, () => presence.kicked)
  const ended = shown.status.state === 'ended' && shown.status.failure.code !== 'NOT_FOUND'
  const comeBack = () => {
    presence.start()
    if (ended) void plan.comeBack()
  }
  const all = shown.undecided.map((change) => change.opId)
  return (
    <aside className="notices" aria-live="polite">
      {(ended || kicked !== null) && (
        <div className="notice">
          {kicked !== null && <p>An operator disconnected you from the others{kicked && `: ${kicked}`}</p>}
          <button onClick={comeBack}>Come back</button>
        </div>
      )}
      {all.length > 0 && (
        <div className="notice">
          <p>{all.length === 1 ? 'An edit was' : `${all.length} edits were`} made earlier and not sent.</p>
          <details><summary>Look</summary><ul>{shown.undecided.map((change) => <li key={change.opId}>{wordsFor(change, shown.plan)}</li>)}</ul></details>
          <button onClick={() => plan.send(all)}>Send</button> <button onClick={() => plan.discard(all)}>Discard</button>
        </div>
      )}
      {shown.refused.map(({ change, failure }) => (
        <div className="notice" key={change.opId}>
          <p><strong>Not done:</strong> {wordsFor(change, shown.plan)}. {failure.message}{describe(failure)}</p>
          <button onClick={() => void navigator.clipboard?.writeText(JSON.stringify(change.edits, null, 2))}>Copy what it was</button>{' '}
          <button onClick={() => plan.discard([change.opId])}>Dismiss</button>
        </div>
      ))}
    </aside>
  )
}

function describe({ detail, conflicts }: Failure): string {
  if (conflicts.length > 0) return ` (${[...new Set(conflicts.flatMap(({ actorNames }) => actorNames))].join(', ')})`
  if (detail === undefined || detail === null) return ''
  return ` (${typeof detail === 'string' ? detail : JSON.stringify(detail)})`
}

function wordsFor(change: Change, plan: Plan | null): string {
  const [first, ...others] = change.edits
  if (!first) return 'nothing'
  return wordsForEdit(first, plan) + (others.length > 0 ? ` and ${others.length} more` : '')
}

function wordsForEdit(edit: Edit, plan: Plan | null): string {
  const node = (id: string) => `“${plan?.nodes.get(id)?.metadata.label || id}”`
  if ('addNode' in edit) return `add “${edit.addNode.metadata.label || edit.addNode.id}”`
  if ('updateNode' in edit) return `change ${node(edit.updateNode.id)}`
  if ('moveNodes' in edit) return `move ${edit.moveNodes.map((move) => node(move.nodeId)).join(', ')}`
  if ('deleteNode' in edit) return `delete ${node(edit.deleteNode)}`
  if ('addEdge' in edit) return `connect ${node(edit.addEdge.source)} to ${node(edit.addEdge.target)}`
  if ('updateEdge' in edit) return 'change an edge'
  return 'delete an edge'
}
