// The way to a replica breaks while nodes are dragged, the window is reloaded, and somebody else edits meanwhile. When the way is there
// again, every edit arrives once, and both windows show the same plan.
import assert from 'node:assert/strict'
import { cards, drag, launch, live, name, open, place, settled } from './browser.mjs'
import { passage } from './passage.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const way = await passage(Number(new URL(url).port))
const browser = await launch()
try {
  const one = await open(browser, way.url)
  await one.getByRole('button', { name: 'Open the sample plan' }).click()
  await live(one)
  await cards(one, 8)
  const path = new URL(one.url()).pathname
  const two = await open(browser, other + path)
  await cards(two, 8)

  const forgetful = await open(browser, way.url + path, () => {
    Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('Not here', 'SecurityError') } })
  })
  await cards(forgetful, 8)
  await live(forgetful)

  await way.close()
  await one.locator('.status[data-state=reconnecting]').waitFor()
  await drag(one, 'mergenode_004', 20, 90)
  await drag(one, 'graphnode_006', -30, 110)
  await one.getByText(/^Reconnecting since \d/).waitFor()
  await one.getByText('2 edits waiting').waitFor()
  // A page that may keep nothing says so, and asks before it is closed.
  await drag(forgetful, 'outputnode_008', 0, 30)
  await forgetful.getByText('1 edit waiting (lost with a reload)').waitFor()
  const [question] = await Promise.all([forgetful.waitForEvent('dialog'), forgetful.close({ runBeforeUnload: true })])
  assert.equal(question.type(), 'beforeunload')
  await question.accept()
  const before = await place(two, 'outputnode_007')
  await drag(two, 'outputnode_007', 10, -60)
  await live(two)

  // The page is there again, but nobody who answers it.
  await one.route('**/graphql', (route) => route.abort())
  await way.open()
  await one.reload()
  await one.getByText('2 edits waiting').waitFor()
  await one.unroute('**/graphql')

  await live(one)
  await settled(one)
  for (const node of ['mergenode_004', 'graphnode_006', 'outputnode_007']) {
    const want = await place(one, node)
    await two.waitForFunction(([id, there]) => document.querySelector(`[data-id=${id}]`).style.transform === there, [node, want])
  }
  assert.notEqual(await place(one, 'outputnode_007'), before)

  const query = `{ planHistory(projectId: ${path.split('/')[2]}, limit: 100) { changes { summary actorName operations { kind } } } }`
  const answer = await fetch(`${other}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }),
  })
  const { changes } = (await answer.json()).data.planHistory
  const moves = changes.filter(({ operations }) => operations.every(({ kind }) => kind === 'NODE_UPDATED'))
  assert.deepEqual(moves.map(({ actorName }) => actorName).toSorted(), [await name(one), await name(one), await name(two)].toSorted())

  // Browsers complain of each connection that fails; nothing else went wrong.
  for (const page of [one, two]) assert.deepEqual(page.problems.filter((problem) => !/ERR_|WebSocket connection/.test(problem)), [])
} finally {
  await browser.close()
  await way.close()
}
