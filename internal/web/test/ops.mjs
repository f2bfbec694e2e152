// The page for operators, over two replicas: what is shown, what buttons do, and what is said when a replica or the database is away.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { launch, live, open } from './browser.mjs'

const { URL: url, ADMIN: admin, OTHER_URL: other, OTHER_PID: otherPid, PSQL, DATABASE, AXE } = process.env
const address = (of) => new globalThis.URL(of).host
const browser = await launch()
try {
  const visitor = await open(browser, url)
  await visitor.getByRole('button', { name: 'Open the sample plan' }).click()
  await live(visitor)

  const page = await open(browser, `${admin}/ops`)
  await page.getByRole('heading', { name: 'Operations' }).waitFor()
  for (const each of [url, other]) await row(page, 'replicas', address(each)).getByText('live', { exact: true }).waitFor()
  await row(page, 'who', await nameOf(visitor)).waitFor()
  await shot(page, 'ops')
  assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

/** The row of a table that has a text. */
function row(page, view, text) {
  return page.locator(`#${view} tbody tr`).filter({ hasText: text })
}

function nameOf(page) {
  return page.evaluate(() => localStorage.getItem('layercake-name'))
}

/** Leaves pictures of a page, light and dark, where they are wanted. */
async function shot(page, as) {
  if (!process.env.SHOTS) return
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: `${process.env.SHOTS}/${as}-${colorScheme}.png`, fullPage: true })
  }
}
