// What is selected, beside the plan.
import { useSyncExternalStore, type KeyboardEvent } from 'react'
import type { Plan } from '../client/index.ts'
import { selected, update, useDesk, useDeskState } from './desk.ts'
import './inspector.css'
import { kindOf } from './kinds.tsx'
import { later } from './later.tsx'
import type { Clash } from './resolve.ts'

const Details = later(() => import('./details.tsx'))

export function Inspector({ plan, clashes }: { plan: Plan; clashes: readonly Clash[] }) {
  const desk = useDesk()
  const { inspecting } = useDeskState()
  const drafts = useSyncExternalStore(desk.drafts.subscribe, desk.drafts.get)
  const { nodes, edges } = selected(desk)
  const count = nodes.length + edges.length
  const node = count === 1 ? plan.nodes.get(nodes[0] ?? '') : undefined
  const edge = count === 1 ? plan.edges.get(edges[0] ?? '') : undefined
  if (!inspecting) {
    return <button className="inspect" onClick={() => update(desk, { inspecting: true })}>Inspector</button>
  }
  const onKeyDown = ({ key }: KeyboardEvent) => {
    if (key === 'Escape') document.querySelector<HTMLElement>(`.canvas [data-id="${CSS.escape((node ?? edge)?.id ?? '')}"]`)?.focus()
  }
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- Escape is for all controls in it
    <aside className={`inspector${count === 0 ? ' idle' : ''}`} aria-label="Inspector" onKeyDown={onKeyDown}>
      <header>
        <h2>{node ? kindOf(node.nodeType).word : edge ? 'Edge' : 'Inspector'}</h2>
        <button onClick={() => update(desk, { inspecting: false })}>Hide</button>
      </header>
      {(node || edge || clashes.length > 0 || drafts.size > 0) && <Details plan={plan} node={node} edge={edge} clashes={clashes} />}
      {!node && !edge && <p>{count > 0 ? `${inWords(nodes.length, edges.length)} are selected.` : 'Select a node or an edge to see and change it.'}</p>}
    </aside>
  )
}

function inWords(nodes: number, edges: number): string {
  const count = (n: number, what: string) => (n === 0 ? [] : [`${n} ${what}${n === 1 ? '' : 's'}`])
  return [...count(nodes, 'node'), ...count(edges, 'edge')].join(' and ')
}
