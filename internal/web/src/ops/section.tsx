// A view as a table.
import { useEffect, useLayoutEffect, useRef, useState } from 'react'
import { count } from '../app/words.ts'
import type { Row, View } from './ask.ts'
import { Statement } from './statement.tsx'
import { fully, shown, sorted, type Order } from './values.ts'
import type { Action, Section as About } from './views.ts'
import { filter } from './watch.ts'

interface Shown {
  about: About
  view: View
  may: string[]
  /** The time that the figures are of, when that is not now. */
  old: string | undefined
  ask: (action: Action, row?: Row) => void
}

export function Section({ about, view, may, old, ask }: Shown) {
  const [order, setOrder] = useState<Order>()
  const actions = about.actions.filter((action) => may.includes(action.function))
  const ofRows = actions.filter((action) => action.fits)
  const rows = sorted(view.rows, order)
  const heading = `view-${about.view}`
  const section = useKeptFocus()
  const sortBy = (column: string) => setOrder({ column, descending: order?.column === column && !order.descending })
  return (
    <section ref={section} id={about.view} aria-labelledby={heading} className={old && 'old'}>
      <div className="bar">
        <h2 id={heading} tabIndex={-1}>{about.title}</h2>
        <span className="count">
          {rows.length < view.total ? `${rows.length} of ${count(view.total, 'row', 'rows')}` : count(view.total, 'row', 'rows')}
          {old && <strong>, as of {old}</strong>}
        </span>
        <label>
          Filter
          <input type="search" maxLength={100} aria-label={`Filter: ${about.title}`} onChange={({ target }) => filter(about.view, target.value)} />
        </label>
        {actions.filter((action) => !action.fits).map((action) => (
          <button key={action.function} onClick={() => ask(action)}>{action.label}</button>
        ))}
      </div>
      <Statement sql={view.sql} of={about.title} />
      {rows.length === 0 ? <p className="count">No rows.</p> : (
        // The keyboard scrolls what has the focus.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <div className="table" role="group" aria-label={`Rows: ${about.title}`} tabIndex={0}>
          <table>
            <thead>
              <tr>
                {ofRows.length > 0 && <th scope="col"><span className="unseen">What can be done</span></th>}
                {about.columns.map((column) => (
                  <th key={column} scope="col" className={typeof rows[0]?.[column] === 'number' ? 'number' : undefined} aria-sort={order?.column !== column ? undefined : order.descending ? 'descending' : 'ascending'}>
                    <button onClick={() => sortBy(column)}>
                      {column}{order?.column === column && <span aria-hidden="true">{order.descending ? ' ▼' : ' ▲'}</span>}
                    </button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={about.key(row)}>
                  {ofRows.length > 0 && (
                    <td className="actions">
                      {ofRows.filter((action) => action.fits?.(row)).map((action) => (
                        <button key={action.function} aria-label={`${action.label}: ${about.name(row)}`} onClick={() => ask(action, row)}>{action.label}</button>
                      ))}
                    </td>
                  )}
                  {about.columns.map((column) => <Cell key={column} column={column} value={row[column]} />)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

/** Gives the focus to the heading when what had it goes with its row: otherwise people who use the keyboard would begin at the top again. */
function useKeptFocus() {
  const section = useRef<HTMLElement>(null)
  const focused = useRef<Element>(null)
  useEffect(() => {
    const note = ({ target }: Event) => { focused.current = target as Element }
    const { current } = section
    current?.addEventListener('focusin', note)
    return () => current?.removeEventListener('focusin', note)
  }, [])
  useLayoutEffect(() => {
    if (!focused.current || focused.current.isConnected) return
    focused.current = null
    if (document.activeElement === document.body) section.current?.querySelector('h2')?.focus({ preventScroll: true })
  })
  return section
}

/** Columns whose few values are good, or not. */
const judged = ['state', 'status']

/** How many characters stand in one line. */
const short = 40

function Cell({ column, value }: { column: string; value: unknown }) {
  const kind = typeof value === 'number' ? 'number' : shown(column, value).length > short ? 'long' : undefined
  return (
    <td className={kind} title={fully(value)} data-value={judged.includes(column) ? String(value) : undefined}>
      <bdi>{shown(column, value)}</bdi>
    </td>
  )
}
