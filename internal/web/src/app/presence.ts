// What the editor shows of the others. They move often: whatever is shown of them is looked at once a frame at most.
import { useMemo, useSyncExternalStore } from 'react'
import type { People } from '../client/index.ts'
import { useDesk } from './desk.ts'

type Subscribe = (listener: () => void) => () => void

/** Calls listeners before the next frame, once however often they were to be called until then. */
export function onceAFrame(subscribe: Subscribe): Subscribe {
  return (listener) => {
    let frame = 0
    const stop = subscribe(() => {
      frame ||= requestAnimationFrame(() => {
        frame = 0
        listener()
      })
    })
    return () => {
      stop()
      cancelAnimationFrame(frame)
    }
  }
}

/** What a function takes of the people who are here. It is plain data, and drawn anew when it is other data. */
export function useOfPeople<T>(take: (people: People) => T): T {
  const { presence } = useDesk().project
  const subscribe = useMemo(() => onceAFrame(presence.subscribe), [presence])
  const text = useSyncExternalStore(subscribe, () => JSON.stringify(take(presence.snapshot())))
  return useMemo(() => JSON.parse(text) as T, [text])
}

/** Whether this person wants to see no movement. */
export function prefersStillness(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}
