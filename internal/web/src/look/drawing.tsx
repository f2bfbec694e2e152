// A graph as Graphviz draws it, shown as an image: whatever stands in it, nothing of it runs.
import { useEffect, useRef, useState } from 'react'
import { flushSync } from 'react-dom'
import { createGraphviz } from '../app/graphviz.ts'
import { withRetries } from '../app/retry.ts'
import { count, messageOf } from '../app/words.ts'
import { Failure } from '../client/index.ts'
import { outputOf } from './downloads.ts'
import { takeFocus } from './focus.ts'
import { toBeDrawn } from './picture-dot.ts'
import type { PictureProps } from './picture.tsx'

const [least, most, step] = [0.05, 8, 1.25]

export function Drawing({ projectId, node, name, tables, points }: PictureProps & { points: () => void }) {
  const [address, setAddress] = useState('')
  const [failure, setFailure] = useState('')
  const { nodeCount: nodes = 0, edgeCount: edges = 0 } = node.graphExecution ?? {}
  useEffect(() => {
    const graphviz = createGraphviz({
      tooLong: 'Graphviz took more than 10 seconds and was ended.', failed: 'Graphviz could not draw it.',
    })
    let made = ''
    const closed = new AbortController()
    const draw = async () => {
      const dot = toBeDrawn(await withRetries(() => dotOf(projectId, node.id, closed.signal)), edges)
      const svg = await graphviz.draw({ dot, format: 'svg' }) as string
      if (!closed.signal.aborted) setAddress(made = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' })))
    }
    draw().catch((error: unknown) => { if (!closed.signal.aborted) setFailure(messageOf(error)) })
    return () => {
      closed.abort()
      graphviz.end()
      URL.revokeObjectURL(made)
    }
  }, [projectId, node.id, edges])
  if (failure) {
    return (
      <div className="nothing" role="alert">
        <p>There is no drawing: {failure}</p>
        <p className="choices"><button onClick={tables}>Look at the table</button> <button onClick={points}>Show points and lines</button></p>
      </div>
    )
  }
  if (!address) return <p className="nothing" role="status">Drawing…</p>
  const words = `Drawing of ${name}: ${count(nodes, 'node', 'nodes')}, ${count(edges, 'edge', 'edges')}. The table has all of them as text.`
  return <Paper address={address} words={words} filename={`${name}.svg`} />
}

/** The server's DOT of the graph that a node built last, with the colours of its layers, and partitions around what is in them. */
async function dotOf(projectId: number, nodeId: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(outputOf(projectId, nodeId, 'DOT'), { signal })
  if (response.ok) return response.text()
  const answer = await response.json().catch(() => null) as { error?: { code: string; message: string; retryAfterMs?: number } } | null
  const { code, message, retryAfterMs } = answer?.error ?? { code: '', message: `The server answered with status ${response.status}. Try again later.` }
  throw new Failure(code, message, { extensions: { code, retryAfterMs } })
}

/** An image that can be made larger and smaller, and moved. */
function Paper({ address, words, filename }: { address: string; words: string; filename: string }) {
  const frame = useRef<HTMLDivElement>(null)
  const image = useRef<HTMLImageElement>(null)
  /** In pixels; null to fit it in. */
  const [width, setWidth] = useState<number | null>(null)
  const held = useRef<{ x: number; y: number } | null>(null)

  const magnify = (factor: number, at?: { x: number; y: number }) => {
    const [box, drawn] = [frame.current!, image.current!]
    const next = Math.max(drawn.naturalWidth * least, Math.min(drawn.width * factor, drawn.naturalWidth * most))
    // What is at a place stays there.
    const { left, top, width: wide, height: high } = box.getBoundingClientRect()
    const [x, y] = at ? [at.x - left, at.y - top] : [wide / 2, high / 2]
    const grown = next / drawn.width
    const to = { left: (box.scrollLeft + x) * grown - x, top: (box.scrollTop + y) * grown - y }
    flushSync(() => setWidth(next))
    box.scrollTo({ ...to, behavior: 'instant' })
  }
  // React listens to the wheel in a way in which nothing can be prevented.
  const magnifying = useRef(magnify)
  useEffect(() => { magnifying.current = magnify })
  useEffect(() => {
    const box = frame.current!
    takeFocus(box)
    const onWheel = (event: WheelEvent) => {
      if (!event.ctrlKey) return
      event.preventDefault()
      magnifying.current(event.deltaY < 0 ? step : 1 / step, { x: event.clientX, y: event.clientY })
    }
    box.addEventListener('wheel', onWheel)
    return () => box.removeEventListener('wheel', onWheel)
  }, [])
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === '+' || event.key === '=') magnify(step)
    else if (event.key === '-') magnify(1 / step)
    else if (event.key === '0') setWidth(null)
    else return
    event.preventDefault()
  }
  return (
    <>
      <p className="choices">
        <button onClick={() => magnify(step)}>Larger</button> <button onClick={() => magnify(1 / step)}>Smaller</button>{' '}
        <button onClick={() => setWidth(null)}>Fit</button> <button onClick={() => setWidth(image.current!.naturalWidth)}>Full size</button>{' '}
        <a href={address} download={filename}>Download SVG</a>
      </p>
      {/* Arrow keys scroll what has the focus and is larger than its frame. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        ref={frame} className={width === null ? 'paper fitting' : 'paper'} role="group" aria-label="Drawing: plus and minus zoom, 0 fits it in, arrows move it"
        tabIndex={0} // oxlint-disable-line jsx-a11y/no-noninteractive-tabindex
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          if (event.button !== 0 || event.pointerType === 'touch') return // a finger scrolls
          event.currentTarget.setPointerCapture(event.pointerId)
          held.current = { x: event.clientX, y: event.clientY }
        }}
        onPointerMove={({ clientX, clientY }) => {
          if (!held.current) return
          frame.current!.scrollBy({ left: held.current.x - clientX, top: held.current.y - clientY, behavior: 'instant' })
          held.current = { x: clientX, y: clientY }
        }}
        onLostPointerCapture={() => { held.current = null }}
      >
        <img ref={image} src={address} alt={words} draggable={false} style={width === null ? undefined : { width }} />
      </div>
    </>
  )
}
