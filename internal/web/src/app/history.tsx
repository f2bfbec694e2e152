// The history beside the canvas: who did what, when and why, each to be looked at and to be undone.
import { useEffect, useId, useMemo, useState, useSyncExternalStore } from 'react'
import { planOf, useDesk, type Desk } from './desk.ts'
import { createEntries } from './entries.ts'
import type { LogEntry } from './log.ts'
import { summaryOf } from './summary.ts'
import './history.css'
import { closeHistory } from './history-state.ts'
import { look } from './time-travel.ts'
import { undoVersion } from './undo.ts'
import { undoSince } from './undo-since.ts'
import { exactly, moment } from './words.ts'

export default function History() {
  const desk = useDesk()
  const { wanted } = useSyncExternalStore(desk.history.subscribe, desk.history.get)
  const [actorId, setActorId] = useState<string | null>(null)
  const [onlySelected, setOnlySelected] = useState(false)
  const chosen = useSyncExternalStore(desk.state.subscribe, () => theSelected(desk))
  const elementId = onlySelected ? chosen : null
  const found = useMemo(() => createEntries(desk.project, { actorId, elementId }), [desk, actorId, elementId])
  useEffect(() => found.follow(), [found])
  const { entries, more, problem } = useSyncExternalStore(found.subscribe, found.get)
  const authors = useAuthors(entries)
  const heading = useId()
  return (
    <aside className="history" aria-labelledby={heading}>
      <header>
        <h2 id={heading}>History</h2>
        <button onClick={() => closeHistory(desk)}>Close</button>
      </header>
      <p className="filters">
        <label>
          By{' '}
          <select value={actorId ?? ''} onChange={({ target }) => setActorId(target.value || null)}>
            <option value="">everybody</option>
            {[...authors].map(([id, name]) => <option key={id} value={id}>{name}</option>)}
          </select>
        </label>
        {(chosen !== null || onlySelected) && (
          <label>
            <input type="checkbox" checked={onlySelected} onChange={({ target }) => setOnlySelected(target.checked)} /> Only what is selected
          </label>
        )}
      </p>
      <p role="alert">{problem}</p>
      {entries.length === 0 && !problem && <p>Nobody has changed this yet.</p>}
      <ol>
        {entries.map((entry) => <Entry key={entry.version} entry={entry} isShown={wanted === entry.version} isAuthor={actorId !== null} />)}
      </ol>
      {more && <p><button onClick={() => void found.readMore()}>Show older changes</button></p>}
    </aside>
  )
}

/** The node or edge that is selected, and is there now or in what is shown of the past; null for none or several. */
function theSelected(desk: Desk): string | null {
  const { selection: { nodes, edges } } = desk.state.get()
  const plans = [planOf(desk), desk.history.get().past]
  const found = [
    ...[...nodes].filter((id) => plans.some((plan) => plan?.nodes.has(id))), ...[...edges].filter((id) => plans.some((plan) => plan?.edges.has(id))),
  ]
  return found.length === 1 ? found[0]! : null
}

function Entry({ entry, isShown, isAuthor }: { entry: LogEntry; isShown: boolean; isAuthor: boolean }) {
  const desk = useDesk()
  const what = useId()
  const { version, timestamp, actorName, actorKind, via, note, undoes, undoneBy, operations } = entry
  const at = new Date(timestamp)
  const undoFromHere = () => {
    look(desk, null)
    void undoSince(desk, { actorId: entry.actorId, name: actorName }, at)
  }
  return (
    <li className="entry" data-undone={undoneBy !== null || undefined} aria-current={isShown || undefined}>
      <p className="who">
        <strong><bdi>{actorName}</bdi></strong>
        {actorKind === 'agent' && <span className="badge">Agent</span>}
        {' '}<time dateTime={timestamp} title={exactly(at)}>{moment(at)}</time>
        <span className="quiet"> via {via}</span>
      </p>
      <p id={what} className="what" dir="auto">{summaryOf(operations)}</p>
      {note && <p className="note" dir="auto">{note}</p>}
      {undoneBy !== null && <p className="quiet">Undone</p>}
      {undoes !== null && <p className="quiet">Takes back version {undoes}</p>}
      <p className="actions">
        <button aria-describedby={what} onClick={() => look(desk, version)}>Look</button>
        {undoneBy === null && actorKind !== 'system' && (
          <button aria-describedby={what} onClick={() => { look(desk, null); undoVersion(desk, version) }}>Undo</button>
        )}
        {isAuthor && (
          <button aria-label={`Undo what ${actorName} did since ${moment(at)}`} onClick={undoFromHere}>
            Undo from here on
          </button>
        )}
      </p>
    </li>
  )
}

/** Everybody who was seen in the history, by their ids. */
function useAuthors(entries: readonly LogEntry[]): ReadonlyMap<string, string> {
  const [authors, setAuthors] = useState<ReadonlyMap<string, string>>(new Map())
  const unknown = entries.filter(({ actorId, actorName }) => authors.get(actorId) !== actorName)
  if (unknown.length > 0) setAuthors(new Map([...authors, ...unknown.toReversed().map(({ actorId, actorName }) => [actorId, actorName] as const)]))
  return authors
}
