// What is asked for again and again, while somebody looks.
import { Failure } from '../client/index.ts'

const period = 10_000

/** After a failure that may pass, unless the server says how long to wait. */
const soon = 2_000

/** What is asked for again and again. */
export interface Poll {
  /** Asks at once. */
  again: () => void
  stop: () => void
}

/**
 * Asks every 10 s while the window is visible, never while it is hidden, and at once when it is shown. An answer that comes after a later
 * question is dropped.
 */
export function poll<Answer>(ask: () => Promise<Answer>, take: (answer: Answer) => void, fail: (error: unknown) => void): Poll {
  let asked = 0
  let next: ReturnType<typeof setTimeout> | undefined
  const go = async () => {
    clearTimeout(next)
    const question = ++asked
    if (document.hidden) return
    let wait = period
    try {
      const answer = await ask()
      if (question === asked) take(answer)
    } catch (error) {
      if (error instanceof Failure && error.passes) wait = error.retryAfterMs ?? soon
      if (question === asked) fail(error)
    }
    if (question === asked) next = setTimeout(go, wait)
  }
  document.addEventListener('visibilitychange', go)
  void go()
  return {
    again: go,
    stop: () => {
      document.removeEventListener('visibilitychange', go)
      clearTimeout(next)
      asked++
    },
  }
}
