// What is said to those who hear the page: what one did oneself, and what others do.
import { useEffect, useState, useSyncExternalStore } from 'react'
import type { AppliedChange, Plan } from '../client/index.ts'
import { planOf, useDesk, type Sentence } from './desk.ts'
import { connection } from './session.ts'
import { wordsForChanges } from './phrases.ts'

/** What others do is said at most that often, in milliseconds, and then all of it together. */
const betweenSentences = 2_000

export function LiveRegion() {
  const desk = useDesk()
  const own = useSyncExternalStore(desk.said.subscribe, desk.said.get)
  const [theirs, setTheirs] = useState<Sentence>({ words: '', count: 0 })
  useEffect(() => {
    let changes: AppliedChange[] = []
    let before: Plan | null = null
    let timer: ReturnType<typeof setTimeout> | undefined
    let last = -Infinity
    const tell = () => {
      timer = undefined
      last = performance.now()
      const after = planOf(desk)
      const words = before && after ? wordsForChanges(changes, before, after) : ''
      before = null
      changes = []
      if (words) setTheirs(({ count }) => ({ words, count: count + 1 }))
    }
    // The plan that was drawn last does not have the change yet.
    let drawn = planOf(desk)
    const stopDrawing = desk.project.plan.subscribe(() => { drawn = planOf(desk) })
    const stopHearing = desk.project.plan.hear((change) => {
      if (change.clientId === connection.clientId) return
      before ??= drawn
      changes.push(change)
      timer ??= setTimeout(tell, Math.max(0, last + betweenSentences - performance.now()))
    })
    return () => {
      stopDrawing()
      stopHearing()
      clearTimeout(timer)
    }
  }, [desk])
  return (
    <div className="unseen">
      <Said {...own} />
      <Said {...theirs} />
    </div>
  )
}

/** What is said is an element of its own each time, so that it is said again when it comes again. */
function Said({ words, count }: Sentence) {
  return <div aria-live="polite"><p key={count}>{words}</p></div>
}
