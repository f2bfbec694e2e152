// Both values of what two people changed, and the choice between them.
import { useId } from 'react'
import type { Plan } from '../client/index.ts'
import { change, useDesk } from './desk.ts'
import { elementOf } from './drafts.ts'
import type { Json } from './json.ts'
import { kindOf } from './kinds.tsx'
import type { Side } from './merge.ts'
import type { Clash } from './resolve.ts'
import { textOf } from './schema.ts'

export function ClashPanel({ clash, plan }: { clash: Clash; plan: Plan }) {
  const desk = useDesk()
  const heading = useId()
  const decide = (side: Side) => {
    desk.project.plan.discard([clash.change.opId])
    change(desk, clash.edits[side])
    document.querySelector<HTMLElement>('.inspector input')?.focus() // the buttons go
  }
  const made = desk.others.at(Math.max(...clash.versions))
  return (
    <section className="clash" aria-labelledby={heading} tabIndex={-1}>
      <h3 id={heading}>Two changed {nameOf(clash, plan)}</h3>
      <p>
        {clash.names.join(', ') || 'Somebody else'} changed it{made && <> at <time>{new Date(made.timestamp).toLocaleTimeString()}</time></>}, and so did you.
        {clash.differences.length === 0 && ' Others keep changing it, so your change was not made yet.'}
      </p>
      {clash.differences.map(({ path, mine, theirs }) => (
        <dl key={path.join(' ')}>
          <div><dt>{path.join(' › ')}: mine</dt><dd dir="auto">{shown(mine)}</dd></div>
          <div><dt>{path.join(' › ')}: theirs</dt><dd dir="auto">{shown(theirs)}</dd></div>
        </dl>
      ))}
      <button onClick={() => decide('mine')}>Keep mine</button> <button onClick={() => decide('theirs')}>Take theirs</button>
    </section>
  )
}

function shown(value: Json | undefined) {
  if (value === undefined || value === null) return <em>nothing</em>
  return textOf(value) || <em>an empty text</em>
}

function nameOf({ of, id }: Clash, plan: Plan): string {
  const element = elementOf(plan, of, id)
  if (of === 'edge') return 'this edge'
  if (!element || !('nodeType' in element)) return 'a node that is gone'
  return `“${element.metadata.label || kindOf(element.nodeType).word}”`
}
