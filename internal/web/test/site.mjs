// A client that knows nothing of accounts, served by replicas behind haproxy: people sign in on our page, edit, see each other, and sign out.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { launch, live, open } from './browser.mjs'

const { URL: url, ANN, BOB, PSQL, DATABASE } = process.env
const password = 'correct horse 7 battery'
const browser = await launch()

/** Opens an address as somebody who has not signed in, does so by an operator's code, and comes to where they wanted to go. */
async function signIn(code, path) {
  const page = await open(browser, url + path)
  assert.equal(page.url(), `${url}/login?return=${encodeURIComponent(path)}`)
  await page.getByText('I have a code').click()
  await page.getByLabel('Code').fill(code)
  await page.locator('#code').getByLabel('New password').fill(password)
  await page.getByRole('button', { name: 'Set password' }).click()
  await page.waitForURL(url + path)
  return page
}

/** Asks the server without the cookie, in the other way that fetch has. */
function ask(page, query) {
  return page.evaluate(async (given) => {
    const answer = await fetch(new Request('/graphql', {
      method: 'POST', credentials: 'omit', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: given }),
    }))
    const { data, errors } = await answer.json()
    return errors ? errors[0].extensions.code : data
  }, query)
}

const node = (page, id) => page.locator(`[data-id=${id}]`)
const place = (page, id) => node(page, id).evaluate((box) => box.style.transform)

try {
  const ann = await signIn(ANN, '/projects')
  // The index is the client's own, but for our script, which came before the first of its own; what stands in it ran, too.
  const scripts = await ann.evaluate(() => [...document.scripts].map((script) => script.getAttribute('src')))
  assert.deepEqual(scripts, ['/client/credentials.js', null, '/assets/index-Ck3vQ8xT.js'])
  assert.match(await ann.evaluate(() => document.documentElement.dataset.scheme), /^(light|dark)$/)
  await ann.getByRole('button', { name: 'New project' }).click()
  await ann.getByRole('link', { name: 'Another project' }).click()
  await ann.getByRole('button', { name: 'Add a node' }).click()
  await node(ann, 'graphnode_001').waitFor()
  const path = new URL(ann.url()).pathname
  const project = path.split('/')[2]

  // Bob is let in by Ann, and sees what she does, through whichever replica.
  const bob = await signIn(BOB, '/projects')
  assert.deepEqual(await ask(bob, `{ project(id: ${project}) { name } }`), { project: null })
  const { inviteCollaborator: { id } } = await ask(ann, `mutation {
    inviteCollaborator(input: { projectId: ${project}, email: "bob", role: "editor" }) { id } }`)
  await ask(bob, `mutation { acceptCollaboration(collaborationId: ${id}) { id } }`)
  await bob.goto(url + path)
  await node(bob, 'graphnode_001').waitFor()
  await bob.getByRole('button', { name: 'Add a node' }).click()
  await node(ann, 'graphnode_002').waitFor()
  const box = await node(ann, 'graphnode_001').boundingBox()
  await ann.mouse.move(box.x + 10, box.y + 10)
  await ann.mouse.down()
  await ann.mouse.move(box.x + 310, box.y + 210, { steps: 5 })
  await ann.mouse.up()
  const moved = await place(ann, 'graphnode_001')
  assert.equal(moved, 'translate(400px, 240px)')
  await bob.waitForFunction((want) => document.querySelector('[data-id=graphnode_001]').style.transform === want, moved)

  // Each sees the other's pointer, where it is, under the name of the account, which no client made up.
  const canvas = await ann.locator('.canvas').boundingBox()
  for (const [one, other, name] of [[ann, bob, 'Ann'], [bob, ann, 'Bob']]) {
    const isSeen = () => other.evaluate((who) => new Promise((resolve) => {
      requestAnimationFrame(() => resolve([...document.querySelectorAll('.cursor')].some((cursor) => (
        cursor.textContent === who && cursor.style.transform === 'translate(520px, 270px)'))))
    }), name)
    do { // the client leaves out places that come too soon after another
      await one.mouse.move(canvas.x + 420, canvas.y + 170)
      await one.mouse.move(canvas.x + 520, canvas.y + 270)
    } while (!await isSeen())
  }
  const replicas = execFileSync(PSQL, [DATABASE, '-AtXc', 'SELECT count(DISTINCT replica) FROM layercake.who'], { encoding: 'utf8' })
  assert.equal(replicas.trim(), '2', 'replicas have sockets of these people')

  // Our page lies beside it, with its own files, also those that it loads later, and its own addresses.
  const ours = await bob.context().newPage()
  const problems = []
  ours.on('console', (message) => problems.push(message.text()))
  ours.on('pageerror', (error) => problems.push(String(error)))
  await ours.goto(`${url}/app/projects/${project}`)
  await live(ours)
  await ours.locator('.card').nth(1).waitFor()
  const layout = readdirSync('dist/assets').find((name) => /^layout-.*\.js$/.test(name))
  const places = await ours.evaluate(async (script) => {
    const { layOut } = await import(script)
    const plan = { nodes: new Map([['a', { id: 'a', position: { x: 7, y: 7 }, metadata: { label: 'A', description: null } }]]), edges: new Map() }
    for (let tries = 1; ; tries++) { // a busy machine may take longer than people wait
      try {
        return [...await layOut(plan)]
      } catch (error) {
        if (tries === 3 || !error.message.includes('more than 10 seconds')) throw error
      }
    }
  }, `/app/assets/${layout}`)
  assert.deepEqual(places, [['a', { x: 0, y: 0 }]])
  await ours.getByRole('link', { name: 'All projects' }).click()
  await ours.waitForURL(`${url}/app/`)
  await ours.getByRole('link', { name: 'Another project' }).click()
  await ours.waitForURL(`${url}/app/projects/${project}`)
  await live(ours)
  // The ways to connect are below ours; what they lead to is not.
  await ours.keyboard.press('Control+k')
  await ours.keyboard.type('connect agents')
  await ours.keyboard.press('Enter')
  await ours.waitForURL(`${url}/app/connect?project=${project}`)
  await ours.getByRole('button', { name: 'Make a token' }).waitFor()
  const pasted = await ours.locator('[data-snippet=agents-other]').evaluate((code) => JSON.parse(code.textContent))
  assert.equal(pasted.mcpServers[`layercake-${project}`].url, `${url}/mcp?project=${project}`)
  await ours.getByRole('group', { name: 'A query', exact: true }).getByRole('button', { name: 'Try it' }).click()
  await ours.getByText('200 OK · The query').waitFor()
  await ours.getByRole('link', { name: 'All projects' }).click()
  await ours.waitForURL(`${url}/app/`)
  await ours.close()

  // What the policy allows and what it does not, in a page whose problems nobody counts.
  const tab = await ann.context().newPage()
  await tab.goto(`${url}/projects`)
  const outcome = (code) => tab.evaluate((name) => new Promise((resolve) => {
    const codes = {
      wasm: () => new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])).constructor.name,
      eval: () => (0, eval)('1'), // oxlint-disable-line no-eval -- the policy forbids it
      elsewhere: () => fetch('https://elsewhere.invalid/'),
      socket: () => new WebSocket('wss://elsewhere.invalid/').readyState,
    }
    // Later, since what a debugger does at once is allowed.
    setTimeout(async () => {
      try {
        resolve(await codes[name]())
      } catch (error) {
        resolve(error.name)
      }
    })
  }), code)
  const violations = () => tab.evaluate(() => globalThis.violations)
  await tab.evaluate(() => {
    globalThis.violations = []
    addEventListener('securitypolicyviolation', ({ effectiveDirective }) => globalThis.violations.push(effectiveDirective))
  })
  assert.equal(await outcome('wasm'), 'Module')
  assert.deepEqual(await violations(), [])
  assert.equal(await outcome('eval'), 'EvalError')
  assert.equal(await outcome('elsewhere'), 'TypeError')
  await outcome('socket')
  await tab.waitForFunction(() => globalThis.violations.length === 3)
  assert.deepEqual(await violations(), ['script-src', 'connect-src', 'connect-src'])

  // Signing out in one tab ends what another has open, and there is no page for it any more.
  await tab.goto(`${url}/login`)
  await tab.getByRole('button', { name: 'Sign out' }).click()
  await tab.getByRole('button', { name: 'Sign in' }).waitFor()
  await ann.waitForFunction(() => globalThis.closes.filter((close) => close.endsWith(' 4401')).length === 3)
  assert.equal(await ann.evaluate(() => globalThis.closes.filter((close) => close === 'graphql 4401').length), 1)
  assert.equal(await ask(ann, '{ projects { id } }'), 'UNAUTHENTICATED')
  await bob.locator('.cursor').filter({ hasText: 'Ann' }).waitFor({ state: 'detached' })
  await ann.reload()
  assert.equal(ann.url(), `${url}/login?return=${encodeURIComponent(path)}`)
  // Bob's session is another one.
  await bob.getByRole('button', { name: 'Add a node' }).click()
  await node(bob, 'graphnode_003').waitFor()

  // Nothing that the policy forbids was tried. Refused requests and sockets are said by the browser, and that a site is cleared.
  const bad = [...ann.problems, ...bob.problems, ...problems].filter((p) => !/^(info|verbose): /.test(p) && !/status of 40|response code: 401/.test(p) &&
    !p.startsWith('warning: The subscription ended'))
  assert.deepEqual(bad, [])
} finally {
  await browser.close()
}
