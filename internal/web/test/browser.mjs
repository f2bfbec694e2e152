// A browser for tests, whose pages keep what went wrong in them.
import { chromium } from 'playwright-core'

/** Starts Debian's Chromium. Without it the process ends with status 3. */
export async function launch() {
  const executablePath = process.env.CHROMIUM
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  })
}

/** Opens a page in a profile of its own. Its problems are what it says on the console as an error or a warning. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 }, ...options })
  const page = await context.newPage()
  page.problems = []
  page.requests = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.problems.push(`${message.type()}: ${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => page.problems.push(String(error.stack ?? error)))
  page.on('request', (request) => page.requests.push(request.url()))
  await page.goto(url)
  return page
}
