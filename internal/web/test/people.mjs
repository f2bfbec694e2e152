// Two people on two replicas see each other: pointers, selections, drags while they last, and whose change it was.
import assert from 'node:assert/strict'
import { cards, launch, live, name, open, openSample, place } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const node = 'mergenode_004'
const browser = await launch()
try {
  const { one, two, path } = await openSample(browser, url, other)
  const projectId = Number(path.split('/')[2])
  const [first, second] = [await name(one), await name(two)]
  const nameOf = (page, person) => page.locator('.people').getByRole('button', { name: person })
  await nameOf(one, second).waitFor()
  await nameOf(two, first).waitFor()

  // The pointer of the other comes, moves, and rests where theirs is.
  await two.mouse.move(500, 600)
  const pointer = one.locator('.pointer').filter({ hasText: second })
  await pointer.waitFor()
  const spot = await pointer.evaluate((element) => element.style.transform)
  await two.mouse.move(600, 650, { steps: 5 })
  await changed(one, '.pointer', spot)
  await pointerAt(one, second, 600, 650)

  // What they select is outlined in their colour, with their name.
  await two.locator('[data-id=graphnode_006]').click()
  const outline = one.locator('[data-around=graphnode_006]')
  await outline.getByText(second).waitFor()
  assert.equal(await outline.locator('.around').evaluate((element) => element.style.borderColor), await colorOf(one, second))
  await two.locator('.react-flow__pane').click({ position: { x: 600, y: 550 } })
  await outline.waitFor({ state: 'detached' })

  // A drag is seen while it lasts, its edges with it, and nothing is stored before it ends.
  const [version, before] = [await versionOf(projectId), await place(one, node)]
  const wires = await edges(one)
  await one.evaluate(watchPlaces, node)
  const box = await two.locator(`[data-id=${node}]`).boundingBox()
  await two.mouse.move(box.x + 40, box.y + 20)
  await two.mouse.down()
  await two.mouse.move(box.x + 90, box.y + 120, { steps: 8 })
  await changed(one, `[data-id=${node}]`, before)
  const draggedTo = await place(two, node)
  await placed(one, node, draggedTo)
  assert.equal(await versionOf(projectId), version)
  assert.notDeepEqual(await edges(one), wires)
  if (process.env.SHOTS) await one.screenshot({ path: `${process.env.SHOTS}/dragged.png` })
  await one.evaluate(watchDrop)
  await two.mouse.up()
  await one.waitForFunction(() => window.pulse)
  assert.deepEqual(await one.evaluate(() => window.pulse), { of: node, color: await colorOf(one, second) })
  await one.locator('.pulse').first().waitFor({ state: 'detached' })
  assert.ok(await versionOf(projectId) > version)
  assert.equal(await place(one, node), draggedTo)
  // It went down and never back, unless it was a second before the change came.
  const { places, droppedAt } = await one.evaluate(() => ({ places: window.places, droppedAt: window.droppedAt }))
  assert.ok(places.at(-1).top > places[0].top)
  assert.deepEqual(places.filter(({ at, top }, i) => top < places[i - 1]?.top && at < droppedAt + 1000), [])

  // One's own drag of the same node is one's own. Whoever prefers no movement sees the others' by steps.
  await two.emulateMedia({ reducedMotion: 'reduce' })
  const own = await one.locator(`[data-id=${node}]`).boundingBox()
  await one.mouse.move(own.x + 40, own.y + 20)
  await one.mouse.down()
  await one.mouse.move(own.x + 40, own.y - 80, { steps: 4 })
  await changed(one, `[data-id=${node}]`, draggedTo)
  const lifted = await place(one, node)
  await placed(two, node, lifted)
  await one.mouse.move(own.x + 40, own.y - 100)
  await changed(one, `[data-id=${node}]`, lifted)
  const held = await place(one, node)
  await placed(two, node, held)
  const theirs = await two.locator(`[data-id=${node}]`).boundingBox()
  await two.mouse.move(theirs.x + 40, theirs.y + 20)
  await two.mouse.down()
  await two.mouse.move(theirs.x + 140, theirs.y + 20, { steps: 4 })
  await changed(two, `[data-id=${node}]`, held)
  await pointerAt(one, second, theirs.x + 140, theirs.y + 20)
  assert.equal(await place(one, node), held)
  await one.mouse.up()
  await two.mouse.up()

  // Whoever has no pointer is at what they select by keys.
  const three = await open(browser, url + path)
  await live(three)
  await cards(three, 8)
  await three.locator('[data-id=outputnode_007]').focus()
  await three.keyboard.press('Space')
  const third = await name(three)
  await two.locator('[data-around=outputnode_007]').getByText(third).waitFor()
  await two.locator('.pointer').filter({ hasText: third }).waitFor()

  // A click goes to somebody, the second one follows them, until one does something oneself.
  const view = () => two.locator('.react-flow__viewport').evaluate((element) => element.style.transform)
  let at = await view()
  await nameOf(two, third).click()
  await changed(two, '.react-flow__viewport', at)
  await nameOf(two, third).click()
  await two.getByText(`Following ${third}`).waitFor()
  at = await view()
  await three.locator('[data-id=outputnode_007]').press('Escape')
  await three.locator('[data-id=datasourcenode_001]').focus()
  await three.keyboard.press('Space')
  await changed(two, '.react-flow__viewport', at)
  const middle = await two.locator('.canvas').boundingBox()
  await pointerAt(two, third, middle.x + middle.width / 2, middle.y + middle.height / 2)
  if (process.env.SHOTS) {
    await two.screenshot({ path: `${process.env.SHOTS}/following.png` })
    await two.emulateMedia({ colorScheme: 'dark' })
    await two.screenshot({ path: `${process.env.SHOTS}/following-dark.png` })
    await two.emulateMedia({ colorScheme: null })
  }
  await two.keyboard.press('Escape')
  await two.getByText(`Following ${third}`).waitFor({ state: 'detached' })
  // Whoever goes is followed no longer, and their pointer goes with them.
  await nameOf(two, third).click()
  await nameOf(two, third).click()
  await two.getByText(`Following ${third}`).waitFor()
  await three.context().close()
  await two.getByText(`Following ${third}`).waitFor({ state: 'detached' })
  await two.locator('.pointer').filter({ hasText: third }).waitFor({ state: 'detached' })
  await two.locator('[data-around=datasourcenode_001]').waitFor({ state: 'detached' })

  // Of thirty people on one node some are named, and the others are in a list that opens.
  await two.evaluate((id) => {
    window.crowd = Array.from({ length: 29 }, (_, i) => {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws/collaboration?project_id=${id}`)
      const tell = (type, data) => socket.send(JSON.stringify({ type, data }))
      socket.onopen = () => {
        tell('join_session', { userId: `one${i}`, userName: `One ${i}`, avatarColor: ['#000000', '#ffffff', '#ffff00'][i % 3], documentId: 'plan-dag-canvas' })
        tell('cursor_update', {
          documentId: 'plan-dag-canvas', documentType: 'canvas', position: { type: 'canvas', x: 40 * i, y: 300 }, timestamp: Date.now(),
          selectedNodeId: 'datasourcenode_003',
        })
      }
      return socket
    })
  }, projectId)
  await one.getByRole('button', { name: 'and 18 more' }).click()
  assert.equal(await one.locator('#more-people li').count(), 18)
  await one.locator('[data-around=datasourcenode_003]').getByText('and 25 more').waitFor()
  await one.waitForFunction(() => document.querySelectorAll('.pointer').length === 30)
  if (process.env.SHOTS) {
    await one.screenshot({ path: `${process.env.SHOTS}/crowd.png` })
    await one.emulateMedia({ colorScheme: 'dark' })
    await one.screenshot({ path: `${process.env.SHOTS}/crowd-dark.png` })
  }
  await one.keyboard.press('Escape')
  await one.locator('#more-people').waitFor({ state: 'hidden' })

  assert.deepEqual(one.problems, [])
  assert.deepEqual(two.problems, [])
} finally {
  await browser.close()
}

/** Waits until an element of a page is elsewhere. */
function changed(page, selector, was) {
  return page.waitForFunction(([at, before]) => document.querySelector(at).style.transform !== before, [selector, was])
}

/** Waits until a page draws a node at a place. */
function placed(page, id, where) {
  return page.waitForFunction(([of, want]) => document.querySelector(`[data-id=${of}]`).style.transform === want, [id, where])
}

/** Waits until a page draws somebody's pointer at a place of its window. */
function pointerAt(page, person, x, y) {
  return page.waitForFunction(([whose, want]) => {
    const element = [...document.querySelectorAll('.pointer')].find((each) => each.textContent.includes(whose))
    const { left, top } = element.getBoundingClientRect()
    return Math.hypot(left - want.x, top - want.y) < 5
  }, [person, { x, y }])
}

/** Keeps in a page at which height a node is drawn, and when. */
function watchPlaces(id) {
  const element = document.querySelector(`[data-id=${id}]`)
  const look = () => ({ at: performance.now(), top: Number(/, (.*)px/.exec(element.style.transform)[1]) })
  window.places = [look()]
  new MutationObserver(() => window.places.push(look())).observe(element, { attributeFilter: ['style'] })
}

/** Keeps in a page the first pulse from here on, and when that was. */
function watchDrop() {
  window.droppedAt = performance.now()
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const added of addedNodes) if (added.className === 'pulse') window.pulse ??= { of: added.dataset.of, color: added.style.color }
    }
  }).observe(document.querySelector('.react-flow__viewport-portal'), { subtree: true, childList: true })
}

/** The colour in which a page shows somebody. */
function colorOf(page, person) {
  return page.locator(`.people li[title="${person}"]`).evaluate((element) => element.style.backgroundColor)
}

/** The ways of all edges. */
function edges(page) {
  return page.locator('.react-flow__edge-path').evaluateAll((paths) => paths.map((path) => path.getAttribute('d')))
}

async function versionOf(projectId) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'query ($id: Int!) { getPlanDag(projectId: $id) { version } }', variables: { id: projectId } }),
  })
  return Number((await response.json()).data.getPlanDag.version)
}
