// How this client talks: requests without cookies, one socket for subscriptions, and one for who is where.
import { createClient } from './graphql-ws.js'

/** An id of this tab's, which the client makes up and sends along. It proves nothing. */
export function sessionId() {
  const known = sessionStorage.getItem('sessionId')
  if (known) return known
  const made = `session_${crypto.randomUUID()}`
  sessionStorage.setItem('sessionId', made)
  return made
}

export async function request(operationName, query, variables = {}) {
  const response = await fetch(`${location.origin}/graphql`, {
    method: 'POST',
    credentials: 'omit',
    headers: {
      accept: 'application/graphql-response+json,application/json;q=0.9',
      'content-type': 'application/json',
      'x-layercake-session': sessionId(),
    },
    body: JSON.stringify({ operationName, query, variables, extensions: { clientLibrary: { name: 'another', version: '1.0.0' } } }),
  })
  const { data, errors } = await response.json()
  if (errors) throw new Error(errors[0].message)
  return data
}

const socketAddress = (path) => `${location.origin.replace(/^http/, 'ws')}${path}`

/** What sockets came to, for tests. */
const closes = (globalThis.closes = [])

const client = createClient({
  url: socketAddress('/graphql/ws'),
  connectionParams: () => ({ 'x-layercake-session': sessionId() }),
  lazy: true,
  on: { closed: ({ code }) => { closes.push(`graphql ${code}`) } },
})

/** Calls a function with what a subscription sends, until what it returns is called. */
export function subscribe(operationName, query, variables, take) {
  return client.subscribe({ operationName, query, variables }, {
    next: ({ data }) => data && take(data),
    error: (error) => console.warn('The subscription ended', error.code ?? error),
    complete: () => {},
  })
}

/** Is in a document of a project, under a name that everybody has, and calls a function with who else is. */
export function attend(projectId, userId, documentId, take) {
  const people = new Map()
  let socket
  let attempts = 0
  const say = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message))
  function connect() {
    socket = new WebSocket(socketAddress(`/ws/collaboration?project_id=${projectId}`))
    socket.onopen = () => say({ type: 'join_session', data: { userId, userName: 'Anonymous User', avatarColor: '#3b82f6', documentId } })
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      if (message.type === 'bulk_presence') for (const person of message.data) people.set(person.userId, person)
      if (message.type === 'user_presence') {
        if (message.data.isOnline) people.set(message.data.userId, message.data)
        else people.delete(message.data.userId)
      }
      take([...people.values()])
    }
    socket.onclose = ({ code }) => {
      closes.push(`collaboration ${code}`)
      people.clear()
      take([])
      if (code !== 1000 && attempts < 10) setTimeout(connect, 1000 * 2 ** attempts++)
    }
  }
  connect()
  const heartbeat = setInterval(() => say({ type: 'ping' }), 30_000)
  return {
    move: (x, y) => say({
      type: 'cursor_update',
      data: { documentId, documentType: 'canvas', position: { type: 'canvas', x, y }, timestamp: Date.now() },
    }),
    leave: () => {
      clearInterval(heartbeat)
      socket.close(1000)
    },
  }
}
