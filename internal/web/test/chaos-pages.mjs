// Pages among the clients of a storm: each follows a plan at a replica that somebody may harm, and says what it shows. It is driven by lines
// of JSON: {"open": [address, ...]} opens pages in the place of those before, {"show": true} asks them all. Each line is answered by one.
import { createInterface } from 'node:readline'
import { launch, live } from './browser.mjs'

const browser = await launch()
let pages = []

const answers = {
  async open(addresses) {
    await Promise.all(pages.map(({ page }) => page.context().close()))
    pages = await Promise.all(addresses.map(openOne))
    return {}
  },
  show: async () => ({ pages: await Promise.all(pages.map(shown)) }),
}

for await (const line of createInterface({ input: process.stdin })) {
  const [[name, value]] = Object.entries(JSON.parse(line))
  let answer
  try {
    answer = await answers[name](value)
  } catch (error) {
    answer = { error: String(error) }
  }
  console.log(JSON.stringify(answer))
}
await browser.close()

async function openOne(address) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 } })
  const page = await context.newPage()
  const seen = { page, version: 0, events: 0, problems: [] }
  // The version is nowhere on the page in words: it is that of the last plan, or change, that came.
  const hear = (text) => {
    const { data, payload } = JSON.parse(text)
    const { planEvents, getPlanDag } = data ?? payload?.data ?? {}
    if (planEvents) seen.events++
    const version = (planEvents ?? getPlanDag)?.version
    if (version !== undefined) seen.version = Number(version)
  }
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
    if (typeof payload === 'string' && payload.includes('"planEvents"')) hear(payload)
  }))
  page.on('response', async (response) => {
    if (!response.url().endsWith('/graphql') || !response.request().postData()?.includes('getPlanDag')) return
    try {
      hear(await response.text())
    } catch {
      // The replica died in the middle of it, and the page asks again.
    }
  })
  page.on('pageerror', (error) => seen.problems.push(String(error.stack ?? error)))
  await page.goto(address)
  await live(page)
  await page.evaluate(() => document.addEventListener('copy', ({ clipboardData }) => { globalThis.copied = clipboardData.getData('text/plain') }))
  return seen
}

/** What a page shows: how it is, and all of its plan, as a person copies it. */
async function shown({ page, version, events, problems }) {
  const status = page.locator('.status')
  const state = await status.getAttribute('data-state')
  await page.evaluate(() => { globalThis.copied = '{"nodes":[],"edges":[]}' })
  await page.keyboard.press('Control+a')
  await page.keyboard.press('Control+c')
  const { nodes, edges } = JSON.parse(await page.evaluate(() => globalThis.copied))
  await page.keyboard.press('Escape')
  return { state, words: await status.textContent(), version, events, problems, nodes, edges }
}
