// The list of projects, by keyboard and by mouse, over two replicas: what one person does, the other sees.
import assert from 'node:assert/strict'
import { launch, live, name, open } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const one = await open(browser, url)
  const two = await open(browser, other)
  await two.clock.install() // so that the next question comes when the test says so
  await two.reload()

  // On an empty server the way in is large.
  for (const page of [one, two]) await page.getByText('No projects yet.').waitFor()
  const height = (button) => one.getByRole('button', { name: button }).evaluate((element) => element.offsetHeight)
  assert.ok(await height('Open the sample plan') > 1.5 * await height('Empty plan'))
  await shot(one, 'empty')

  // By keyboard: another name for oneself, and a project with a name.
  await one.keyboard.press('Tab')
  const own = one.locator('.own-name button')
  await focused(own)
  await one.keyboard.press('Enter')
  await one.keyboard.type('Bell')
  await one.keyboard.press('Escape')
  await focused(own)
  await one.keyboard.press('Enter')
  await one.keyboard.type('x'.repeat(101))
  await one.keyboard.press('Enter')
  await one.getByRole('alert').filter({ hasText: 'has 101 characters, more than 100' }).waitFor()
  await fits(one)
  await one.keyboard.press('ControlOrMeta+a')
  await one.keyboard.type('<i>Coral</i>')
  await one.keyboard.press('Enter')
  await one.getByRole('button', { name: '<i>Coral</i>' }).waitFor()
  await focused(own)
  assert.equal(await name(one), '<i>Coral</i>')
  for (let i = 0; i < 5; i++) await one.keyboard.press('Tab')
  await focused(one.getByLabel('or by name'))
  await one.keyboard.type('  ')
  await one.keyboard.press('Enter')
  await one.getByRole('alert').filter({ hasText: 'Project name cannot be empty' }).waitFor()
  await one.keyboard.type('First')
  await one.keyboard.press('Enter')
  await one.waitForURL(/\/projects\/\d+$/)
  await live(one)
  const first = Number(new URL(one.url()).pathname.split('/')[2])

  // The other sees it with the next question, and who is in it, and who changed it.
  await two.clock.fastForward(10_000)
  await row(two, 'First').getByText('1 person is in it').waitFor()
  await row(two, 'First').getByRole('button', { name: 'Delete' }).click()
  await two.getByRole('dialog').getByText('1 person is in it now.').waitFor()
  await two.getByRole('button', { name: 'Cancel' }).click()
  await row(two, 'First').getByText('Created just now, not changed yet').waitFor()
  const node = { id: 'one', nodeType: 'GraphNode', position: { x: 1, y: 2 }, metadata: { label: 'One', description: null }, config: '{}' }
  await post('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }',
    { id: first, edits: [{ addNode: node }] }, { 'x-layercake-name': encodeURIComponent('<b>Azure</b>') })
  await two.clock.fastForward(10_000)
  await row(two, 'First').getByText('Version 1').waitFor()
  await row(two, 'First').getByText('by <b>Azure</b>').waitFor()
  await row(two, 'First').getByText('1 change in the last hour').waitFor()
  assert.match(await row(two, 'First').locator('time').getAttribute('title'), /20\d\d at \d+:\d\d:\d\d/)

  // Nothing is asked while the window is hidden; when it is shown, at once.
  await hide(two, true)
  const asked = () => two.requests.filter((request) => request.endsWith('/graphql')).length
  const before = asked()
  await create('Meanwhile')
  await two.clock.fastForward(60_000)
  await hide(two, false)
  await row(two, 'Meanwhile').waitFor()
  assert.equal(asked(), before + 1)
  assert.deepEqual(await names(two), ['Meanwhile', 'First'])

  // A new name, while somebody else describes the project: neither is lost.
  await row(two, 'First').getByRole('button', { name: 'Rename' }).focus()
  await two.keyboard.press('Enter')
  await focused(two.getByRole('dialog').getByLabel('Name', { exact: true }))
  await post('mutation ($id: Int!) { updateProject(id: $id, input: { name: "First", description: "Of all" }) { id } }', { id: first })
  await two.clock.fastForward(10_000)
  await two.waitForFunction(() => document.querySelector('dialog textarea').value === 'Of all')
  await two.keyboard.press('ControlOrMeta+a')
  await two.keyboard.type(' ')
  await two.keyboard.press('Enter')
  await two.getByRole('dialog').getByRole('alert').filter({ hasText: 'Project name cannot be empty' }).waitFor()
  await two.keyboard.press('ControlOrMeta+a')
  await two.keyboard.type('Second')
  await two.keyboard.press('Enter')
  await row(two, 'Second').getByText('Of all').waitFor()
  await focused(row(two, 'Second').getByRole('button', { name: 'Rename' }))
  await two.keyboard.press('Enter')
  await two.keyboard.type('Not this')
  await two.keyboard.press('Escape')
  await two.getByRole('dialog').waitFor({ state: 'detached' })
  await focused(row(two, 'Second').getByRole('button', { name: 'Rename' }))
  await one.getByRole('link', { name: 'All projects' }).press('Enter')
  await row(one, 'Second').getByText('Of all').waitFor()
  await row(one, 'Second').getByRole('button', { name: 'Rename' }).click()
  await one.getByLabel('Description').fill('Seen by both')
  await one.getByRole('button', { name: 'Save' }).click()
  await row(one, 'Second').getByText('Seen by both').waitFor()

  // Names that bite are texts, and fit into a narrow window.
  const biting = ['<img src=x onerror=alert(1)>', 'W'.repeat(100), 'תוכנית (שלום) 3', '👩‍👩‍👧🏳️‍🌈'.repeat(8), '&amp; "quoted" \\ {{x}}']
  for (const each of biting) await create(each, 'W'.repeat(200))
  await one.reload()
  for (const each of biting) await row(one, each).waitFor()
  await shot(one, 'names')
  await fits(one)
  await row(one, 'W'.repeat(100)).getByRole('button', { name: 'Delete' }).click()
  await one.getByRole('dialog').waitFor()
  await fits(one)
  await shot(one, 'dialog')
  await one.getByRole('button', { name: 'Cancel' }).click()

  // More than a page.
  for (let i = 1; i <= 60; i++) await create(`Many ${i}`)
  await two.clock.fastForward(10_000)
  await row(two, 'Many 60').waitFor()
  assert.equal((await names(two)).length, 50)
  await two.getByRole('button', { name: 'Show more' }).press('Enter')
  await focused(row(two, 'Many 11').getByRole('link'))
  await row(two, 'Second').waitFor()
  assert.equal(new Set(await names(two)).size, 67)
  assert.equal(await two.getByRole('button', { name: 'Show more' }).count(), 0)

  // A search finds names and descriptions. The answer of an older one is dropped.
  await one.getByLabel('Search').fill('SEEN')
  await one.waitForFunction(() => document.querySelectorAll('.project').length === 1)
  await row(one, 'Second').waitFor()
  await one.getByRole('status').filter({ hasText: '1 project found' }).waitFor()
  let held
  const isHeld = new Promise((resolve) => { held = resolve })
  await one.route('**/graphql', (route) => (route.request().postDataJSON().variables.search === 'many' ? held(route) : route.continue()))
  await one.getByLabel('Search').fill('many')
  const older = await isHeld
  await one.getByLabel('Search').fill('many 7')
  await row(one, 'Many 7').waitFor()
  const [answer] = await Promise.all([one.waitForResponse((response) => response.request() === older.request()), older.continue()])
  await answer.finished()
  await one.evaluate(() => new Promise((drawn) => { requestAnimationFrame(() => requestAnimationFrame(drawn)) }))
  assert.deepEqual(await names(one), ['Many 7'])
  await one.unroute('**/graphql')
  await one.getByLabel('Search').fill('<nothing>')
  await one.getByText('No project has “<nothing>” in its name or description.').waitFor()
  await one.getByLabel('Search').fill('x'.repeat(101))
  await one.getByRole('alert').filter({ hasText: 'Search is too long' }).waitFor()
  await one.getByLabel('Search').fill('')
  await row(one, 'Many 60').waitFor()
  await one.waitForFunction(() => document.querySelector('.list > [role=alert]').textContent === '')

  // A failure leaves what is there, says so, and passes.
  await two.route('**/graphql', (route) => route.abort())
  await two.clock.fastForward(10_000)
  await two.getByRole('alert').filter({ hasText: 'The server cannot be reached. Trying again.' }).waitFor()
  assert.equal((await names(two)).length, 67)
  await row(two, 'Many 3').getByRole('button', { name: 'Rename' }).click()
  await two.getByRole('button', { name: 'Save' }).click()
  await two.getByRole('dialog').getByRole('alert').filter({ hasText: 'The server cannot be reached' }).waitFor()
  await two.unroute('**/graphql')
  await two.getByRole('button', { name: 'Save' }).click()
  await two.getByRole('dialog').waitFor({ state: 'detached' })
  await two.waitForFunction(() => document.querySelector('.list > [role=alert]').textContent === '')

  // To delete one types the name.
  await row(one, 'Many 60').getByRole('button', { name: 'Delete' }).press('Enter')
  const typed = one.getByLabel('Its name')
  await focused(typed)
  await one.keyboard.type('many 60')
  await one.keyboard.press('Enter')
  await one.getByText('This is not its name').waitFor()
  await one.keyboard.press('ControlOrMeta+a')
  await one.keyboard.type('Many 60')
  await one.keyboard.press('Enter')
  await one.getByRole('status').filter({ hasText: '“Many 60” is deleted.' }).waitFor()
  await row(one, 'Many 60').waitFor({ state: 'detached' })
  await focused(one.getByRole('heading', { name: 'Projects' }))
  await two.clock.fastForward(10_000)
  await row(two, 'Many 60').waitFor({ state: 'detached' })

  // What somebody else deleted meanwhile goes with a sentence, whatever was to be done with it.
  for (const [at, button, label, text] of [[59, 'Rename', 'Name', 'Another'], [58, 'Delete', 'Its name', 'Many 58']]) {
    await row(one, `Many ${at}`).getByRole('button', { name: button }).click()
    await one.getByRole('dialog').getByLabel(label, { exact: true }).fill(text)
    await post('mutation ($id: ID!) { deleteProject(id: $id) }', { id: await idOf(one, `Many ${at}`) })
    await one.getByRole('dialog').locator('button.main').click()
    await one.getByRole('status').filter({ hasText: `“Many ${at}” was already deleted by somebody else.` }).waitFor()
    await row(one, `Many ${at}`).waitFor({ state: 'detached' })
  }
  await shot(one, 'list')

  assert.deepEqual(one.problems.filter((problem) => !/status of 400/.test(problem)), [])
  assert.deepEqual(two.problems.filter((problem) => !/ERR_FAILED|status of 400/.test(problem)), [])
  for (const page of [one, two]) {
    const paths = new Set(page.requests.map((request) => new URL(request)).map(({ origin, pathname }) => {
      assert.ok([url, other].includes(origin), origin)
      return pathname.replace(/^(\/assets)\/.*/, '$1')
    }))
    assert.deepEqual([...paths].filter((seen) => !['/', '/assets', '/graphql', '/icon.svg'].includes(seen)), [])
  }
} finally {
  await browser.close()
}

/** The row of a project. */
function row(page, of) {
  return page.locator('.project').filter({ has: page.getByRole('link', { name: of, exact: true }) })
}

/** The names that are shown, from the top. */
function names(page) {
  return page.locator('.project a').allTextContents()
}

async function idOf(page, of) {
  return (await row(page, of).getByRole('link').getAttribute('href')).split('/').at(-1)
}

/** Waits until an element has the focus. */
async function focused(locator) {
  await locator.and(locator.page().locator(':focus')).waitFor()
}

/** Hides a window from its person, or shows it again. */
function hide(page, hidden) {
  return page.evaluate((now) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: now })
    document.dispatchEvent(new Event('visibilitychange'))
  }, hidden)
}

/** Nothing reaches beyond the edge of a narrow window. */
async function fits(page) {
  const size = page.viewportSize()
  await page.setViewportSize({ width: 320, height: 640 })
  const beyond = await page.evaluate(() => [...document.querySelectorAll('#root *')].filter((element) => {
    const { left, right } = element.getBoundingClientRect()
    return left < 0 || right > 320
  }).map((element) => element.outerHTML.slice(0, 200)))
  await shot(page, `narrow-${await page.locator('dialog, .own-name input').count() > 0 ? 'form' : 'list'}`)
  await page.setViewportSize(size)
  assert.deepEqual(beyond, [])
}

/** Leaves pictures of a page, light and dark, where they are wanted. */
async function shot(page, as) {
  if (!process.env.SHOTS) return
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: `${process.env.SHOTS}/${as}-${colorScheme}.png` })
  }
}

function create(called, description) {
  return post('mutation ($input: CreateProjectInput!) { createProject(input: $input) { id } }', { input: { name: called, description } })
}

/** Does something without a page. */
async function post(query, variables, headers = {}) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ query, variables }),
  })
  assert.equal((await response.json()).errors, undefined)
}
