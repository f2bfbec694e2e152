// The views, asked for every 2 s while somebody looks.
import { createStore } from '../app/store.ts'
import { askAll, type Overview } from './ask.ts'

const period = 2_000

export interface Sight {
  /** What was answered last; none before the first answer. */
  overview?: Overview
  /** Why there is no newer answer, and since when. */
  trouble?: { since: Date; reason: string }
}

export const sight = createStore<Sight>({})

/** What is asked for: texts that filter views, and commands that are followed. */
const question = { filters: {} as Record<string, string>, follow: [] as string[] }

let next: ReturnType<typeof setTimeout> | undefined
let asking: AbortController | undefined

/** Asks at once, unless the window is hidden: then as soon as it is shown. An answer to an older question is dropped. */
async function ask(): Promise<void> {
  clearTimeout(next)
  asking?.abort()
  if (document.hidden) return
  const mine = new AbortController()
  asking = mine
  try {
    const overview = await askAll(question.filters, question.follow, mine.signal)
    if (!mine.signal.aborted) sight.set({ overview })
  } catch (error) {
    if (!mine.signal.aborted) {
      const { overview, trouble } = sight.get()
      const reason = error instanceof Error ? error.message : String(error)
      sight.set({ overview, trouble: { since: trouble?.since ?? new Date(), reason } })
    }
  }
  if (!mine.signal.aborted) next = setTimeout(ask, period)
}

/** Begins to ask. */
export function begin(): void {
  document.addEventListener('visibilitychange', ask)
  void ask()
}

/** Shows the rows of a view that have a text. */
export function filter(view: string, text: string): void {
  question.filters = { ...question.filters, [view]: text }
  void ask()
}

/** Follows the newest of the commands that were given here. The server follows 20 at most. */
export function follow(ids: string[]): void {
  question.follow = ids.slice(0, 10)
  void ask()
}

/** Asks again now: something was done. */
export const refresh = (): void => { void ask() }
