// The plan as rows, in the order of its flow, from which everything can be done that the canvas does.
import { useEffect, useId, useRef, useState, useSyncExternalStore } from 'react'
import type { Plan, PlanNode } from '../client/index.ts'
import { commands } from './commands.ts'
import { change, selectItem, useDesk, useDeskState } from './desk.ts'
import { KindIcon, kindNames, kindOf } from './kinds.tsx'
import { connect, remove, rename } from './operations.ts'
import type { NodeState } from './node-state.ts'
import { neighbourOf, orderOf, type Degree, type Item } from './order.ts'
import './outline.css'
import { allowedTargets } from './rules.ts'
import type { Warnings } from './warnings.ts'
import { labelOf } from './phrases.ts'

/** All rows are equally high, in pixels, so that of many only those in sight are drawn. */
const rowHeight = 36

/** The canvas shows the row at which one stops, in milliseconds, and not those on the way: that would keep keys waiting. */
const whileChoosing = 150

interface OutlineProps {
  plan: Plan
  warnings: Warnings
}

export default function Outline({ plan, warnings }: OutlineProps) {
  const desk = useDesk()
  const { selection } = useDeskState()
  const states = useSyncExternalStore(desk.states.subscribe, desk.states.get)
  const { items, degrees } = orderOf(plan)
  const prefix = useId()
  const grid = useRef<HTMLDivElement>(null)
  const [renaming, setRenaming] = useState<string | null>(null)
  const [at, setAt] = useState(0)
  const revealing = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(revealing.current), [])
  const current = useCurrent(items, selection.nodes, selection.edges)
  const node = current?.kind === 'node' ? plan.nodes.get(current.id) : undefined
  const { from, to } = useSight(grid)

  const choose = (row: number) => {
    const item = items[row]
    if (!item) return
    setAt(row)
    const edge = item.kind === 'edge' ? plan.edges.get(item.id) : undefined
    selectItem(desk, item)
    clearTimeout(revealing.current)
    revealing.current = setTimeout(() => desk.view.get()?.reveal(edge ? [edge.source, edge.target] : [item.id]), whileChoosing)
  }
  const currentRow = current ? items.indexOf(current) : Math.min(at, items.length - 1)
  useEffect(() => {
    const { clientHeight = 0, scrollTop = 0 } = grid.current ?? {}
    const top = currentRow * rowHeight
    if (top < scrollTop) grid.current?.scrollTo({ top })
    else if (top + rowHeight > scrollTop + clientHeight) grid.current?.scrollTo({ top: top + rowHeight - clientHeight })
  }, [currentRow])

  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.target !== grid.current) return
    const { key } = event
    const page = Math.max(1, to - from - 1)
    const last = items.length - 1
    const row = {
      ArrowUp: currentRow - 1, ArrowDown: currentRow + 1, PageUp: currentRow - page, PageDown: currentRow + page, Home: 0, End: last,
    }[key]
    if (row !== undefined) choose(Math.max(0, Math.min(row, last)))
    else if (key === ' ') choose(currentRow)
    else if (key === 'F2' && node) setRenaming(node.id)
    else return
    event.preventDefault()
    event.stopPropagation() // the command of that key is for the canvas
  }
  const finish = (label: string) => {
    if (node && label) change(desk, rename(node, label))
    setRenaming(null)
  }
  const drawn = items.flatMap((item, row) => ((row >= from && row <= to) || row === currentRow ? [{ item, row }] : []))
  const idOf = (row: number) => `${prefix}-${row}`
  return (
    <section className="outline" aria-label="Outline">
      <Tools plan={plan} current={current} rename={() => node && setRenaming(node.id)} />
      <div
        role="treegrid" aria-label="Steps and edges" aria-rowcount={items.length + 1} tabIndex={0} ref={grid}
        aria-activedescendant={currentRow >= 0 ? idOf(currentRow) : undefined} onKeyDown={onKeyDown}
      >
        <div role="row" aria-rowindex={1} className="head">
          {['Label', 'Kind', 'State', 'In', 'Out'].map((word) => <span role="columnheader" key={word}>{word}</span>)}
          <span role="columnheader" aria-label="Warnings" title="Warnings">⚠</span>
        </div>
        {/* A place as high as all rows, in which those that are drawn stand where they belong. */}
        <div role="presentation" className="all" style={{ height: items.length * rowHeight }}>
          {drawn.map(({ item, row }) => (
            // The keys are those of the grid.
            // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
            <div
              role="row" key={item.id} id={idOf(row)} aria-rowindex={row + 2} aria-level={item.kind === 'node' ? 1 : 2} className="row"
              aria-selected={(item.kind === 'node' ? selection.nodes : selection.edges).has(item.id)} data-current={row === currentRow}
              style={{ top: row * rowHeight, height: rowHeight }} onClick={() => choose(row)}
            >
              {item.kind === 'edge'
                ? <span role="gridcell" className="edge">to {labelOf(plan, plan.edges.get(item.id)!.target)}</span>
                : <Cells
                  node={plan.nodes.get(item.id)!} state={states.get(item.id)} counts={degrees.get(item.id)!} warnings={warnings.get(item.id)}
                  isTyped={renaming === item.id} leave={() => grid.current?.focus()} finish={finish}
                />}
            </div>
          ))}
        </div>
      </div>
    </section>
  )
}

function Cells({ node, state, counts, warnings, isTyped, leave, finish }: {
  node: PlanNode; state: NodeState | undefined; counts: Degree; warnings: readonly string[] | undefined; isTyped: boolean; leave: () => void; finish: (label: string) => void
}) {
  const { metadata: { label }, nodeType } = node
  const onKeyDown = (event: React.KeyboardEvent<HTMLInputElement>) => {
    event.stopPropagation()
    if (event.key === 'Escape') event.currentTarget.value = label
    if (event.key === 'Enter' || event.key === 'Escape') leave()
  }
  return (
    <>
      <span role="gridcell" dir="auto">
        {isTyped
          ? <input
            aria-label="Label" maxLength={200} defaultValue={label} ref={select} onKeyDown={onKeyDown}
            onBlur={({ currentTarget }) => finish(currentTarget.value.trim())}
          />
          : label}
      </span>
      <span role="gridcell" data-kind={nodeType} className="kind"><KindIcon nodeType={nodeType} /> {kindOf(nodeType).word}</span>
      <span role="gridcell" title={state?.words}>{state && `${state.sign} ${state.words}`}</span>
      <span role="gridcell">{counts.inputs}</span>
      <span role="gridcell">{counts.outputs}</span>
      <span role="gridcell" title={warnings?.join('\n')}>
        {warnings && <>⚠ {warnings.length}<span className="unseen"> {warnings.join(' ')}</span></>}
      </span>
    </>
  )
}

function select(input: HTMLInputElement | null): void {
  input?.select()
}

const edit = commands.find(({ key }) => key === 'Enter')

/** What can be done with the current row, and what can be added. */
function Tools({ plan, current, rename: begin }: { plan: Plan; current: Item | undefined; rename: () => void }) {
  const desk = useDesk()
  const [kind, setKind] = useState(0)
  const [chosen, setChosen] = useState('')
  const source = current?.kind === 'node' && plan.nodes.has(current.id) ? current.id : undefined
  const allowed = source === undefined ? new Set<string>() : allowedTargets(plan, desk.rules.get(), source)
  const targets = orderOf(plan).nodes.filter(({ id }) => allowed.has(id))
  const target = targets.find(({ id }) => id === chosen)?.id ?? targets[0]?.id
  return (
    <div className="tools">
      <select aria-label="Kind of what is added" value={kind} onChange={({ currentTarget }) => setKind(Number(currentTarget.value))}>
        {kindNames.map((name, i) => <option key={name} value={i}>{kindOf(name).word}</option>)}
      </select>
      <button onClick={() => commands.find(({ words }) => words === `Add ${kindOf(kindNames[kind]!).word}`)?.run(desk)}>Add</button>
      <select aria-label="Connect to" disabled={!target} value={target ?? ''} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
        {!target && <option value="">No target</option>}
        {targets.map(({ id, metadata }) => <option key={id} value={id}>{metadata.label || id}</option>)}
      </select>
      <button disabled={!source || !target} onClick={() => change(desk, connect(plan, source!, target!))}>Connect</button>
      <button disabled={!source} onClick={begin}>Rename</button>
      {edit && <button disabled={!current} onClick={() => edit.run(desk)}>Edit</button>}
      <button
        disabled={!current}
        onClick={() => change(desk, remove(plan, current!.kind === 'node' ? [current!.id] : [], current!.kind === 'edge' ? [current!.id] : []))}
      >
        Delete
      </button>
    </div>
  )
}

/** The row that keys and tools are for: what is selected. When that is gone, what comes next is selected instead. */
function useCurrent(items: readonly Item[], nodes: ReadonlySet<string>, edges: ReadonlySet<string>): Item | undefined {
  const desk = useDesk()
  const before = useRef<{ items: readonly Item[]; current: Item | undefined }>({ items, current: undefined })
  const current = items.find(({ kind, id }) => (kind === 'node' ? nodes : edges).has(id))
  useEffect(() => {
    const { items: were, current: was } = before.current
    before.current = { items, current }
    if (current || !was || items.some(({ id }) => id === was.id)) return
    const next = neighbourOf(was.id, were, items)
    if (next) selectItem(desk, next)
  }, [desk, items, current])
  return current
}

/** The first and the last row in sight. */
function useSight(grid: React.RefObject<HTMLDivElement | null>): { from: number; to: number } {
  const [sight, setSight] = useState({ from: 0, to: 30 })
  useEffect(() => {
    const element = grid.current!
    const look = () => {
      const from = Math.max(0, Math.floor(element.scrollTop / rowHeight) - 5)
      const to = Math.ceil((element.scrollTop + element.clientHeight) / rowHeight) + 5
      setSight((before) => (before.from === from && before.to === to ? before : { from, to }))
    }
    element.addEventListener('scroll', look, { passive: true })
    const sized = new ResizeObserver(look)
    sized.observe(element)
    return () => {
      element.removeEventListener('scroll', look)
      sized.disconnect()
    }
  }, [grid])
  return sight
}
