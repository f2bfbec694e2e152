// One request over HTTP, and the one error that everything here fails with.

/** A part of a plan that others changed since an edit's author, or a change that is undone, left it. */
export interface Conflict {
  /** The index of the edit that expected it. */
  edit?: number
  kind: string
  /** Of the node or edge. */
  id: string
  /** Such as metadata or config; element for whether it is there. */
  part: string
  /** What happened, for people. */
  reason: string
  /** What the author saw, and what is there; null for nothing. */
  expected: unknown
  current: unknown
  /** The changes that touched it since, ascending, and who made them. */
  versions: number[]
  actorNames: string[]
}

/** What a server says about an error, beside its message. */
export interface Extensions {
  code?: string
  detail?: unknown
  conflicts?: Conflict[]
  retryAfterMs?: number
  requestId?: string
}

/** An error as GraphQL sends it. */
export interface WireError {
  message: string
  path?: readonly (string | number)[]
  extensions?: Extensions
}

/** Why something did not happen. The code is one of the server's, or NETWORK when no answer of a server came. */
export class Failure extends Error {
  readonly code: string
  readonly path: readonly (string | number)[] | undefined
  readonly detail: unknown
  /** What others changed meanwhile. */
  readonly conflicts: readonly Conflict[]
  readonly retryAfterMs: number | undefined
  readonly requestId: string | undefined

  constructor(code: string, message: string, from: Omit<WireError, 'message'> = {}) {
    super(message)
    this.name = 'Failure'
    this.code = code
    this.path = from.path
    const { detail, conflicts, retryAfterMs, requestId } = from.extensions ?? {}
    this.detail = detail
    this.conflicts = conflicts ?? []
    this.retryAfterMs = retryAfterMs
    this.requestId = requestId
  }

  /** Whether the same request may succeed a little later. */
  get passes(): boolean {
    return this.code === 'NETWORK' || this.code === 'UNAVAILABLE' || this.code === 'RATE_LIMITED'
  }

  /** The failure that a GraphQL error describes. */
  static from(error: WireError): Failure {
    return new Failure(error.extensions?.code ?? 'INTERNAL', error.message, error)
  }
}

/** A document, with the types that graphql-codegen knows of it. A plain text will do. */
export interface Document<Result, Variables> {
  toString(): string
  __apiType?: (variables: Variables) => Result
}

/** An answer with data, with errors, or with both. */
export interface Answer<Result> {
  data?: Result | null
  errors?: readonly WireError[]
}

/** Sends a document and returns the answer, whatever it says; fails when none came. */
export type Post = <Result, Variables>(document: Document<Result, Variables>, variables: Variables) => Promise<Answer<Result>>

/** An answer may take that long, beyond what the server itself allows a request. */
const patience = 30_000

/** Returns what sends documents to a server, with headers that are asked for each time. */
export function poster(url: string, headers: () => Record<string, string>): Post {
  return async (document, variables) => {
    let response: Response
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: { ...headers(), 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json' },
        body: JSON.stringify({ query: document.toString(), variables }),
        signal: AbortSignal.timeout(patience),
      })
    } catch {
      throw new Failure('NETWORK', 'The server cannot be reached')
    }
    try {
      const answer: unknown = await response.json()
      if (isAnswer(answer)) return answer as Answer<never>
    } catch {
      // What is no JSON comes from something between us and the server, or broke off.
    }
    throw new Failure('NETWORK', `The server cannot be reached (status ${response.status})`)
  }
}

function isAnswer(value: unknown): boolean {
  return typeof value === 'object' && value !== null && ('data' in value || 'errors' in value)
}

/** The data of an answer; fails with its first error. */
export function dataOf<Result>(answer: Answer<Result>): Result {
  const error = answer.errors?.[0]
  if (error) throw Failure.from(error)
  if (!answer.data) throw new Failure('INTERNAL', 'The answer has no data')
  return answer.data
}

/** How long to wait before the next attempt: what the server said, or twice as long each time, to 5 s, and never all at one moment. */
export function pause(attempt: number, retryAfterMs?: number): number {
  return retryAfterMs ?? Math.min(250 * 2 ** attempt, 5_000) * (0.5 + Math.random() / 2)
}

/** A random id. (crypto.randomUUID is not there on pages over plain HTTP from another machine.) */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
