// What the canvas shows: the plan as it is, with what is proposed, or a plan of the past, with what differs from now.
import { useMemo, useSyncExternalStore } from 'react'
import type { Plan } from '../client/index.ts'
import { useDesk } from './desk.ts'
import { withGhosts } from './ghosts.ts'
import type { Marks } from './marks.ts'
import { authorsSince, compared } from './past.ts'

export interface Scene {
  plan: Plan
  marks: Marks
  /** Whether it cannot be changed. */
  readOnly: boolean
}

/** The scene of a plan. */
export function useScene(now: Plan): Scene {
  const { history, proposals: store } = useDesk()
  const { past, known } = useSyncExternalStore(history.subscribe, history.get)
  const proposals = useSyncExternalStore(store.subscribe, store.get)
  return useMemo(() => {
    if (past) return { ...compared(past, now, authorsSince(known, past.version)), readOnly: true }
    return { ...withGhosts(now, proposals), readOnly: false }
  }, [now, past, known, proposals])
}
