// A browser for tests, and what they do in it.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Starts Debian's Chromium; with WebGL it draws that without a graphics card. */
export function launch({ webGL = false } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', ...(webGL ? ['--use-angle=swiftshader', '--enable-unsafe-swiftshader'] : ['--disable-gpu']), '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

/** What people in these pages are called: the page would draw lots, and two could be called the same. */
const names = 'Amber Azure Coral Ivory Jade Maroon Olive Scarlet Silver Violet'.split(' ').map((color) => `${color} Otter`)

/** Opens a page in a profile of its own, which keeps what it says on the console, what fails in it, and what it asks for. A function may run before it. */
export async function open(browser, url, before = () => {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 } })
  await context.addInitScript(before)
  await context.addInitScript((own) => {
    try {
      if (localStorage.getItem('layercake-name') === null) localStorage.setItem('layercake-name', own)
    } catch {
      // A test took the storage away.
    }
  }, names.shift())
  const page = await context.newPage()
  page.problems = []
  page.requests = []
  page.on('console', (message) => page.problems.push(`${message.type()}: ${message.text()} ${message.location().url}`))
  page.on('pageerror', (error) => page.problems.push(String(error.stack ?? error)))
  page.on('request', (request) => page.requests.push(request.url()))
  await page.goto(url)
  return page
}

/** Waits until a page follows its plan. */
export function live(page) {
  return page.locator('.status[data-state=live]').waitFor()
}

/** Waits until the server has answered all changes of a page, also one of the gesture just before: it is counted as waiting with the next frame. */
export async function settled(page) {
  await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)) }))
  await page.waitForFunction(() => !document.querySelector('.status').textContent.includes('waiting'))
}

/** Waits until that many nodes are drawn. */
export function cards(page, count) {
  return page.waitForFunction((want) => document.querySelectorAll('.card').length === want, count)
}

/** Opens the sample plan in a page of one replica, and in one of another; returns both, and the path of the project. */
export async function openSample(browser, url, other) {
  const one = await open(browser, url)
  await one.getByRole('button', { name: 'Open the sample plan' }).click()
  await live(one)
  await cards(one, 8)
  const path = new URL(one.url()).pathname
  const two = await open(browser, other + path)
  await live(two)
  await cards(two, 8)
  return { one, two, path }
}

/** Where a node is drawn. */
export function place(page, node) {
  return page.locator(`[data-id=${node}]`).evaluate((element) => element.style.transform)
}

/** Waits until a page draws a node where another does, whose own gesture has ended: a drag is seen before it is a change. */
export async function drawnAs(page, node, another) {
  const want = await place(another, node)
  await page.waitForFunction(([id, transform]) => document.querySelector(`[data-id=${id}]`).style.transform === transform, [node, want])
}

/** Drags a node by the mouse. */
export async function drag(page, node, dx, dy) {
  const box = await page.locator(`[data-id=${node}]`).boundingBox()
  await page.mouse.move(box.x + 40, box.y + 20)
  await page.mouse.down()
  await page.mouse.move(box.x + 40 + dx, box.y + 20 + dy, { steps: 8 })
  await page.mouse.up()
}

/** What the person in a page is called. */
export function name(page) {
  return page.evaluate(() => localStorage.getItem('layercake-name'))
}

/** What axe finds in a page as it is. */
export async function violations(page) {
  await page.evaluate(axe) // by the debugger, which no policy binds
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa']
    const { violations: found } = await globalThis.axe.run({ runOnly: tags })
    return found.flatMap((rule) => rule.nodes.map(({ html, failureSummary }) => `${rule.id}: ${html} ${failureSummary}`))
  })
}
