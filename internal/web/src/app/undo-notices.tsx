// What undo says: what was done, how far it is, and what stands in the way.
import { useEffect, useSyncExternalStore } from 'react'
import { useDesk } from './desk.ts'
import { later } from './later.tsx'
import './past.css'
import { stopRun } from './undo.ts'
import { say } from './undo-state.ts'

const UndoQuestion = later(() => import('./undo-question.tsx'))

/** A sentence is long enough there to be read twice. */
const sentenceTime = 12_000

export function UndoNotices() {
  const desk = useDesk()
  const { said, run, question } = useSyncExternalStore(desk.undo.subscribe, desk.undo.get)
  useEffect(() => {
    if (!said) return
    const timer = setTimeout(() => say(desk, ''), sentenceTime)
    return () => clearTimeout(timer)
  }, [desk, said])
  return (
    <>
      {/* A live region has to be there before its sentence is. */}
      <p className="said" role="status">{said}</p>
      {run && (
        <p className="run" role="group" aria-label={`Undo what ${run.name} did`}>
          Undoing what <bdi>{run.name}</bdi> did{run.of !== null && `: ${run.done} of ${run.of}`}
          <button onClick={() => stopRun(desk)}>Stop</button>
        </p>
      )}
      {question && <UndoQuestion question={question} />}
    </>
  )
}
