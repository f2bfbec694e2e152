// Files become nodes where they fall, plans are run, and the window on the other replica sees what becomes of them.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { cards, launch, live, open } from './browser.mjs'
import { holdBuilds } from './held.mjs'
import { passage } from './passage.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const tables = {
  'nodes.csv': 'id,label,layer,is_partition,belongs_to,weight,comment\nsys,System,infra,true,,1,\nweb,Web & API,app,false,sys,1,\n' +
    'db,Database,infra,false,sys,1,\njob,Nightly job,app,no,sys,2,runs at 02:00\n',
  'edges.csv': 'id,source,target,label,layer,weight,comment\ne1,web,db,reads,app,3,\ne2,job,db,,infra,1,\ne3,web,job,starts,app,1,cron\n',
  'layers.csv': 'layer,label,background,border,text\ninfra,Infrastructure,eeeeee,999999,000000\napp,Application,1f6feb,0d419d,ffffff\n',
}

const way = await passage(Number(new URL(url).port))
const browser = await launch()
try {
  const one = await open(browser, way.url)
  await one.getByRole('button', { name: 'Empty plan' }).click()
  await live(one)
  await one.getByRole('button', { name: 'Files…' }).waitFor()
  const path = new URL(one.url()).pathname
  const project = Number(path.split('/')[2])
  const two = await open(browser, other + path)
  const frames = framesOf(two)
  await two.reload() // so that its socket is seen from the beginning
  await live(two)
  const upload = (page, name) => page.locator('.uploads li', { has: page.getByText(name, { exact: true }) })
  const state = (page, id) => page.locator(`[data-id=${id}] .state`)
  const dismiss = (page) => page.locator('.uploads').getByRole('button', { name: /^Dismiss/ }).last().click()

  // Three tables fall on the canvas, and are nodes there, in the other window, too.
  await drop(one, tables, { x: 200, y: 60 })
  await cards(one, 3)
  await cards(two, 3)
  await one.getByText('3 files: 3 added').waitFor()
  await check(one, 'dropped')
  const sources = await nodes(project)
  assert.deepEqual(sources.map(({ metadata }) => metadata.label).toSorted(), ['edges.csv', 'layers.csv', 'nodes.csv'])
  assert.equal(new Set(sources.map(({ position }) => position.x)).size, 1) // one below the other, where they fell
  assert.equal(await versionOf(project), 3) // a change each, places and all
  await dismiss(one)

  // Each file that cannot be taken is named, with what to do.
  await drop(one, { 'photo.png': 'x', 'empty.csv': '', 'latin.csv': [0x69, 0x64, 0x2c, 0xe4, 0x0a], 'broken.csv': 'id,label\na\nb\n' }, { x: 300, y: 300 })
  await one.getByText('4 files: 4 not added').waitFor()
  await upload(one, 'photo.png').getByText('A file that ends in .png cannot be read.').waitFor()
  await upload(one, 'empty.csv').getByText('0 bytes').waitFor()
  await upload(one, 'latin.csv').getByText('UTF-8').first().waitFor()
  await upload(one, 'broken.csv').getByText('What is wrong').click()
  await check(one, 'refused')
  assert.equal((await nodes(project)).length, 3)
  assert.equal((await ask('query ($id: Int!) { dataSources(projectId: $id) { id } }', { id: project })).dataSources.length, 3)
  await dismiss(one)
  await one.locator('.uploads').waitFor({ state: 'detached' })

  // Twenty at once wait in a list; two are on their way. They are slow enough to be seen, and stopped.
  const network = await one.context().newCDPSession(one)
  const slow = (bytes) => network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes })
  await slow(200_000)
  const rows = Array.from({ length: 40_000 }, (_, i) => `n${i},Node number ${i}\n`).join('')
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`many-${i + 1}.csv`, `id,label\n${rows}`]))
  await drop(one, many, { x: 500, y: 200 })
  await one.getByText('20 files: 2 being sent, 18 waiting').waitFor()
  await one.waitForFunction(() => document.querySelector('.uploads progress')?.value > 0)
  await upload(one, 'many-1.csv').getByText(/ of \d.* sent$/).waitFor()
  await check(one, 'sending')
  const [question] = await Promise.all([one.waitForEvent('dialog'), one.close({ runBeforeUnload: true })])
  assert.equal(question.type(), 'beforeunload')
  await question.dismiss()
  await upload(one, 'many-1.csv').getByRole('button', { name: 'Stop' }).click()
  await one.getByText('20 files: 2 being sent, 17 waiting, 1 not added').waitFor()
  await one.getByRole('button', { name: 'Stop all' }).click()
  await one.getByText('20 files: 20 not added').waitFor()
  await upload(one, 'many-1.csv').getByText('Stopped. Nothing was added.').waitFor()
  await dismiss(one)
  await slow(-1)
  assert.equal((await nodes(project)).length, 3)

  // The network goes when all is sent and nobody has answered. It is said, tried again, and there once.
  way.mute()
  await drop(one, { 'lost.csv': 'id,label\nx,Lost\n' }, { x: 200, y: 450 })
  await showAll(two, 4)
  await way.close()
  await upload(one, 'lost.csv').getByText('The connection broke at 99 %').waitFor()
  await way.open()
  await live(one)
  await upload(one, 'lost.csv').getByRole('button', { name: 'Try again' }).click()
  await upload(one, 'lost.csv').getByText('Added as nodes, 1 row').waitFor()
  await cards(one, 4)
  assert.equal((await nodes(project)).length, 4)
  await upload(one, 'lost.csv').getByRole('button', { name: 'Show' }).click()
  await one.locator('.card.selected', { hasText: 'lost.csv' }).waitFor()
  await dismiss(one)
  one.problems.length = 0 // browsers complain of each connection that breaks

  // A server that is busy is asked again by itself. Who may only look is told so before anything is sent.
  let busy = true
  await two.route('**/data-sources?*', (route) => {
    if (!busy) return route.fallback()
    busy = false
    return route.fulfill({ status: 429, headers: { 'retry-after': '1' }, json: { error: { code: 'RATE_LIMITED', message: 'This server takes 4 uploads at once' } } })
  })
  await drop(two, { 'later.csv': 'id,label\nx,Later\n' }, { x: 300, y: 500 })
  await upload(two, 'later.csv').getByText('This server takes 4 uploads at once. It is tried again by itself.').waitFor()
  await upload(two, 'later.csv').getByText('Added as nodes, 1 row').waitFor()
  await two.unroute('**/data-sources?*')
  // Undo takes the node of one's own file away, and nobody else's change.
  await two.locator('.react-flow').press('Control+z')
  await showAll(two, 4)
  await dismiss(two)
  await two.route('**/graphql', (route) => (route.request().postData().includes('ProjectAccess')
    ? route.fulfill({ json: { data: { project: { role: 'viewer', plan: { id: 1 } } } } }) : route.fallback()))
  await drop(two, { 'theirs.csv': 'id,label\nx,Theirs\n' }, { x: 300, y: 500 })
  await two.getByRole('alert').getByText('You may look at this project, and not change it.').waitFor()
  await two.unroute('**/graphql')
  await two.getByRole('button', { name: 'Dismiss' }).click()
  two.problems.length = 0

  // A source that has no file takes the one that falls on it.
  await edit(project, [node('waiting', 'DataSourceNode', 'Waiting', 0, 700, { mine: 1 })])
  for (const page of [one, two]) await showAll(page, 5)
  await one.locator('[data-id=waiting]').click()
  await one.getByText('This source has no file.').waitFor()
  await check(one, 'no-file')
  await drop(one, { 'doubtful.csv': 'id,label,weight\na,Alpha,heavy\nb,Beta,2\n' }, { x: 10, y: 10 }, '[data-id=waiting]')
  await state(two, 'waiting').getByText('Read doubtful.csv').waitFor()
  assert.equal(JSON.parse((await nodes(project)).find(({ id }) => id === 'waiting').config).mine, 1)
  // Its problems are listed by row and column, its file can be had, replaced and deleted.
  const inspector = one.getByRole('complementary', { name: 'Inspector' })
  await inspector.getByRole('region', { name: 'Warnings' }).getByRole('row', { name: /weight/ }).waitFor()
  const download = async (page, link) => {
    const [file] = await Promise.all([page.waitForEvent('download'), link.click()])
    return { name: file.suggestedFilename(), text: await readFile(await file.path(), 'utf8') }
  }
  const had = await download(one, inspector.getByRole('link', { name: 'Download' }))
  assert.deepEqual(had, { name: 'doubtful.csv', text: 'id,label,weight\na,Alpha,heavy\nb,Beta,2\n' })
  await check(one, 'source')
  await choose(one, inspector.getByRole('button', { name: 'Replace file…' }), { 'better.tsv': 'id\tlabel\na\tAlpha\nb\tBeta\nc\tGamma\n' })
  await inspector.getByText('better.tsv', { exact: true }).waitFor()
  await inspector.getByText('No problems were found in it.').waitFor()
  await state(two, 'waiting').getByText('Read better.tsv').waitFor()
  await choose(one, inspector.getByRole('button', { name: 'Replace file…' }), { 'worse.csv': 'x\n1\n' })
  await upload(one, 'worse.csv').getByText('lacks the columns').first().waitFor()
  await inspector.getByText('better.tsv', { exact: true }).waitFor()
  await inspector.getByRole('button', { name: 'Read again' }).click()
  await one.getByText('Read again: better.tsv').waitFor()
  await inspector.getByRole('button', { name: 'Delete file…' }).click()
  await check(one, 'delete')
  await one.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
  await one.locator('[data-id=waiting]').waitFor({ state: 'detached' })
  one.problems.length = 0 // and of each answer that is no success

  // A graph of three tables, and an output of it, are run by the keyboard alone.
  const ids = Object.fromEntries(sources.map(({ id, metadata: { label } }) => [label, id]))
  await edit(project, [
    node('graph', 'GraphNode', 'Overview', 600, 100), node('out', 'OutputNode', 'File', 900, 100, { renderTarget: 'CSVEdges', outputPath: 'some/tiny.csv' }),
    ...sources.map(({ id }) => edge(id, 'graph')), edge('graph', 'out'),
  ])
  assert.equal(frames.filter((frame) => frame.includes('executions(')).length, 0, 'an idle editor follows no builds')
  for (const page of [one, two]) await showAll(page, 6)
  await one.locator('[data-id=out]').focus()
  await one.keyboard.press(' ')
  await one.keyboard.press('r')
  for (const page of [one, two]) await state(page, 'graph').getByText('4 nodes, 3 edges').waitFor()
  await one.getByText('The graph is built').waitFor()
  await said(two, 'Overview is built: 4 nodes, 3 edges')
  await one.keyboard.press('r')
  await one.getByText('Everything is current, so there is nothing to build').waitFor()
  // What an output makes is shown and had.
  await inspector.getByRole('button', { name: 'Preview' }).click()
  await inspector.getByRole('region', { name: 'Preview' }).getByText('e1,web,db').waitFor()
  const made = await download(one, inspector.getByRole('link', { name: 'Download', exact: true }))
  assert.equal(made.name, 'tiny.csv')
  assert.ok(made.text.includes('e3,web,job'), made.text)
  await check(one, 'output')
  await one.locator('[data-id=graph]').click()
  await inspector.getByText('Layers', { exact: true }).waitFor()
  await check(one, 'graph')

  // What is changed makes it out of date, and says why.
  const source = { id: ids['edges.csv'], file: { 'edges.csv': tables['edges.csv'].replace('e3,web,job', 'e3,web,ghost') } }
  await one.locator(`[data-id="${source.id}"]`).click()
  await choose(one, inspector.getByRole('button', { name: 'Replace file…' }), source.file)
  for (const page of [one, two]) await state(page, 'graph').getByText('Out of date: edges.csv was replaced').waitFor()
  await one.keyboard.press('o')
  await one.getByRole('row', { name: /Overview.*Out of date/ }).waitFor()
  await check(one, 'stale')
  await one.keyboard.press('o')
  // A build that fails says why, where it failed, also who did not ask for it.
  await one.locator('.react-flow').press('Control+Enter')
  for (const page of [one, two]) await state(page, 'graph').getByText(/^✕ Failed: .*ghost/).waitFor()
  await one.getByRole('alert').getByText(/^Not built: .*ghost/).waitFor()
  await two.locator('[data-id=graph]').click()
  await two.locator('.inspector .state').getByText('ghost').waitFor()
  await check(two, 'failed')

  // A long one: its states are seen in both windows, and the other one ends it.
  await edit(project, [node('long', 'GraphNode', 'Long', 600, 400)])
  const long = `id,label,layer\n${Array.from({ length: 2_000 }, (_, i) => `n${i},"Node number ${i}, with a label that takes a while",a\n`).join('')}`
  await drop(one, { 'long.csv': long }, { x: 200, y: 560 })
  await upload(one, 'long.csv').getByText('Added as nodes, 2,000 rows').waitFor()
  const longSource = (await nodes(project)).find(({ metadata }) => metadata.label === 'long.csv').id
  await edit(project, [edge(longSource, 'long')])
  for (const page of [one, two]) {
    await showAll(page, 8)
    await page.locator('[data-id=long]').click()
  }
  const release = await holdBuilds()
  await inspector.getByRole('button', { name: 'Run' }).click()
  for (const page of [one, two]) await state(page, 'long').getByText(/^▸ Building/).waitFor()
  await state(two, 'long').getByText(/^▸ Building: (reading|computing|writing).*on replica [0-9a-f]{8}$/).waitFor()
  await check(two, 'building')
  await two.locator('.inspector').getByRole('button', { name: 'Cancel the run' }).click()
  for (const page of [one, two]) await state(page, 'long').waitFor({ state: 'detached' })
  await two.getByText('Cancelled. What was built before is still there').waitFor()
  release()
  await two.getByRole('button', { name: 'Cancel all' }).waitFor({ state: 'detached' })
  // Nothing is followed any more.
  const followed = frames.filter((frame) => frame.includes('executions(')).map((frame) => JSON.parse(frame).id)
  assert.ok(followed.length > 0)
  for (const id of followed) assert.ok(frames.some((frame) => frame.includes(`"${id}"`) && frame.includes('"complete"')), 'a subscription is left')

  // Files are chosen and run by the keyboard alone, in the narrowest window, too.
  const keys = await open(browser, other)
  const opened = new Promise((resolve) => { keys.once('filechooser', resolve) }) // long before: a key is faster than this is said to the browser
  await keys.getByRole('button', { name: 'Empty plan' }).press('Enter')
  await live(keys)
  await keys.getByRole('button', { name: 'Files…' }).waitFor()
  await keys.keyboard.press('f')
  const chooser = await opened
  await chooser.setFiles(Object.entries(tables).map(([name, text]) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(text) })))
  await cards(keys, 3)
  const theirs = Number(new URL(keys.url()).pathname.split('/')[2])
  await edit(theirs, [node('g', 'GraphNode', 'Graph', 300, 0), ...(await nodes(theirs)).map(({ id }) => edge(id, 'g'))])
  await keys.keyboard.press('Control+Enter')
  await keys.locator('.said').getByText('The graph is built').waitFor()
  await showAll(keys, 4)
  await state(keys, 'g').getByText('4 nodes, 3 edges').waitFor()
  await keys.setViewportSize({ width: 320, height: 640 })
  await check(keys, '320')
  assert.ok(await keys.evaluate(() => document.documentElement.scrollWidth <= 320), 'wider than the page')
  // The sample plan has no files, says what to do, and has some for whoever has none.
  const sample = await open(browser, other)
  await sample.getByRole('button', { name: 'Open the sample plan' }).click()
  await cards(sample, 8)
  await sample.getByRole('button', { name: 'Run all' }).click()
  await sample.getByText('“Services”, “Calls”, and “Teams” have no file: drop a CSV, TSV or JSON file on each').waitFor()
  await sample.keyboard.press('Control+k')
  await sample.getByRole('combobox', { name: 'Command or node' }).fill('sample its files')
  await sample.keyboard.press('Enter')
  for (const [i, name] of ['services', 'calls', 'teams'].entries()) await state(sample, `datasourcenode_00${i + 1}`).getByText(`Read ${name}.csv`).waitFor()
  await sample.getByRole('button', { name: 'Run all' }).click()
  await state(sample, 'mergenode_004').getByText('12 nodes, 7 edges').waitFor()
  await state(sample, 'graphnode_006').getByText('10 nodes, ').waitFor() // two levels of them
  await check(sample, 'sample')
  // Nothing of it is said of the past, to which nothing can be added.
  await sample.getByRole('button', { name: 'History' }).click()
  await sample.getByRole('button', { name: 'Look' }).last().click()
  await sample.getByRole('button', { name: 'Back to now' }).waitFor()
  await sample.locator('.card .state').first().waitFor({ state: 'detached' })
  await drop(sample, { 'late.csv': 'id,label\n' }, { x: 300, y: 500 })
  await sample.getByRole('alert').getByText('Go back to now to add files').waitFor()
  await sample.getByRole('button', { name: 'Back to now' }).click()
  await state(sample, 'graphnode_006').getByText('10 nodes, ').waitFor()
  for (const page of [one, two, keys, sample]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
  await way.close()
}

/** Waits until a page has so many nodes, wherever they are: the map has all of them. Then it shows all. */
async function showAll(page, count) {
  await page.waitForFunction((want) => document.querySelectorAll('.react-flow__minimap-node').length === want, count)
  await page.locator('.react-flow').press('Control+0')
}

/** Drops files on the canvas, as the browser does it. */
async function drop(page, files, at, target = '.react-flow__pane') {
  const transfer = await page.evaluateHandle((all) => {
    const data = new DataTransfer()
    for (const [name, content] of Object.entries(all)) data.items.add(new File([Array.isArray(content) ? new Uint8Array(content) : content], name))
    return data
  }, files)
  const { x, y } = await page.locator(target).first().boundingBox()
  for (const type of ['dragover', 'drop']) {
    await page.locator(target).first().dispatchEvent(type, { dataTransfer: transfer, clientX: x + at.x, clientY: y + at.y, bubbles: true, cancelable: true })
  }
}

/** Chooses files in the dialog that a button opens. */
async function choose(page, button, files) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button.click()])
  await chooser.setFiles(Object.entries(files).map(([name, text]) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(text) })))
}

/** What a page sends over its sockets from now on. */
function framesOf(page) {
  const frames = []
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => frames.push(String(payload))))
  return frames
}

function said(page, words) {
  return page.waitForFunction((want) => [...document.querySelectorAll('[aria-live=polite]')].some((region) => region.textContent === want), words)
}

/** axe finds nothing, in light and dark. */
async function check(page, name) {
  await page.evaluate(axe) // by the debugger, which no policy binds
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const violations = await page.evaluate(async () => {
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa']
      const { violations: found } = await globalThis.axe.run({ runOnly: tags })
      return found.flatMap((rule) => rule.nodes.map(({ html, failureSummary }) => `${rule.id}: ${html} ${failureSummary}`))
    })
    assert.deepEqual(violations, [], `${name}, ${colorScheme}`)
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/data-${name}-${colorScheme}.png` })
  }
}

function node(id, nodeType, label, x, y, config = {}) {
  return { addNode: { id, nodeType, position: { x, y }, metadata: { label }, config: JSON.stringify(config) } }
}

function edge(source, target) {
  return { addEdge: { id: `${source}-${target}`, source, target, metadata: { dataType: 'GRAPH_DATA' } } }
}

async function nodes(id) {
  return (await ask('query ($id: Int!) { getPlanDag(projectId: $id) { nodes { id nodeType position { x y } metadata { label } config } } }', { id })).getPlanDag.nodes
}

async function versionOf(id) {
  return (await ask('query ($id: Int!) { project(id: $id) { live { planVersion } } }', { id })).project.live.planVersion
}

function edit(id, edits) {
  return ask('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', { id, edits })
}

async function ask(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined, JSON.stringify(errors))
  return data
}
