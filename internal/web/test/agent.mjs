// The sample agent: sent from one page, seen from another, refused, and gone.
import assert from 'node:assert/strict'
import { cards, launch, live, open, openSample } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const { one, two, path } = await openSample(browser, url, other)
  const agent = (page) => page.locator('.people').getByRole('button', { name: 'Sample agent agent' })
  await two.evaluate(watchPulses)

  // Its calls wait until it was seen what the ones before did.
  const [mending, leaving] = [gate(), gate()]
  let edges = 0
  await one.route('**/mcp', async (route) => {
    const { operations, leave } = route.request().postDataJSON().params.arguments
    if (operations?.[0].op === 'add_edge' && ++edges === 2) await mending.passed
    if (leave) await leaving.passed
    await route.continue()
  })
  await one.getByRole('button', { name: 'Send a sample agent' }).click()
  await one.locator('button[aria-disabled=true]', { hasText: 'Send a sample agent' }).waitFor()
  await agent(two).waitFor()
  await two.locator('.pointer .agent').waitFor()
  const color = await two.locator('.people li[title="Sample agent"]').evaluate((element) => element.style.backgroundColor)
  await cards(two, 9)
  const output = await two.locator('.react-flow__node').filter({ hasText: 'Output of an agent' }).getAttribute('data-id')
  // It is at what it touched last, and what it does pulses in its colour.
  await two.locator(`[data-around=${output}] .around`).waitFor()
  if (process.env.SHOTS) await two.screenshot({ path: `${process.env.SHOTS}/agent-seen.png` })
  await one.getByText('a OutputNode cannot lead to a GraphNode').waitFor()
  assert.equal(await two.locator('.react-flow__edge').count(), 7)
  if (process.env.SHOTS) await one.screenshot({ path: `${process.env.SHOTS}/agent.png` })
  mending.pass()
  await two.waitForFunction(() => document.querySelectorAll('.react-flow__edge').length === 8)
  await two.waitForFunction((id) => window.pulses.filter(([of]) => of === id).length === 2, output)
  assert.deepEqual(await two.evaluate((id) => window.pulses.filter(([of]) => of === id).map(([, shown]) => shown), output), [color, color])
  // The menu of its avatar takes back what it did.
  await agent(two).click({ button: 'right' })
  await two.getByRole('menuitem', { name: 'Undo what Sample agent did in the last hour' }).click()
  await two.getByText('Undone: 2 of 2 changes of Sample agent').waitFor()
  for (const page of [one, two]) await cards(page, 8)
  leaving.pass()
  await agent(two).waitFor({ state: 'detached' })
  await two.locator('.pointer').waitFor({ state: 'detached' })
  await one.getByText('I have gone').waitFor()
  await one.getByRole('button', { name: 'Dismiss' }).click()
  await one.getByText('I have gone').waitFor({ state: 'detached' })

  await one.unroute('**/mcp')

  // When the page ends in the middle of it, the agent goes at once.
  await one.getByRole('button', { name: 'Send a sample agent' }).click()
  await agent(two).waitFor()
  await cards(two, 9)
  await one.goto('about:blank')
  await agent(two).waitFor({ state: 'detached' })
  await cards(two, 9)

  // Where there is no graph, it brings one.
  const three = await open(browser, url)
  await three.getByRole('button', { name: 'Empty plan' }).click()
  await live(three)
  await three.getByRole('button', { name: 'Send a sample agent' }).click()
  await three.getByText('That is right').waitFor()
  await cards(three, 2)
  await three.waitForFunction(() => document.querySelectorAll('.react-flow__edge').length === 1)
  await three.getByRole('button', { name: 'Undo what it did' }).click()
  await three.waitForFunction(() => document.querySelectorAll('.card').length === 0)

  // What cannot be loaded says so, and can be tried again.
  const four = await open(browser, other + path)
  await live(four)
  await four.route('**/sample-agent-*.js', (route) => route.abort())
  await four.getByRole('button', { name: 'Send a sample agent' }).click()
  await four.getByText('I cannot come').waitFor()
  await four.locator('button[aria-disabled=false]', { hasText: 'Send a sample agent' }).waitFor()

  // What answers instead of the server is not repeated to people.
  await four.unroute('**/sample-agent-*.js')
  await four.route('**/mcp', (route) => route.fulfill({ contentType: 'text/html', body: '<h1>Sign in</h1>' }))
  await four.getByRole('button', { name: 'Send a sample agent' }).click()
  await four.getByText('I stopped: The server cannot be reached.').waitFor()
  await four.context().close()

  for (const page of [one, two, three]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

/** Something to wait for until it is opened. */
function gate() {
  let pass
  const passed = new Promise((resolve) => { pass = resolve })
  return { passed, pass }
}

/** Keeps in a page what pulses, and in which colour. */
function watchPulses() {
  window.pulses = []
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const added of addedNodes) if (added.className === 'pulse') window.pulses.push([added.dataset.of, added.style.color])
    }
  }).observe(document.querySelector('.react-flow__viewport-portal'), { subtree: true, childList: true })
}
