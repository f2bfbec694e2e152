// Pulls the plan of the past onto the canvas.
import { useEffect, useState, useSyncExternalStore } from 'react'
import type { Plan } from '../client/index.ts'
import { oneAtATime } from './again.ts'
import { useDesk } from './desk.ts'
import { Dialog } from './dialog.tsx'
import { onNewVersion, readingRest, type LogEntry } from './log.ts'
import type { Marks } from './marks.ts'
import type { Known } from './past.ts'
import { summaryOf } from './summary.ts'
import './history.css'
import { closeHistory } from './history-state.ts'
import { extend, look, pause, play, restore } from './time-travel.ts'
import { listed, moment } from './words.ts'

export default function Slider({ now, marks }: { now: Plan; marks: Marks }) {
  const desk = useDesk()
  const { known, oldest, newest, wanted, past, playing } = useSyncExternalStore(desk.history.subscribe, desk.history.get)
  /** The version that would be replaced; null while nobody is asked. */
  const [replaced, setReplaced] = useState<number | null>(null)
  useEffect(() => {
    const ask = oneAtATime(() => extend(desk), readingRest)
    void ask()
    return onNewVersion(desk.project.plan, () => void ask())
  }, [desk])
  useEffect(() => () => closeHistory(desk), [desk])
  const when = momentOf(wanted, known)
  return (
    <section className="slider" aria-label="Plans of the past">
      <button onClick={() => { if (playing) pause(desk); else void play(desk) }}>{playing ? 'Pause' : 'Play'}</button>
      <input
        type="range" aria-label="Version" aria-valuetext={when} min={oldest} max={newest} value={wanted ?? newest}
        onChange={({ target }) => { pause(desk); look(desk, Number(target.value)) }}
      />
      <p>
        <bdi>{when}</bdi>
        {past && <span className="quiet"> {differs(marks)}</span>}
      </p>
      {past && (
        <>
          <button onClick={() => { pause(desk); look(desk, null) }}>Back to now</button>
          <button onClick={() => { pause(desk); setReplaced(now.version) }}>Restore…</button>
        </>
      )}
      {replaced !== null && (
        <Dialog
          title="Go back to this plan?" action="Restore" close={() => setReplaced(null)}
          act={async () => {
            setReplaced(now.version) // what is there is seen by now
            await restore(desk, replaced)
            setReplaced(null)
          }}
        >
          <p>The plan becomes what it was then: <bdi>{when}</bdi>. This is one change, which can be undone.</p>
        </Dialog>
      )}
    </section>
  )
}

/** What is looked at, in words. */
function momentOf(version: number | null, { changes }: Known<LogEntry>): string {
  if (version === null) return 'Now'
  const change = changes.get(version)
  if (change) return `${moment(new Date(change.timestamp))}, ${change.actorName}: ${summaryOf(change.operations)}`
  return version === 0 ? 'Before the first change' : `After change ${version.toLocaleString('en')}`
}

/** Such as: 2 added and 1 changed since. */
function differs({ nodes, edges }: Marks): string {
  const all = [...nodes.values(), ...edges.values()]
  const parts = (['added', 'gone', 'changed'] as const).flatMap((kind) => {
    const found = all.filter((mark) => mark.kind === kind).length
    return found > 0 ? [`${found.toLocaleString('en')} ${kind === 'gone' ? 'deleted' : kind}`] : []
  })
  return parts.length === 0 ? 'As it is now' : `${listed.format(parts)} since`
}
