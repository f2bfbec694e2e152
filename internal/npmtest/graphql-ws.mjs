// Speaks graphql-transport-ws with the server at URL, by the client of npm's graphql-ws and, for what it never does, by hand. The server at
// IMPATIENT waits for nobody's initialisation.
// POST /drain on the server drains it. PROJECT is a project's id.
import assert from 'node:assert/strict'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'

import { runAll } from './run.mjs'

const url = process.env.URL
const project = Number(process.env.PROJECT)
const socketAt = (url) => url.replace(/^http/, 'ws') + '/graphql/ws'
const socketURL = socketAt(url)

const within = (promise, what) => {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`waited too long for ${what}`)), 60_000) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// A list that can be waited on.
class Inbox {
  items = []
  waiting = []
  push(item) { this.items.push(item); this.waiting.splice(0).forEach((wake) => wake()) }
  async find(predicate, what) {
    for (;;) {
      const found = this.items.find(predicate)
      if (found !== undefined) return found
      await within(new Promise((wake) => this.waiting.push(wake)), what)
    }
  }
}

const post = async (query, variables) => {
  const response = await fetch(url + '/graphql', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const body = await response.json()
  assert.equal(body.errors, undefined, JSON.stringify(body))
  return body.data
}

const addNode = (id) => post(
  `mutation ($p: Int!, $n: PlanDagNodeInput!) { addPlanDagNode(projectId: $p, node: $n, clientId: "a client") { id } }`,
  { p: project, n: { id, nodeType: 'MergeNode', position: { x: 1, y: 2 }, metadata: { label: id }, config: '{}' } })

const deltas = `subscription ($p: Int!) { planDagDeltaChanged(projectId: $p) {
  projectId planId version cursor snapshot userId clientId opId timestamp operations { op path value from } } }`
const events = `subscription ($p: Int!) { planEvents(projectId: $p) {
  version actorName actorKind via clientId operations { kind id index before after } } }`

const subscribe = (client, query, variables) => {
  const inbox = new Inbox()
  const stop = client.subscribe({ query, variables }, {
    next: (value) => inbox.push({ value }),
    error: (error) => inbox.push({ error }),
    complete: () => inbox.push({ complete: true }),
  })
  return { inbox, stop }
}

// A socket by hand.
const open = async (protocol = 'graphql-transport-ws', at = socketURL) => {
  const socket = new WebSocket(at, protocol)
  const inbox = new Inbox()
  const closed = new Promise((resolve) => socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })))
  socket.on('message', (data) => inbox.push(JSON.parse(data)))
  await within(new Promise((resolve, reject) => { socket.on('open', resolve); socket.on('error', reject) }), 'open')
  return {
    inbox, socket,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    closed: () => within(closed, 'close'),
  }
}

const ready = async () => {
  const s = await open()
  s.send({ type: 'connection_init', payload: {} })
  await s.inbox.find((m) => m.type === 'connection_ack', 'ack')
  return s
}

const subscribeFrame = (id, query = deltas) => ({ id, type: 'subscribe', payload: { query, variables: { p: project } } })

const tests = {
  async 'two subscriptions on one socket, one of them unsubscribed'() {
    let sockets = 0, greeting
    const client = createClient({ url: socketURL, webSocketImpl: WebSocket, connectionParams: { name: 'Zoë' },
      on: { opened: () => sockets++, connected: (_, payload) => { greeting = payload } } })
    const a = subscribe(client, deltas, { p: project })
    const b = subscribe(client, events, { p: project })
    const check = (await a.inbox.find((m) => m.value, 'a check')).value.data.planDagDeltaChanged
    assert.deepEqual(check.operations.map((o) => [o.op, o.path]), [['TEST', '/metadata/version']])
    assert.equal(check.snapshot, false)
    assert.deepEqual(Object.keys(greeting), ['replica', 'version', 'page'])
    // A query on the same socket comes back after both subscriptions have begun.
    await subscribe(client, '{ projects { id } }').inbox.find((m) => m.complete, 'a query')
    await addNode('first')
    const d = (await a.inbox.find((m) => m.value?.data.planDagDeltaChanged.operations.length > 1, 'a delta'))
      .value.data.planDagDeltaChanged
    const ops = d.operations.map((o) => `${o.op} ${o.path}`)
    assert.equal(ops[0], 'TEST /metadata/version')
    assert.equal(ops[1], 'ADD /nodes/0')
    assert.equal(d.operations[1].value.nodeType, 'MergeNode')
    assert.equal(d.clientId, 'a client')
    assert.ok(d.planId > 0 && d.userId && d.cursor && d.opId)
    const e = (await b.inbox.find((m) => m.value, 'an event')).value.data.planEvents
    assert.deepEqual([e.via, e.actorKind, e.operations[0].kind, e.operations[0].id], ['graphql', 'anonymous', 'NODE_ADDED', 'first'])

    a.stop()
    const before = a.inbox.items.filter((m) => m.value).length
    await addNode('second')
    await b.inbox.find((m) => m.value?.data.planEvents.operations[0].id === 'second', 'the second event')
    assert.equal(a.inbox.items.filter((m) => m.value).length, before, 'nothing comes after unsubscribing')
    assert.equal(sockets, 1)
    b.stop()
    await client.dispose()
  },

  async 'resuming at a cursor gives what was missed, and no check'() {
    const { getPlanDag } = await post(`query ($p: Int!) { getPlanDag(projectId: $p) { cursor version } }`, { p: project })
    await addNode('third')
    await addNode('fourth')
    const client = createClient({ url: socketURL, webSocketImpl: WebSocket })
    const { inbox, stop } = subscribe(client,
      `subscription ($p: Int!, $after: String) { planDagDeltaChanged(projectId: $p, after: $after) { version operations { op } } }`,
      { p: project, after: getPlanDag.cursor })
    const version = Number(getPlanDag.version)
    await inbox.find((m) => m.value?.data.planDagDeltaChanged.version === version + 2, 'the second delta')
    assert.deepEqual(inbox.items.map((m) => m.value.data.planDagDeltaChanged.version), [version + 1, version + 2])
    stop()
    await client.dispose()
  },

  async 'errors end the operation, not the socket'() {
    const client = createClient({ url: socketURL, webSocketImpl: WebSocket })
    const missing = subscribe(client, deltas, { p: 2_000_000_000 })
    const { error } = await missing.inbox.find((m) => m.error, 'an error')
    assert.deepEqual([error[0].message, error[0].extensions.code], ['Project not found', 'NOT_FOUND'])
    const invalid = subscribe(client, 'subscription { nothing }')
    assert.equal((await invalid.inbox.find((m) => m.error, 'an error')).error[0].extensions.code, 'BAD_REQUEST')
    const query = subscribe(client, '{ projects { id } }')
    await query.inbox.find((m) => m.complete, 'a query on the same socket')
    await client.dispose()
  },

  async 'an id may be used again as soon as its operation was completed'() {
    const s = await ready()
    for (let round = 0; round < 50; round++) {
      s.send(subscribeFrame('again'))
      s.send({ id: 'again', type: 'complete' })
    }
    s.send(subscribeFrame('again'))
    await s.inbox.find((m) => m.type === 'next', 'the check of the last one')
    assert.equal(s.inbox.items.filter((m) => m.type === 'complete' || m.type === 'error').length, 0)
    s.socket.close()
  },

  async 'pings are answered, before the initialisation as well'() {
    const s = await open()
    s.send({ type: 'ping', payload: { n: 1 } })
    assert.deepEqual((await s.inbox.find((m) => m.type === 'pong', 'pong')).payload, { n: 1 })
    s.socket.close()
  },

  async 'an operation too many is refused, and the socket lives'() {
    const s = await ready()
    for (let i = 0; i < 65; i++) s.send(subscribeFrame(`s${i}`, events))
    const refused = await s.inbox.find((m) => m.type === 'error', 'error')
    assert.deepEqual([refused.id, refused.payload[0].extensions.code], ['s64', 'RATE_LIMITED'])
    s.send({ id: 's0', type: 'complete' })
    s.send({ type: 'ping' })
    await s.inbox.find((m) => m.type === 'pong', 'pong')
    s.socket.close()
  },

  async 'a burst is refused in part, and its client recovers'() {
    const client = createClient({ url: socketURL, webSocketImpl: WebSocket })
    const ask = async () => {
      const { inbox } = subscribe(client, '{ __typename }')
      return (await inbox.find((m) => m.error || m.complete, 'an answer')).error
    }
    const errors = (await Promise.all(Array.from({ length: 500 }, ask))).filter((error) => error)
    assert.ok(errors.some(([e]) => e.message.includes('50 a second')), 'a burst of 500 is within the rate')
    assert.deepEqual([...new Set(errors.map(([e]) => e.extensions.code))], ['RATE_LIMITED'])
    while (await ask()) { /* until the rate admits one more; each answer is waited for */ }
    await client.dispose()
  },

  async 'a flood closes with 1013, after which the client comes back'() {
    const sockets = []
    const client = createClient({ url: socketURL, webSocketImpl: WebSocket, retryAttempts: 5, retryWait: async () => {},
      on: { connected: (socket) => sockets.push(socket) } })
    const closed = within(new Promise((resolve) => client.on('closed', resolve)), 'close')
    const { inbox, stop } = subscribe(client, deltas, { p: project })
    await inbox.find((m) => m.value, 'a check')
    for (let i = 0; i < 2000; i++) sockets[0].send('{"type":"ping"}')
    assert.equal((await closed).code, 1013)
    const before = inbox.items.length
    await inbox.find((m) => m.value && inbox.items.indexOf(m) >= before, 'a check on another socket')
    assert.equal(sockets.length, 2)
    assert.equal(inbox.items.filter((m) => m.error).length, 0)
    stop()
    await client.dispose()
  },

  async 'broken rules close with their code'() {
    const text = '{ __typename }'
    const cases = [
      [4401, [subscribeFrame('x', text)]],
      [4429, [{ type: 'connection_init' }, { type: 'connection_init' }]],
      [4400, ['no json']],
      [4400, ['[]']],
      [4400, [{ type: 'unknown' }]],
      [4400, [{ type: 'connection_init', payload: 'text' }]],
      [4400, [{ type: 'connection_init' }, { id: 'x', type: 'subscribe' }]],
      [4400, [{ type: 'connection_init' }, { id: 'x', type: 'subscribe', payload: { query: 1 } }]],
      [4400, [{ type: 'connection_init' }, { type: 'subscribe', payload: { query: text } }]],
      [4409, [{ type: 'connection_init' }, subscribeFrame('x'), subscribeFrame('x')]],
      [1009, [{ type: 'connection_init' }, subscribeFrame('x', `{ __typename } # ${'x'.repeat(70_000)}`)]],
    ]
    for (const [code, messages] of cases) {
      const s = await open()
      messages.forEach(s.send)
      const got = await s.closed()
      assert.equal(got.code, code, `${JSON.stringify(messages).slice(0, 200)}: ${got.code} ${got.reason}`)
    }
    const binary = await open()
    binary.socket.send(Buffer.from('{"type":"ping"}'), { binary: true })
    assert.equal((await binary.closed()).code, 4400)
    const duplicate = await ready()
    duplicate.send(subscribeFrame('y'))
    duplicate.send(subscribeFrame('y'))
    assert.deepEqual(await duplicate.closed(), { code: 4409, reason: 'Subscriber for y already exists' })
  },

  async 'only graphql-transport-ws is spoken'() {
    for (const protocol of ['graphql-ws', []]) {
      // ws refuses a server that picks none of its protocols, so ask for none and for a foreign one by a raw header.
      const socket = protocol.length ? new WebSocket(socketURL, { headers: { 'sec-websocket-protocol': protocol } }) : new WebSocket(socketURL)
      const code = await within(new Promise((resolve) => { socket.on('close', resolve); socket.on('error', () => {}) }), 'close')
      assert.equal(code, 4406)
    }
  },

  async 'a late initialisation closes with 4408'() {
    const s = await open('graphql-transport-ws', socketAt(process.env.IMPATIENT))
    assert.deepEqual(await s.closed(), { code: 4408, reason: 'Connection initialisation timeout' })
  },

  // The last one: nothing can be opened after it.
  async 'draining closes with 1012 and says when to come back'() {
    const client = createClient({ url: socketURL, webSocketImpl: WebSocket, retryAttempts: 0, lazy: false,
      onNonLazyError: () => {} })
    const s = subscribe(client, events, { p: project })
    await subscribe(client, '{ projects { id } }').inbox.find((m) => m.complete, 'a query')
    const idle = await open()
    const closed = within(new Promise((resolve) => client.on('closed', resolve)), 'close')
    const drained = fetch(url + '/drain', { method: 'POST' })
    const event = await closed
    assert.equal(event.code, 1012)
    assert.ok(JSON.parse(event.reason).retryAfterMs > 0)
    assert.equal((await idle.closed()).code, 1012)
    await s.inbox.find((m) => m.error, 'the end of the subscription')
    assert.equal(s.inbox.items.filter((m) => m.complete).length, 0, 'the subscription did not end normally')
    await within(drained, 'the end of draining')
    const refused = new WebSocket(socketURL, 'graphql-transport-ws')
    const status = await within(new Promise((resolve) => {
      refused.on('unexpected-response', (_, response) => resolve(response.statusCode))
      refused.on('open', () => resolve('open'))
    }), 'refusal')
    assert.equal(status, 503)
  },
}

await runAll(tests)
