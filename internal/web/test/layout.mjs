// The layout as it is shipped: its worker, under the headers that it is served with.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { launch, open } from './browser.mjs'

const url = process.env.URL
const script = `/assets/${readdirSync('dist/assets').find((name) => /^layout-.*\.js$/.test(name))}`

/** Lays out a plan in a page: ids, then pairs of them, then the ids that move. Returns the places, or what it failed with. */
const layOut = (page, ids, edges, only) => page.evaluate(async (given) => {
  const { layOut: run } = await import(given.script)
  const nodes = new Map(given.ids.map((id, i) => [id, { id, position: { x: 1_000 * i, y: 500 }, metadata: { label: id, description: null } }]))
  const plan = { version: 1, nodes, edges: new Map(given.edges.map(([source, target], i) => [i, { source, target }])) }
  return run(plan, given.only && new Set(given.only)).then((places) => Object.fromEntries(places), (error) => `${error.name}: ${error.message}`)
}, { script, ids, edges, only })

/** Opens a page in which no time passes, so that a slow machine has as much of it as it needs. */
const frozen = async () => {
  const page = await open(browser, url)
  await page.clock.install({ time: 0 })
  await page.clock.pauseAt(1_000)
  return page
}

const browser = await launch()
try {
  const page = await frozen()
  // Ids are no DOT.
  const ids = ['source', 'a -> b', '"]; digraph {', 'output']
  const edges = [[ids[0], ids[1]], [ids[0], ids[2]], [ids[1], ids[3]], [ids[2], ids[3]]]
  const places = await layOut(page, ids, edges)
  assert.deepEqual(places, {
    source: { x: 0, y: 60 }, 'a -> b': { x: 280, y: 120 }, '"]; digraph {': { x: 280, y: 0 }, output: { x: 560, y: 60 },
  })
  assert.deepEqual(await layOut(page, ids.toReversed(), edges.toReversed()), places)
  // Some are laid out around the middle of where they were: 2000, 500.
  assert.deepEqual(await layOut(page, ids, edges, ids.slice(1)), {
    'a -> b': { x: 1_860, y: 560 }, '"]; digraph {': { x: 1_860, y: 440 }, output: { x: 2_140, y: 500 },
  })

  // As many nodes as a plan may have, each with an edge to one of the next ten.
  const many = Array.from({ length: 1_000 }, (_, i) => `node_${i}`)
  const next = many.slice(1).map((id, i) => [many[Math.max(0, i - (i * i) % 10)], id])
  const found = await layOut(page, many, next)
  assert.equal(new Set(Object.values(found).map(({ x, y }) => `${x} ${y}`)).size, 1_000)
  for (const [from, to] of next) assert.ok(found[from].x < found[to].x, `${from} ${to}`)

  // Only the newest of two counts.
  assert.deepEqual(await Promise.all([layOut(page, many, next), layOut(page, ids, edges)]), ['AbortError: Another layout was asked for', places])
  assert.deepEqual(page.problems, [])

  // A worker that does not answer is ended, and another one is made.
  const stuck = await frozen()
  await stuck.route('**/layout.worker-*', () => {})
  const asked = stuck.waitForEvent('request', (request) => request.url().includes('/layout.worker-'))
  const failure = layOut(stuck, ids, edges)
  await asked
  await stuck.clock.runFor(10_000)
  assert.equal(await failure, 'Failure: The layout took more than 10 seconds. Lay out fewer nodes at a time.')
  await stuck.unrouteAll()
  assert.deepEqual(await layOut(stuck, ids, edges), places)
  assert.deepEqual(stuck.problems, [])
} finally {
  await browser.close()
}
