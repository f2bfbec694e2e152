// What nodes hold is looked at: as tables of any length, and as pictures.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { cards, launch, live, open } from './browser.mjs'

const url = process.env.URL
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const project = (await ask('mutation { createProject(input: { name: "Looked at" }) { id } }')).createProject.id
const lines = (count, line) => Array.from({ length: count }, (_, i) => line(i)).join('\n')
const million = 1_000_000

// Labels with markup, in a script from right to left, and very long; ids of any letters.
await upload('n.csv', `id,label,layer,is_partition,belongs_to,note\nall,<b onclick="x()">All</b>,app,true,,\na,שלום & "Alpha",app,,all,\nb,${'long '.repeat(40)},data,,all,\nc,C,,,all,second`)
await upload('e.csv', 'id,source,target,label\ne1,a,b,<script>x()</script>\ne2,b,c,')
await upload('l.csv', 'id,label,background_color,border_color,text_color\napp,Apps,1f6feb,0d419d,ffffff\ndata,Data,eeeeee,999999,000000')
await upload('bn.csv', `id,label,layer\n${lines(2_000, (i) => `n${i},Node ${i},l${i % 5}`)}\n`)
await upload('be.csv', `id,source,target\n${lines(3_000, (i) => `e${i},n${i % 2_000},n${(i * i + Math.floor(i / 7)) % 2_000}`)}\n`)
await upload('dn.csv', `id,label\n${lines(200, (i) => `n${i},Node ${i}`)}\n`)
await upload('de.csv', `id,source,target\n${lines(20_001, (i) => `e${i},n${i % 200},n${Math.floor(i / 200) % 200}`)}\n`)
await upload('rows.csv', `id,label,layer\n${lines(million, (i) => `r${i + 1},Row ${i + 1},l${i % 7}`)}\n`)
const sources = (await ask('query ($id: Int!) { getPlanDag(projectId: $id) { nodes { id metadata { label } } } }', { id: project })).getPlanDag.nodes
const idOf = (file) => sources.find(({ metadata }) => metadata.label === `${file}.csv`).id
const graph = (id, label, y, inputs, nodeType = 'GraphNode') => [
  { addNode: { id, nodeType, position: { x: 400, y }, metadata: { label, description: null }, config: '{}' } },
  ...inputs.map((input) => ({
    addEdge: { id: `${input}-${id}`, source: input, target: id, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' } },
  })),
]
await edit([
  ...graph('small', 'Small <i>graph</i>', 100, [idOf('n'), idOf('e'), idOf('l')]), ...graph('big', 'Big', 200, [idOf('bn'), idOf('be')]), ...graph('idle', 'Not run', 300, [idOf('rows')]),
  ...graph('middle', 'Middle', 400, [idOf('bn')]), ...graph('dense', 'Dense', 600, [idOf('dn'), idOf('de')]), ...graph('out', 'Output', 500, ['small'], 'OutputNode')])
await Promise.all([run('small'), run('big'), run('middle'), run('dense')])

const browser = await launch({ webGL: true })
try {
  const page = await open(browser, `${url}/projects/${project}`)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await live(page)
  await cards(page, 14)
  const dialog = page.getByRole('dialog')
  const grid = page.getByRole('grid')
  const button = (name) => dialog.getByRole('button', { name, exact: true })
  const cell = (text) => grid.getByRole('gridcell', { name: text, exact: true }).first()
  const node = (id) => page.locator(`.canvas [data-id="${id}"]`)
  const close = async () => {
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  }
  const rowIndex = (text) => cell(text).locator('xpath=..').getAttribute('aria-rowindex')
  const below = dialog.getByLabel('Text of the cell')

  // A million rows: the first, the last, and any.
  await node(idOf('rows')).click()
  await page.locator('.inspector').getByRole('button', { name: 'Table' }).click()
  await cell('Row 1').waitFor()
  assert.equal(await grid.getAttribute('aria-rowcount'), String(million + 1))
  assert.equal(new URL(page.url()).hash, `#node=${idOf('rows')}&look=table`)
  await grid.focus()
  for (const [keys, row] of [['Control+End', million], ['ArrowUp', million - 1], ['Control+Home', 1], ['PageDown', null], ['ArrowDown', null]]) {
    await page.keyboard.press(keys)
    if (row === null) continue
    await cell(`Row ${row}`).waitFor()
    assert.equal(await rowIndex(`Row ${row}`), String(row + 1))
    await isSeen(grid, cell(`Row ${row}`))
  }
  await dialog.getByRole('spinbutton', { name: 'Row' }).fill('654321')
  await page.keyboard.press('Enter')
  await cell('Row 654321').waitFor()
  await isSeen(grid, cell('Row 654321'))
  await grid.and(page.locator(':focus')).waitFor()
  await page.keyboard.press('ArrowRight')
  await page.waitForFunction(() => document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.textContent === 'Row 654321')
  assert.equal(await below.textContent(), 'Row 654321')
  await shot(page, 'million')
  // A turn of the wheel goes as far as in a short table.
  const top = () => grid.evaluate((element) => {
    const { bottom } = element.querySelector('.names').getBoundingClientRect()
    return [...element.querySelectorAll('.row')].map((row) => [Number(row.getAttribute('aria-rowindex')), row.getBoundingClientRect()])
      .find(([, box]) => box.bottom > bottom + 1)[0]
  })
  const before = await top()
  await grid.hover()
  await page.mouse.wheel(0, 280)
  await page.waitForFunction((row) => document.querySelector(`.row[aria-rowindex="${row}"]`) === null, before - 8)
  assert.ok(Math.abs(await top() - before - 10) <= 1, `${before} to ${await top()}`)
  // Pages that one scrolled past while others were on their way are not asked for.
  let release
  const released = new Promise((resolve) => { release = resolve })
  let held = 0
  await page.route('**/graphql', async (route) => {
    held++
    await released
    await route.continue()
  })
  const first = page.waitForRequest('**/graphql')
  await grid.evaluate((element) => { element.scrollTop = 1_000_000 })
  await first
  await grid.evaluate(async (element) => {
    for (let i = 1; i <= 50; i++) {
      element.scrollTop = element.scrollHeight / 50 * i
      await new Promise(requestAnimationFrame)
    }
  })
  assert.ok(held <= 2, `${held} requests`)
  release()
  await cell(`Row ${million}`).waitFor()
  await page.unrouteAll({ behavior: 'wait' })
  await check(page, 'million')

  // The file is replaced: what is shown begins anew, and says so.
  await dialog.getByRole('spinbutton', { name: 'Row' }).fill('2')
  await page.keyboard.press('Enter')
  await cell('Row 2').waitFor()
  const { dataSources } = await ask('query ($id: Int!) { dataSources(projectId: $id) { id filename } }', { id: project })
  const replace = (filename, text) => ask('mutation ($id: Int!, $input: UpdateDataSourceInput!) { updateDataSource(id: $id, input: $input) { id } }', {
    id: dataSources.find((source) => source.filename === filename).id, input: { filename, fileContent: Buffer.from(text).toString('base64') },
  })
  await replace('rows.csv', 'id,label\nx,Other 1\ny,Other 2')
  await dialog.getByText('The file was replaced or read again meanwhile').waitFor()
  await cell('Other 2').waitFor()
  assert.equal(await grid.getAttribute('aria-rowcount'), '3')
  await close()
  await node(idOf('rows')).and(page.locator(':focus-visible, :focus')).or(page.locator('.inspector button:focus')).waitFor()

  // A file that is no table of nodes or edges.
  await node(idOf('l')).click()
  await page.keyboard.press('t')
  await cell('Apps').waitFor()
  await close()

  // What has not been built says what to do.
  await node('idle').click()
  await page.keyboard.press('Control+k')
  await page.keyboard.type('Tabl')
  await page.keyboard.press('Enter')
  await dialog.getByText('This graph has not been built yet. Run it, and it comes here.').waitFor()
  await check(page, 'nothing')
  await button('Run').click()
  await cell('Other 1').waitFor()
  await close()
  await node('out').click()
  await page.keyboard.press('t')
  await dialog.getByText('This is what Small <i>graph</i> holds').waitFor()
  await close()

  // Nodes, edges and layers of a graph. Whatever stands in a cell is text.
  await node('small').click()
  await page.keyboard.press('t')
  await cell('<b onclick="x()">All</b>').waitFor()
  await shot(page, 'table')
  assert.equal(await cell('שלום & "Alpha"').getAttribute('dir'), 'auto')
  await grid.getByRole('gridcell', { name: 'long long' }).click()
  assert.equal((await below.textContent()).length, 5 * 40 - 1)
  await grid.focus()
  await page.keyboard.press('Control+c')
  await dialog.getByText('Copied', { exact: true }).waitFor()
  assert.equal((await page.evaluate(() => navigator.clipboard.readText())).length, 5 * 40 - 1)
  const wide = () => grid.getByRole('columnheader', { name: 'label' }).evaluate((element) => element.offsetWidth)
  const width = await wide()
  await button('Wider').click()
  await page.waitForFunction((was) => [...document.querySelectorAll('.names .cell')].find((each) => each.textContent === 'label').offsetWidth === was + 24, width)
  const border = await grid.getByRole('columnheader', { name: 'label' }).locator('.border').boundingBox()
  await page.mouse.move(border.x + 12, border.y + 12)
  await page.mouse.down()
  await page.mouse.move(border.x + 112, border.y + 12, { steps: 4 })
  await page.mouse.up()
  assert.equal(await wide(), width + 124)
  await cell('a').click()
  await page.keyboard.down('Shift')
  await cell('C').click()
  await page.keyboard.up('Shift')
  await button('Copy 6 cells').click()
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^a\t"שלום & ""Alpha"""\nb\t(long ?){40}\nc\tC$/)
  await button('Edges (2)').click()
  await cell('<script>x()</script>').waitFor()
  await button('Layers (2)').click()
  await cell('Data').waitFor()
  await check(page, 'table')
  const link = await dialog.getByRole('link', { name: 'CSV of nodes' }).getAttribute('href')
  assert.match(await (await fetch(new URL(link, url))).text(), /^id,label/)

  // The picture of a small one, with its partition and the colours of its layers, in which nothing runs.
  await button('Picture').click()
  const image = dialog.getByRole('img', { name: 'Drawing of Small <i>graph</i>: 4 nodes, 2 edges.' })
  await image.waitFor()
  await page.waitForFunction(() => document.querySelector('.paper img').naturalWidth > 0)
  const [download] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('link', { name: 'Download SVG' }).click()])
  const svg = await readFile(await download.path(), 'utf8')
  assert.match(svg, /&lt;script&gt;x\(\)&lt;/)
  assert.match(svg, /#1f6feb/)
  assert.doesNotMatch(svg, /<script|<b /)
  await shot(page, 'drawing')
  const small = await image.evaluate((element) => element.width)
  await button('Larger').click()
  assert.ok(await image.evaluate((element) => element.width) > small)
  await page.locator('.paper').focus()
  await page.keyboard.press('+')
  await page.keyboard.press('0')
  assert.equal(await image.evaluate((element) => element.width), small)
  await check(page, 'drawing')
  // It is built again: so it is drawn again.
  await replace('e.csv', 'id,source,target\ne1,a,b')
  await dialog.getByText('Out of date').waitFor()
  await check(page, 'stale')
  await button('Run').click()
  await dialog.getByText('The graph was built again meanwhile').waitFor()
  await dialog.getByRole('img', { name: '4 nodes, 1 edge.' }).waitFor()
  await close()

  // A large one: laid out in view of everybody, found by label, neighbours as text.
  await page.goto('about:blank')
  await page.goto(`${url}/projects/${project}#node=big&look=picture`)
  await dialog.getByText('Laid out').waitFor({ timeout: 60_000 })
  await dialog.getByText('2,000 nodes and 3,000 edges').waitFor()
  assert.ok(await page.evaluate(() => [...document.querySelectorAll('.stage canvas')].length > 1))
  await shot(page, 'points')
  await dialog.getByRole('searchbox', { name: 'Find a node' }).fill('node 7')
  await page.keyboard.press('Enter')
  await dialog.getByRole('heading', { name: 'Node 7', exact: true }).waitFor()
  const near = dialog.getByRole('region', { name: 'Chosen node' })
  const one = await near.getByRole('status').textContent()
  await button('2 steps').click()
  assert.notEqual(await near.getByRole('status').textContent(), one)
  await check(page, 'points')
  await near.getByRole('listitem').first().getByRole('button').click()
  await dialog.getByRole('heading', { name: 'Node 7', exact: true }).waitFor({ state: 'detached' })
  await page.setViewportSize({ width: 320, height: 640 })
  await check(page, 'points-320')
  await button('Table').click()
  await cell('Node 1').waitFor()
  await check(page, 'table-320')
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 320), 'wider than the page')
  await page.setViewportSize({ width: 1200, height: 760 })

  // The layout can be stopped. WebGL is lost: there is a sentence, and the table.
  await button('Picture').click()
  await button('Stop').click()
  await dialog.getByText('The layout was stopped').waitFor()
  await page.evaluate(() => {
    for (const canvas of document.querySelectorAll('.stage canvas')) canvas.getContext('webgl2')?.getExtension('WEBGL_lose_context').loseContext()
  })
  await dialog.getByText('The browser took the memory of the graphics away').waitFor()
  await check(page, 'lost')
  await button('Look at the table').click()
  await cell('Node 1').waitFor()
  // Somebody deletes the node.
  await edit([{ deleteNode: 'big' }])
  await dialog.getByText('This node was deleted').waitFor()
  await close()
  assert.deepEqual(page.workers().map((worker) => worker.url()), []) // Graphviz, and what lays out, ended with what they were for
  assert.deepEqual(page.problems, [])

  // Parts that do not come say so, and are tried again.
  const late = await open(browser, `${url}/projects/${project}`)
  await live(late)
  await late.route('**/{look,table}-*.js', (route) => route.abort())
  await late.locator('.canvas [data-id=small]').click()
  for (const part of ['look', 'table']) {
    await late.keyboard.press('t')
    await late.getByText('This could not be loaded.').waitFor()
    await late.getByRole('dialog').waitFor({ state: 'detached' })
    await late.getByRole('button', { name: 'Dismiss' }).click()
    await late.unroute('**/{look,table}-*.js')
    if (part === 'look') await late.route('**/table-*.js', (route) => route.abort())
    else await late.unrouteAll()
    await late.locator('.canvas [data-id=small]').click()
  }
  await late.keyboard.press('t')
  await late.getByRole('grid').waitFor()
  await late.emulateMedia({ forcedColors: 'active' })
  await shot(late, 'forced')

  // Without WebGL there is a sentence instead.
  const bare = await open(browser, `${url}/projects/${project}#node=middle&look=picture`, () => {
    const { getContext } = HTMLCanvasElement.prototype
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) { return kind.startsWith('webgl') ? null : getContext.call(this, kind, ...more) }
  })
  await bare.getByText('This browser cannot draw by WebGL').waitFor()
  assert.deepEqual(bare.problems, [])

  // What is closed before its text has come is not fetched any longer, and not drawn.
  const left = await open(browser, 'about:blank')
  await left.route('**/outputs/*format=DOT*', () => {})
  const asked = left.waitForEvent('request', (request) => request.url().includes('format=DOT'))
  await left.goto(`${url}/projects/${project}#node=small&look=picture`)
  await asked
  await Promise.all([left.waitForEvent('requestfailed', (request) => request.url().includes('format=DOT')), left.getByRole('button', { name: 'Close' }).click()])
  await left.getByRole('dialog').waitFor({ state: 'detached' })
  // Few nodes with very many edges are nothing for Graphviz. Another address of the same page leads there, too.
  await left.goto(`${url}/projects/${project}#node=dense&look=picture`)
  await left.locator('.stage canvas').first().waitFor()
  assert.ok(!left.requests.some((address) => address.includes('/layout.worker-')))
  assert.deepEqual(left.problems, [])
  await left.close()

  // Graphviz that takes for ever is ended.
  const stuck = await open(browser, 'about:blank')
  await stuck.route('**/layout.worker-*', () => {})
  await stuck.clock.install()
  const stalled = stuck.waitForEvent('request', (request) => request.url().includes('/layout.worker-'))
  await stuck.goto(`${url}/projects/${project}#node=small&look=picture`)
  await stalled
  await stuck.clock.runFor(10_000)
  await stuck.getByText('Graphviz took more than 10 seconds and was ended.').waitFor()
  await stuck.getByRole('button', { name: 'Show points and lines' }).click()
  await stuck.locator('.stage canvas').first().waitFor()
  assert.deepEqual(stuck.problems, [])
} catch (error) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    console.error(page.url(), page.problems, await page.locator('dialog').allInnerTexts())
  }
  throw error
} finally {
  await browser.close()
}

/** Whether a cell is in view, below the names of the columns. */
async function isSeen(grid, element) {
  const [view, box] = [await grid.boundingBox(), await element.boundingBox()]
  assert.ok(box.y >= view.y + 27 && box.y + box.height <= view.y + view.height + 1, `${JSON.stringify(box)} in ${JSON.stringify(view)}`)
}

/** Looks at a page with axe, in light and dark. */
async function check(page, state) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await page.evaluate(axe) // by the debugger, which no policy binds
    const violations = await page.evaluate(async () => {
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa']
      const { violations: found } = await globalThis.axe.run({ runOnly: tags })
      return found.flatMap((rule) => rule.nodes.map(({ html, failureSummary }) => `${rule.id}: ${html} ${failureSummary}`))
    })
    await shot(page, `${state}-${colorScheme}`)
    assert.deepEqual(violations, [], `${state}, ${colorScheme}`)
  }
}

async function upload(filename, text) {
  const form = new FormData()
  form.append('file', new Blob([text]), filename)
  const response = await fetch(`${url}/api/projects/${project}/data-sources`, { method: 'POST', body: form })
  assert.ok(response.ok, `${filename}: ${response.status} ${await response.text()}`)
}

function edit(edits) {
  return ask('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', { id: project, edits })
}

async function run(node) {
  const { executeNode } = await ask('mutation ($id: Int!, $node: String!) { executeNode(projectId: $id, nodeId: $node) { success message } }', { id: project, node })
  assert.ok(executeNode.success, executeNode.message)
}

async function ask(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined, JSON.stringify(errors))
  return data
}

async function shot(page, state) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/look-${state}.png` })
}
