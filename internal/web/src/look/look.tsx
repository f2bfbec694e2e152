// What a node holds, over the canvas: as a table, or as a picture.
import { useCallback, useEffect, useId, useState, useSyncExternalStore } from 'react'
import type { Plan } from '../client/index.ts'
import { update, useDesk, useDeskState } from '../app/desk.ts'
import { KindIcon } from '../app/kinds.tsx'
import { later } from '../app/later.tsx'
import { look, type Looking } from '../app/looking.ts'
import { withRetries } from '../app/retry.ts'
import { messageOf } from '../app/words.ts'
import { RunButtons } from '../data/section.tsx'
import { openParts, type Part } from './contents.ts'
import { downloadsOf } from './downloads.ts'
import { holdingOf, type Holding } from './holding.ts'
import './look.css'

const Table = later(() => import('./table.tsx'))
const Picture = later(() => import('./picture.tsx'))

export default function Look({ plan, looking }: { plan: Plan; looking: Looking }) {
  const desk = useDesk()
  const heading = useId()
  const close = () => update(desk, { looking: null })
  const node = plan.nodes.get(looking.node)
  const name = node ? node.metadata.label || node.id : 'What is gone'
  const holding = node && holdingOf(plan, node)
  const { message } = useDeskState() // the canvas shows it, too, below the dialog
  return (
    <dialog ref={show} className="look" tabIndex={-1} aria-labelledby={heading} onClose={close}>
      <header>
        {node && <span data-kind={node.nodeType}><KindIcon nodeType={node.nodeType} /></span>}
        <h2 id={heading} dir="auto">{name}</h2>
        {holding && (
          <>
            <Choice words="Table" isChosen={looking.view === 'table'} choose={() => look(desk, looking.node, 'table')} />
            <Choice words="Picture" isChosen={looking.view === 'picture'} choose={() => look(desk, looking.node, 'picture')} />
          </>
        )}
        <button className="close" onClick={close}>Close</button>
      </header>
      {message && <p role="alert">{message} <button onClick={() => update(desk, { message: null })}>Dismiss</button></p>}
      {holding ? <Held key={looking.node} holding={holding} name={name} view={looking.view} tables={() => look(desk, looking.node, 'table')} /> : (
        <p className="nothing">This node was deleted. Undo that to look at what it holds.</p>
      )}
    </dialog>
  )
}

function Choice({ words, isChosen, choose }: { words: string; isChosen: boolean; choose: () => void }) {
  return <button aria-pressed={isChosen} onClick={choose}>{words}</button>
}

function Held({ holding, name, view, tables }: { holding: Holding; name: string; view: Looking['view']; tables: () => void }) {
  const { project, states: store } = useDesk()
  const state = useSyncExternalStore(store.subscribe, store.get).get(holding.node.id)
  const isBuilt = !['DataSourceNode', 'OutputNode'].includes(holding.node.nodeType)
  // How often other contents were found in the place of those that are shown.
  const [times, setTimes] = useState(0)
  const again = useCallback(() => setTimes((before) => before + 1), [])
  const key = `${holding.key} ${times}`
  const [shown, setShown] = useState({ key, kind: holding.kind, isAnother: false })
  if (key !== shown.key) setShown({ key, kind: holding.kind, isAnother: shown.kind !== 'nothing' })
  const [what, became] = holding.kind === 'source' ? ['file', 'replaced or read again'] : ['graph', 'built again']
  return (
    <>
      <p role="status">{shown.isAnother && holding.kind !== 'nothing' && `The ${what} was ${became} meanwhile: this is what it holds now.`}</p>
      {holding.note && <p className={holding.kind === 'nothing' ? 'nothing' : undefined} role="status" dir="auto">{holding.note}</p>}
      {isBuilt && (state?.kind === 'stale' || holding.note) && (
        <p className="choices">
          {state && state.kind !== 'failed' && <span dir="auto">{state.sign} {state.words}</span>} <RunButtons node={holding.node} />
        </p>
      )}
      {holding.kind === 'nothing' ? null : view === 'table' ? <Tables key={key} holding={holding} name={name} changed={again} />
        : holding.kind === 'graph' ? <Picture key={key} projectId={project.id} node={holding.node} name={name} tables={tables} />
          : <p className="nothing">A file is looked at as a table. Run a graph that reads it, and look at the picture of that.</p>}
      {holding.kind !== 'nothing' && (
        <p className="downloads">
          Download: {downloadsOf(project.id, holding).map(([words, address]) => <a key={words} href={address} download>{words}</a>)}
        </p>
      )}
    </>
  )
}

/** The tables of what a node holds, one at a time. */
function Tables({ holding, name, changed }: { holding: Holding; name: string; changed: () => void }) {
  const { project } = useDesk()
  const [parts, setParts] = useState<Part[] | null>(null)
  const [failure, setFailure] = useState('')
  const [shown, setShown] = useState(0)
  const [tries, setTries] = useState(0)
  useEffect(() => {
    let isNeeded = true
    withRetries(() => openParts(project.id, holding)).then((found) => { if (isNeeded) setParts(found) },
      (error: unknown) => { if (isNeeded) setFailure(messageOf(error)) })
    return () => { isNeeded = false }
    // The holding of another content has another key, by which all of this is made anew.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [tries])
  const retry = () => {
    setFailure('')
    setTries(tries + 1)
  }
  const part = parts?.[shown]
  if (failure) return <p role="alert">This could not be loaded: {failure} <button onClick={retry}>Try again</button></p>
  if (!part) return <p className="nothing" role="status">{parts ? 'There is nothing in it.' : 'Loading…'}</p>
  return (
    <>
      {parts.length > 1 && (
        <p className="parts">
          {parts.map((each, i) => <Choice key={each.name} words={`${each.name} (${each.total.toLocaleString('en')})`} isChosen={i === shown} choose={() => setShown(i)} />)}
        </p>
      )}
      <Table key={shown} part={part} name={`${part.name} of ${name}`} changed={changed} />
    </>
  )
}

// The browser gives the focus back when a dialog is closed, but not when it is only taken out of the page.
function show(dialog: HTMLDialogElement | null) {
  dialog?.showModal()
  dialog?.focus() // a table takes it from there
  // What had the focus may be gone, as when a table begins anew. Keys are still for the dialog, then, and not for the plan.
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== document.body) return
    event.stopPropagation()
    dialog?.focus()
  }
  addEventListener('keydown', onKeyDown, true)
  return () => {
    removeEventListener('keydown', onKeyDown, true)
    dialog?.close()
  }
}
