// Nodes and edges are edited in the inspector of one window and seen in that of another, on another replica. Two change the same.
import assert from 'node:assert/strict'
import { launch, name, openSample, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const { one, two, path } = await openSample(browser, url, other)
  const project = Number(path.split('/')[2])
  const pages = [one, two]
  const select = async (id, ...where) => {
    for (const page of where) await page.locator(`[data-id=${id}]`).click()
  }
  const field = (page, label) => page.locator('.inspector').getByLabel(label, { exact: true })
  const shows = (page, label, value) => page.waitForFunction(
    ([text, want]) => [...document.querySelectorAll('.inspector label')].find((each) => each.textContent === text)?.control.value === want, [label, value])
  const stored = async () => {
    const query = `{ getPlanDag(projectId: ${project}) { nodes { id metadata { label description } config } edges { id sourceHandle metadata { label dataType } } } }`
    const response = await fetch(`${url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) })
    const { nodes, edges } = (await response.json()).data.getPlanDag
    return Object.fromEntries([...nodes, ...edges].map((element) => [element.id, element]))
  }
  /** Waits for the answer to a change that an action sends. */
  const answered = async (page, action) => {
    await Promise.all([page.waitForResponse((response) => response.request().postData()?.includes('editPlan')), action])
  }
  /** Holds what a window sends to GraphQL; returns what lets it go on. */
  const hold = async (page) => {
    let release
    const released = new Promise((resolve) => { release = resolve })
    await page.route('**/graphql', async (route) => {
      await released
      await route.fallback()
    })
    return release
  }

  // Label and description.
  await one.getByText('Select a node or an edge').waitFor()
  await select('mergenode_004', one, two)
  await one.getByText('Merges two or more graphs').waitFor()
  await field(one, 'Label').fill('Joined')
  await field(one, 'Label').press('Enter')
  await shows(two, 'Label', 'Joined')
  await field(one, 'Description').fill('First line\nand another')
  await field(one, 'Description').press('Control+Enter')
  await shows(two, 'Description', 'First line\nand another')
  await field(one, 'Label').fill('Never mind')
  await field(one, 'Label').press('Escape')
  await shows(one, 'Label', 'Joined')
  await field(one, 'Label').fill('')
  await one.locator('.react-flow__pane').click({ position: { x: 20, y: 20 } }) // what is typed is saved, too, by whoever goes elsewhere
  await two.waitForFunction(() => document.querySelector('[data-id=mergenode_004] strong').textContent === '')
  await select('mergenode_004', one)
  await field(one, 'Label').fill('Joined')
  await field(one, 'Description').focus()
  await shows(two, 'Label', 'Joined')

  // Neighbours are ways to them.
  await one.getByRole('region', { name: 'Inputs' }).getByRole('button', { name: 'Calls' }).click()
  await shows(one, 'Label', 'Calls')
  await one.getByRole('region', { name: 'Outputs' }).getByRole('button', { name: 'Joined' }).click()
  await shows(one, 'Label', 'Joined')
  await one.getByRole('button', { name: 'Fit View' }).click()

  // Config: by form, and as JSON. What the form does not know stays.
  await field(one, 'mergeStrategy').selectOption('Intersection')
  await shows(two, 'mergeStrategy', 'Intersection')
  await one.getByRole('button', { name: 'JSON' }).click()
  await field(one, 'Config as JSON').fill('{\n  "mine": {"digits": 12345678901234567890},\n  "mergeStrategy": "Difference"\n  "more": 1\n}')
  const error = one.getByRole('button', { name: 'Line 4, column 3: A comma or } is missing' })
  await error.click()
  assert.equal(await field(one, 'Config as JSON').evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd)), '"')
  assert.equal((await stored()).mergenode_004.config.includes('mine'), false)
  await field(one, 'Config as JSON').fill('{\n  "mine": {"digits": 12345678901234567890},\n  "mergeStrategy": "Difference"\n}')
  await error.waitFor({ state: 'detached' })
  await field(one, 'Config as JSON').press('Control+Enter')
  await shows(two, 'mergeStrategy', 'Difference')
  await two.getByText('Also: mine.').waitFor()
  await answered(two, field(two, 'conflictResolution').selectOption('Manual'))
  await answered(two, field(two, 'mergeStrategy').selectOption(''))
  assert.equal((await stored()).mergenode_004.config, '{"mine":{"digits":12345678901234567890},"conflictResolution":"Manual"}')
  await one.getByRole('button', { name: 'Form', exact: true }).click()

  await select('transformnode_005', one, two)
  await field(one, 'maxPartitionDepth').fill('0')
  await one.getByText('Type 1 or more').waitFor()
  await field(one, 'maxPartitionDepth').press('Enter')
  assert.match((await stored()).transformnode_005.config, /"maxPartitionDepth":2/)
  await field(one, 'maxPartitionDepth').fill('3')
  await field(one, 'maxPartitionDepth').press('Enter')
  await shows(two, 'maxPartitionDepth', '3')

  // An edge.
  for (const page of pages) {
    await page.locator('.react-flow__edge[data-id=edge_5_6]').focus()
    await page.keyboard.press('Enter')
  }
  await field(one, 'Label').fill('the rest')
  await field(one, 'Label').press('Enter')
  await shows(two, 'Label', 'the rest')
  await field(one, 'Data').selectOption({ label: 'A reference to the graph' })
  await field(one, 'Output of its source').fill('upper')
  await field(one, 'Output of its source').press('Enter')
  await shows(two, 'Output of its source', 'upper')
  const { sourceHandle, metadata } = (await stored()).edge_5_6
  assert.deepEqual({ sourceHandle, ...metadata }, { sourceHandle: 'upper', label: 'the rest', dataType: 'GRAPH_REFERENCE' })

  // The keyboard: Enter edits what has the focus, Escape leaves.
  await one.locator('[data-id=graphnode_006]').focus()
  await one.keyboard.press('Enter')
  assert.equal(await one.evaluate(() => document.activeElement.value), 'Overview')
  await one.keyboard.press('Escape')
  assert.equal(await one.evaluate(() => document.activeElement.dataset.id), 'graphnode_006')
  await one.keyboard.press('Control+a')
  await one.getByText('8 nodes and 7 edges are selected.').waitFor()
  await one.locator('.react-flow__pane').click({ position: { x: 20, y: 20 } })

  // Two change other keys, and another field of the same part: both count.
  await select('outputnode_007', one, two)
  let release = await hold(one)
  await field(one, 'outputPath').fill('one.dot')
  await field(one, 'outputPath').press('Enter')
  await field(one, 'Description').fill('By one')
  await field(one, 'Description').press('Control+Enter')
  await answered(two, field(two, 'orientation').selectOption('TB'))
  await field(two, 'Label').fill('By two')
  await answered(two, field(two, 'Label').press('Enter'))
  release()
  for (const page of pages) {
    await shows(page, 'outputPath', 'one.dot')
    await shows(page, 'orientation', 'TB')
    await shows(page, 'Label', 'By two')
    await shows(page, 'Description', 'By one')
    await settled(page)
  }
  const merged = (await stored()).outputnode_007
  assert.equal(merged.config, '{"renderTarget":"DOT","renderConfig":{"orientation":"TB"},"outputPath":"one.dot"}')
  assert.deepEqual(merged.metadata, { label: 'By two', description: 'By one' })
  assert.equal(await one.locator('.notice').count(), 0)

  // Two change the same: both values, and a choice, which can wait.
  const clash = async (mine, theirs) => {
    release = await hold(one)
    await field(one, 'Label').fill(mine)
    await field(one, 'Label').press('Enter')
    await field(two, 'Label').fill(theirs)
    await answered(two, field(two, 'Label').press('Enter'))
    release()
    await one.getByText('1 conflict').waitFor()
  }
  const panel = one.getByRole('region', { name: 'Two changed' })
  await clash('Mine', 'Theirs')
  await shows(one, 'Label', 'Theirs')
  await select('graphnode_006', one)
  await panel.waitFor({ state: 'detached' })
  await one.getByRole('button', { name: 'Look and decide' }).click()
  await one.getByRole('button', { name: 'Fit View' }).click()
  await panel.getByText(`${await name(two)} changed it at`).waitFor()
  assert.deepEqual(await panel.locator('dl div').allInnerTexts(), ['label: mine\nMine', 'label: theirs\nTheirs'])
  if (process.env.SHOTS) await shoot(one, 'conflict')
  await panel.getByRole('button', { name: 'Keep mine' }).click()
  await shows(two, 'Label', 'Mine')
  await one.getByText('1 conflict').waitFor({ state: 'detached' })

  await clash('Mine again', 'Theirs again')
  await panel.getByRole('button', { name: 'Take theirs' }).click()
  await one.getByText('1 conflict').waitFor({ state: 'detached' })
  await shows(one, 'Label', 'Theirs again')
  assert.equal((await stored()).outputnode_007.metadata.label, 'Theirs again')

  release = await hold(one)
  await field(one, 'renderTarget').selectOption('GML')
  await field(one, 'edgeLabelMaxLength').fill('40')
  await field(one, 'edgeLabelMaxLength').press('Enter')
  await answered(two, field(two, 'renderTarget').selectOption('JSON'))
  release()
  await panel.getByText('renderTarget: mine').waitFor()
  assert.deepEqual(await panel.locator('dl div').allInnerTexts(), ['renderTarget: mine\nGML', 'renderTarget: theirs\nJSON'])
  await panel.getByRole('button', { name: 'Keep mine' }).click()
  await shows(two, 'renderTarget', 'GML')
  await shows(two, 'edgeLabelMaxLength', '40')

  // While one types, the other's words stand below, and the field is as it was typed.
  await field(one, 'Label').press('End')
  await field(one, 'Label').pressSequentially(' and more')
  await field(two, 'Label').fill('Faster')
  await field(two, 'Label').press('Enter')
  await one.getByText(`${await name(two)} wrote: Faster`).waitFor()
  await shows(one, 'Label', 'Theirs again and more')
  if (process.env.SHOTS) await shoot(one, 'typing')
  await field(one, 'Label').press('Escape')
  await shows(one, 'Label', 'Faster')

  // What was typed into a node that is gone can be copied.
  await field(one, 'Description').fill('Hours of work')
  await two.locator('[data-id=outputnode_007]').focus()
  await two.keyboard.press('Delete')
  await one.getByText(`${await name(two)} deleted “Faster” while you typed`).waitFor()
  const lost = one.locator('.lost')
  assert.equal(await lost.getByRole('textbox', { name: 'Description' }).inputValue(), 'Hours of work')
  if (process.env.SHOTS) await shoot(one, 'lost')
  await lost.getByRole('button', { name: 'Dismiss' }).click()
  await lost.waitFor({ state: 'detached' })

  // It can be hidden, and comes back to be edited in.
  await select('outputnode_008', one)
  await one.getByRole('button', { name: 'Hide' }).click()
  await one.locator('[data-id=outputnode_008]').focus()
  await one.keyboard.press('Enter')
  assert.equal(await one.evaluate(() => document.activeElement.value), 'For the wiki')

  if (process.env.SHOTS) {
    await shoot(one, 'node')
    await one.getByRole('button', { name: 'JSON' }).click()
    await field(one, 'Config as JSON').fill('{\n  "renderTarget": "DOT"\n  "x": 1\n}')
    await shoot(one, 'json')
    await field(one, 'Config as JSON').press('Escape')
    await one.setViewportSize({ width: 400, height: 760 })
    await shoot(one, 'narrow')
  }
  for (const page of pages) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

/** Leaves pictures to look at, light and dark. */
async function shoot(page, what) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: `${process.env.SHOTS}/${what}-${colorScheme}.png` })
  }
  await page.emulateMedia({ colorScheme: 'light' })
}
