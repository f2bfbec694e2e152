// Speaks graphql-transport-ws with a server that everybody signs in to, by the client of npm's graphql-ws. FIRST and SECOND are the secrets
// of two sessions of an account. POST /end at END ends the first session, then all.
import assert from 'node:assert/strict'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'

import { runAll } from './run.mjs'

const { URL: url, END: end, FIRST: first, SECOND: second } = process.env
const project = Number(process.env.PROJECT)

const within = (promise, what) => {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`waited too long for ${what}`)), 60_000) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const signal = () => {
  let fire
  const fired = new Promise((resolve) => { fire = resolve })
  return { fired, fire }
}

const connect = (token) => {
  const c = { opened: 0, sockets: [], connected: signal(), closed: signal(), pong: signal() }
  c.client = createClient({
    url: url.replace(/^http/, 'ws') + '/graphql/ws', webSocketImpl: WebSocket, connectionParams: { token },
    retryAttempts: 5, retryWait: async () => {},
    on: {
      opened: () => c.opened++,
      connected: (socket) => { c.sockets.push(socket); c.connected.fire() },
      closed: (event) => c.closed.fire(event),
      pong: (received, payload) => { if (received) c.pong.fire(payload) },
    },
  })
  return c
}

// The first answer comes with begun, and the end with ended.
const follow = (client) => {
  const begun = signal(), ended = signal()
  client.subscribe({ query: 'subscription ($p: Int!) { planDagDeltaChanged(projectId: $p) { version } }', variables: { p: project } },
    { next: begun.fire, error: (error) => ended.fire({ error }), complete: () => ended.fire({ complete: true }) })
  return { begun: begun.fired, ended: ended.fired }
}

const endsWith4401 = async (c, subscription) => {
  const event = await within(c.closed.fired, 'the end of the socket')
  assert.equal(event.code, 4401)
  const { error } = await within(subscription.ended, 'the end of the subscription')
  assert.equal(error?.code, 4401, 'the client gives the close event to its subscribers')
  assert.equal(c.opened, 1, 'it does not come back')
}

const tests = {
  async 'a wrong token is final'() {
    const c = connect(first.slice(0, -1) + (first.endsWith('0') ? '1' : '0'))
    const { ended } = follow(c.client)
    const { error } = await within(ended, 'the refusal')
    assert.deepEqual([error.code, c.opened], [4401, 1])
  },

  async 'a token, another one by a ping, and the end of both sessions'() {
    const moved = connect(first), left = connect(first)
    const kept = follow(moved.client), lost = follow(left.client)
    await within(Promise.all([kept.begun, lost.begun]), 'the checks')
    moved.sockets[0].send(JSON.stringify({ type: 'ping', payload: { token: second, n: 1 } }))
    assert.deepEqual(await within(moved.pong.fired, 'the pong'), { n: 1 }, 'the pong does not repeat the secret')

    await fetch(end + '/first', { method: 'POST' })
    await endsWith4401(left, lost)
    const response = signal()
    moved.client.subscribe({ query: '{ projects { id } }' }, { next: response.fire, error: response.fire, complete: () => {} })
    assert.deepEqual(await within(response.fired, 'a query'), { data: { projects: [{ id: project }] } }, 'the socket that moved lives on')
    assert.equal(moved.opened, 1)

    await fetch(end + '/all', { method: 'POST' })
    await endsWith4401(moved, kept)
  },
}

await runAll(tests)
