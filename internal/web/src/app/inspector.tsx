// What is selected: all that can be said and changed of one node or one edge.
import { useId, useMemo, useState, useSyncExternalStore, type KeyboardEvent } from 'react'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { ClashPanel } from './conflicts.tsx'
import { select, selected, update, useDesk, useDeskState } from './desk.ts'
import { elementOf, setDraft } from './drafts.ts'
import { FieldOf } from './field.tsx'
import { dataType, dataTypes, description, edgeLabel, nodeLabel, sourceHandle, targetHandle } from './fields.ts'
import { Config } from './form.tsx'
import './inspector.css'
import { KindIcon, kindOf } from './kinds.tsx'
import type { Clash } from './resolve.ts'

export function Inspector({ plan, clashes }: { plan: Plan; clashes: readonly Clash[] }) {
  const desk = useDesk()
  const { inspecting } = useDeskState()
  const { nodes, edges } = selected(desk)
  const count = nodes.length + edges.length
  const node = count === 1 ? plan.nodes.get(nodes[0] ?? '') : undefined
  const edge = count === 1 ? plan.edges.get(edges[0] ?? '') : undefined
  if (!inspecting) {
    return <button className="inspect" onClick={() => update(desk, { inspecting: true })}>Inspector</button>
  }
  const isShown = ({ of, id }: Clash) => id === (of === 'node' ? node : edge)?.id || !elementOf(plan, of, id)
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
      <Lost plan={plan} />
      {clashes.filter(isShown).map((clash) => <ClashPanel key={clash.change.opId} clash={clash} plan={plan} />)}
      {node ? <OfNode key={node.id} node={node} plan={plan} />
        : edge ? <OfEdge key={edge.id} edge={edge} plan={plan} />
          : <p>{count > 0 ? `${inWords(nodes.length, edges.length)} are selected.` : 'Select a node or an edge to see and change it.'}</p>}
    </aside>
  )
}

function inWords(nodes: number, edges: number): string {
  const count = (n: number, what: string) => (n === 0 ? [] : [`${n} ${what}${n === 1 ? '' : 's'}`])
  return [...count(nodes, 'node'), ...count(edges, 'edge')].join(' and ')
}

function OfNode({ node, plan }: { node: PlanNode; plan: Plan }) {
  const desk = useDesk()
  const rules = useSyncExternalStore(desk.rules.subscribe, desk.rules.get)
  const edges = useMemo(() => [...plan.edges.values()], [plan.edges])
  const inputs = edges.filter(({ target }) => target === node.id).map(({ source }) => source)
  const outputs = edges.filter(({ source }) => source === node.id).map(({ target }) => target)
  return (
    <>
      <p className="does" data-kind={node.nodeType}><KindIcon nodeType={node.nodeType} /> {rules.get(node.nodeType)?.does}</p>
      <FieldOf element={node} field={nodeLabel} />
      <FieldOf element={node} field={description} shape="lines" />
      <Neighbours plan={plan} words="Inputs" ids={inputs} />
      <Neighbours plan={plan} words="Outputs" ids={outputs} />
      <Config node={node} />
      <Id id={node.id} />
    </>
  )
}

function OfEdge({ edge, plan }: { edge: PlanEdge; plan: Plan }) {
  return (
    <>
      <Neighbours plan={plan} words="From" ids={[edge.source]} />
      <Neighbours plan={plan} words="To" ids={[edge.target]} />
      <FieldOf element={edge} field={edgeLabel} />
      <FieldOf element={edge} field={dataType} options={Object.entries(dataTypes)} />
      <FieldOf element={edge} field={sourceHandle} />
      <FieldOf element={edge} field={targetHandle} />
      <Id id={edge.id} />
    </>
  )
}

/** Nodes by name, each a way to it. */
function Neighbours({ plan, words, ids }: { plan: Plan; words: string; ids: readonly string[] }) {
  const desk = useDesk()
  const heading = useId()
  const lead = (id: string) => {
    select(desk, [id])
    desk.view.get()?.reveal([id])
  }
  return (
    <section className="neighbours" aria-labelledby={heading}>
      <h3 id={heading}>{words}</h3>
      {ids.length === 0 ? <p>None</p> : (
        <ul>
          {ids.map((id) => (
            <li key={id}><button className="link" dir="auto" onClick={() => lead(id)}>{plan.nodes.get(id)?.metadata.label || id}</button></li>
          ))}
        </ul>
      )}
    </section>
  )
}

function Id({ id }: { id: string }) {
  const [copied, setCopied] = useState(false)
  const name = useId()
  return (
    <div className="id">
      <label htmlFor={name}>Id</label>
      <input id={name} value={id} readOnly onFocus={(event) => event.target.select()} />
      {navigator.clipboard && <button onClick={() => void navigator.clipboard.writeText(id).then(() => setCopied(true))}>Copy</button>}
      <span role="status">{copied && 'Copied'}</span>
    </div>
  )
}

/** What was typed into nodes and edges that somebody deleted meanwhile. */
function Lost({ plan }: { plan: Plan }) {
  const { drafts, others } = useDesk()
  const all = useSyncExternalStore(drafts.subscribe, drafts.get)
  const lost = [...all].filter(([, { field, seen }]) => !elementOf(plan, field.of, seen.id))
  return (
    <div role="alert">
      {lost.map(([key, { field, seen, text }]) => (
        <section key={key} className="lost">
          <p>
            {others.lastOf(seen.id)?.actorName ?? 'Somebody'} deleted {seen.metadata.label ? `“${seen.metadata.label}”` : `this ${field.of}`} while
            you typed. This is what you had:
          </p>
          <textarea readOnly value={text} rows={4} dir="auto" aria-label={field.name} />
          {navigator.clipboard && <button onClick={() => void navigator.clipboard.writeText(text)}>Copy</button>}{' '}
          <button onClick={() => setDraft(drafts, key, undefined)}>Dismiss</button>
        </section>
      ))}
    </div>
  )
}
