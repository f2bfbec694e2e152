// The one socket for all subscriptions of a connection: it comes back by itself, and says how it is.
import { createClient } from 'graphql-ws/client'
import { Failure, pause, type Answer, type Document, type WireError } from './request.ts'

/** What a replica says of itself. Releases before say nothing. */
export interface Greeting {
  replica?: string
  version?: string
  /** The hash of its page: another one than before means that there is a new page. */
  page?: string
}

/** How a connection is. It is another object whenever something changed. */
export interface SocketStatus {
  state: 'connecting' | 'live' | 'reconnecting'
  /** When it came to be so (milliseconds since 1970). */
  since: number
  /** What the replica last said of itself, and how long its latest answer took (milliseconds). */
  greeting: Greeting
  roundTrip: number | null
}

/** A replica that says nothing for that long after it was asked is given up. */
const silence = 5_000
const askEvery = 10_000

/** The close code of an operator who disconnects somebody: not to be answered by connecting again. */
const kicked = 4000

export class Socket {
  #status: SocketStatus = { state: 'connecting', since: Date.now(), greeting: {}, roundTrip: null }
  readonly #client
  readonly #listeners = new Set<() => void>()
  #retryAfterMs: number | undefined
  #hurry = () => {}

  constructor(url: string, payload: () => Record<string, string>) {
    let patience: ReturnType<typeof setTimeout> | undefined
    let asked = 0
    this.#client = createClient({
      url,
      connectionParams: payload,
      keepAlive: askEvery,
      connectionAckWaitTimeout: silence,
      lazyCloseTimeout: 1_000,
      retryAttempts: Infinity,
      shouldRetry: (event) => !(isClose(event) && event.code === kicked),
      retryWait: (attempt) => this.#wait(pause(attempt, this.#retryAfterMs)),
      on: {
        opened: () => { asked = performance.now() },
        connected: (_, greeting) => {
          this.#become({ state: 'live', since: Date.now(), greeting: greeting ?? {}, roundTrip: performance.now() - asked })
        },
        closed: (event) => {
          clearTimeout(patience)
          this.#retryAfterMs = isClose(event) ? retryAfter(event.reason) : undefined
          if (this.#status.state !== 'reconnecting') this.#become({ state: 'reconnecting', since: Date.now() })
        },
        ping: (received) => {
          if (received) return
          asked = performance.now()
          patience = setTimeout(() => this.#client.terminate(), silence)
        },
        pong: (received) => {
          if (!received) return
          clearTimeout(patience)
          this.#become({ roundTrip: performance.now() - asked })
        },
      },
    })
    // A network that is back is no reason to wait any longer.
    globalThis.addEventListener?.('online', () => this.#hurry())
  }

  /** Calls a function when the status changes, until what it returns is called. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** How the connection is. */
  snapshot = (): SocketStatus => this.#status

  /**
   * Follows a subscription across reconnections, until it ends for good or what it returns is called. The variables are asked for each
   * time that it begins anew, since they say where to go on.
   */
  follow<Result, Variables>(
    document: Document<Result, Variables>, variables: () => Variables, next: (result: Result) => void, ended: (failure: Failure) => void,
  ): () => void {
    let stopped = false
    const end = (failure: Failure) => {
      if (!stopped) ended(failure)
      stopped = true
    }
    const query = { query: document.toString(), get variables() { return variables() as Record<string, unknown> } }
    const stop = this.#client.subscribe<Result>(query, {
      next: (answer) => {
        const { data, errors } = answer as Answer<Result>
        if (errors?.[0]) end(Failure.from(errors[0]))
        else if (data && !stopped) next(data)
      },
      error: (error) => end(failureOf(error)),
      complete: () => end(new Failure('UNAVAILABLE', 'The subscription ended')),
    })
    return () => {
      stopped = true
      stop()
    }
  }

  close(): void {
    void this.#client.dispose()
  }

  #become(changed: Partial<SocketStatus>): void {
    this.#status = { ...this.#status, ...changed }
    for (const listener of this.#listeners) listener()
  }

  #wait(time: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, time)
      this.#hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function isClose(event: unknown): event is { code: number; reason: string } {
  return typeof event === 'object' && event !== null && 'code' in event && 'reason' in event
}

/** The time after which a server that closes a socket wants its client back, as in {"retryAfterMs":700}. */
export function retryAfter(reason: string): number | undefined {
  try {
    const time: unknown = JSON.parse(reason).retryAfterMs
    return typeof time === 'number' ? time : undefined
  } catch {
    return undefined
  }
}

/** A subscription ends with the errors of GraphQL, or with the close frame of a socket that must not come back. */
function failureOf(error: unknown): Failure {
  if (Array.isArray(error) && error[0]) return Failure.from(error[0] as WireError)
  if (!isClose(error)) return new Failure('INTERNAL', String(error))
  if (error.code === kicked) return new Failure('KICKED', error.reason)
  return new Failure('INTERNAL', error.reason || `The server closed the connection (${error.code})`)
}
