// Everybody signs in here: by an operator's code, by a password, and out again, in pages of two replicas.
import assert from 'node:assert/strict'
import { cards, drag, drawnAs, launch, live, open, settled } from './browser.mjs'

const [url, other, code] = [process.env.URL, process.env.OTHER_URL, process.env.CODE]
const password = 'correct horse 7 battery'
const browser = await launch()
try {
  // The page sends whoever is not signed in to where they do that, and back to where they wanted to go.
  const one = await open(browser, `${url}/?a=1`)
  assert.equal(new URL(one.url()).pathname, '/login')
  await one.getByText('I have a code').click()
  await one.getByLabel('Code').fill('lcc_wrong')
  await one.locator('#code').getByLabel('New password').fill(password)
  await one.getByRole('button', { name: 'Set password' }).click()
  await one.getByRole('alert').filter({ hasText: 'The code is not valid' }).waitFor()
  await one.getByLabel('Code').fill(` ${code} `)
  await one.getByRole('button', { name: 'Set password' }).click()
  await one.waitForURL(`${url}/?a=1`)
  const cookies = await one.context().cookies()
  const [session] = cookies.filter(({ name }) => name === 'layercake')
  assert.ok(session.httpOnly && session.sameSite === 'Lax' && session.name.length + session.value.length < 200)
  assert.equal(await one.evaluate(() => document.cookie), '')
  await one.getByText('You are Ann').waitFor()
  await one.getByRole('button', { name: 'Open the sample plan' }).click()
  await live(one)
  const path = new URL(one.url()).pathname

  // On another replica, by the password; a wrong one says so.
  const two = await open(browser, other + path)
  const field = two.getByLabel('Password', { exact: true })
  assert.deepEqual(await field.evaluate((e) => [e.type, e.autocomplete]), ['password', 'current-password'])
  await two.getByLabel('E-mail or user name').fill('ann')
  await field.fill('wrong')
  await two.getByRole('button', { name: 'Sign in' }).click()
  await two.getByRole('alert').filter({ hasText: 'Invalid email or password' }).waitFor()
  await field.fill(password)
  await two.keyboard.press('Enter')
  await two.waitForURL(other + path)
  await live(two)
  await cards(one, 8)
  await cards(two, 8)
  const node = await one.locator('[data-id]').first().evaluate((card) => card.dataset.id)
  await drag(one, node, 90, 60)
  await settled(one)
  await drawnAs(two, node, one)

  // Where the page leads afterwards is never elsewhere.
  for (const wanted of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)', '\t//evil.example', '/%09/evil.example', 'x']) {
    await one.goto(`${url}/login?return=${encodeURIComponent(wanted)}`)
    await one.getByText('You are signed in as Ann').waitFor()
    const href = await one.locator('#onward').evaluate((a) => a.href)
    assert.equal(new URL(href).origin, url, `${wanted} leads to ${href}`)
  }
  // A name is text.
  assert.equal(await one.locator('#name').evaluate((e) => e.children.length), 0)

  // Signing out in one tab ends what another tab of the browser has open.
  const tab = await one.context().newPage()
  await tab.goto(url + path)
  await live(tab)
  await one.getByRole('button', { name: 'Sign out' }).click()
  await one.getByRole('button', { name: 'Sign in' }).waitFor()
  assert.deepEqual((await one.context().cookies()).filter(({ name }) => name === 'layercake'), [])
  await tab.locator('.status:not([data-state=live])').waitFor()
  await tab.reload()
  assert.equal(new URL(tab.url()).pathname, '/login')
  // The other person's session is another one.
  await drag(two, node, 30, 10)
  await settled(two)
  // Refused requests are said by the browser, and that the site is cleared.
  const bad = [...one.problems, ...two.problems].filter((p) => !/^(info|verbose): /.test(p) && !p.includes('status of 40'))
  assert.deepEqual(bad, [])
} finally {
  await browser.close()
}
