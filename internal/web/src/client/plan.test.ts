import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Edit, PlanEdge, PlanNode } from './edits.ts'
import type { AppliedChange } from './plan.ts'
import { Failure } from './request.ts'
import { Browser, FakeServer, FakeWindow, projectId, settled, type Fate } from './world.ts'

const node = (id: string, x = 0): PlanNode => (
  { id, nodeType: 'GraphNode', position: { x, y: 0 }, metadata: { label: id, description: null }, config: '{}' })
const edge = (source: string, target: string): PlanEdge => ({
  id: `${source}-${target}`, source, target, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' },
})
const pending = { graphId: 1, nodeCount: 4, edgeCount: 2, executionState: 'pending', computedDate: null, errorMessage: null }
const move = (nodeId: string, x: number): Edit => ({ moveNodes: [{ nodeId, position: { x, y: 0 } }] })

async function start(...edits: Edit[]) {
  const server = new FakeServer()
  edits.forEach((edit, i) => server.change(`before${i}`, [edit]))
  const browser = new Browser()
  const window = new FakeWindow(browser, server)
  await settled()
  await window.decide('answered') // the plan
  return { server, browser, window }
}

const positions = (window: FakeWindow) => [...window.store.snapshot().plan!.nodes.values()].map(({ id, position }) => `${id} ${position.x}`)

test('an edit is shown at once, and until the plan shows it', async () => {
  const { window, server } = await start({ addNode: node('a') })
  window.store.change([move('a', 5)])
  expect(positions(window)).toEqual(['a 5'])
  expect(window.store.snapshot().waiting).toBe(1)
  await settled()
  await window.decide('answered')
  expect(window.store.snapshot().waiting).toBe(0)
  expect(positions(window)).toEqual(['a 5']) // its event has not come yet
  server.change('other', [move('a', 9)])
  window.deliver()
  expect(positions(window)).toEqual(['a 5'])
  window.deliver()
  expect(positions(window)).toEqual(['a 9'])
})

test('the newest change is dropped, unless it may have been sent', async () => {
  const { window, server, browser } = await start({ addNode: node('a') }, { addNode: node('b') })
  window.disconnect()
  window.store.change([move('a', 5)])
  await settled() // it is on its way
  window.store.change([move('b', 6)])
  expect(window.store.drop()?.edits).toEqual([move('b', 6)])
  expect(positions(window)).toEqual(['a 5', 'b 0'])
  expect(window.store.drop()).toBeUndefined()
  await settled()
  expect(await browser.journal.load(projectId)).toHaveLength(1)
  await window.decide('answered')
  expect(await window.decide('answered')).toBe(false)
  expect([...server.plan.nodes.values()].map(({ position }) => position.x)).toEqual([5, 0])
})

// Whoever goes from one project to the next at once finds the socket of the one before.
test('a plan that is followed by a socket that is live is live', async () => {
  const { window } = await start({ addNode: node('a') })
  expect(window.store.snapshot().status.state).toBe('live')
  window.load()
  await settled()
  await window.decide('answered')
  expect(window.store.snapshot().status.state).toBe('live')
})

test('what waits for a project that is deleted is shown to its author', async () => {
  const { window, browser } = await start({ addNode: node('a') })
  window.store.change([move('a', 5)])
  expect(positions(window)).toEqual(['a 5'])
  await settled()
  window.end(new Failure('NOT_FOUND', 'Project not found'))
  expect(window.store.snapshot()).toMatchObject({ waiting: 0, status: { state: 'ended' }, refused: [{ failure: { code: 'NOT_FOUND' } }] })
  expect(positions(window)).toEqual(['a 0'])
  window.store.change([move('a', 6)])
  expect(window.store.snapshot()).toMatchObject({ waiting: 0, refused: [{}, {}] })
  // A reload shows them again, until they are discarded.
  expect(await browser.journal.load(projectId)).toHaveLength(2)
  window.store.discard(window.store.snapshot().refused.map(({ change }) => change.opId))
  expect(await browser.journal.load(projectId)).toEqual([])
})

test('what waits for a plan that ended otherwise goes on waiting', async () => {
  const { window, server } = await start({ addNode: node('a') })
  window.end(new Failure('INTERNAL', 'The server closed the connection (1011)'))
  window.store.change([move('a', 5)])
  expect(window.store.snapshot()).toMatchObject({ waiting: 1, refused: [] })
  void window.store.comeBack()
  await window.decide('answered') // the plan
  await window.decide('answered')
  expect(server.plan.nodes.get('a')!.position.x).toBe(5)
})

test('what an edit looked like is taken back when it is refused', async () => {
  const { window } = await start({ addNode: node('a') })
  window.store.change([{ addNode: node('a', 7) }])
  await settled()
  await window.decide('answered')
  const { refused, plan } = window.store.snapshot()
  expect(refused).toMatchObject([{ failure: { code: 'CONFLICT', message: 'A node with this id already exists' } }])
  expect(plan!.nodes.get('a')!.position.x).toBe(0)
  window.store.discard([refused[0]!.change.opId])
  expect(window.store.snapshot().refused).toEqual([])
})

test('moves that wait become one, but not those that may have been sent', async () => {
  const { window, server } = await start({ addNode: node('a') }, { addNode: node('b') })
  window.store.change([move('a', 1)])
  await settled() // the first is on its way
  window.store.change([move('a', 2)])
  window.store.change([{ moveNodes: [{ nodeId: 'a', position: { x: 3, y: 0 } }, { nodeId: 'b', position: { x: 3, y: 0 } }] }])
  window.store.change([move('a', 4)])
  expect(window.store.snapshot().waiting).toBe(3) // a to 1, b to 3, a to 4
  await window.decide('answered')
  await window.decide('answered')
  expect(server.log.slice(2).map(({ operations }) => operations.map(({ after }) => (after as PlanNode).position.x))).toEqual([[1], [3], [4]])
})

test('a refusal behind an edit that has to wait is no refusal', async () => {
  const { window, server } = await start({ addNode: node('a') }, { addNode: node('b') }, { addEdge: edge('a', 'b') })
  window.store.change([{ moveNodes: [] }]) // keeps the line busy
  await settled()
  window.store.change([{ addNode: node('c') }])
  window.store.change([{ deleteEdge: 'nowhere' }])
  await window.decide('answered')
  await window.decide('busyField')
  expect(window.store.snapshot()).toMatchObject({ refused: [], waiting: 2 })
  await window.wait()
  await window.decide('answered')
  expect(server.plan.nodes.has('c')).toBe(true)
  expect(window.store.snapshot().refused).toHaveLength(1)
})

test('edits that build on each other are not in one request', async () => {
  const { window, server } = await start()
  window.store.change([{ moveNodes: [] }])
  await settled()
  for (const edit of [{ addNode: node('a') }, { addNode: node('b') }, { addEdge: edge('a', 'b') }, { deleteNode: 'b' }]) window.store.change([edit])
  await window.decide('answered')
  await window.decide('busyField') // a waits, b is there
  expect(server.log).toHaveLength(1)
  expect(window.store.snapshot()).toMatchObject({ refused: [], waiting: 4 }) // the answer says nothing of b
  await window.wait()
  for (let i = 0; i < 4; i++) await window.decide('answered')
  expect(window.store.snapshot()).toMatchObject({ refused: [], waiting: 0 })
  expect([...server.plan.nodes.keys()]).toEqual(['a'])
})

test('of two edits of the same part the later one is done later', async () => {
  const label = (text: string): Edit => ({ updateNode: { id: 'a', updates: { metadata: { label: text, description: null } } } })
  const { window, server } = await start({ addNode: node('a') })
  window.store.change([{ addNode: node('b') }])
  await settled()
  window.store.change([label('first')])
  window.store.change([label('second')])
  await window.decide('answered')
  await window.decide('busyField')
  for (let i = 0; i < 4; i++) {
    await window.wait()
    await window.decide('answered')
  }
  expect(server.plan.nodes.get('a')!.metadata.label).toBe('second')
})

test('an edit on top of one that waits expects what that one will have made of the plan', async () => {
  const { window, server } = await start({ addNode: node('a') })
  window.disconnect()
  window.store.change([relabel(window, 'a', 'first')])
  await settled()
  await window.decide('unanswered')
  window.store.change([relabel(window, 'a', 'second')])
  window.load() // what waits comes back from the journal
  await settled()
  await window.decide('answered') // the plan
  window.store.change([relabel(window, 'a', 'third')])
  for (let i = 0; i < 4; i++) await window.decide('answered')
  expect(server.plan.nodes.get('a')!.metadata.label).toBe('third')
  expect(window.store.snapshot()).toMatchObject({ waiting: 0, refused: [] })
})

test('an edit that expects what is not there any more is refused with what is', async () => {
  const { window, server } = await start({ addNode: node('a') }, { addNode: node('b') }, { addEdge: edge('a', 'b') })
  const metadata = { label: 'Theirs', description: null }
  server.change('other', [{ updateNode: { id: 'a', updates: { metadata } } }])
  window.store.change([move('b', 3), relabel(window, 'a', 'Mine')])
  window.store.change([{ updateEdge: { id: 'a-b', updates: { sourceHandle: 'x' }, expected: { sourceHandle: 'y' } } }])
  await settled()
  while (await window.decide('answered'));
  const [mine, handle] = window.store.snapshot().refused
  expect(mine!.failure).toMatchObject({
    code: 'CONFLICT', conflicts: [{ edit: 1, id: 'a', part: 'metadata', expected: { label: 'a', description: null }, current: metadata }],
  })
  expect(handle!.failure.conflicts).toMatchObject([{ edit: 0, kind: 'EDGE_UPDATED', part: 'sourceHandle', expected: 'y', current: null }])
  expect(positions(window)).toEqual(['a 0', 'b 0']) // all edits of a change, or none
})

test('one edit that the server does not understand does not keep the others from it', async () => {
  const { window, server } = await start()
  window.store.change([{ moveNodes: [] }])
  await settled()
  window.store.change([{ addNode: node('a') }])
  window.store.change([{ addNode: { ...node('b'), nodeType: 'NewerNode' as never } }])
  window.store.change([{ addNode: node('c') }])
  window.store.change([{ addNode: node('d') }])
  // The line, all, a alone, b alone; and when it is known that it was b, the others together again.
  for (let i = 0; i < 5; i++) await window.decide('answered')
  expect([...server.plan.nodes.keys()]).toEqual(['a', 'c', 'd'])
  expect(window.store.snapshot()).toMatchObject({ waiting: 0, refused: [{ change: { edits: [{ addNode: { id: 'b' } }] } }] })
})

test('an accepted edit that changed nothing goes when the plan is as far as its answer', async () => {
  const { window, server } = await start({ addNode: node('a', 5) })
  server.change('other1', [move('a', 8)])
  window.store.change([move('a', 8)])
  await settled()
  await window.decide('answered')
  expect(positions(window)).toEqual(['a 8'])
  window.deliver()
  server.change('other2', [move('a', 9)])
  window.deliver()
  expect(positions(window)).toEqual(['a 9'])
})

test('a window that was closed for long asks before it sends', async () => {
  const { window, browser, server } = await start({ addNode: node('a') })
  window.disconnect()
  window.store.change([move('a', 1)])
  await settled()
  await window.decide('lost')
  expect(positions(window)).toEqual(['a 1'])
  browser.now += 61 * 60 * 1_000
  await window.wait()
  expect(window.store.snapshot()).toMatchObject({ waiting: 0, undecided: [{ edits: [move('a', 1)] }] })
  expect(positions(window)).toEqual(['a 0'])
  window.load()
  await settled()
  await window.decide('answered')
  const [kept] = window.store.snapshot().undecided
  window.store.send([kept!.opId])
  expect(positions(window)).toEqual(['a 1'])
  await settled()
  await window.decide('answered')
  expect(server.plan.nodes.get('a')!.position.x).toBe(1)
  expect(await browser.journal.load(projectId)).toEqual([])
})

test('an event is as good as the answer that was lost', async () => {
  const { window, browser } = await start({ addNode: node('a') })
  window.store.change([move('a', 1)])
  await settled()
  await window.decide('unanswered')
  window.deliver()
  expect(window.store.snapshot().waiting).toBe(0)
  await window.wait()
  expect(await window.decide('answered')).toBe(false) // nothing is sent again
  expect(await browser.journal.load(projectId)).toEqual([])
})

test('what is sent is in the journal first', async () => {
  const { window, browser } = await start({ addNode: node('a') })
  let written = () => {}
  browser.journal.write = () => new Promise((resolve) => { written = resolve })
  window.store.change([move('a', 1)])
  await settled()
  expect(await window.decide('answered')).toBe(false)
  written()
  await settled()
  expect(await window.decide('answered')).toBe(true)
})

test('edits of a window that is open are its own, those of one that died are offered', async () => {
  const { window, browser, server } = await start({ addNode: node('a') })
  window.disconnect()
  window.store.change([move('a', 1)])
  await settled()
  const other = new FakeWindow(browser, server)
  await settled()
  await other.decide('answered')
  expect(other.store.snapshot().undecided).toEqual([])
  window.close()
  other.load()
  await settled()
  await other.decide('answered')
  expect(other.store.snapshot().undecided).toMatchObject([{ edits: [move('a', 1)] }])
  expect(positions(other)).toEqual(['a 0'])
})

test('an edit that was made before the page was ready is there once', async () => {
  const { server, browser } = await start({ addNode: node('a') })
  const window = new FakeWindow(browser, server)
  window.store.change([move('a', 1)])
  await settled()
  expect(window.store.snapshot().waiting).toBe(1)
})

test('what the server accepted and lost is not shown', async () => {
  const { window, server } = await start({ addNode: node('a') })
  window.store.change([move('a', 1)])
  await settled()
  await window.decide('answered')
  expect(positions(window)).toEqual(['a 1'])
  // As after a restore: the history ends earlier, and nobody's cursor is in it.
  server.log.pop()
  server.plan.nodes.set('a', node('a'))
  server.floor = 100
  window.disconnect()
  window.connect()
  expect(positions(window)).toEqual(['a 0'])
})

test('an event that comes again is no step back', async () => {
  const { window, server } = await start({ addNode: node('a') })
  for (const x of [1, 2]) server.change(`other${x}`, [move('a', x)])
  while (window.deliver());
  window.repeat()
  expect(positions(window)).toEqual(['a 2'])
})

test('who changes what is told once, as the plan shows it', async () => {
  const { window, server } = await start({ addNode: node('a') }, { addNode: node('b') }, { addEdge: edge('a', 'b') })
  const told: [string, AppliedChange][] = []
  const stop = window.store.hear((change) => told.push([window.store.snapshot().plan!.nodes.get('a')?.metadata.label ?? 'gone', change]))
  window.store.change([relabel(window, 'a', 'Mine'), { addNode: node('c') }])
  await settled()
  await window.decide('answered')
  server.change('other', [move('a', 1), move('a', 2), { deleteNode: 'a' }], 'their window')
  while (window.deliver());
  window.repeat()
  expect(told).toMatchObject([
    ['Mine', { version: 4, clientId: window.clientId, nodeIds: ['a', 'c'], edgeIds: [] }],
    ['gone', { version: 5, opId: 'other', clientId: 'their window', actorName: 'Them', nodeIds: ['a'], edgeIds: ['a-b'] }],
  ])
  // A whole plan does not say who made it.
  server.change('other2', [move('b', 1)])
  server.floor = server.version
  window.disconnect()
  window.connect()
  expect(window.store.snapshot().plan!.version).toBe(6)
  stop()
  server.change('other3', [move('b', 2)])
  window.deliver()
  expect(told).toHaveLength(2)
})

test('a node shows what became of it, whatever else changes, and nobody is told that somebody changed it', async () => {
  const { window, server } = await start({ addNode: node('a') }, { addNode: { ...node('b'), nodeType: 'DataSourceNode' } })
  const told: AppliedChange[] = []
  window.store.hear((change) => told.push(change))
  const states = () => [...window.store.snapshot().plan!.nodes.values()].map(({ datasourceExecution, graphExecution }) => (
    datasourceExecution?.executionState ?? graphExecution?.executionState ?? null))
  server.build('a', pending)
  server.build('b', { dataSourceId: 3, filename: 'a.csv', status: 'active', processedAt: null, executionState: 'completed', errorMessage: null })
  server.build('gone', pending)
  while (window.deliver());
  expect(states()).toEqual(['pending', 'completed'])
  expect(told).toEqual([])
  server.change('other', [move('a', 5), move('b', 6)])
  window.store.change([relabel(window, 'a', 'Mine')])
  while (window.deliver());
  expect(states()).toEqual(['pending', 'completed'])
  expect(positions(window)).toEqual(['a 5', 'b 6'])
  window.load() // a whole plan has them, too
  await settled()
  await window.decide('answered')
  expect(states()).toEqual(['pending', 'completed'])
  server.build('a', { ...pending, executionState: 'completed' })
  server.build('b', null)
  while (window.deliver());
  expect(states()).toEqual(['completed', null])
})

test('a plan is followed, too, while a replica of the release before does not say who changes it', async () => {
  const { window, server } = await start({ addNode: node('a') })
  const told: (string | null)[] = []
  window.store.hear(({ opId }) => told.push(opId))
  server.former = true
  window.disconnect()
  window.connect()
  await settled()
  server.change('unsigned', [move('a', 1)])
  window.deliver()
  expect(positions(window)).toEqual(['a 1'])
  expect(window.store.snapshot().status.state).toBe('live')
  server.former = false
  window.disconnect()
  window.connect()
  server.change('signed', [move('a', 2)])
  window.deliver()
  expect(positions(window)).toEqual(['a 2'])
  expect(told).toEqual(['signed'])
  expect(window.following).toBe(1)
})

test('after a reconnection it is said how many changes are missing', async () => {
  const { window, server, browser } = await start({ addNode: node('a') })
  const status = () => window.store.snapshot().status
  window.disconnect()
  for (const x of [1, 2, 3]) server.change(`other${x}`, [move('a', x)])
  browser.now += 1_000
  window.connect()
  window.deliver()
  expect(status()).toMatchObject({ state: 'reconnecting' }) // it is not known yet
  await settled()
  expect(status()).toMatchObject({ state: 'catchingUp', behind: 2 })
  const { since } = status()
  browser.now += 1_000
  window.deliver()
  expect(status()).toEqual({ state: 'catchingUp', behind: 1, since })
  server.change('other4', [move('a', 4)]) // what others do from now on is no backlog
  window.deliver()
  expect(status()).toMatchObject({ state: 'live', behind: 0 })
  // A whole plan in place of what is not kept any more.
  window.disconnect()
  server.floor = server.version
  window.connect()
  await settled()
  expect(status()).toMatchObject({ state: 'live' })
})

test('a replica that does not say how far the plan is, or loses the question, is live all the same', async () => {
  const { window, server } = await start({ addNode: node('a') })
  window.disconnect()
  window.connect()
  window.disconnect() // the question is lost
  server.former = true
  window.connect()
  await settled()
  expect(window.store.snapshot().status.state).toBe('live')
})

test('a plan stays the same object while only the connection changes', async () => {
  const { window } = await start({ addNode: node('a') })
  const { plan } = window.store.snapshot()
  window.disconnect()
  expect(window.store.snapshot()).toMatchObject({ status: { state: 'reconnecting' } })
  expect(window.store.snapshot().plan).toBe(plan)
})

test('a thousand events are one drawing', async () => {
  const { window, server } = await start({ addNode: node('a') })
  let drawings = 0
  window.store.subscribe(() => { drawings++ })
  for (let i = 1; i <= 1_000; i++) server.change(`other${i}`, [move('a', i)])
  while (window.deliver());
  await settled()
  expect(drawings).toBe(1)
  expect(positions(window)).toEqual(['a 1000'])
})

test('elements that did not change stay the same objects', async () => {
  const { window, server } = await start({ addNode: node('a') }, { addNode: node('b') })
  const before = window.store.snapshot().plan!
  server.change('other', [move('a', 5)])
  window.deliver()
  const after = window.store.snapshot().plan!
  expect(after).not.toBe(before)
  expect(after.nodes.get('b')).toBe(before.nodes.get('b'))
  expect(after.nodes.get('a')).not.toBe(before.nodes.get('a'))
})

// Anything may happen in any order: gestures in two windows, answers, losses, events, reloads, deaths, hours. In the end, when the network
// is well and the user has decided, each window shows the server's plan; every edit was done or refused, and none twice.
const gestures = {
  add: (_: FakeWindow, i: number) => [{ addNode: node(`n${i % 6}`, i) }],
  move: (w: FakeWindow, i: number) => [move(pick(w, i), i)],
  moveTwo: (w: FakeWindow, i: number) => [
    { moveNodes: [...new Set([pick(w, i), pick(w, i + 1)])].map((nodeId) => ({ nodeId, position: { x: i, y: 1 } })) }],
  label: (w: FakeWindow, i: number) => [{ updateNode: { id: pick(w, i), updates: { metadata: { label: `l${i}`, description: null } } } }],
  relabel: (w: FakeWindow, i: number) => [relabel(w, pick(w, i), `r${i}`)],
  remove: (w: FakeWindow, i: number) => [{ deleteNode: pick(w, i) }],
  connect: (w: FakeWindow, i: number) => [{ addEdge: edge(pick(w, i), pick(w, i * 7 + 1)) }],
  cut: (w: FakeWindow, i: number) => [{ deleteEdge: `${pick(w, i)}-${pick(w, i * 7 + 1)}` }],
  several: (w: FakeWindow, i: number) => [move(pick(w, i), i), { addNode: node(`n${i % 6}`, i) }, move(`n${i % 6}`, i + 1)],
} satisfies Record<string, (w: FakeWindow, i: number) => Edit[]>

/** Gives a node another label, if it still has the one that the window shows. */
function relabel(window: FakeWindow, id: string, label: string): Edit {
  const seen = window.store.snapshot().plan!.nodes.get(id)
  return { updateNode: { id, updates: { metadata: { label, description: null } }, ...(seen && { expected: { metadata: seen.metadata } }) } }
}

/** A node that the window shows. */
function pick(window: FakeWindow, i: number): string {
  const shown = [...(window.store.snapshot().plan?.nodes.keys() ?? [])]
  return shown[i % Math.max(1, shown.length)] ?? 'n0'
}

type Action =
  | { do: keyof typeof gestures; i: number }
  | { do: 'decide'; fate: Fate }
  | { do: 'deliver' | 'repeat' | 'disconnect' | 'connect' | 'wait' | 'reload' | 'die' | 'hour' | 'trim' | 'send' | 'discard' }
  | { do: 'other' | 'build'; i: number }

const action: fc.Arbitrary<Action & { window: number }> = fc.tuple(fc.nat(1), fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom(...(Object.keys(gestures) as (keyof typeof gestures)[])), i: fc.nat(30) }) },
  { weight: 8, arbitrary: fc.record({
    do: fc.constant('decide' as const), fate: fc.constantFrom<Fate>('lost', 'unanswered', 'busy', 'busyField', 'answered', 'answered') }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom('deliver' as const, 'deliver' as const, 'wait' as const, 'repeat' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom(
    'disconnect' as const, 'connect' as const, 'reload' as const, 'die' as const, 'hour' as const, 'trim' as const,
    'send' as const, 'discard' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('other' as const, 'build' as const), i: fc.nat(30) }) },
)).map(([window, what]) => ({ ...what, window }))

test('whatever happens, nothing is lost and nothing happens twice', async () => {
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 60 }), run), { numRuns: 500 })
}, 240_000)

async function run(actions: (Action & { window: number })[]): Promise<void> {
  const server = new FakeServer()
  const browser = new Browser()
  const windows = [new FakeWindow(browser, server), new FakeWindow(browser, server)]
  const made: { opId: string; window: number; edits: Edit[] }[] = []
  const refused = new Set<string>()
  const discarded = new Set<string>()
  const note = () => {
    for (const window of windows) for (const { change } of window.store.snapshot().refused) refused.add(change.opId)
  }
  let others = 0
  await settled()
  for (const what of actions) {
    const window = windows[what.window]!
    const undecided = window.store.snapshot().undecided.map((change) => change.opId)
    note()
    switch (what.do) {
      case 'decide': await window.decide(what.fate); break
      case 'deliver': window.deliver(); break
      case 'repeat': window.repeat(); break
      case 'disconnect': window.disconnect(); break
      case 'connect': window.connect(); break
      case 'wait': await window.wait(); break
      case 'reload': await settled(); window.load(); break
      case 'die': await settled(); window.load(`${window.clientId}+`); break
      case 'hour': browser.now += 61 * 60 * 1_000; break
      case 'trim': server.floor = server.version; break
      case 'send': window.store.send(undecided); break
      case 'discard':
        for (const opId of undecided) discarded.add(opId)
        window.store.discard(undecided)
        break
      case 'other':
        try {
          server.change(`other${others++}`, gestures[what.i % 3 ? 'move' : 'label'](window, what.i))
        } catch {
          // Refused, as others are, too.
        }
        break
      case 'build': {
        const ids = [...server.plan.nodes.keys()]
        server.build(ids[what.i % (ids.length + 1)] ?? 'gone', what.i % 3 ? { ...pending, nodeCount: what.i } : null)
        break
      }
      default: {
        // Nobody edits what they do not see.
        if (!window.store.snapshot().plan) break
        const edits = gestures[what.do](window, what.i)
        made.push({ opId: window.store.change(edits), window: what.window, edits })
      }
    }
    await settled()
  }
  await rest(windows, note)
  for (const window of windows) agree(window, server)
  // What a window that died left behind shows in the others when they are opened again.
  for (const window of windows) window.load()
  await rest(windows, note)
  for (const window of windows) agree(window, server)
  note()
  expect(server.misused).toEqual([])
  expect(await browser.journal.load(projectId)).toEqual([])
  const known = (opId: string) => server.operations.has(opId) || refused.has(opId) || discarded.has(opId)
  made.forEach(({ opId, window, edits }, i) => {
    if (known(opId)) return
    // It was a move that a later one replaced before it was sent.
    const later = made.slice(i + 1).filter((other) => other.window === window && movesOnly(other.edits)).flatMap((other) => moved(other.edits))
    expect(movesOnly(edits)).toBe(true)
    expect(later).toEqual(expect.arrayContaining(moved(edits)))
  })
}

const movesOnly = (edits: Edit[]) => edits.length === 1 && 'moveNodes' in edits[0]!
const moved = (edits: Edit[]) => edits.flatMap((edit) => ('moveNodes' in edit ? edit.moveNodes.map(({ nodeId }) => nodeId) : []))

function agree(window: FakeWindow, server: FakeServer): void {
  const { plan, waiting, status } = window.store.snapshot()
  expect(status.state).toBe('live')
  expect(waiting).toBe(0)
  expect(plan!.version).toBe(server.version)
  // Of an execution null and absent are the same.
  const nodes = (all: ReadonlyMap<string, PlanNode>) => [...all.values()].map(({ datasourceExecution, graphExecution, ...others }) => (
    { ...others, datasourceExecution: datasourceExecution ?? null, graphExecution: graphExecution ?? null }))
  expect(nodes(plan!.nodes)).toEqual(nodes(server.plan.nodes))
  expect(Object.fromEntries(plan!.edges)).toEqual(Object.fromEntries(server.plan.edges))
}

/** All is well again, and the user sends what waits for a decision, until nothing happens any more. */
async function rest(windows: FakeWindow[], note: () => void): Promise<void> {
  for (let idle = 0, round = 0; idle < 2; round++) {
    expect(round, 'it does not come to rest').toBeLessThan(500)
    let busy = false
    for (const window of windows) {
      await settled()
      note()
      if (window.store.snapshot().status.state !== 'live') window.connect()
      while (window.deliver()) busy = true
      if (await window.decide('answered')) busy = true
      if (await window.wait()) busy = true
      const undecided = window.store.snapshot().undecided.map((change) => change.opId)
      window.store.send(undecided)
      if (undecided.length > 0) busy = true
    }
    idle = busy ? 0 : idle + 1
  }
}
