// Speaks the protocol of /ws/collaboration as the existing web client does, over npm's ws. URL and OTHER_URL are two replicas,
// PROJECT is a project's id. What the client does with a frame is done here: the list of users is keyed by user id, and cursors are
// drawn from the positions on the canvas of those who are online.
import assert from 'node:assert/strict'
import WebSocket from 'ws'

const canvas = 'plan-dag-canvas'
const urls = [process.env.URL, process.env.OTHER_URL]
const project = process.env.PROJECT

const within = (promise, what) => {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`waited too long for ${what}`)), 20_000) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

class Client {
  users = new Map()
  frames = []
  waiting = []
  pings = 0

  constructor(replica) {
    this.socket = new WebSocket(urls[replica].replace(/^http/, 'ws') + `/ws/collaboration?project_id=${project}`)
    this.opened = within(new Promise((resolve, reject) => {
      this.socket.on('open', resolve)
      this.socket.on('error', reject)
    }), 'the socket')
    this.closed = new Promise((resolve) => this.socket.on('close', (code) => resolve(code)))
    this.socket.on('ping', () => { this.pings++; this.wake() })
    this.socket.on('message', (data, binary) => {
      assert.equal(binary, false)
      this.take(JSON.parse(data))
      this.wake()
    })
  }

  wake() { this.waiting.splice(0).forEach((wake) => wake()) }

  take(frame) {
    this.frames.push(frame)
    switch (frame.type) {
      case 'bulk_presence':
        this.users = new Map(frame.data.filter((u) => u.isOnline).map((u) => [u.userId, this.check(u)]))
        break
      case 'user_presence':
        if (frame.data.isOnline) this.users.set(frame.data.userId, this.check(frame.data))
        else this.users.delete(frame.data.userId)
        break
      case 'document_activity':
        assert.equal(typeof frame.data.documentId, 'string')
        frame.data.activeUsers.forEach((u) => assert.deepEqual(
          Object.keys(u).filter((k) => k !== 'connectionId').sort(), ['position', 'selectedNodeId', 'userId', 'userName']))
        break
      case 'error': assert.equal(typeof frame.message, 'string'); break
      case 'pong': break
      default: assert.fail(`unknown type ${frame.type}`)
    }
  }

  // What the client's types require.
  check(u) {
    for (const [key, type] of Object.entries({ userId: 'string', userName: 'string', avatarColor: 'string', isOnline: 'boolean' })) {
      assert.equal(typeof u[key], type, key)
    }
    assert.ok(Math.abs(Date.now() - Date.parse(u.lastActive)) < 5 * 60_000, `lastActive ${u.lastActive}`)
    for (const d of Object.values(u.documents)) {
      assert.ok('position' in d && 'selectedNodeId' in d && !Number.isNaN(Date.parse(d.lastActiveInDocument)), JSON.stringify(d))
    }
    return u
  }

  async until(what, holds) {
    while (!holds()) await within(new Promise((wake) => this.waiting.push(wake)), what)
  }

  send(type, data) { this.socket.send(JSON.stringify(data === undefined ? { type } : { type, data })) }

  join(userId, documentId) {
    this.send('join_session', { userId, userName: 'Anonymous User', avatarColor: '#3b82f6', documentId })
  }

  cursor(x, y, selectedNodeId) {
    this.send('cursor_update', {
      documentId: canvas, documentType: 'canvas', position: { type: 'canvas', x, y }, selectedNodeId, timestamp: Date.now(),
    })
  }

  // The cursors that the canvas draws: it does not know its own id.
  cursors() {
    return [...this.users.values()].map((u) => u.documents[canvas]?.position).filter((p) => p?.type === 'canvas')
  }
}

const all = []
const open = async (replica) => {
  const c = new Client(replica)
  all.push(c)
  await c.opened
  return c
}

// Two tabs, each with the frame's socket and the editor's.
const frameA = await open(0)
frameA.join('user-a', 'project-global')
await frameA.until('itself', () => frameA.users.has('user-a'))
const frameB = await open(1)
frameB.join('user-b', 'project-global')
await frameB.until('both', () => frameB.users.has('user-a') && frameB.users.has('user-b'))
await frameA.until('the other', () => frameA.users.has('user-b'))
await frameB.until('who is in the document', () => frameB.frames.some(
  (f) => f.type === 'document_activity' && f.data.documentId === 'project-global' && f.data.activeUsers.length === 2))

const editors = [await open(0), await open(1), await open(1)]
editors.forEach((e) => e.join('anonymous', canvas))
for (const e of editors) await e.until('all editors', () => [...e.users.keys()].filter((id) => id.startsWith('anonymous')).length === 3)
await frameA.until('anonymous', () => frameA.users.has('anonymous'))
assert.equal(frameA.users.size, 3)

// Cursors move.
editors[0].cursor(10, 20, 'graphnode_001')
editors[1].cursor(30.5, -40)
await editors[0].until('one cursor', () => editors[0].cursors().length === 1 && editors[0].cursors()[0].x === 30.5)
await editors[1].until('one cursor', () => editors[1].cursors().length === 1 && editors[1].cursors()[0].x === 10)
await editors[2].until('two cursors', () => editors[2].cursors().length === 2)
assert.ok([...editors[2].users.values()].some((u) => u.documents[canvas]?.selectedNodeId === 'graphnode_001'))

// Heartbeats, both ways.
editors[0].send('ping')
await editors[0].until('a pong', () => editors[0].frames.some((f) => f.type === 'pong'))
await frameA.until('a ping', () => frameA.pings > 0)

// A canvas that was reconnected does not join again.
editors[1].socket.terminate()
await editors[2].until('the lost editor to go', () => editors[2].cursors().length === 1)
const again = await open(0)
again.cursor(1, 2)
await editors[2].until('it to come back', () => editors[2].cursors().some((p) => p.x === 1 && p.y === 2))

// One tab is closed.
frameB.socket.close(1000, 'Client disconnect')
assert.equal(await within(frameB.closed, 'the closing handshake'), 1000)
await frameA.until('the other tab to go', () => !frameA.users.has('user-b'))
for (const e of [editors[0], editors[2]]) e.socket.close(1000, 'Client disconnect')
await again.until('the other editors to go', () => again.users.size === 2)
assert.ok(frameA.users.has('anonymous'), 'anonymous is online while one editor is')
again.socket.close(1000, 'Client disconnect')
await frameA.until('the last editor to go', () => frameA.users.size === 1)

assert.deepEqual(all.flatMap((c) => c.frames).filter((f) => f.type === 'error'), [])
all.forEach((c) => c.socket.terminate())
console.log(`${all.length} sockets, ${all.reduce((n, c) => n + c.frames.length, 0)} frames`)
