// A large graph as points and lines, drawn by WebGL, with what can be found in it as text beside it.
import type Sigma from 'sigma'
import { useEffect, useId, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { withRetries } from '../app/retry.ts'
import { connection } from '../app/session.ts'
import { count, messageOf } from '../app/words.ts'
import { Changed } from './contents.ts'
import { takeFocus } from './focus.ts'
import { GraphPictureDocument } from './gql/graphql.ts'
import { around, find, layersOf, networkOf, type Network, type Preview } from './network.ts'
import type { PictureProps } from './picture.tsx'
import { layOutByForces } from './forces.ts'
import { centreOn, colorsOf, createStage } from './stage.ts'

/** More are not listed: the table has all. */
const mostListed = 100

const darkScheme = matchMedia('(prefers-color-scheme: dark)')

function followScheme(listener: () => void): () => void {
  darkScheme.addEventListener('change', listener)
  return () => darkScheme.removeEventListener('change', listener)
}

export default function Points({ projectId, node, name, tables }: PictureProps) {
  const [preview, setPreview] = useState<Preview | null>(null)
  const [failure, setFailure] = useState('')
  useEffect(() => {
    let isNeeded = true
    withRetries(() => connection.request(GraphPictureDocument, { projectId, nodeId: node.id })).then(({ graphPreview }) => {
      if (!isNeeded) return
      if (graphPreview) setPreview(graphPreview)
      else setFailure(new Changed().message)
    }, (error: unknown) => { if (isNeeded) setFailure(messageOf(error)) })
    return () => { isNeeded = false }
  }, [projectId, node.id])
  const noPicture = (why: string) => (
    <div className="nothing" role="alert">
      <p>There is no picture: {why}</p>
      <p className="choices"><button onClick={tables}>Look at the table</button></p>
    </div>
  )
  if (failure) return noPicture(failure)
  return preview ? <Stage preview={preview} name={name} lost={setFailure} /> : <p className="nothing" role="status">Loading…</p>
}

function Stage({ preview, name, lost }: { preview: Preview; name: string; lost: (why: string) => void }) {
  const layers = useMemo(() => layersOf(preview), [preview])
  const network = useMemo(() => networkOf(preview, layers), [preview, layers])
  const place = useRef<HTMLDivElement>(null)
  const stage = useRef<Sigma | null>(null)
  const [chosen, setChosen] = useState<string | null>(null)
  const [steps, setSteps] = useState(1)
  /** The part of the layout that is done. */
  const [done, setDone] = useState(0)
  const [ended, setEnded] = useState('')
  const stop = useRef(() => {})

  useEffect(() => {
    const created = createStage(network, place.current!, lost, setChosen)
    if (!created) return
    stage.current = created
    const reduced = matchMedia('(prefers-reduced-motion: reduce)').matches
    const end = layOutByForces(network, !reduced, setDone, () => setEnded('The layout failed. Close this, and try again.'))
    stop.current = () => {
      end()
      setEnded('The layout was stopped')
    }
    return () => {
      end()
      stage.current = null
      created.kill()
    }
  }, [network, lost])
  const isDark = useSyncExternalStore(followScheme, () => darkScheme.matches)
  useEffect(() => {
    const near = chosen === null ? null : around(network, chosen, steps)
    const { letters, lines } = colorsOf(place.current!)
    stage.current?.setSettings({
      labelColor: { color: letters }, defaultEdgeColor: lines,
      nodeReducer: (id, point) => (!near ? point : near.has(id) ? { ...point, highlighted: id === chosen, forceLabel: near.size <= 50, zIndex: 1 }
        : { ...point, color: lines, size: 1.5, label: null, zIndex: 0 }),
      edgeReducer: (edge, line) => {
        if (!near) return line
        return network.extremities(edge).every((id) => near.has(id)) ? { ...line, color: letters, size: 1.5 } : { ...line, hidden: true }
      },
    })
    // oxlint-disable-next-line react/exhaustive-effect-dependencies, react/exhaustive-deps -- the colours of the style are others in the dark
  }, [network, chosen, steps, isDark])

  const choose = (id: string | null) => {
    setChosen(id)
    if (id !== null && stage.current) centreOn(stage.current, id)
  }
  const zoom = (factor: number) => {
    const camera = stage.current?.getCamera()
    camera?.setState({ ratio: camera.getBoundedRatio(camera.ratio * factor) })
  }
  const { nodes, edges, nodeCount, edgeCount, truncated } = preview
  return (
    <>
      <p className="choices">
        <span>
          {truncated
            ? `${count(nodes.length, 'node', 'nodes')} of ${nodeCount.toLocaleString('en')} and ${edges.length.toLocaleString('en')} of ${count(edgeCount, 'edge', 'edges')} are shown. The table has all.`
            : `${count(nodeCount, 'node', 'nodes')} and ${count(edgeCount, 'edge', 'edges')}`}
        </span>
        <button onClick={() => zoom(1 / 1.5)}>Larger</button> <button onClick={() => zoom(1.5)}>Smaller</button>{' '}
        <button onClick={() => stage.current?.getCamera().setState({ x: 0.5, y: 0.5, ratio: 1, angle: 0 })}>Fit</button>
        {done < 1 && ended === '' && (
          <>
            <label>Layout <progress value={done} max={1} /></label> <button onClick={() => stop.current()}>Stop</button>
          </>
        )}
        <span role="status">{done === 1 ? 'Laid out' : ended}</span>
      </p>
      <div className="points">
        <div className="stage">
          <div ref={place} role="img" aria-label={`Points and lines of ${name}. Beside it, nodes are found by their label or id, with their neighbours as text.`} />
        </div>
        <aside aria-label="Nodes and layers">
          <Search network={network} choose={choose} />
          {chosen !== null && <Chosen network={network} id={chosen} steps={steps} setSteps={setSteps} choose={choose} layers={layers} />}
          <h3>Layers</h3>
          <ul>
            {layers.map(({ id, name: words, color, count: many }) => (
              <li key={id}><span className="swatch" style={{ background: color }} /> <span dir="auto">{words}</span> <span className="quiet">{many.toLocaleString('en')}</span></li>
            ))}
          </ul>
        </aside>
      </div>
    </>
  )
}

/** Finds nodes by a part of their label or id. */
function Search({ network, choose }: { network: Network; choose: (id: string) => void }) {
  const field = useId()
  const [text, setText] = useState('')
  const found = useMemo(() => find(network, text, 20), [network, text])
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => takeFocus(input.current!), [])
  const chooseFound = (id: string) => {
    setText('')
    input.current!.focus() // the button that was pressed is gone
    choose(id)
  }
  return (
    <form onSubmit={(event) => {
      event.preventDefault()
      if (found[0] !== undefined) chooseFound(found[0])
    }}>
      <label htmlFor={field}>Find a node by its label or id</label>
      <input ref={input} id={field} type="search" value={text} autoComplete="off" spellCheck={false} onChange={({ target }) => setText(target.value)} />
      <Names network={network} ids={found} choose={chooseFound} />
      <p role="status">{text.trim() && found.length === 0 ? 'No node that is shown has this in its label or id.' : ''}</p>
    </form>
  )
}

/** A node, and what edges lead to and from it. */
function Chosen({ network, id, steps, setSteps, choose, layers }: {
  network: Network; id: string; steps: number; setSteps: (steps: number) => void; choose: (id: string | null) => void; layers: readonly { id: string; name: string }[]
}) {
  const { label, layer } = network.getNodeAttributes(id)
  const near = useMemo(() => around(network, id, steps).size - 1, [network, id, steps])
  return (
    <section aria-label="Chosen node">
      <h3 dir="auto">{label}</h3>
      <p className="quiet">Id <span dir="auto">{id}</span>, layer <span dir="auto">{layers.find((each) => each.id === layer)?.name ?? layer}</span></p>
      <p className="choices">
        {[1, 2].map((each) => <button key={each} aria-pressed={steps === each} onClick={() => setSteps(each)}>{count(each, 'step', 'steps')}</button>)}
        <button onClick={() => choose(null)}>Show all</button>
      </p>
      <p role="status">{count(near, 'node is', 'nodes are')} near</p>
      <h3>Leads to</h3>
      <Names network={network} ids={[...new Set(network.outNeighbors(id))]} choose={choose} none="Nothing" />
      <h3>Comes from</h3>
      <Names network={network} ids={[...new Set(network.inNeighbors(id))]} choose={choose} none="Nothing" />
    </section>
  )
}

/** Nodes by name, each a way to it. */
function Names({ network, ids, choose, none = '' }: { network: Network; ids: readonly string[]; choose: (id: string) => void; none?: string }) {
  if (ids.length === 0) return <p>{none}</p>
  return (
    <>
      <ul>
        {ids.slice(0, mostListed).map((id) => (
          <li key={id}><button type="button" className="link" dir="auto" onClick={() => choose(id)}>{network.getNodeAttribute(id, 'label')}</button></li>
        ))}
      </ul>
      {ids.length > mostListed && <p>And {(ids.length - mostListed).toLocaleString('en')} more</p>}
    </>
  )
}
