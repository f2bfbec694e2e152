// The history beside the canvas: who did what; the plan of the past on the canvas, and back to it; all of somebody taken back.
import assert from 'node:assert/strict'
import { cards, drag, launch, name, openSample, place, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const [merge, graph, picture] = ['mergenode_004', 'graphnode_006', 'outputnode_007']
const browser = await launch()
try {
  const { one, two } = await openSample(browser, url, other)
  const [nameOfOne, nameOfTwo] = [await name(one), await name(two)]
  const places = { merge: await place(one, merge), graph: await place(one, graph) }

  await one.setViewportSize({ width: 1520, height: 760 }) // the history takes nothing of the plan away
  await one.getByRole('button', { name: 'History' }).click()
  const history = one.getByRole('complementary', { name: 'History' })
  const entries = history.getByRole('listitem')
  await entries.filter({ hasText: 'added 8 nodes and 7 edges' }).filter({ hasText: nameOfOne }).waitFor()

  // What others do comes in by itself.
  await drag(two, merge, 20, 60)
  await entries.filter({ hasText: 'moved “Everything we know”' }).filter({ hasText: nameOfTwo }).waitFor()
  await drag(two, graph, -10, 60)
  await settled(two)
  await one.locator(`[data-id=${picture}]`).click()
  await one.keyboard.press('Delete')
  await entries.filter({ hasText: 'deleted “Picture” and 1 edge' }).waitFor()
  assert.equal(await entries.count(), 4)

  // By author, and by what is selected.
  await history.getByLabel('By').selectOption({ label: nameOfTwo })
  await entries.filter({ hasText: nameOfOne }).waitFor({ state: 'detached' })
  await entries.nth(1).waitFor()
  assert.equal(await entries.count(), 2)
  await history.getByLabel('By').selectOption({ label: 'everybody' })
  await one.locator(`[data-id=${graph}]`).click()
  await history.getByLabel('Only what is selected').check()
  await entries.filter({ hasText: 'moved “Everything we know”' }).waitFor({ state: 'detached' })
  await entries.nth(1).waitFor()
  assert.deepEqual(await entries.locator('.what').allTextContents(), ['moved “Overview”', 'added 8 nodes and 7 edges'])
  await history.getByLabel('Only what is selected').uncheck()

  // The plan of the past: what was deleted since is there, what was moved since is where it was, and both are marked.
  await entries.filter({ hasText: 'moved “Everything we know”' }).getByRole('button', { name: 'Look' }).click()
  await one.getByRole('button', { name: 'Back to now' }).waitFor()
  await cards(one, 8)
  await one.locator(`[data-id=${picture}]`).getByText(`deleted since by ${nameOfOne}`).waitFor()
  await one.locator(`[data-id=${graph}]`).getByText(`changed since by ${nameOfTwo}`).waitFor()
  assert.equal(await place(one, graph), places.graph)
  assert.equal(await one.locator('.card .mark').count(), 2)
  const slider = one.getByRole('slider', { name: 'Version' })
  assert.match(await slider.getAttribute('aria-valuetext'), new RegExp(`${nameOfTwo}: moved “Everything we know”$`))
  // It cannot be changed.
  await drag(one, graph, 0, 100)
  assert.equal(await place(one, graph), places.graph)
  await one.keyboard.press('4')
  await one.getByText('This plan is of the past').waitFor()

  // One step back by the keyboard: the merge node is where it was at first.
  await slider.press('ArrowLeft')
  await seen(one, merge, places.merge)
  // At the oldest there is nothing yet, and all that came since is marked.
  await slider.press('Home')
  await one.waitForFunction(() => document.querySelectorAll('.card.added').length === 7)
  if (process.env.SHOTS) await one.screenshot({ path: `${process.env.SHOTS}/oldest.png` })

  // It runs through to now by itself, without what is seen being changed for anybody.
  await one.getByRole('button', { name: 'Play' }).click()
  await one.getByRole('button', { name: 'Back to now' }).waitFor({ state: 'detached' })
  await cards(one, 7)
  await cards(two, 7)

  // Back to it by one change; when the plan moves on before, it is asked again.
  await entries.filter({ hasText: 'added 8 nodes and 7 edges' }).getByRole('button', { name: 'Look' }).click()
  await one.getByRole('button', { name: 'Restore…' }).click()
  await drag(two, merge, 0, 30)
  await settled(two)
  await history.getByText('moved “Everything we know”').nth(1).waitFor()
  await one.getByRole('button', { name: 'Restore', exact: true }).click()
  await one.getByRole('alert').filter({ hasText: 'The plan has changed meanwhile' }).waitFor()
  await one.getByRole('button', { name: 'Restore', exact: true }).click()
  await cards(two, 8)
  await seen(two, merge, places.merge)
  await seen(two, graph, places.graph)
  await entries.nth(5).waitFor()
  assert.equal(await entries.count(), 6)
  await one.getByText(/^Restored: /).waitFor()
  await one.getByRole('button', { name: 'Undo', exact: true }).first().click()
  await cards(two, 7)

  // An entry of somebody else, undone for itself.
  await entries.filter({ hasText: 'moved “Overview”' }).getByRole('button', { name: 'Undo' }).click()
  await seen(two, graph, places.graph)
  await entries.and(history.locator('[data-undone]')).filter({ hasText: 'moved “Overview”' }).waitFor()

  // All that somebody did since a time, counted.
  for (const [node, dy] of [[graph, 30], [graph, 30], [merge, 30]]) {
    await drag(two, node, 0, dy)
    await settled(two)
  }
  await history.getByLabel('By').selectOption({ label: nameOfTwo })
  const first = entries.filter({ hasText: 'moved “Everything we know”' }).last()
  await entries.nth(5).waitFor()
  await one.evaluate(() => {
    window.counted = new Set()
    new MutationObserver(() => {
      const text = document.querySelector('.run')?.textContent.match(/\d+ of \d+/)?.[0]
      if (text) window.counted.add(text)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })
  await first.getByRole('button', { name: `Undo what ${nameOfTwo} did since` }).click()
  await one.getByText(`Undone: 5 of 5 changes of ${nameOfTwo}`).waitFor()
  assert.deepEqual([...await one.evaluate(() => [...window.counted])], ['0 of 5', '1 of 5', '2 of 5', '3 of 5', '4 of 5'])
  await seen(two, merge, places.merge)
  await seen(two, graph, places.graph)

  // What somebody drags now is seen now, and not in the past.
  await history.getByLabel('By').selectOption({ label: 'everybody' })
  const card = await two.locator(`[data-id=${graph}]`).boundingBox()
  await two.mouse.move(card.x + 40, card.y + 20)
  await two.mouse.down()
  await two.mouse.move(card.x + 40, card.y + 120, { steps: 5 })
  await seen(one, graph, await place(two, graph))
  await entries.filter({ hasText: 'added 8 nodes and 7 edges' }).getByRole('button', { name: 'Look' }).click()
  await one.getByRole('button', { name: 'Back to now' }).click({ trial: true })
  await seen(one, graph, places.graph)
  await two.mouse.up()

  await history.getByRole('button', { name: 'Close' }).click()
  await history.waitFor({ state: 'detached' })
  for (const page of [one, two]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

function seen(page, node, where) {
  return page.waitForFunction(([id, want]) => document.querySelector(`[data-id=${id}]`)?.style.transform === want, [node, where])
}
