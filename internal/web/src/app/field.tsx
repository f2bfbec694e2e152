// One field of the inspector: what is typed there, what is wrong with it, and what others wrote meanwhile.
import {
  useCallback, useDeferredValue, useEffect, useId, useMemo, useRef, useSyncExternalStore, type ChangeEvent, type KeyboardEvent,
} from 'react'
import { change, planOf, useDesk } from './desk.ts'
import { elementOf, finish, setDraft, type Element, type Field } from './drafts.ts'
import type { JsonError } from './json.ts'

interface Properties<Of> {
  element: Of
  field: Field<Of>
  /** What it is called here; without this, its name. */
  label?: string
  hint?: string | undefined
  placeholder?: string | undefined
  /** A line, lines, or lines of code. */
  shape?: 'line' | 'lines' | 'code'
  inputMode?: 'numeric' | 'decimal' | undefined
  /** The texts to choose from, with their words. */
  options?: readonly (readonly [text: string, words: string])[]
}

export function FieldOf<Of extends Element>({ element, field: given, label, hint, placeholder, shape = 'line', inputMode, options }: Properties<Of>) {
  const field = given as Field
  const desk = useDesk()
  const id = useId()
  const control = useRef<HTMLTextAreaElement>(null)
  const key = `${field.of} ${element.id} ${field.name}`
  const draft = useSyncExternalStore(desk.drafts.subscribe, useCallback(() => desk.drafts.get().get(key), [desk, key]))
  const saved = useMemo(() => field.read(element), [field, element])
  const text = draft?.text ?? saved
  // A control that became another one would lose the focus, so what was there decides.
  const isLine = shape === 'line' && !(draft ? field.read(draft.seen) : saved).includes('\n')
  // A long text is checked when there is time, so that typing never waits for it.
  const checked = useDeferredValue(draft)
  const outcome = useMemo(() => (checked ? field.save(checked.seen, checked.text) : null), [field, checked])
  const problem = draft && outcome && 'problem' in outcome ? outcome : null

  const type = (typed: string) => {
    const seen = draft?.seen ?? elementOf(planOf(desk), field.of, element.id)
    if (seen) setDraft(desk.drafts, key, { field, seen, text: typed })
  }
  const save = useCallback(() => change(desk, finish(desk.drafts, key, planOf(desk))), [desk, key])
  useEffect(() => () => void save(), [save]) // another element is selected
  const choose = (typed: string) => {
    type(typed)
    save()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return
    if (event.key === 'Enter' && !options && (isLine || event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      save()
    } else if (event.key === 'Escape' && draft) {
      event.stopPropagation() // the focus stays
      setDraft(desk.drafts, key, undefined)
    }
  }
  const show = ({ offset, line }: JsonError) => {
    const area = control.current
    if (!area) return
    area.focus()
    area.setSelectionRange(offset, offset + 1)
    area.scrollTop = (line - 3) * parseFloat(getComputedStyle(area).lineHeight)
  }

  const common = {
    id, value: text, onBlur: save, onKeyDown, placeholder, 'aria-invalid': problem !== null,
    'aria-describedby': `${hint ? `${id}-hint ` : ''}${id}-problem ${id}-theirs`,
    onChange: (event: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => type(event.target.value),
  }
  return (
    <div className="field">
      <label htmlFor={id}>{label ?? field.name}</label>
      {shape === 'code' && <Problem id={id} problem={problem} show={show} />}
      {options ? (
        <select {...common} onChange={(event) => choose(event.target.value)}>
          {options.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
        </select>
      ) : isLine ? (
        <input {...common} dir="auto" inputMode={inputMode} autoComplete="off" />
      ) : (
        <textarea
          {...common} ref={control} className={shape} dir={shape === 'code' ? 'ltr' : 'auto'} spellCheck={shape !== 'code'}
          rows={shape === 'code' ? 14 : 3} wrap={shape === 'code' ? 'off' : 'soft'}
        />
      )}
      {hint && <p className="hint" id={`${id}-hint`}>{hint}</p>}
      {shape !== 'code' && <Problem id={id} problem={problem} show={show} />}
      <p className="theirs" id={`${id}-theirs`} role="status" dir="auto">
        {draft && <Theirs field={field} seen={draft.seen} now={element} text={text} />}
      </p>
    </div>
  )
}

/** What is wrong with a text, and the way to the place. */
function Problem({ id, problem, show }: { id: string; problem: { problem: string; place?: JsonError } | null; show(place: JsonError): void }) {
  const place = problem?.place
  return (
    <p className="problem" id={`${id}-problem`} role="status">
      {problem && (place
        ? <button className="link" onClick={() => show(place)}>Line {place.line}, column {place.column}: {problem.problem}</button>
        : problem.problem)}
    </p>
  )
}

/** More of what others wrote is left out. */
const mostShown = 300

/** What others wrote into a field while somebody types there. */
function Theirs({ field, seen, now, text }: { field: Field; seen: Element; now: Element; text: string }) {
  const { others } = useDesk()
  const words = useMemo(() => {
    const theirs = field.read(now)
    if (theirs === field.read(seen) || theirs === text) return null
    const told = field.tell?.(seen, now) ?? theirs
    return told.length > mostShown ? `${told.slice(0, mostShown)}…` : told
  }, [field, seen, now, text])
  if (words === null) return null
  return <>{others.lastOf(now.id)?.actorName ?? 'Somebody else'} wrote: {words || <em>nothing</em>}</>
}
