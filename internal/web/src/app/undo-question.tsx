// What stands in the way of undo, for somebody to decide.
import type { Conflict, Plan } from '../client/index.ts'
import { planOf, useDesk } from './desk.ts'
import { Dialog } from './dialog.tsx'
import { me } from './session.ts'
import { decide } from './undo.ts'
import type { Question } from './undo-state.ts'
import './undo-question.css'
import { listed } from './words.ts'

export default function UndoQuestion({ question }: { question: Question }) {
  const desk = useDesk()
  return (
    <Dialog
      title="Others have changed this since" action="Skip those" act={() => decide(desk, question, 'SKIP')}
      other={{ action: 'Overwrite', act: () => decide(desk, question, 'OVERWRITE') }} close={() => void decide(desk, question, null)}
    >
      <p>To {question.target.redo ? 'do this again' : 'undo this'} would take back:</p>
      <ul className="conflicts">
        {question.conflicts.map((conflict) => <li key={conflict.id + conflict.part}><ConflictOf conflict={conflict} plan={planOf(desk)} /></li>)}
      </ul>
      <p><em>Skip those</em> leaves them and does the rest.</p>
    </Dialog>
  )
}

function ConflictOf({ conflict: { id, part, reason, expected, current, actorNames }, plan }: { conflict: Conflict; plan: Plan | null }) {
  const others = actorNames.filter((name) => name !== me.name)
  const label = plan?.nodes.get(id)?.metadata.label || id
  return (
    <>
      <strong><bdi>{label}</bdi>: {parts[part] ?? part}</strong> {reason}{others.length > 0 && ` by ${listed.format(others)}`}
      <dl>
        <dt>Theirs</dt><dd>{valueOf(current)}</dd>
        <dt>Yours</dt><dd>{valueOf(expected)}</dd>
      </dl>
    </>
  )
}

/** What parts are called. */
const parts: Record<string, string> = { metadata: 'label and description', config: 'settings', element: 'whether it is there' }

function valueOf(value: unknown): string {
  if (value === null || value === undefined) return 'not there'
  if (typeof value !== 'object') return String(value)
  const { x, y, label, description } = value as Record<string, unknown>
  if (typeof x === 'number' && typeof y === 'number') return `${Math.round(x)}, ${Math.round(y)}`
  if (typeof label === 'string') return `“${label}”${description ? `, ${String(description)}` : ''}`
  return JSON.stringify(value)
}
