// All that can be said and changed of one node or one edge.
import { useId, useMemo, useState, useSyncExternalStore } from 'react'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { ClashPanel } from './clash.tsx'
import { select, useDesk } from './desk.ts'
import './details.css'
import { elementOf, setDraft } from './drafts.ts'
import { FieldOf } from './field.tsx'
import { dataType, dataTypes, description, edgeLabel, nodeLabel, sourceHandle, targetHandle } from './fields.ts'
import { Config } from './form.tsx'
import { KindIcon } from './kinds.tsx'
import { later } from './later.tsx'
import { look } from './looking.ts'
import type { Clash } from './resolve.ts'

const DataOfNode = later(() => import('../data/of-node.tsx'))

/** What is selected, what was typed into elements that are gone, and what is to be decided about either. */
export default function Details({ plan, node, edge, clashes }: {
  plan: Plan; node: PlanNode | undefined; edge: PlanEdge | undefined; clashes: readonly Clash[]
}) {
  const isShown = ({ of, id }: Clash) => id === (of === 'node' ? node : edge)?.id || !elementOf(plan, of, id)
  return (
    <>
      <Lost plan={plan} />
      {clashes.filter(isShown).map((clash) => <ClashPanel key={clash.change.opId} clash={clash} plan={plan} />)}
      {node && <OfNode key={node.id} node={node} plan={plan} />}
      {edge && <OfEdge key={edge.id} edge={edge} plan={plan} />}
    </>
  )
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
      <DataOfNode node={node} />
      <p className="looks">
        <button onClick={() => look(desk, node.id, 'table')}>Table</button> <button onClick={() => look(desk, node.id, 'picture')}>Picture</button>
      </p>
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
