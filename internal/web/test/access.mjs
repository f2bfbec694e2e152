// The page without a mouse and without eyes: a plan is made by keys alone, what happens is said, and axe finds nothing in any state.
import assert from 'node:assert/strict'
import { cards, launch, live, open, settled, violations } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const one = await open(browser, url)
  await one.emulateMedia({ reducedMotion: 'reduce' }) // so that colours are judged at rest
  await one.getByRole('button', { name: 'Empty plan' }).waitFor()
  await check(one, 'list')

  // From an empty page to a plan of six nodes, by keys alone.
  await tabTo(one, 'Empty plan')
  await one.keyboard.press('Enter')
  await live(one)
  await check(one, 'empty')
  await rules(one)
  for (const key of '1143566') await one.keyboard.press(key)
  await said(one, 'Added Output')
  const id = Number(new URL(one.url()).pathname.split('/')[2])
  await settled(one)
  await one.keyboard.press('Control+0')
  await cards(one, 7)

  // A source is renamed in the outline, which the keys go through row by row.
  await one.keyboard.press('o')
  await one.getByRole('treegrid', { name: 'Steps and edges' }).waitFor() // it comes when asked for
  await tabTo(one, 'Steps and edges')
  await one.keyboard.press('Home')
  const row = () => one.evaluate(() => document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.textContent)
  while (!(await row()).startsWith('Source')) await one.keyboard.press('ArrowDown')
  await one.keyboard.press('F2')
  await one.locator('.outline').getByRole('textbox', { name: 'Label' }).waitFor()
  await one.keyboard.type('Calls')
  await one.keyboard.press('Enter')
  await said(one, 'Renamed Source to Calls')
  assert.equal(await focused(one), 'Steps and edges')
  await one.keyboard.press('o')

  // Arrows go through the allowed targets: from each node to the last of them, which is one step on.
  await tabTo(one, 'Plan')
  await walkTo(one, 'Source Calls')
  await one.keyboard.press('c')
  await one.getByText('Connect Calls to').waitFor()
  const candidates = new Set()
  for (let i = 0; i < 6; i++) {
    await one.waitForFunction(() => document.activeElement.matches('.react-flow__node:has(.allowed)'))
    candidates.add(await focused(one))
    await one.keyboard.press('ArrowRight')
  }
  assert.deepEqual([...new Set([...candidates].map((candidate) => candidate.split(' ')[0]))].toSorted(), ['Merge', 'Output', 'Transform'])
  await one.keyboard.press('Escape')
  await one.waitForFunction(() => document.activeElement.ariaLabel?.startsWith('Source Calls'))
  assert.equal(await one.locator('.react-flow__edge').count(), 0)
  for (const [from, to] of [['Source Calls', 'Merge'], ['Source Source', 'Merge'], ['Merge', 'Transform'], ['Transform', 'Copy'], ['Copy', 'Output']]) {
    await walkTo(one, from)
    await one.keyboard.press('c')
    await one.waitForFunction(() => document.querySelector('.mode'))
    await one.waitForFunction(() => document.activeElement.matches('.react-flow__node:has(.allowed)'))
    for (let i = 0; i < 6 && !(await focused(one)).startsWith(`${to} `); i++) await one.keyboard.press('ArrowRight')
    assert.ok((await focused(one)).startsWith(`${to} `), `${from} leads to ${to}, not ${await focused(one)}`)
    await one.keyboard.press('Enter')
    await said(one, /^Connected /)
    await one.waitForFunction((name) => document.activeElement.ariaLabel?.startsWith(name), from)
  }
  await settled(one)
  assert.equal(await one.locator('.react-flow__edge').count(), 5)

  // A burst of the arrow keys is one change. Shift goes ten at a time.
  await walkTo(one, 'Transform')
  const [was, version] = [await nodes(id), await versionOf(id)]
  await one.keyboard.down('ArrowDown')
  await one.keyboard.down('ArrowDown')
  await one.keyboard.down('Shift')
  await one.keyboard.down('ArrowRight')
  await one.keyboard.up('ArrowRight')
  await one.keyboard.up('Shift')
  await said(one, 'Moved Transform')
  await settled(one)
  const at = (all) => all.find(({ nodeType }) => nodeType === 'TransformNode').position
  assert.deepEqual(at(await nodes(id)), { x: at(was).x + 10, y: at(was).y + 2 })
  assert.equal(await versionOf(id), version + 1)

  // A node that moves out of the view takes the view along, and keeps the focus.
  for (let i = 0; i < 80; i++) await one.keyboard.down('ArrowUp')
  await one.keyboard.down('Shift')
  for (let i = 0; i < 80; i++) await one.keyboard.down('ArrowUp')
  await one.keyboard.up('ArrowUp')
  await one.keyboard.up('Shift')
  assert.ok((await focused(one)).startsWith('Transform'))
  await settled(one)
  assert.deepEqual(at(await nodes(id)), { x: at(was).x + 10, y: at(was).y + 2 - 880 })
  assert.equal(await versionOf(id), version + 2)

  // What is deleted leaves the focus to the next, and in the end to the canvas.
  await walkTo(one, 'Output Output, 0 inputs')
  await one.keyboard.press('Delete')
  await said(one, 'Deleted Output')
  await one.keyboard.press('Control+0')
  await cards(one, 6)
  await one.waitForFunction(() => document.activeElement !== document.body)
  await walkTo(one, 'Edge from Calls')
  const [next] = (await press(one, 'Tab')).split(',')
  await one.keyboard.press('Shift+Tab')
  await one.keyboard.press('Delete')
  await said(one, 'Deleted the edge from Calls to Merge')
  await one.waitForFunction((name) => document.activeElement.ariaLabel?.startsWith(name), next)
  await settled(one)
  const made = await nodes(id)
  assert.deepEqual(made.map(({ metadata }) => metadata.label).toSorted(), ['Calls', 'Copy', 'Merge', 'Output', 'Source', 'Transform'])
  await one.keyboard.press('Control+a')
  assert.equal(await one.locator('.card.selected').count(), 6)
  await one.keyboard.press('Escape')
  assert.equal(await one.locator('.card.selected').count(), 0)

  // Tab goes along the flow and out at the end; backwards it comes to the canvas, and out of it.
  const along = []
  await tabTo(one, 'Plan')
  for (let name; (name = await press(one, 'Tab')) && /^(Source|Merge|Transform|Copy|Output|Edge)/.test(name);) along.push(name)
  assert.deepEqual(along.filter((name) => name.startsWith('Edge')), [
    'Edge from Source to Merge', 'Edge from Merge to Transform', 'Edge from Transform to Copy', 'Edge from Copy to Output'])
  assert.equal(along.length, 10)
  assert.ok(along.indexOf('Edge from Source to Merge') === along.indexOf('Source Source, 0 inputs, 1 output') + 1)
  await one.keyboard.press('Shift+Tab')
  assert.equal(await focused(one), 'Plan')
  console.log(await one.locator('main').ariaSnapshot())
  await check(one, 'plan')

  // What others do is said once for all of it; what one is refused is said at once.
  const sample = await open(browser, url)
  await sample.emulateMedia({ reducedMotion: 'reduce' })
  await sample.getByRole('button', { name: 'Open the sample plan' }).press('Enter')
  await cards(sample, 8)
  await live(sample)
  const two = await open(browser, other + new URL(sample.url()).pathname)
  await cards(two, 8)
  await live(two)
  const name = await two.evaluate(() => localStorage.getItem('layercake-name'))
  await rules(two)
  await two.keyboard.press('Control+a')
  await two.locator('[data-id=graphnode_006]').press('ArrowDown')
  await said(sample, `${name} moved 8 nodes`)
  await two.keyboard.press('Escape')

  // Whoever had the focus on what another deletes has it on the next.
  await sample.locator('[data-id=transformnode_005]').focus()
  await two.locator('[data-id=transformnode_005]').focus()
  await two.keyboard.press('Delete')
  await cards(sample, 7)
  await sample.waitForFunction(() => document.activeElement.ariaLabel?.startsWith('Graph Overview'))

  // What one began with a node ends when another deletes it, and the focus goes to the next.
  const edit = (what) => ask('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', {
    id: Number(new URL(sample.url()).pathname.split('/')[2]), edits: [what],
  })
  const position = { x: 0, y: 0 }
  for (const key of ['F2', 'c']) {
    await edit({ addNode: { id: 'extra', nodeType: 'DataSourceNode', position, metadata: { label: 'Extra' }, config: '{}' } })
    await sample.locator('[data-id=extra]').focus()
    await sample.keyboard.press(key)
    await sample.locator('input.label, .mode').waitFor()
    await edit({ deleteNode: 'extra' })
    await cards(sample, 7)
    await sample.locator('input.label, .mode').waitFor({ state: 'detached' })
    await sample.waitForFunction(() => document.activeElement.matches('.react-flow__node'))
  }

  // Every state, in light and dark, wide and as narrow as 1280 pixels at 400 %.
  await check(sample, 'sample')
  await sample.keyboard.press(' ')
  await sample.locator('.card.selected').waitFor()
  await check(sample, 'selection')
  await sample.keyboard.press('o')
  await sample.getByRole('treegrid').waitFor()
  await check(sample, 'outline')
  await sample.getByRole('treegrid').press('Home')
  const connectTo = sample.getByRole('combobox', { name: 'Connect to' })
  assert.ok(await connectTo.locator('option').count() > 0)
  await sample.setViewportSize({ width: 320, height: 640 })
  await check(sample, 'outline-320')
  await sample.keyboard.press('o')
  await sample.getByRole('treegrid').waitFor({ state: 'detached' })
  await check(sample, 'sample-320')
  assert.ok(await sample.evaluate(() => document.documentElement.scrollWidth <= 320), 'wider than the page')
  await sample.goto(url)
  await sample.getByRole('link', { name: 'Sample plan' }).first().waitFor()
  await check(sample, 'list-320')
  await sample.setViewportSize({ width: 1200, height: 760 })
  await sample.goBack()
  await sample.locator('.card').first().waitFor()

  // Light and dark by hand, against the system, also after a reload.
  const background = () => sample.evaluate(() => getComputedStyle(document.querySelector('.editor > header')).backgroundColor)
  await sample.emulateMedia({ colorScheme: 'light' })
  const light = await background()
  await sample.getByRole('button', { name: 'Colours: system' }).press('Enter')
  await sample.getByRole('button', { name: 'Colours: light' }).press('Enter')
  assert.notEqual(await background(), light)
  await sample.reload()
  await sample.locator('.card').first().waitFor()
  assert.notEqual(await background(), light)
  assert.ok(await sample.locator('.react-flow.dark').count())
  await sample.emulateMedia({ colorScheme: 'light', forcedColors: 'active' })
  await shot(sample, 'forced')

  for (const page of [one, two, sample]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

/** Looks at a page with axe, in light and dark. */
async function check(page, state) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    const found = await violations(page)
    await shot(page, `${state}-${colorScheme}`)
    assert.deepEqual(found, [], `${state}, ${colorScheme}`)
  }
}

async function shot(page, state) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/access-${state}.png` })
}

/** The name of what has the focus; null when nothing has it. */
function focused(page) {
  return page.evaluate(() => {
    const { activeElement: element } = document
    return element === document.body ? null : element.ariaLabel ?? element.textContent
  })
}

async function press(page, key) {
  await page.keyboard.press(key)
  return focused(page)
}

/** Presses Tab until something has the focus whose name begins so. */
async function tabTo(page, start, key = 'Tab') {
  for (let i = 0; i < 80; i++) {
    if ((await focused(page))?.startsWith(start)) return
    await page.keyboard.press(key)
  }
  assert.fail(`Tab does not come to ${start}`)
}

/** Goes to an element of the plan by Tab, from wherever one is. */
async function walkTo(page, start) {
  if ((await focused(page))?.startsWith(start)) return
  await tabTo(page, 'Plan', 'Shift+Tab')
  await tabTo(page, start)
}

/** Waits until something was said. */
function said(page, words) {
  return page.locator('[aria-live=polite]').getByText(words, { exact: true }).first().waitFor({ state: 'attached' })
}

/** Waits until the page knows the rules, by which it says what may be connected. */
async function rules(page) {
  await page.waitForFunction(() => performance.getEntriesByName(`${location.origin}/graphql`).length > 0)
}

async function ask(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined)
  return data
}

async function nodes(id) {
  const { getPlanDag } = await ask('query ($id: Int!) { getPlanDag(projectId: $id) { nodes { id nodeType position { x y } metadata { label } } } }', { id })
  return getPlanDag.nodes
}

async function versionOf(id) {
  return (await ask('query ($id: Int!) { project(id: $id) { live { planVersion } } }', { id })).project.live.planVersion
}
