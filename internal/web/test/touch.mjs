// The page under fingers: pan, drag a node, connect by two taps, a long press, and a second finger that lets go.
import assert from 'node:assert/strict'
import { cards, launch, live, place, settled } from './browser.mjs'

const browser = await launch()
try {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, hasTouch: true, isMobile: true })
  const page = await context.newPage()
  const problems = []
  page.on('console', (message) => problems.push(message.text()))
  page.on('pageerror', (error) => problems.push(String(error)))
  await page.goto(process.env.URL)
  await page.getByRole('button', { name: 'Open the sample plan' }).tap()
  await live(page)
  await cards(page, 8)
  const session = await context.newCDPSession(page)
  const touch = (type, ...points) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) })
  const slide = async ([x, y], [toX, toY]) => {
    await touch('touchStart', [x, y])
    for (let i = 1; i <= 6; i++) await touch('touchMove', [x + (toX - x) * i / 6, y + (toY - y) * i / 6])
    await touch('touchEnd')
  }
  const middle = async (selector) => {
    const box = await page.locator(selector).boundingBox()
    return [box.x + box.width / 2, box.y + box.height / 2]
  }
  const viewport = () => page.locator('.react-flow__viewport').evaluate((element) => element.style.transform)
  const edges = () => page.locator('.react-flow__edge').count()

  // A finger on the empty canvas moves the view; two bring it nearer.
  const [emptyX, emptyY] = await middle('.canvas').then(([x, y]) => [x, y + 250])
  let view = await viewport()
  await slide([emptyX, emptyY], [emptyX + 40, emptyY - 30])
  await page.waitForFunction((was) => document.querySelector('.react-flow__viewport').style.transform !== was, view)
  view = await viewport()
  await touch('touchStart', [emptyX - 20, emptyY], [emptyX + 20, emptyY])
  for (let i = 1; i <= 6; i++) await touch('touchMove', [emptyX - 20 - i * 4, emptyY], [emptyX + 20 + i * 4, emptyY])
  await touch('touchEnd')
  await page.waitForFunction((was) => document.querySelector('.react-flow__viewport').style.transform.split('scale')[1] !== was.split('scale')[1], view)
  await page.getByRole('button', { name: 'Fit View' }).tap()

  // A finger on a node moves it.
  const before = await place(page, 'graphnode_006')
  const at = await middle('[data-id=graphnode_006]')
  await slide(at, [at[0], at[1] + 60])
  await page.waitForFunction((was) => document.querySelector('[data-id=graphnode_006]').style.transform !== was, before)
  await settled(page)

  // A tap on an output and one on an input connect them.
  const output = '[data-id=datasourcenode_001] .react-flow__handle.source'
  const input = '[data-id=transformnode_005] .react-flow__handle.target'
  await page.locator('[data-id=edge_4_5]').evaluate((element) => element.dispatchEvent(new MouseEvent('click', { bubbles: true })))
  await page.getByRole('button', { name: 'Outline' }).tap()
  await page.getByRole('button', { name: 'Delete', exact: true }).tap()
  await page.getByRole('button', { name: 'Outline' }).tap()
  await page.waitForFunction(() => document.querySelectorAll('.react-flow__edge').length === 6)
  await page.locator(output).tap()
  await page.locator(input).tap()
  await page.waitForFunction(() => document.querySelectorAll('.react-flow__edge').length === 7)
  await settled(page)

  // While an edge follows a finger, a second one ends that, and nothing is connected.
  const [from, to] = [await middle('[data-id=datasourcenode_002] .react-flow__handle.source'), await middle('[data-id=graphnode_006] .react-flow__handle.target')]
  await touch('touchStart', from)
  for (let i = 1; i <= 6; i++) await touch('touchMove', [from[0] + (to[0] - from[0]) * i / 6, from[1] + (to[1] - from[1]) * i / 6])
  await page.locator('.react-flow__connection').waitFor()
  await touch('touchStart', to, [to[0] + 100, to[1] + 100])
  await page.locator('.react-flow__connection').waitFor({ state: 'detached' })
  await touch('touchEnd')
  assert.equal(await edges(), 7)

  // A long press asks for the menu, once.
  await page.evaluate(() => {
    window.menus = []
    document.addEventListener('contextmenu', (event) => window.menus.push(event.target.closest('[data-id]')?.dataset.id))
  })
  await touch('touchStart', await middle('[data-id=graphnode_006]'))
  await page.waitForFunction(() => window.menus.length > 0)
  await touch('touchEnd')
  assert.deepEqual(await page.evaluate(() => window.menus), ['graphnode_006'])

  // Moving needs no drag: the command, then a tap where it should go.
  await page.locator('[data-id=outputnode_007]').tap()
  const resting = await place(page, 'outputnode_007')
  await page.keyboard.press('m')
  await page.getByText('Click where it should go.').waitFor()
  await page.touchscreen.tap(emptyX, emptyY)
  await page.waitForFunction((was) => document.querySelector('[data-id=outputnode_007]').style.transform !== was, resting)
  await settled(page)
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/touch.png` })
  assert.deepEqual(problems, [])
} finally {
  await browser.close()
}
