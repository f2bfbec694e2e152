// The client without our page: as a module that a page imports, and as a package.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { launch, open } from './browser.mjs'

const url = process.env.URL
const browser = await launch()
try {
  const page = await open(browser, `${url}/client/index.js`)
  const seen = await page.evaluate(async () => {
    const { connect, Failure, PresenceStore } = await import('/client/index.js')
    const layercake = await connect({ url: location.origin, name: 'A page' })
    const create = 'mutation ($input: CreateProjectInput!) { createProject(input: $input) { id } }'
    const { createProject: { id } } = await layercake.request(create, { input: { name: 'Without a build' } })
    const plan = layercake.plan(id)
    const when = (holds) => new Promise((done) => {
      const look = () => { if (holds(plan.snapshot())) done(plan.snapshot()) }
      plan.subscribe(look)
      look()
    })
    await when(({ status }) => status.state === 'live')
    const node = { id: 'one', nodeType: 'GraphNode', position: { x: 1, y: 2 }, metadata: { label: 'One', description: null }, config: '{}' }
    plan.change([{ addNode: node }])
    const { plan: shown } = await when((snapshot) => snapshot.plan.version === 1) // its event has come, too
    const edge = { id: 'e', source: 'one', target: 'one', sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' } }
    plan.change([{ addEdge: edge }])
    const { refused: [{ change, failure }] } = await when(({ refused }) => refused.length > 0)
    const changes = []
    plan.hear((heard) => changes.push(heard))
    const stated = { label: 'Two', description: null }
    const own = plan.change([{ updateNode: { id: 'one', updates: { config: '{"a":1}' }, expected: { metadata: node.metadata, config: '{}' } } }])
    plan.change([{ updateNode: { id: 'one', updates: { metadata: { label: 'Three', description: null } }, expected: { metadata: stated } } }])
    const { refused: [, stale] } = await when(({ refused, waiting }) => refused.length > 1 && waiting === 0)
    await when(() => changes.length > 0)
    const { failure: { conflicts: [conflict] } } = stale

    // Somebody drags, and somebody else sees it.
    const people = ['ann', 'bob'].map((userId) => new PresenceStore(
      `${location.origin.replace('http', 'ws')}/ws/collaboration?project_id=${id}`, { userId, name: userId, color: '#000000' }))
    const [ann, bob] = people
    for (const store of people) store.start()
    const seenByBob = (holds) => new Promise((done) => {
      const look = () => {
        const person = bob.snapshot().get('ann')
        if (person && holds(person)) done(person)
      }
      bob.subscribe(look)
      look()
    })
    await seenByBob(() => true)
    ann.move({ x: 1, y: 2 }, 'one')
    ann.drag({ nodeIds: ['one'], dx: 3, dy: -4 })
    const { dragging, activeAt } = await seenByBob((person) => person.dragging)
    ann.drag(null)
    const after = await seenByBob((person) => !person.dragging)
    for (const store of people) store.stop()

    const { state, greeting, roundTrip } = layercake.socket.snapshot()
    const missing = await layercake.request('{ nothing }', {}).catch((error) => error)
    const gone = await new Promise((done) => {
      const none = layercake.plan(999_999)
      none.subscribe(() => { if (none.snapshot().status.state === 'ended') done(none.snapshot().status.failure.code) })
    })
    return {
      node: shown.nodes.get('one').metadata.label, message: failure.message, refused: change.edits, edges: plan.snapshot().plan.edges.size,
      failure: missing instanceof Failure && missing.code, gone,
      heard: changes.map(({ opId, clientId, actorName, actorKind, via, nodeIds, edgeIds }) => [
        opId === own, clientId === layercake.clientId, actorName, actorKind, via, ...nodeIds, ...edgeIds].join()),
      conflict: [conflict.edit, conflict.kind, conflict.id, conflict.part, conflict.expected.label, conflict.current.label, ...conflict.actorNames].join(),
      dragging, active: activeAt > 1e12, after: [after.cursor, after.selectedNodeId, after.dragging],
      socket: [state, ...Object.values(greeting).map((value) => typeof value), roundTrip > 0],
    }
  })
  assert.deepEqual({ ...seen, refused: seen.refused[0].addEdge.id }, {
    node: 'One', message: 'Edge must connect two different nodes', refused: 'e', edges: 0, failure: 'BAD_REQUEST', gone: 'NOT_FOUND',
    heard: ['true,true,A page,anonymous,graphql,one'], conflict: '0,NODE_UPDATED,one,metadata,Two,One,A page',
    dragging: { nodeIds: ['one'], dx: 3, dy: -4 }, active: true, after: [{ x: 1, y: 2 }, 'one', null],
    socket: ['live', 'string', 'string', 'string', true],
  })
  // The browser notes the request that was wrong, and looks for an icon.
  assert.deepEqual(page.problems.filter((problem) => !/status of 400|favicon/.test(problem)), [])
} finally {
  await browser.close()
}

const folder = mkdtempSync(join(tmpdir(), 'layercake-client-'))
try {
  const run = (...command) => execFileSync(command[0], command.slice(1), { cwd: folder, encoding: 'utf8' })
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  run('npm', 'install', '--no-audit', '--no-fund', '--no-update-notifier', '--cache', join(folder, 'cache'), `${url}/client/layercake-client.tgz`)
  writeFileSync(join(folder, 'try.ts'), `
import { connect, type AppliedChange, type Conflict, type Edit, type PlanSnapshot } from 'layercake-client'
const layercake = await connect({ url: '${url}' })
const answer = await layercake.request<{ projects: { name: string }[] }, object>('{ projects { name } }', {})
const edit: Edit = { moveNodes: [{ nodeId: 'one', position: { x: 1, y: 2 } }] }
const shown = (snapshot: PlanSnapshot): number | undefined => snapshot.plan?.nodes.get('one')?.position.x
// @ts-expect-error there is no such edit
const wrong: Edit = { moveNode: 'one' }
const authorOf = (change: AppliedChange, conflict: Conflict): string => change.actorName + conflict.actorNames.join()
console.log(answer.projects[0]!.name, typeof edit, typeof shown, typeof wrong, typeof authorOf)
`)
  const tsc = resolve('node_modules/typescript/bin/tsc')
  for (const resolution of ['nodenext', 'bundler']) {
    const module = resolution === 'bundler' ? 'esnext' : resolution
    run('node', tsc, '--strict', '--module', module, '--moduleResolution', resolution, '--target', 'es2023', '--lib', 'es2023,dom',
      '--types', 'node', '--typeRoots', resolve('node_modules/@types'), 'try.ts')
  }
  assert.match(run('node', 'try.js'), /^Without a build object function object function/)
} finally {
  rmSync(folder, { recursive: true })
}
