// A table of any length, of which only what is in view is loaded and drawn.
import { useVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'react'
import { Failure, pause } from '../client/index.ts'
import { count } from '../app/words.ts'
import { asLines, cellText, fittingWidth, narrowest, textOf, widest } from './columns.ts'
import { Changed, type Part } from './contents.ts'
import { takeFocus } from './focus.ts'
import { Pages, type Row } from './pages.ts'
import { Scale } from './scale.ts'
import './table.css'

const rowHeight = 28

/** The column of row numbers. */
const numbersWidth = 112

/** Whoever scrolls so long no more has arrived, in milliseconds. */
const arrival = 80

/** By how much a column gets wider at once. */
const widthStep = 24

interface Place {
  /** -1 for the names of the columns. */
  row: number
  column: number
}

/** The table of a part. Changed is called when other contents have taken the place of its own. */
export default function Table({ part, name, changed }: { part: Part; name: string; changed: () => void }) {
  const prefix = useId()
  const grid = useRef<HTMLDivElement>(null)
  const [, redraw] = useReducer((drawn: number) => drawn + 1, 0)
  const pages = useMemo(() => new Pages(part, redraw), [part])
  const [place, setPlace] = useState<Place>({ row: 0, column: 0 })
  /** The other corner of what is selected; null while that is one cell. */
  const [corner, setCorner] = useState<Place | null>(null)
  const [copied, setCopied] = useState('')
  const [seen, setSeen] = useState(0)
  const scale = useMemo(() => new Scale(part.total * rowHeight, seen), [part.total, seen])
  const scaling = useRef(scale)
  useLayoutEffect(() => {
    scaling.current = scale
    grid.current!.dispatchEvent(new Event('scroll')) // the same place is another one of the rows
  }, [scale])
  const { columns } = pages
  const { widths, setWidth } = useWidths(pages)

  // oxlint-disable-next-line react/incompatible-library -- nothing here is compiled such that it would be remembered for too long
  const rows = useVirtualizer({
    count: part.total, getScrollElement: () => grid.current, estimateSize: () => rowHeight, overscan: 8,
    // The element is scrolled less far than the rows when there are very many of them.
    observeElementOffset(_, report) {
      const element = grid.current!
      const onScroll = () => report(scaling.current.toRows(element.scrollTop), false)
      onScroll()
      element.addEventListener('scroll', onScroll, { passive: true })
      return () => element.removeEventListener('scroll', onScroll)
    },
    scrollToFn() {}, // it would correct what the scale rounds
  })
  const across = useVirtualizer({
    count: columns.length, horizontal: true, getScrollElement: () => grid.current, estimateSize: (i) => widths[i]!, paddingStart: numbersWidth, overscan: 2,
  })
  useEffect(() => across.measure(), [across, widths])
  useEffect(() => {
    const element = grid.current!
    const observer = new ResizeObserver(() => setSeen(element.clientHeight - rowHeight))
    observer.observe(element)
    takeFocus(element)
    return () => observer.disconnect()
  }, [])
  // A turn of the wheel goes as far as in any other table.
  useEffect(() => {
    const element = grid.current!
    if (scale.ratio === 1) return
    const onWheel = (event: WheelEvent) => {
      if (event.ctrlKey || event.shiftKey || event.deltaMode !== 0) return
      event.preventDefault()
      element.scrollBy({ left: event.deltaX, top: scale.toElement(event.deltaY), behavior: 'instant' })
    }
    element.addEventListener('wheel', onWheel)
    return () => element.removeEventListener('wheel', onWheel)
  }, [scale])

  const drawnRows = rows.getVirtualItems()
  const drawnColumns = across.getVirtualItems()
  const [first, last] = [drawnRows[0]?.index ?? 0, drawnRows.at(-1)?.index ?? 0]
  useEffect(() => {
    // Whoever goes on from rows that are there is given the next ones at once, whoever jumps when they have arrived.
    const isJump = last > 0 && !pages.row(first) && !pages.row(last)
    const timer = setTimeout(() => pages.want(first, last), isJump ? arrival : 0)
    return () => clearTimeout(timer)
  }, [pages, first, last])
  const { failure } = pages
  useEffect(() => {
    if (failure instanceof Changed) changed()
    if (!(failure instanceof Failure) || !failure.passes) return
    const timer = setTimeout(() => pages.retry(), pause(3, failure.retryAfterMs))
    return () => clearTimeout(timer)
  }, [failure, changed, pages])

  const offset = rows.scrollOffset ?? 0
  const top = scale.toElement(offset) - offset // of the first row, were it drawn
  const go = (row: number, column: number, selects = false) => {
    const to = { row: Math.max(-1, Math.min(row, part.total - 1)), column: Math.max(0, Math.min(column, columns.length - 1)) }
    setCorner(selects && to.row >= 0 && place.row >= 0 ? corner ?? place : null)
    setPlace(to)
    setCopied('')
    const element = grid.current!
    const start = to.row * rowHeight
    const now = scale.toRows(element.scrollTop)
    if (to.row >= 0 && start < now) element.scrollTop = scale.toElement(start)
    else if (start + rowHeight > now + seen) element.scrollTop = scale.toElement(start + rowHeight - seen)
    const left = widths.slice(0, to.column).reduce((sum, width) => sum + width, 0)
    const room = element.clientWidth - numbersWidth
    if (left < element.scrollLeft) element.scrollLeft = left
    else if (left + widths[to.column]! > element.scrollLeft + room) element.scrollLeft = Math.min(left, left + widths[to.column]! - room)
  }
  const onKeyDown = (event: React.KeyboardEvent) => {
    const { key, shiftKey, altKey } = event
    const { row, column } = place
    const control = event.ctrlKey || event.metaKey
    const page = Math.max(1, Math.floor(seen / rowHeight) - 1)
    if (control && key.toLowerCase() === 'c') void copy()
    else if (altKey && (key === 'ArrowLeft' || key === 'ArrowRight')) widen(key === 'ArrowLeft' ? -widthStep : widthStep)
    else if (altKey) return
    else if (key === 'ArrowUp') go(row - 1, column, shiftKey)
    else if (key === 'ArrowDown') go(row + 1, column, shiftKey)
    else if (key === 'ArrowLeft') go(row, column - 1, shiftKey)
    else if (key === 'ArrowRight') go(row, column + 1, shiftKey)
    else if (key === 'PageUp') go(Math.max(0, row - page), column, shiftKey)
    else if (key === 'PageDown') go(row + page, column, shiftKey)
    else if (key === 'Home') go(control ? 0 : row, 0, shiftKey)
    else if (key === 'End') go(control ? part.total - 1 : row, columns.length - 1, shiftKey)
    else return
    event.preventDefault()
  }
  const widen = (by: number) => setWidth(columns[place.column]!, widths[place.column]! + by)
  const current = place.row < 0 ? columns[place.column] ?? '' : textOf(pages.row(place.row)?.[columns[place.column] ?? ''])
  const [highest, lowest] = sorted(place.row, corner?.row)
  const [left, right] = sorted(place.column, corner?.column)
  const isSelected = (row: number, column: number) => row >= highest && row <= lowest && column >= left && column <= right
  const cells = (lowest - highest + 1) * (right - left + 1)
  const copy = async () => {
    const selected = Array.from({ length: lowest - highest + 1 }, (_, i) => pages.row(highest + i))
    if (corner && selected.includes(undefined)) {
      setCopied('Some of these rows are not loaded. Select fewer, or download all.')
      return
    }
    const names = columns.slice(left, right + 1)
    try {
      await navigator.clipboard.writeText(corner ? asLines(selected.map((row) => names.map((each) => textOf(row?.[each])))) : current)
      setCopied(cells > 1 ? `Copied ${cells.toLocaleString('en')} cells` : 'Copied')
    } catch {
      setCopied('The browser did not allow it.')
    }
  }

  const idOf = (row: number, column: number) => `${prefix}-${row}-${column}`
  const isDrawn = (place.row < 0 || (place.row >= first && place.row <= last)) && drawnColumns.some(({ index }) => index === place.column)
  return (
    <div className="table">
      <form className="tools" onSubmit={(event) => {
        event.preventDefault()
        const row = Number(new FormData(event.currentTarget).get('row'))
        if (row >= 1) go(row - 1, place.column)
        grid.current!.focus()
      }}>
        <span>{count(part.total, part.name.slice(0, -1).toLowerCase(), part.name.toLowerCase())}</span>
        <label>Row <input name="row" type="number" min={1} max={part.total} required defaultValue={1} disabled={part.total === 0} /></label>
        <button disabled={part.total === 0}>Go to row</button>
        <button type="button" title="The column of the current cell (Alt+←)" onClick={() => widen(-widthStep)} disabled={columns.length === 0}>Narrower</button>
        <button type="button" title="The column of the current cell (Alt+→)" onClick={() => widen(widthStep)} disabled={columns.length === 0}>Wider</button>
      </form>
      {failure && !(failure instanceof Changed) && (
        <p role="alert">These rows could not be loaded: {failure.message} <button onClick={() => pages.retry()}>Try again</button></p>
      )}
      {/* oxlint-disable-next-line jsx-a11y/interactive-supports-focus -- the grid has the focus, and says where in it one is */}
      <div
        ref={grid} className="grid" role="grid" aria-label={name} aria-rowcount={part.total + 1} aria-colcount={columns.length + 1} aria-readonly="true" aria-multiselectable="true"
        aria-describedby={`${prefix}-keys`} tabIndex={0} aria-activedescendant={isDrawn ? idOf(place.row, place.column) : undefined} onKeyDown={onKeyDown}
      >
        <div role="row" aria-rowindex={1} className="names" style={{ width: across.getTotalSize() }}>
          <span role="columnheader" aria-colindex={1} className="number" style={{ width: numbersWidth }}>Row</span>
          {drawnColumns.map(({ index, start, size }) => (
            // The keys are those of the grid.
            // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
            <span
              role="columnheader" key={index} id={idOf(-1, index)} aria-colindex={index + 2} className="cell" data-current={place.row === -1 && place.column === index}
              style={{ left: start, width: size }} onClick={() => go(-1, index)}
            >
              <span dir="auto">{columns[index]}</span>
              <Border width={size} set={(width) => setWidth(columns[index]!, width)} />
            </span>
          ))}
        </div>
        <div role="presentation" className="all" style={{ height: scale.height, width: across.getTotalSize() }}>
          {drawnRows.map(({ index, start }) => (
            <div role="row" key={index} aria-rowindex={index + 2} className="row" style={{ top: start + top, height: rowHeight }}>
              <span role="rowheader" aria-colindex={1} className="number" style={{ width: numbersWidth }}>{(index + 1).toLocaleString('en')}</span>
              <Cells
                row={pages.row(index)} columns={columns} drawn={drawnColumns} idOf={(column) => idOf(index, column)}
                choose={(column, selects) => go(index, column, selects)} isSelected={(column) => isSelected(index, column)}
                current={place.row === index ? place.column : -1}
              />
            </div>
          ))}
        </div>
      </div>
      <p id={`${prefix}-keys`} className="unseen">
        Arrows go from cell to cell, with Shift they select. Control and C copies. Alt with the arrows makes the column narrower and wider.
      </p>
      <div className="current">
        <p>
          <span><strong dir="auto">{columns[place.column]}</strong>{place.row >= 0 && `, row ${(place.row + 1).toLocaleString('en')}`}</span>
          {navigator.clipboard && part.total > 0 && <button onClick={() => void copy()}>{cells > 1 ? `Copy ${cells.toLocaleString('en')} cells` : 'Copy'}</button>}
          <span role="status">{copied}</span>
        </p>
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- long texts are scrolled by keys */}
        <pre tabIndex={0} dir="auto" aria-label="Text of the cell">{current}</pre>
      </div>
    </div>
  )
}

/** From the smaller of two to the larger. */
const sorted = (one: number, other = one): [number, number] => [Math.min(one, other), Math.max(one, other)]

function Cells({ row, columns, drawn, idOf, choose, isSelected, current }: {
  row: Row | undefined; columns: readonly string[]; drawn: readonly { index: number; start: number; size: number }[]
  idOf: (column: number) => string; choose: (column: number, selects: boolean) => void; isSelected: (column: number) => boolean; current: number
}) {
  return drawn.map(({ index, start, size }) => (
    // The keys are those of the grid.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
    <span
      role="gridcell" key={index} id={idOf(index)} aria-colindex={index + 2} className="cell" data-current={index === current} dir="auto"
      aria-selected={isSelected(index)} style={{ left: start, width: size }} onClick={({ shiftKey }) => choose(index, shiftKey)}
    >
      {row ? cellText(row[columns[index]!]) : '…'}
    </span>
  ))
}

/** The right border of a column, which is dragged. There are buttons and keys for the same. */
function Border({ width, set }: { width: number; set: (width: number) => void }) {
  const from = useRef<{ x: number; width: number } | null>(null)
  return (
    <span
      className="border" aria-hidden="true"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        from.current = { x: event.clientX, width }
      }}
      onPointerMove={({ clientX }) => { if (from.current) set(from.current.width + clientX - from.current.x) }}
      onLostPointerCapture={() => { from.current = null }}
    />
  )
}

/** How wide the columns are. */
function useWidths(pages: Pages) {
  const [chosen, setChosen] = useState<ReadonlyMap<string, number>>(new Map())
  const { columns } = pages
  const isLoaded = pages.row(0) !== undefined
  // Those of the first rows, and they stay when others come.
  const fitting = useMemo(() => {
    const rows = isLoaded ? Array.from({ length: 40 }, (_, i) => pages.row(i)) : []
    return new Map(columns.map((name) => [name, fittingWidth(name, rows)]))
    // oxlint-disable-next-line react/exhaustive-deps -- columns that come later are as wide as their names
  }, [pages, isLoaded])
  const widths = useMemo(() => columns.map((name) => chosen.get(name) ?? fitting.get(name) ?? fittingWidth(name, [])), [columns, chosen, fitting])
  const setWidth = useCallback((name: string, width: number) => (
    setChosen((before) => new Map([...before, [name, Math.max(narrowest, Math.min(width, widest))]]))), [])
  return { widths, setWidth }
}
