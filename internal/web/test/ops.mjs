// The page for operators, over two replicas: what is shown, what buttons do, and what is said when a replica or the database is away.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { launch, live, name, open } from './browser.mjs'

const { URL: url, ADMIN: admin, OTHER_URL: other, OTHER_PID: otherPid, PSQL, DATABASE } = process.env
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const addressOf = (of) => new globalThis.URL(of).host
const [here, there] = [addressOf(url), addressOf(other)]
const browser = await launch()
try {
  const visitor = await open(browser, url)
  await visitor.getByRole('button', { name: 'Open the sample plan' }).click()
  await live(visitor)
  const away = await open(browser, other + new globalThis.URL(visitor.url()).pathname)
  await live(away)

  // Both replicas, who is where, and the statements.
  const page = await open(browser, `${admin}/ops`)
  await page.getByRole('heading', { name: 'Operations' }).waitFor()
  for (const address of [here, there]) await row(page, 'replicas', address).getByText('live', { exact: true }).waitFor()
  for (const each of [visitor, away]) await row(page, 'who', await name(each)).waitFor()
  await row(page, 'projects_live', 'Sample plan').waitFor()
  await page.locator('#replicas').getByText('2 rows').waitFor()
  await page.locator('#who').getByText('SELECT * FROM layercake.who v ORDER BY joined_at DESC LIMIT 200;').waitFor()
  await shot(page, 'ops')
  await accessible(page)
  await fits(page, 'page')

  // A filter is the database's, and stands in the statement. A column sorts.
  const filter = page.getByLabel('Filter: Who is where')
  await filter.fill(`${(await name(away)).toUpperCase()}'`)
  await page.locator('#who code').filter({ hasText: "OTTER''')) > 0 ORDER BY" }).waitFor()
  await page.locator('#who').getByText('No rows.').waitFor()
  await filter.fill((await name(away)).toUpperCase())
  await row(page, 'who', await name(visitor)).waitFor({ state: 'detached' })
  await row(page, 'who', await name(away)).waitFor()
  await filter.fill('')
  await row(page, 'who', await name(visitor)).waitFor()
  const sort = page.locator('#who').getByRole('button', { name: 'user_name' })
  for (const [direction, order] of [['ascending', 1], ['descending', -1]]) {
    await sort.focus()
    await page.keyboard.press('Enter')
    await page.locator(`#who th[aria-sort=${direction}]`).waitFor()
    const names = [await name(visitor), await name(away)].toSorted((a, b) => order * a.localeCompare(b))
    await page.waitForFunction((want) => [...document.querySelectorAll('#who tbody tr')].every((tr, i) => tr.textContent.includes(want[i])), names)
  }
  const copy = page.getByRole('button', { name: 'Copy the SQL of Builds' })
  await copy.click()
  await page.locator('#builds .sql [role=status]').filter({ hasText: /Copied|selected/ }).waitFor()

  // One replica is drained by the keyboard, and comes back. What became of the command is told, with who asked from where.
  await button(page, 'Drain', there).focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('heading', { name: `Drain: ${there}` }).waitFor()
  await dialog.getByLabel('spread').fill('soon')
  await page.keyboard.press('Enter')
  await dialog.getByRole('alert').filter({ hasText: 'invalid input syntax for type interval: "soon" (SQLSTATE 22007)' }).waitFor()
  await dialog.getByLabel('spread').fill('100 ms')
  const id = ask('SELECT replica FROM layercake.replicas WHERE address = :\'address\'', there)
  assert.equal(await dialog.locator('code').textContent(), `SELECT layercake.drain(replica => '${id}', spread => '100 ms');`)
  await shot(page, 'drain')
  await accessible(page)
  await fits(page, 'dialog')
  await page.keyboard.press('Enter')
  await dialog.waitFor({ state: 'detached' })
  await row(page, 'replicas', there).getByText('draining', { exact: true }).waitFor()
  await page.locator('.issued').getByText(`was acted on after`).getByText(`by ${there}`).waitFor()
  await row(page, 'commands', 'drain').getByText('127.0.0.1', { exact: true }).waitFor()
  await focused(page.locator('h2').filter({ hasText: 'Replicas' }))

  // What a filter hides is neither gone nor away.
  await page.getByLabel('Filter: Replicas').fill(there)
  await row(page, 'replicas', here).waitFor({ state: 'detached' })
  assert.equal(await page.locator('.gone li').count(), 0)
  await page.getByLabel('Filter: Replicas').fill('')

  // The last one that is live is not drained by one press, and PostgreSQL's warning is shown.
  await button(page, 'Drain', here).click()
  await dialog.locator('button.main').click()
  await dialog.getByRole('alert').filter({ hasText: 'No other replica is live' }).waitFor()
  assert.equal(ask('SELECT count(*) FROM layercake.commands'), '1')
  await shot(page, 'last')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  await focused(button(page, 'Drain', here))
  await button(page, 'Drain', here).click()
  await dialog.getByLabel('spread').fill('1 hour')
  await dialog.locator('button.main').click()
  await dialog.locator('button.main').filter({ hasText: 'Yes, all the same' }).click()
  await page.locator('.issued').getByText('WARNING: No other replica takes sockets').waitFor()
  await shot(page, 'issued')
  for (const address of [here, there]) {
    await button(page, 'Undrain', address).click()
    await dialog.locator('button.main').click()
    await row(page, 'replicas', address).getByText('live', { exact: true }).waitFor()
  }

  // Somebody is disconnected, and told why.
  await live(visitor)
  await row(page, 'who', await name(visitor)).waitFor()
  await button(page, 'Kick', await name(visitor)).click()
  await dialog.getByLabel('reason').focus()
  await page.keyboard.insertText('x'.repeat(1_100))
  assert.equal((await dialog.getByLabel('reason').inputValue()).length, 1_000) // the database has no room for more
  await dialog.getByLabel('reason').fill("It's late")
  await dialog.getByText("reason => 'It''s late');").waitFor()
  await dialog.locator('button.main').click()
  await visitor.getByText("It's late").first().waitFor()
  await row(page, 'who', await name(visitor)).waitFor({ state: 'detached' })
  await shot(visitor, 'kicked')

  // What is not there any more is refused in PostgreSQL's words.
  await page.getByRole('button', { name: 'Disable an account' }).click()
  await dialog.getByLabel('account').fill('nobody')
  await dialog.locator('button.main').click()
  await dialog.getByRole('alert').filter({ hasText: 'There is no account "nobody" (SQLSTATE P0002). Give its id or its user name' }).waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()

  // Without the rights there are no buttons, but a statement that gives them.
  await page.route('**/ops/api/all*', async (route) => {
    const response = await route.fetch({ headers: { ...route.request().headers(), 'sec-fetch-site': 'same-origin' } }) // what a browser adds later
    await route.fulfill({ response, json: { ...await response.json(), may: ['kick'] } })
  })
  await page.getByText('The role of this replica may not call drain, undrain, kick_user, cancel_build, end_sessions, disable_user, enable_user').waitFor()
  await page.getByText(/^SELECT layercake\.grant_operator\('\w+'\);$/).waitFor()
  assert.equal(await page.getByRole('button', { name: /^(Drain|Undrain|Kick user|Disable)/ }).count(), 0)
  await button(page, 'Kick', await name(away)).waitFor()
  await shot(page, 'rights')
  await page.unroute('**/ops/api/all*')
  await button(page, 'Drain', here).waitFor()

  // Nothing is asked while the window is hidden; when it is shown, at once.
  const asked = () => page.requests.filter((request) => request.includes('/ops/api/')).length
  await page.clock.install()
  await page.reload()
  await row(page, 'replicas', here).waitFor()
  await page.clock.runFor(2_000)
  await page.waitForFunction(() => true)
  await hide(page, true)
  const before = asked()
  await page.clock.runFor(60_000)
  assert.equal(asked(), before)
  await Promise.all([page.waitForRequest(/\/ops\/api\/all/), hide(page, false)])
  await page.clock.resume()

  // A replica that was killed is gone.
  process.kill(Number(otherPid), 'SIGKILL')
  ask("UPDATE replicas SET renewed_at = now() - interval '2 s', expires_at = now() - interval '1 s' WHERE address = :'address' RETURNING 1", there)
  await row(page, 'replicas', there).waitFor({ state: 'detached' })
  await page.locator('.gone').getByText(`The replica at ${there} is gone since`).waitFor()
  await shot(page, 'gone')

  // The database does not let a view be read: the figures are old, and say so. Then nobody answers at all.
  const locked = 'ALTER VIEW layercake.health RENAME TO gone'
  ask(locked)
  await page.getByRole('alert').filter({ hasText: /^Since .*relation "layercake.health" does not exist \(SQLSTATE 42P01\).*What is below is old, as of / }).waitFor()
  await page.locator('#replicas.old').getByText(', as of').waitFor()
  await shot(page, 'old')
  await accessible(page)
  ask('ALTER VIEW layercake.gone RENAME TO health')
  await page.locator('#replicas.old').waitFor({ state: 'detached' })
  await page.route('**/ops/api/**', (route) => route.abort())
  await page.getByRole('alert').filter({ hasText: 'This replica does not answer' }).waitFor()
  await page.unroute('**/ops/api/**')
  await page.locator('#replicas.old').waitFor({ state: 'detached' })

  // Browsers complain of what is refused, and of what was cut off; nothing else went wrong.
  assert.deepEqual(page.problems.filter((problem) => !/status of (400|500)|ERR_FAILED/.test(problem)), [])
  for (const request of page.requests) assert.ok(request.startsWith(`${admin}/ops`), request)
} finally {
  await browser.close()
}

/** The row of a table that has a text. */
function row(page, view, text) {
  return page.locator(`#${view} tbody tr`).filter({ hasText: text })
}

function button(page, label, of) {
  return page.getByRole('button', { name: `${label}: ${of}`, exact: true })
}

/** Waits until an element has the focus. */
async function focused(locator) {
  await locator.and(locator.page().locator(':focus')).waitFor()
}

/** Asks the database; a statement may name an address. */
function ask(sql, address = '') {
  return execFileSync(PSQL, [DATABASE, '-qXAtv', 'ON_ERROR_STOP=1', '-v', `address=${address}`, '-f', '-'], { input: sql, encoding: 'utf8' }).trim()
}

/** Hides a window from its person, or shows it again. */
function hide(page, hidden) {
  return page.evaluate((now) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: now })
    document.dispatchEvent(new Event('visibilitychange'))
  }, hidden)
}

/** Looks at the page with axe, in the dark and in the light. */
async function accessible(page) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.evaluate(axe) // by the debugger, which no policy binds
    const violations = await page.evaluate(async () => {
      const { violations: found } = await globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
      return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 150)).join(' | ')}`)
    })
    assert.deepEqual(violations, [], colorScheme)
  }
}

/** A narrow window shows everything; only tables scroll, by themselves. */
async function fits(page, as) {
  const size = page.viewportSize()
  await page.setViewportSize({ width: 320, height: 640 })
  const beyond = await page.evaluate(() => [...document.querySelectorAll('#root *')].filter((element) => {
    const { left, right } = element.getBoundingClientRect()
    return !element.closest('.table table') && (left < 0 || right > 320)
  }).map((element) => element.outerHTML.slice(0, 200)))
  await shot(page, `narrow-${as}`)
  await page.setViewportSize(size)
  assert.deepEqual(beyond, [])
}

/** Leaves pictures of a page, light and dark, where they are wanted. */
async function shot(page, as) {
  if (!process.env.SHOTS) return
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: `${process.env.SHOTS}/${as}-${colorScheme}.png`, fullPage: !as.startsWith('narrow') })
  }
}
