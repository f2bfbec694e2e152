// The sample plan is opened on one replica and watched on another; a node is dragged on the first, and the drag is seen on the second.
import assert from 'node:assert/strict'
import { cards, drag, drawnAs, launch, live, name, open, place, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const node = 'mergenode_004'
const browser = await launch()
try {
  const one = await open(browser, url)
  await one.getByRole('button', { name: 'Open the sample plan' }).click()
  await one.waitForURL(/\/projects\/\d+$/)
  await live(one)
  const path = new URL(one.url()).pathname
  await cards(one, 8)

  const two = await open(browser, other + path)
  await live(two)
  await cards(two, 8)
  await two.waitForFunction(() => document.querySelectorAll('.react-flow__edge').length === 7)

  // Each sees the pointer of the other, by name.
  await two.mouse.move(500, 300)
  await two.mouse.move(520, 330)
  await one.locator('.pointer').filter({ hasText: await name(two) }).waitFor()

  const before = await place(two, node)
  await drag(one, node, 50, 100)
  await two.waitForFunction((was) => document.querySelector('[data-id=mergenode_004]').style.transform !== was, before)
  await settled(one)
  await drawnAs(two, node, one)

  await two.reload()
  await live(two)
  await cards(two, 8)
  assert.equal(await place(two, node), await place(one, node))

  // Arrow keys move what has the focus, and are saved the same way.
  const resting = await place(two, 'graphnode_006')
  await one.locator('[data-id=graphnode_006]').focus()
  for (let i = 0; i < 3; i++) await one.keyboard.down('ArrowDown')
  await one.keyboard.up('ArrowDown')
  await two.waitForFunction((was) => document.querySelector('[data-id=graphnode_006]').style.transform !== was, resting)
  await settled(one)
  await drawnAs(two, 'graphnode_006', one)

  // A window has an id of its own, which outlives a reload; one that the browser clones from it takes another.
  const id = (page) => page.evaluate(() => sessionStorage.getItem('layercake-window'))
  const own = await id(one)
  const [clone] = await Promise.all([one.waitForEvent('popup'), one.evaluate(() => { window.open(location.href) })])
  await live(clone)
  assert.notEqual(await id(clone), own)
  await clone.close()
  await one.reload()
  await live(one)
  assert.equal(await id(one), own)

  if (process.env.SHOTS) {
    await one.screenshot({ path: `${process.env.SHOTS}/one.png` })
    await two.emulateMedia({ colorScheme: 'dark' })
    await two.screenshot({ path: `${process.env.SHOTS}/two.png` })
    const list = await open(browser, url)
    await list.getByText('Sample plan', { exact: true }).first().waitFor()
    await list.screenshot({ path: `${process.env.SHOTS}/list.png` })
  }
  for (const page of [one, two]) {
    assert.deepEqual(page.problems, [])
    // The page takes nothing from elsewhere, and asks for public routes only.
    const paths = new Set(page.requests.map((request) => new URL(request)).map(({ origin, pathname }) => {
      assert.ok([url, other].includes(origin), origin)
      return pathname.replace(/^(\/assets|\/projects)\/.*/, '$1')
    }))
    assert.deepEqual([...paths].filter((seen) => !['/', '/assets', '/projects', '/graphql', '/icon.svg'].includes(seen)), [])
  }
} finally {
  await browser.close()
}
