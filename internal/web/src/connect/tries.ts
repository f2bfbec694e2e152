// What a browser can try by itself: it asks as the snippets do, and hands over what comes, whatever it is.
import { agentAddress, agentHeaders, queryOf, requestHeaders, subscription, type Target } from './snippets.ts'
import { connection } from '../app/session.ts'
import { messageOf } from '../app/words.ts'

/** One answer, or why there is none. */
export interface Answer {
  /** What was asked. */
  of: string
  /** Such as 200 OK. */
  status: string
  /** Milliseconds until all of it was there. */
  took: number
  /** Its beginning. */
  text: string
}

/** Asks, and hands over each answer as it comes. It ends with the last one, or with the signal. */
export type Try = (target: Target, show: (answer: Answer) => void, signal: AbortSignal) => Promise<void>

/** So much of an answer is shown, and so long it may take in milliseconds. */
const mostShown = 4_000
const patience = 10_000

/** The beginning of a text; of JSON, as people read it. */
export function beginning(text: string): string {
  let shown = text
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    // No JSON.
  }
  return shown.length > mostShown ? `${shown.slice(0, mostShown)}\n… (${(shown.length - mostShown).toLocaleString('en')} more characters)` : shown
}

/** Asks once. Nobody else's credential goes with the target's. */
async function ask(
  of: string, path: string, target: Target, options: RequestInit, show: (answer: Answer) => void, signal: AbortSignal,
): Promise<Response | null> {
  const begun = performance.now()
  const took = () => Math.round(performance.now() - begun)
  try {
    const response = await fetch(path, {
      ...options, signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]), credentials: target.token === null ? 'same-origin' : 'omit',
    })
    const text = await response.text()
    show({ of, status: `${response.status} ${response.statusText}`.trim(), took: took(), text: beginning(text) })
    return response
  } catch (error) {
    if (!signal.aborted) show({ of, status: 'No answer', took: took(), text: messageOf(error) })
    return null
  }
}

const tryQuery: Try = async (target, show, signal) => {
  await ask('The query', '/graphql', target, {
    method: 'POST', headers: { ...requestHeaders(target), 'content-type': 'application/json' }, body: JSON.stringify(queryOf(target)),
  }, show, signal)
}

const trySchema: Try = async (target, show, signal) => {
  await ask('The schema', '/schema.graphql', target, { headers: requestHeaders(target) }, show, signal)
}

/** The version of the protocol that most clients speak, in which a client says hello first. */
const version = '2025-06-18'

const tryAgent: Try = async (target, show, signal) => {
  const { pathname, search } = new URL(agentAddress(target))
  const headers = { ...agentHeaders(target), 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const send = (method: string, params: object, more: Record<string, string>, id?: number) => ({
    method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify({ jsonrpc: '2.0', ...(id !== undefined && { id }), method, params }),
  })
  const hello = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'Connect page', version: '1' } }
  const greeted = await ask('initialize', pathname + search, target, send('initialize', hello, {}, 1), show, signal)
  const session = greeted?.headers.get('mcp-session-id')
  if (!greeted?.ok || !session) return
  const within = { 'mcp-session-id': session, 'mcp-protocol-version': version }
  const quietly = () => {}
  try {
    await ask('notifications/initialized', pathname + search, target, send('notifications/initialized', {}, within), quietly, signal)
    await ask('tools/list', pathname + search, target, send('tools/list', {}, within, 2), show, signal)
  } finally {
    // The session would end by itself, but later.
    await ask('end', pathname + search, target, { method: 'DELETE', headers: { ...headers, ...within } }, quietly, new AbortController().signal)
  }
}

/** The id of this window, as the client keeps it. */
const windowKey = 'layercake-window'

const tryClient: Try = async (target, show, signal) => {
  const begun = performance.now()
  const tell = (status: string, text: string) => {
    if (!signal.aborted) show({ of: 'The module', status, took: Math.round(performance.now() - begun), text: beginning(text) })
  }
  try {
    const module = await import(/* @vite-ignore */ new URL('/client/index.js', location.origin).href) as typeof import('../client/index.ts')
    // A second client in a window takes an id of its own, which must not become the window's with the next reload.
    const own = sessionStorage.getItem(windowKey)
    // Without a token: the browser would send its cookie as well, and two credentials are one too many.
    const client = await module.connect({ url: target.origin, ...(target.person !== null && { name: target.person }) })
    if (own !== null) sessionStorage.setItem(windowKey, own)
    const { query } = queryOf({ ...target, project: null })
    tell('Connected', JSON.stringify(await client.request(query, {})))
  } catch (error) {
    tell('Failed', messageOf(error))
  }
}

const trySubscription: Try = (target, show, signal) => new Promise((resolve) => {
  const begun = performance.now()
  const project = target.project ?? 1
  const tell = (status: string, text: string) => show({ of: 'The subscription', status, took: Math.round(performance.now() - begun), text: beginning(text) })
  const end = () => {
    stop()
    resolve()
  }
  const stop = connection.socket.follow<object, object>(subscription, () => ({ project }), (event) => {
    tell('First event', JSON.stringify(event))
    end()
  }, (failure) => {
    tell(failure.code, failure.message)
    end()
  })
  signal.addEventListener('abort', end)
})

/** What can be tried, by the id of its snippet. */
export const tries: Readonly<Record<string, Try>> = {
  'agents-other': tryAgent, 'client-use': tryClient, schema: trySchema, 'graphql-query': tryQuery, 'graphql-subscription': trySubscription,
}

/** What to know while the first answer is due. */
export const hints: Readonly<Record<string, string>> = {
  'graphql-subscription': 'Waiting for the next change of the plan. Open it in another window, and move a node.',
}
