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
    const { connect, Failure } = await import('/client/index.js')
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
    const { plan: shown } = await when((snapshot) => snapshot.plan.nodes.has('one') && snapshot.waiting === 0)
    const edge = { id: 'e', source: 'one', target: 'one', sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' } }
    plan.change([{ addEdge: edge }])
    const { refused: [{ change, failure }] } = await when(({ refused }) => refused.length > 0)
    const missing = await layercake.request('{ nothing }', {}).catch((error) => error)
    const gone = await new Promise((done) => {
      const none = layercake.plan(999_999)
      none.subscribe(() => { if (none.snapshot().status.state === 'ended') done(none.snapshot().status.failure.code) })
    })
    return {
      node: shown.nodes.get('one').metadata.label, message: failure.message, refused: change.edits, edges: plan.snapshot().plan.edges.size,
      failure: missing instanceof Failure && missing.code, gone,
    }
  })
  assert.deepEqual({ ...seen, refused: seen.refused[0].addEdge.id }, {
    node: 'One', message: 'Edge must connect two different nodes', refused: 'e', edges: 0, failure: 'BAD_REQUEST', gone: 'NOT_FOUND',
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
import { connect, type PlanSnapshot, type Edit } from 'layercake-client'
const layercake = await connect({ url: '${url}' })
const answer = await layercake.request<{ projects: { name: string }[] }, object>('{ projects { name } }', {})
const edit: Edit = { moveNodes: [{ nodeId: 'one', position: { x: 1, y: 2 } }] }
const shown = (snapshot: PlanSnapshot): number | undefined => snapshot.plan?.nodes.get('one')?.position.x
// @ts-expect-error there is no such edit
const wrong: Edit = { moveNode: 'one' }
console.log(answer.projects[0]!.name, typeof edit, typeof shown, typeof wrong)
process.exit()
`)
  const tsc = resolve('node_modules/typescript/bin/tsc')
  for (const resolution of ['nodenext', 'bundler']) {
    const module = resolution === 'bundler' ? 'esnext' : resolution
    run('node', tsc, '--strict', '--module', module, '--moduleResolution', resolution, '--target', 'es2023', '--lib', 'es2023,dom',
      '--types', 'node', '--typeRoots', resolve('node_modules/@types'), 'try.ts')
  }
  assert.match(run('node', 'try.js'), /^Without a build object function object/)
} finally {
  rmSync(folder, { recursive: true })
}
