// Two people edit one plan on two replicas. Each takes back their own changes only; what the other changed since is asked about.
import assert from 'node:assert/strict'
import { drag, launch, name, openSample, place, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const [merge, graph] = ['mergenode_004', 'graphnode_006']
const browser = await launch()
try {
  const { one, two } = await openSample(browser, url, other)
  const places = { merge: await place(one, merge), graph: await place(one, graph) }

  // One's own, and nobody else's, although that is newer.
  await drag(one, merge, 20, 90)
  await settled(one)
  const moved = await place(one, merge)
  await drag(two, graph, -30, 110)
  await settled(two)
  const movedByTwo = await place(two, graph)
  await seen(one, graph, movedByTwo)
  await one.keyboard.press('Control+z')
  await said(one, 'Undone: moved “Everything we know”')
  await seen(one, merge, places.merge)
  await seen(two, merge, places.merge)
  assert.equal(await place(one, graph), movedByTwo)

  await one.keyboard.press('Control+Shift+Z')
  await said(one, 'Done again: moved “Everything we know”')
  await seen(two, merge, moved)
  await one.getByRole('button', { name: 'Undo' }).click()
  await seen(two, merge, places.merge)
  await one.keyboard.press('Control+y')
  await seen(two, merge, moved)

  await two.getByRole('button', { name: 'Undo' }).click()
  await seen(one, graph, places.graph)
  await two.getByRole('button', { name: 'Undo' }).click()
  await said(two, 'There is nothing to undo')

  // What somebody changed since is asked about.
  await drag(two, merge, 0, -60)
  await settled(two)
  const byTwo = await place(two, merge)
  await seen(one, merge, byTwo)
  const question = one.getByRole('dialog', { name: 'Others have changed this since' })
  await one.keyboard.press('Control+z')
  await question.getByText(`by ${await name(two)}`).waitFor()
  if (process.env.SHOTS) await one.screenshot({ path: `${process.env.SHOTS}/conflict.png` })
  await question.getByRole('button', { name: 'Cancel' }).click()
  await question.waitFor({ state: 'detached' })
  assert.equal(await place(one, merge), byTwo)
  await one.keyboard.press('Control+z')
  await question.getByRole('button', { name: 'Skip those' }).click()
  await said(one, 'Undone: nothing was left to do')
  assert.equal(await place(one, merge), byTwo)
  await one.keyboard.press('Control+z')
  await question.getByRole('button', { name: 'Overwrite' }).click()
  await said(one, 'Undone: moved “Everything we know”')
  await seen(two, merge, places.merge)

  // While an answer does not come, what was not sent is dropped; what may have been sent is undone when it is known.
  let release
  const held = new Promise((resolve) => { release = resolve })
  await one.route('**/graphql', async (route) => {
    await held
    await route.continue()
  })
  const asked = one.waitForRequest((request) => request.postData()?.includes('editPlan'))
  await drag(one, merge, 0, 40)
  await asked
  await drag(one, graph, 0, 40)
  await one.getByText('2 edits waiting').waitFor()
  await one.keyboard.press('Control+z')
  await said(one, 'Undone: a change that was not sent yet')
  await one.getByText('1 edit waiting').waitFor()
  await seen(one, graph, places.graph)
  await one.keyboard.press('Control+Shift+Z')
  await one.getByText('2 edits waiting').waitFor()
  await one.keyboard.press('Control+z')
  await one.getByText('1 edit waiting').waitFor()
  await one.keyboard.press('Control+z')
  await said(one, 'Undo waits for the server')
  release()
  await said(one, 'Undone: moved “Everything we know”')
  await seen(two, merge, places.merge)
  await seen(two, graph, places.graph) // where it was seen to be dragged to for a moment, and never was

  // A field has its own undo.
  await one.unroute('**/graphql')
  const answers = one.requests.length
  await one.evaluate(() => document.querySelector('main').append(Object.assign(document.createElement('input'), { id: 'field' })))
  await one.locator('#field').fill('typed')
  await one.locator('#field').press('Control+z')
  await one.waitForFunction(() => document.querySelector('#field').value === '')
  assert.equal(one.requests.length, answers)

  for (const page of [one, two]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

function seen(page, node, where) {
  return page.waitForFunction(([id, want]) => document.querySelector(`[data-id=${id}]`).style.transform === want, [node, where])
}

function said(page, sentence) {
  return page.locator('.said').filter({ hasText: sentence }).waitFor()
}
