// How the connection is, and what became of one's own edits: in words.
import { useSyncExternalStore, type ReactNode } from 'react'
import type { Change, Edit, Failure, Plan, PlanSnapshot } from '../client/index.ts'
import { labelOf } from './phrases.ts'
import { count } from './words.ts'
import { connection, type OpenProject } from './session.ts'
import './status.css'

export function Status({ shown }: { shown: PlanSnapshot }) {
  const { status, waiting, durable } = shown
  const more = [
    status.state === 'catchingUp' && `${count(status.behind, 'change', 'changes')} to go`,
    waiting > 0 && `${count(waiting, 'edit', 'edits')} waiting${durable ? '' : ' (lost with a reload)'}`,
  ].filter((words) => words !== false)
  return (
    <p className="status" data-state={status.state}>
      <span className="dot" aria-hidden="true" />
      {/* Numbers are not in it: it would be read out whenever one of them changes. */}
      <span role="status">{wordsOf(shown)}</span>
      {more.map((words) => <span key={words}>, {words}</span>)}
      {status.state === 'live' && <Replica />}
    </p>
  )
}

/** Whom the page talks to, and how fast it answers. */
function Replica() {
  const { greeting: { replica }, roundTrip } = useSyncExternalStore(connection.socket.subscribe, connection.socket.snapshot)
  return (
    <span className="quiet" title={replica && `Replica ${replica}`}>
      {replica && ` · replica ${replica.slice(0, 8)}`}{roundTrip !== null && ` · ${Math.ceil(roundTrip)} ms`}
    </span>
  )
}

function wordsOf({ status, plan }: PlanSnapshot): string {
  switch (status.state) {
    case 'connecting': return 'Connecting'
    case 'live': return 'Live'
    case 'catchingUp': return 'Catching up'
    case 'reconnecting': return `Reconnecting since ${new Date(status.since).toLocaleTimeString()}`
    case 'ended': return endedBecause(status.failure, plan)
  }
}

function endedBecause({ code, message }: Failure, plan: Plan | null): string {
  if (code === 'NOT_FOUND') return plan ? 'This project was deleted' : 'There is no such project'
  if (code === 'KICKED') return message ? `Disconnected by an operator: ${message}` : 'Disconnected by an operator'
  return `Disconnected: ${message}`
}

/** What was refused, but for the changes to skip, what waits for a decision, and what else people can do something about. */
export function Notices({ project, shown, skip, children }: {
  project: OpenProject; shown: PlanSnapshot; skip?: ReadonlySet<string>; children?: ReactNode
}) {
  const { plan } = project
  const { status, undecided, refused } = shown
  const gone = status.state === 'ended' && status.failure.code === 'NOT_FOUND'
  const all = undecided.map((change) => change.opId)
  return (
    <aside className="notices" aria-live="polite">
      <NewPage waiting={shown.waiting} />
      {children}
      <Disconnected project={project} ended={status.state === 'ended' && !gone} />
      {gone && <Lost project={project} shown={shown} />}
      {!gone && all.length > 0 && (
        <div className="notice">
          <p>{all.length === 1 ? '1 edit was' : `${count(all.length, 'edit', 'edits')} were`} made earlier and not sent.</p>
          <Look changes={undecided} plan={shown.plan} />
          <button onClick={() => plan.send(all)}>Send</button> <button onClick={() => plan.discard(all)}>Discard</button>
        </div>
      )}
      <div className="refused" aria-live="assertive">
        {!gone && refused.filter(({ change }) => !skip?.has(change.opId)).map(({ change, failure }) => (
          <div className="notice" key={change.opId}>
            <p><strong>Not done:</strong> {wordsFor(change, shown.plan)}. {failure.message}{describe(failure)}</p>
            <button onClick={() => void navigator.clipboard?.writeText(JSON.stringify(change.edits, null, 2))}>Copy what it was</button>{' '}
            <button onClick={() => plan.discard([change.opId])}>Dismiss</button>
          </div>
        ))}
      </div>
    </aside>
  )
}

/** The hash of this page, which the server writes into it. */
const ownPage = document.querySelector<HTMLMetaElement>('meta[name=page]')?.content

/** Offers a page that is newer than this one. What waits could be lost with a reload, so it comes first. */
function NewPage({ waiting }: { waiting: number }) {
  const { page } = useSyncExternalStore(connection.socket.subscribe, connection.socket.snapshot).greeting
  if (!page || !ownPage || page === ownPage) return null
  return (
    <div className="notice">
      <p>There is a new version of this page.{waiting > 0 && ' You can load it when no edit waits any more.'}</p>
      {waiting === 0 && <button onClick={() => location.reload()}>Reload</button>}
    </div>
  )
}

/** The way back for somebody who cannot follow the plan any more, or was disconnected from the others. */
function Disconnected({ project: { plan, presence }, ended }: { project: OpenProject; ended: boolean }) {
  const kicked = useSyncExternalStore(presence.subscribe, () => presence.kicked)
  if (!ended && kicked === null) return null
  const comeBack = () => {
    presence.start()
    if (ended) void plan.comeBack()
  }
  return (
    <div className="notice">
      {kicked === null
        ? <p>What others do is not shown here any more.</p>
        : <p>An operator disconnected you from the others{kicked && `: ${kicked}`}</p>}
      <button onClick={comeBack}>Come back</button>
    </div>
  )
}

/** Edits of a project that was deleted before they were sent. */
function Lost({ project: { id, plan }, shown }: { project: OpenProject; shown: PlanSnapshot }) {
  const changes = [...shown.undecided, ...shown.refused.map(({ change }) => change)]
  if (changes.length === 0) return null
  const save = () => {
    const edits = changes.map((change) => ({ at: new Date(change.at).toISOString(), edits: change.edits }))
    saveAs(`project-${id}-edits.json`, JSON.stringify(edits, null, 2))
  }
  return (
    <div className="notice">
      <p>{changes.length === 1 ? '1 edit was' : `${count(changes.length, 'edit', 'edits')} were`} not sent before the project was deleted.</p>
      <Look changes={changes} plan={shown.plan} />
      <button onClick={save}>Save as a file</button>{' '}
      <button onClick={() => plan.discard(changes.map((change) => change.opId))}>Discard</button>
    </div>
  )
}

function Look({ changes, plan }: { changes: readonly Change[]; plan: Plan | null }) {
  return <details><summary>Look</summary><ul>{changes.map((change) => <li key={change.opId}>{wordsFor(change, plan)}</li>)}</ul></details>
}

function saveAs(name: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000) // the browser reads it when it has asked where to put it
}

function describe({ detail, conflicts }: Failure): string {
  if (conflicts.length > 0) return ` (${[...new Set(conflicts.flatMap(({ actorNames }) => actorNames))].join(', ')})`
  if (detail === undefined || detail === null) return ''
  if (typeof detail !== 'object') return ` (${String(detail)})`
  const facts = Array.isArray(detail) ? detail : Object.entries(detail).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return ` (${facts.join(', ')})`
}

function wordsFor(change: Change, plan: Plan | null): string {
  const [first, ...others] = change.edits
  if (!first) return 'nothing'
  return wordsForEdit(first, plan) + (others.length > 0 ? ` and ${others.length} more` : '')
}

function wordsForEdit(edit: Edit, plan: Plan | null): string {
  const node = (id: string) => `“${labelOf(plan, id)}”`
  if ('addNode' in edit) return `add “${edit.addNode.metadata.label || edit.addNode.id}”`
  if ('updateNode' in edit) return `change ${node(edit.updateNode.id)}`
  if ('moveNodes' in edit) {
    const [move, ...more] = edit.moveNodes
    return `move ${more.length > 0 ? count(more.length + 1, 'node', 'nodes') : node(move!.nodeId)}`
  }
  if ('deleteNode' in edit) return `delete ${node(edit.deleteNode)}`
  if ('addEdge' in edit) return `connect ${node(edit.addEdge.source)} to ${node(edit.addEdge.target)}`
  if ('updateEdge' in edit) return 'change an edge'
  return 'delete an edge'
}
