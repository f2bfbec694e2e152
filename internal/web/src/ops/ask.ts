// What this page asks of the admin address that it came from.

export type Row = Record<string, unknown>

/** The rows of a view that are shown, how many there are, and the statement. */
export interface View {
  total: number
  sql: string
  rows: Row[]
}

export interface Replica {
  replica: string
  address: string
  state: string
}

/** All that is shown, by one statement. */
export interface Overview {
  /** When the database answered. */
  at: string
  /** The role of the replica in its database. */
  role: string
  database: string
  /** The functions that it may call. */
  may: string[]
  /** All replicas, whatever the filter of their view. */
  replicas: Replica[]
  /** Commands that were asked for by their ids. */
  followed: Row[]
  views: Record<string, View>
}

export interface Notice {
  severity: string
  message: string
  hint?: string
  sqlstate: string
}

/** What a function answered, as PostgreSQL writes it, and what was said beside it. */
export interface Answer {
  result: string
  notices: Notice[]
}

/** Why nothing was answered. */
export class Refusal extends Error {}

/** How long an answer may take; the server gives up earlier. */
const patience = 10_000

async function send<T>(path: string, init: RequestInit, stop?: AbortSignal): Promise<T> {
  const signal = AbortSignal.any([AbortSignal.timeout(patience), ...(stop ? [stop] : [])])
  let response: Response
  let text: string
  try {
    response = await fetch(`/ops/api/${path}`, { ...init, signal })
    text = await response.text()
  } catch (error) {
    if (stop?.aborted) throw error
    throw new Refusal('This replica does not answer: it has ended, or cannot be reached. Any other replica shows the same at its admin address.')
  }
  if (response.ok) return JSON.parse(text) as T
  throw new Refusal(reasonIn(text))
}

/** What an answer says went wrong, in the words of PostgreSQL where it has them. */
export function reasonIn(text: string): string {
  try {
    const { message, detail, hint, sqlstate } = (JSON.parse(text) as { error: Record<string, string | undefined> }).error
    return [`${message}${sqlstate ? ` (SQLSTATE ${sqlstate})` : ''}.`, detail, hint].filter(Boolean).join(' ').replace('..', '.')
  } catch {
    return text.trim()
  }
}

/** Asks for all views, filtered by texts, and for commands. */
export function askAll(filters: Record<string, string>, follow: string[], stop: AbortSignal): Promise<Overview> {
  const parameters = new URLSearchParams(Object.entries(filters).filter(([, text]) => text !== ''))
  if (follow.length > 0) parameters.set('follow', follow.join(','))
  return send(`all?${parameters}`, {}, stop)
}

/** Calls a function of the schema layercake. */
export function call(name: string, values: Record<string, string>): Promise<Answer> {
  return send(name, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(values) })
}
