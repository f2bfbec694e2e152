// What is done on the canvas of one replica is seen on another, and each gesture is one change of the plan.
import assert from 'node:assert/strict'
import { cards, drag, drawnAs, launch, live, open, place, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const one = await open(browser, url)
  await one.getByRole('button', { name: 'Open the sample plan' }).click()
  await one.waitForURL(/\/projects\/\d+$/)
  await live(one)
  await one.emulateMedia({ reducedMotion: 'reduce' }) // views change at once
  const path = new URL(one.url()).pathname
  await cards(one, 8)
  const two = await open(browser, other + path)
  await live(two)
  await two.emulateMedia({ reducedMotion: 'reduce' })
  await cards(two, 8)

  const versionOf = async (project) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: `{ project(id: ${project}) { live { planVersion } } }` }),
    })
    return (await response.json()).data.project.live.planVersion
  }
  const project = path.split('/').at(-1)

  /** Does something, waits until the other replica's page shows it, and makes sure that it was one change. */
  const once = async (gesture, seen) => {
    const before = await versionOf(project)
    await gesture()
    await seen()
    await settled(one)
    assert.equal(await versionOf(project), before + 1, String(gesture))
  }
  const edges = (page, count) => page.waitForFunction((want) => document.querySelectorAll('.react-flow__edge').length === want, count)
  const node = (page, label) => page.locator('.react-flow__node').filter({ has: page.locator('strong', { hasText: new RegExp(`^${label}$`) }) })
  const seen = (label) => () => node(two, label).first().waitFor()
  const idOf = (label) => node(one, label).first().getAttribute('data-id')
  const middle = async (locator) => {
    const { x, y, width, height } = await locator.boundingBox()
    return [x + width / 2, y + height / 2]
  }
  const handle = (id, type) => one.locator(`[data-id="${id}"] .react-flow__handle.${type}`)
  const selected = () => one.locator('.card.selected').count()
  /** Brings all nodes into view: others are not in the document. */
  const whole = async (page) => {
    await page.keyboard.press('Control+0')
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)) }))
  }
  const choose = async (words) => {
    await one.keyboard.press('Control+K')
    await one.keyboard.type(words)
    await one.keyboard.press('Enter')
  }

  // Nodes are added by a key, by a click, and by a drag to a place. None covers another.
  await once(() => one.keyboard.press('2'), () => cards(two, 9))
  await once(() => one.getByRole('button', { name: 'Merge', exact: true }).click(), () => cards(two, 10))
  await once(async () => {
    await one.getByRole('button', { name: 'Transform', exact: true }).dragTo(one.locator('.react-flow__pane'), { targetPosition: { x: 400, y: 80 } })
  }, () => cards(two, 11))
  await whole(one)
  const boxes = await Promise.all((await one.locator('.react-flow__node').all()).map((card) => card.boundingBox()))
  for (const [i, box] of boxes.entries()) {
    for (const next of boxes.slice(i + 1)) {
      assert.ok(Math.abs(box.x - next.x) >= box.width || Math.abs(box.y - next.y) >= box.height, JSON.stringify(boxes))
    }
  }

  // An edge that is dropped on the empty canvas brings a node of a kind that the rules allow.
  const [fromX, fromY] = await middle(handle('graphnode_006', 'source'))
  await one.mouse.move(fromX, fromY)
  await one.mouse.down()
  await one.mouse.move(fromX + 30, fromY + 200, { steps: 5 })
  await one.mouse.up()
  await one.getByRole('menu').waitFor()
  const kinds = (await one.getByRole('menuitem').allTextContents()).map((words) => words.trim())
  assert.ok(kinds.includes('Output') && !kinds.includes('Source'), String(kinds))
  await once(() => one.getByRole('menuitem', { name: 'Output' }).click(), async () => {
    await cards(two, 12)
    await edges(two, 8)
  })

  // An edge leads from an output to an input, or the other way, and where it may lead lights up.
  await one.keyboard.press('Escape')
  const graph = await idOf('Graph')
  const merge = await idOf('Merge')
  const transform = await idOf('Transform')
  await once(async () => {
    await one.mouse.move(...await middle(handle('datasourcenode_001', 'source')))
    await one.mouse.down()
    await one.mouse.move(...await middle(handle(graph, 'target')), { steps: 6 })
    await one.locator(`[data-id="${graph}"] .card.allowed`).waitFor()
    await one.locator('[data-id=datasourcenode_002] .card.refused').waitFor()
    await one.mouse.up()
  }, () => edges(two, 9))
  await once(async () => {
    await handle(merge, 'target').click()
    await one.locator('[data-id=datasourcenode_003] .card.allowed').waitFor()
    await handle('datasourcenode_003', 'source').click()
  }, () => edges(two, 10))
  await one.locator('.card.allowed').first().waitFor({ state: 'detached' })

  // Neither what the rules forbid, nor what Escape ended.
  const before = await versionOf(project)
  await handle('graphnode_006', 'source').click()
  await handle('mergenode_004', 'target').click() // closes a cycle
  await handle('datasourcenode_001', 'source').click()
  await one.locator('.card.allowed').first().waitFor()
  await one.keyboard.press('Escape')
  await one.locator('.card.allowed').first().waitFor({ state: 'detached' })
  assert.equal(await versionOf(project), before)

  // What somebody else made impossible meanwhile is refused, with the server's words.
  let release
  const held = new Promise((resolve) => { release = resolve })
  await one.route('**/graphql', async (route) => {
    await held
    await route.continue()
  })
  await handle('datasourcenode_002', 'source').click()
  await handle(graph, 'target').click()
  await edges(one, 11)
  await node(two, 'Graph').click()
  await two.keyboard.press('Delete')
  await cards(one, 11)
  release()
  await one.getByText('Not done:').waitFor()
  await one.getByRole('button', { name: 'Dismiss' }).click()
  await edges(one, 9)

  // An edge's end is dragged elsewhere: one change.
  await once(async () => {
    const [toX, toY] = await middle(handle(merge, 'target'))
    await one.mouse.move(toX - 12, toY)
    await one.mouse.down()
    await one.mouse.move(...await middle(handle(transform, 'target')), { steps: 6 })
    await one.mouse.up()
  }, () => two.locator('.react-flow__edge[aria-label="Edge from Teams to Transform"]').waitFor({ state: 'attached' }))

  // A label is typed in the card. What others do to the node meanwhile does not get in.
  await node(one, 'Services').dblclick()
  await one.keyboard.type('All serv')
  const was = await place(one, 'datasourcenode_001')
  const version = await versionOf(project)
  await drag(two, 'datasourcenode_001', 0, -60)
  while (await versionOf(project) === version); // a drag is seen before it is a change
  await one.waitForFunction((old) => document.querySelector('[data-id=datasourcenode_001]').style.transform !== old, was)
  await one.keyboard.type('ices')
  await once(() => one.keyboard.press('Enter'), seen('All services'))
  await one.keyboard.press('F2')
  await one.keyboard.type('Nonsense')
  await one.keyboard.press('Escape')
  await node(one, 'All services').waitFor()
  await one.keyboard.press('F2')
  await one.keyboard.type('Mine')
  await node(two, 'All services').dblclick()
  await two.keyboard.type('Theirs')
  await two.keyboard.press('Enter')
  await settled(two)
  await one.keyboard.press('Enter')
  await one.getByRole('button', { name: 'Take theirs' }).click()
  await node(one, 'Theirs').waitFor()

  // A box selects, with Shift or with the button.
  const box = async (ids) => {
    const [first, last] = [await one.locator(`[data-id="${ids[0]}"]`).boundingBox(), await one.locator(`[data-id="${ids[1]}"]`).boundingBox()]
    await one.mouse.move(first.x - 10, first.y - 10)
    await one.mouse.down()
    await one.mouse.move(last.x + last.width + 4, last.y + last.height + 4, { steps: 5 })
    await one.mouse.up()
  }
  await one.keyboard.down('Shift')
  await box(['datasourcenode_002', 'datasourcenode_003'])
  await one.keyboard.up('Shift')
  assert.equal(await selected(), 2)
  await one.getByRole('button', { name: 'Select by a box' }).click()
  await box(['datasourcenode_002', 'mergenode_004'])
  assert.equal(await selected(), 2)

  // What is in the box goes together.
  const places = () => Promise.all(['datasourcenode_002', 'mergenode_004'].map((id) => place(two, id)))
  const placed = await places()
  await once(() => drag(one, 'datasourcenode_002', 30, 40), () => two.waitForFunction(
    ([first, last]) => document.querySelector('[data-id=datasourcenode_002]').style.transform !== first &&
      document.querySelector('[data-id=mergenode_004]').style.transform !== last, placed))
  for (const id of ['datasourcenode_002', 'mergenode_004']) await drawnAs(two, id, one)

  // Copies go to other projects and windows, by keys alone.
  await one.keyboard.press('Control+C')
  const third = await open(browser, other)
  await third.getByRole('button', { name: 'Empty plan' }).click()
  await live(third)
  await third.locator('.canvas').waitFor()
  await third.keyboard.press('Control+V')
  await cards(third, 2)
  await edges(third, 1)
  assert.equal(await third.locator('.card.selected').count(), 2)
  await settled(third)
  assert.equal(await versionOf(new URL(third.url()).pathname.split('/').at(-1)), 1)

  await once(() => one.keyboard.press('Control+V'), () => cards(two, 13))
  await once(() => one.keyboard.press('Control+D'), () => cards(two, 15))
  assert.equal(await selected(), 2)
  await once(() => one.keyboard.press('Control+X'), () => cards(two, 13))
  await once(() => one.keyboard.press('Control+V'), () => cards(two, 15))
  await once(() => one.keyboard.press('Delete'), () => cards(two, 13))

  if (process.env.SHOTS) {
    await whole(one)
    await one.screenshot({ path: `${process.env.SHOTS}/canvas.png` })
    await node(one, 'Theirs').click({ button: 'right' })
    await one.screenshot({ path: `${process.env.SHOTS}/menu.png` })
    await one.keyboard.press('Escape')
    await one.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
    await one.keyboard.press('Control+K')
    await one.screenshot({ path: `${process.env.SHOTS}/palette.png` })
    await one.keyboard.press('Escape')
    await one.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
  }

  // Ctrl+K finds commands and nodes. Nodes are aligned by one change.
  await whole(one)
  await one.keyboard.press('Control+A')
  await once(() => choose('align top'), () => two.waitForFunction(() => (
    new Set([...document.querySelectorAll('.react-flow__node')].map((card) => card.style.transform.split(',')[1])).size === 1)))

  // A layout is one change, too, and puts the row that they are in by now into the order of the flow.
  const x = (page, id) => page.locator(`[data-id="${id}"]`).evaluate((element) => new DOMMatrix(element.style.transform).e)
  await whole(two)
  await once(() => one.getByRole('button', { name: 'Lay out' }).click(), () => two.waitForFunction(() => (
    new Set([...document.querySelectorAll('.react-flow__node')].map((card) => card.style.transform.split(',')[1])).size > 3)))
  for (const id of ['datasourcenode_002', 'mergenode_004']) await drawnAs(one, id, two) // it glides there
  assert.ok(await x(one, 'datasourcenode_002') < await x(one, 'mergenode_004'))

  await choose('two levels')
  await one.waitForURL(/#node=transformnode_005$/)
  assert.equal(await selected(), 1)

  // The address leads to a node, and follows what is selected.
  await one.keyboard.press('Control+A')
  await one.waitForURL(/\/projects\/\d+$/)
  await one.evaluate(() => { location.hash = '#node=outputnode_008' })
  await one.locator('[data-id=outputnode_008] .card.selected').waitFor()
  const linked = await open(browser, `${other}${path}#node=mergenode_004`)
  await linked.locator('[data-id=mergenode_004] .card.selected').waitFor()

  // A node that cannot work says so.
  await once(() => one.keyboard.press('6'), () => cards(two, 14))
  await one.locator('.card.selected .warnings').waitFor()
  assert.match(await one.locator('.card.selected .warnings').getAttribute('title'), /\w+ /)

  // The menu has what can be done with what is under the pointer.
  await one.locator('.react-flow__node.selected').click({ button: 'right' })
  await once(() => one.getByRole('menuitem', { name: /^Delete/ }).click(), () => cards(two, 13))
  await whole(two)
  await whole(one)
  await one.mouse.click(400, 150, { button: 'right' })
  await once(() => one.getByRole('menuitem', { name: /^Add Source/ }).click(), () => cards(two, 14))

  for (const page of [one, two, third, linked]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}
