// Requests that may be made again: they have an operation id, so that nothing happens twice.
import { Failure, pause } from '../client/index.ts'

/** That often in all, which is about a minute and a half. */
const most = 20

/** Asks until an answer comes, and says when it has to wait; fails with what is no better a little later, or when nobody answers for long. */
export async function withRetries<T>(ask: () => Promise<T>, waits: (failure: Failure) => void = () => {}): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof Failure && error.passes) || attempt === most) throw error
      waits(error)
      await new Promise((resolve) => setTimeout(resolve, pause(attempt, error.retryAfterMs)))
    }
  }
}
