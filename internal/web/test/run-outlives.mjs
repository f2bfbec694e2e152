// The replica that builds is killed. Another takes the build over, and the states come to rest in a window by themselves.
import assert from 'node:assert/strict'
import { cards, launch, live, open } from './browser.mjs'
import { holdBuilds, sql } from './held.mjs'

const { URL: url, OTHER_URL: other, PIDS } = process.env
const pids = Object.fromEntries([url, other].map((each, i) => [new URL(each).host, Number(PIDS.split(',')[i])]))

const browser = await launch()
try {
  const release = await holdBuilds()
  const one = await open(browser, url)
  await one.getByRole('button', { name: 'Empty plan' }).click()
  await live(one)
  const path = new URL(one.url()).pathname
  const two = await open(browser, other + path)
  await live(two)
  await two.getByRole('button', { name: 'Files…' }).waitFor()
  const [chooser] = await Promise.all([two.waitForEvent('filechooser'), two.getByRole('button', { name: 'Files…' }).click()])
  await chooser.setFiles([{ name: 'nodes.csv', mimeType: 'text/csv', buffer: Buffer.from('id,label\na,Alpha\nb,Beta\n') }])
  await cards(two, 1)
  const query = 'mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }'
  const source = await two.locator('.react-flow__node').getAttribute('data-id')
  const edits = [
    { addNode: { id: 'graph', nodeType: 'GraphNode', position: { x: 400, y: 0 }, metadata: { label: 'Overview' }, config: '{}' } },
    { addEdge: { id: 'edge', source, target: 'graph', metadata: { dataType: 'GRAPH_DATA' } } },
  ]
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { id: Number(path.split('/')[2]), edits } }),
  })
  assert.equal((await response.json()).errors, undefined)

  const state = (page) => page.locator('[data-id=graph] .state')
  for (const page of [one, two]) {
    await page.waitForFunction(() => document.querySelectorAll('.react-flow__minimap-node').length === 2)
    await page.locator('.react-flow').press('Control+0')
  }
  await two.getByRole('button', { name: 'Run all' }).click()
  for (const page of [one, two]) await state(page).getByText(/^▸ Building.*on replica/).waitFor()

  const builder = sql('SELECT r.address FROM claims c JOIN replicas r USING (incarnation)')
  assert.ok(pids[builder], `${builder} builds`)
  process.kill(pids[builder], 'SIGKILL')
  release()
  // Its lease ends as time would end it; a renewal may have been under way.
  const expire = `UPDATE replicas SET renewed_at = now() - interval '2 s', expires_at = now() - interval '1 s' WHERE address = '${builder}' RETURNING 1`
  while (sql(expire) !== '') await new Promise((resolve) => { setImmediate(resolve) })

  const left = new URL(url).host === builder ? two : one
  await state(left).getByText('✓ 2 nodes, 0 edges').waitFor()
  await left.locator('.running').waitFor({ state: 'detached' })
} finally {
  await browser.close()
}
