// Files that are on their way into the plan, and what becomes of its nodes. It is loaded behind the editor, which is there without it.
import { Panel, useReactFlow } from '@xyflow/react'
import { useEffect, useId, useState, useSyncExternalStore } from 'react'
import { select, useDesk, type Desk } from '../app/desk.ts'
import { isNow } from '../app/history-state.ts'
import './data.css'
import { count } from '../app/words.ts'
import { cancelAllCommand } from './commands.ts'
import { addFiles, filesOf } from './files.ts'
import { isRunning } from './runs.ts'
import { uploadsTo, type UploadList } from './upload-list.ts'
import { bytes, isOpen, isUnderWay, kinds, summaryOf, wordsOf, type Kind, type Upload } from './uploads.ts'
import { watchStates } from './watch.ts'

/** What belongs on the canvas: where files are dropped, and the list of those that are on their way. */
export default function Data() {
  const desk = useDesk()
  const list = uploadsTo(desk.project.id)
  const [ended, setEnded] = useState({ words: '', count: 0 })
  useEffect(() => watchStates(desk, (words) => setEnded((last) => ({ words, count: last.count + 1 }))), [desk])
  const over = useDrop(desk)
  return (
    <>
      {over && <div className="drop" aria-hidden="true">{isNow(desk) ? 'Drop CSV, TSV or JSON files' : 'This plan is of the past: files cannot be added'}</div>}
      <Uploads list={list} />
      <Running />
      <div className="unseen" aria-live="polite"><p key={ended.count}>{ended.words}</p></div>
    </>
  )
}

/** How many builds wait and are under way, and the way to end them. */
function Running() {
  const desk = useDesk()
  const states = [...useSyncExternalStore(desk.states.subscribe, desk.states.get).values()]
  const [waiting, building] = (['waiting', 'building'] as const).map((kind) => states.filter((state) => state.kind === kind).length)
  if (!isRunning(desk, null) || !(waiting || building)) return null
  const parts = [...(building ? [count(building, 'build is under way', 'builds are under way')] : []), ...(waiting ? [`${waiting} waiting`] : [])]
  return (
    <Panel position="bottom-center" className="running">
      <span>{parts.join(', ')}</span> <button onClick={() => cancelAllCommand.run(desk)}>Cancel all</button>
    </Panel>
  )
}

/** Takes files that are dropped on the canvas; elsewhere the browser would leave the page for one. Returns whether some are held over it. */
function useDrop(desk: Desk): boolean {
  const { screenToFlowPosition } = useReactFlow()
  const [over, setOver] = useState(false)
  useEffect(() => {
    const isFile = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const canvasAt = ({ target }: Event) => target instanceof Element && target.closest('.canvas') !== null
    const onDragOver = (event: DragEvent) => {
      if (!isFile(event)) return
      event.preventDefault()
      const is = canvasAt(event)
      event.dataTransfer!.dropEffect = is && isNow(desk) ? 'copy' : 'none'
      setOver(is)
    }
    const onLeave = (event: DragEvent) => { if (event.relatedTarget === null) setOver(false) }
    const onDrop = (event: DragEvent) => {
      if (!isFile(event)) return
      event.preventDefault()
      setOver(false)
      if (!canvasAt(event)) return
      const at = screenToFlowPosition({ x: event.clientX, y: event.clientY })
      const node = (event.target as Element).closest<HTMLElement>('.react-flow__node')?.dataset.id
      void addFiles(desk, filesOf(event.dataTransfer!), at, node)
    }
    addEventListener('dragover', onDragOver)
    addEventListener('dragleave', onLeave)
    addEventListener('drop', onDrop)
    return () => {
      removeEventListener('dragover', onDragOver)
      removeEventListener('dragleave', onLeave)
      removeEventListener('drop', onDrop)
    }
  }, [desk, screenToFlowPosition])
  return over
}

/** The files that are on their way, and what became of them. */
function Uploads({ list }: { list: UploadList }) {
  const uploads = useSyncExternalStore(list.store.subscribe, list.store.get)
  const heading = useId()
  const open = uploads.filter(isOpen)
  const ended = uploads.filter((upload) => !isOpen(upload))
  return (
    <Panel position="top-left" className={uploads.length > 0 ? 'uploads' : 'unseen'}>
      {/* A live region has to be there before it says something. How far each is, is not in it. */}
      <p className={uploads.length > 1 ? 'all' : 'unseen'} role="status">{uploads.length > 0 && summaryOf(uploads)}</p>
      {uploads.length > 0 && (
        <section aria-labelledby={heading}>
          <h2 id={heading} className="unseen">Files</h2>
          <ul>{uploads.map((upload) => <li key={upload.id} className={upload.state.at}><One upload={upload} list={list} /></li>)}</ul>
          <p className="do">
            {open.length > 1 && <button onClick={() => list.stop(open)}>Stop all</button>}
            {ended.length > 1 && <button onClick={() => list.dismiss(ended.map(({ id }) => id))}>Dismiss all that ended</button>}
          </p>
        </section>
      )}
    </Panel>
  )
}

function One({ upload, list }: { upload: Upload; list: UploadList }) {
  const desk = useDesk()
  const { id, file, state } = upload
  const name = useId()
  const [nodeId] = state.at === 'done' ? state.nodeIds : []
  const show = () => {
    select(desk, [nodeId!])
    desk.view.get()?.reveal([nodeId!])
  }
  return (
    <>
      <p><strong id={name} dir="auto">{file.name}</strong></p>
      {isUnderWay(upload) && (
        <progress aria-labelledby={name} max={file.size} value={state.at === 'sending' ? state.sent : file.size} title={bytes(file.size)} />
      )}
      <p className={state.at === 'refused' || state.at === 'lost' ? 'bad' : 'quiet'} role={state.at === 'refused' || state.at === 'lost' ? 'alert' : undefined}>
        {wordsOf(upload)}
      </p>
      {state.at === 'refused' && state.problems.some((problem) => problem !== state.why) && (
        <details><summary>What is wrong</summary><ul>{state.problems.map((problem) => <li key={problem}>{problem}</li>)}</ul></details>
      )}
      <p className="do">
        {isOpen(upload)
          ? <button aria-describedby={name} onClick={() => list.stop([upload])}>Stop</button>
          : (
            <>
              {nodeId !== undefined && <button aria-describedby={name} onClick={show}>Show</button>}
              <Again upload={upload} list={list} name={name} />
              <button aria-describedby={name} onClick={() => list.dismiss([id])}>Dismiss</button>
            </>
          )}
      </p>
    </>
  )
}

/** Sends a file once more: as it was, or as something else when the server could not read it as what it took it for. */
function Again({ upload, list, name }: { upload: Upload; list: UploadList; name: string }) {
  const { file, state, target, kind } = upload
  const [as, setAs] = useState<Kind | ''>(kind ?? '')
  if (state.at === 'lost' || state.at === 'stopped') return <button aria-describedby={name} onClick={() => list.again(upload)}>Try again</button>
  if (state.at !== 'refused' || file.size === 0 || 'replaces' in target || !/\.[ct]sv$/i.test(file.name)) return null
  return (
    <>
      <label>
        Read as <select value={as} aria-describedby={name} onChange={({ currentTarget }) => setAs(currentTarget.value as Kind | '')}>
          <option value="">what it looks like</option>
          {kinds.filter((each) => each !== 'graph').map((each) => <option key={each}>{each}</option>)}
        </select>
      </label>
      <button aria-describedby={name} onClick={() => list.again(upload, as || null)}>Try again</button>
    </>
  )
}
