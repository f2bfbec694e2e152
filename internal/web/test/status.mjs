// How the connection is, in words: in each state that there is, and in none that there is not.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cards, launch, live, open } from './browser.mjs'
import { passage } from './passage.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const way = await passage(Number(new URL(url).port))
const browser = await launch()
try {
  const { createProject: { id } } = await ask('mutation { createProject(input: {name: "Status"}) { id } }')
  const node = { id: 'a', nodeType: 'GraphNode', position: { x: 0, y: 0 }, metadata: { label: 'First' }, config: '{}' }
  await edit({ addNode: node })

  const one = await open(browser, `${way.url}/client/index.js`)
  const wire = await gate(one)
  const shots = async (name) => {
    if (!process.env.SHOTS) return
    for (const colorScheme of ['light', 'dark']) {
      await one.emulateMedia({ colorScheme })
      await one.screenshot({ path: `${process.env.SHOTS}/status-${name}-${colorScheme}.png` })
    }
  }
  const nudge = async () => {
    await one.locator('[data-id=a]').focus()
    await one.keyboard.press('ArrowDown')
  }
  const words = (text) => one.locator('.status').filter({ hasText: text }).waitFor()

  // No replica has answered yet.
  wire.hold(() => true)
  await one.goto(`${way.url}/projects/${id}`)
  await words(/^Connecting$/)
  await shots('connecting')
  await one.evaluate(() => {
    // What is read out, one after the other.
    const status = document.querySelector('[role=status]')
    window.said = [status.textContent]
    new MutationObserver(() => window.said.push(status.textContent)).observe(status, { characterData: true, childList: true, subtree: true })
  })
  wire.release()
  await words(/^Live/) // the greeting has come
  await words(new RegExp(`^Live · replica ${wire.greeting.replica.slice(0, 8)} · \\d+ ms$`))
  await cards(one, 1)
  assert.equal(await one.locator('meta[name=page]').getAttribute('content'), wire.greeting.page)
  await shots('live')

  // The way breaks, others go on, and it is there again.
  await way.close()
  await words(/^Reconnecting since \d/)
  for (const x of [10, 20, 30]) await edit({ moveNodes: [{ nodeId: 'a', position: { x, y: 0 } }] })
  wire.hold((message) => message.payload?.data?.planEvents)
  await way.open()
  await words(/^Catching up, 3 changes to go$/)
  await shots('catching-up')
  wire.releaseOne()
  await words(/^Catching up, 2 changes to go$/)
  wire.release()
  await live(one)
  const said = await one.evaluate(() => window.said)
  assert.deepEqual(said.map((text) => text.replace(/since .*/, 'since')), ['Connecting', 'Live', 'Reconnecting since', 'Catching up', 'Live'])

  // The replica that comes back has another page.
  wire.rewrite((message) => {
    if (message.type === 'connection_ack') message.payload.page = 'another'
  })
  await one.route('**/graphql', (route) => route.abort())
  await nudge()
  await words(/1 edit waiting/)
  assert.equal(await one.getByText('There is a new version of this page').count(), 0)
  wire.close(1012, '{"retryAfterMs":1}')
  await one.getByText('You can load it when no edit waits any more').waitFor()
  assert.equal(await one.getByRole('button', { name: 'Reload' }).count(), 0)
  await one.unroute('**/graphql')
  await one.getByRole('button', { name: 'Reload' }).waitFor()
  await shots('new-page')
  wire.rewrite(() => {})
  await Promise.all([one.waitForEvent('load'), one.getByRole('button', { name: 'Reload' }).click()])
  await live(one)
  assert.equal(await one.getByText('There is a new version of this page').count(), 0)

  // An operator disconnects somebody from the others, and from the plan.
  const two = await open(browser, `${other}/projects/${id}`)
  await one.locator('.people li').waitFor()
  const window = await one.evaluate(() => sessionStorage.getItem('layercake-window'))
  execFileSync(process.env.PSQL, [process.env.DATABASE, '-v', 'ON_ERROR_STOP=1', '-c', `SELECT layercake.kick_user('${window}', 'Too loud')`])
  await one.getByText('An operator disconnected you from the others: Too loud').waitFor()
  await two.locator('.people li').waitFor({ state: 'detached' })
  await one.getByRole('button', { name: 'Come back' }).click()
  await two.locator('.people li').waitFor()
  wire.close(4000, 'Much too loud')
  await words(/^Disconnected by an operator: Much too loud$/)
  await shots('disconnected')
  await two.locator('.people li').waitFor({ state: 'detached' })
  await one.getByRole('button', { name: 'Come back' }).click()
  await live(one)
  await two.locator('.people li').waitFor()

  // A server of a later release has reasons of its own.
  wire.send({ id: wire.subscription, type: 'error', payload: [{ message: 'The plan is asleep', extensions: { code: 'ASLEEP' } }] })
  await words(/^Disconnected: The plan is asleep$/)
  await one.getByRole('button', { name: 'Come back' }).click()
  await live(one)

  // The project is deleted while edits wait. Their author may take them along.
  await one.route('**/graphql', (route) => route.abort())
  await nudge()
  await words(/1 edit waiting/)
  await ask('mutation ($id: ID!) { deleteProject(id: $id) }', { id: String(id) })
  await words(/^This project was deleted$/)
  await one.getByText('1 edit was not sent before the project was deleted').waitFor()
  await shots('deleted')
  await one.unroute('**/graphql')
  await one.reload()
  await words(/^There is no such project$/)
  const [download] = await Promise.all([one.waitForEvent('download'), one.getByRole('button', { name: 'Save as a file' }).click()])
  assert.equal(download.suggestedFilename(), `project-${id}-edits.json`)
  const [kept, ...more] = JSON.parse(readFileSync(await download.path(), 'utf8'))
  assert.deepEqual([kept.edits[0].moveNodes[0].nodeId, more.length], ['a', 0])
  assert.ok(Math.abs(Date.now() - Date.parse(kept.at)) < 3_600_000)
  await one.getByRole('button', { name: 'Discard' }).click()
  await one.locator('.notice').waitFor({ state: 'detached' })

  for (const page of [one, two]) assert.deepEqual(page.problems.filter((problem) => !/ERR_|WebSocket connection|favicon/.test(problem)), [])

  /** Makes one edit on the other replica. */
  async function edit(what) {
    await ask('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', { id, edits: [what] })
  }
} finally {
  await browser.close()
  await way.close()
}

/** Asks the other replica, without a page. */
async function ask(query, variables) {
  const response = await fetch(`${other}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined)
  return data
}

/** What stands between the sockets of a page for subscriptions and their replica. */
async function gate(page) {
  let near
  let holds = () => false
  let change = () => {}
  let held = []
  const wire = {
    greeting: null,
    subscription: null,
    /** Keeps messages back from the page for which a function says so. */
    hold: (which) => { holds = which },
    releaseOne: () => { near.send(held.shift()) },
    release: () => {
      holds = () => false
      for (const text of held.splice(0)) near.send(text)
    },
    /** Changes messages to the page. */
    rewrite: (by) => { change = by },
    send: (message) => near.send(JSON.stringify(message)),
    close: (code, reason) => near.close({ code, reason }),
  }
  await page.routeWebSocket(/\/graphql\/ws/, (socket) => {
    near = socket
    held = []
    const far = socket.connectToServer()
    socket.onMessage((text) => {
      const { type, id, payload } = JSON.parse(text)
      if (type === 'subscribe' && payload.query.includes('PlanEvents')) wire.subscription = id
      far.send(text)
    })
    far.onMessage((text) => {
      const message = JSON.parse(text)
      if (message.type === 'connection_ack') wire.greeting = message.payload
      change(message)
      if (holds(message)) held.push(JSON.stringify(message))
      else socket.send(JSON.stringify(message))
    })
  })
  return wire
}
