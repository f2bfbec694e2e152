// People sign in by an identity provider, in pages of two replicas: by the button, back to where they wanted to go, and by joining it to an account.
import assert from 'node:assert/strict'
import { launch, open } from './browser.mjs'

const [url, code, provider] = [process.env.URL, process.env.CODE, process.env.PROVIDER]
const host = new URL(provider).hostname
const password = 'correct horse 7 battery'
const browser = await launch()
try {
  // The page sends whoever is not signed in to where they do that; the provider back to where they wanted to go.
  const one = await open(browser, `${url}/?a=1`)
  assert.equal(new URL(one.url()).pathname, '/login')
  await one.getByRole('link', { name: `Sign in with ${host}` }).click()
  await one.waitForURL(`${url}/?a=1`)
  await one.getByRole('button', { name: 'Open the sample plan' }).waitFor()
  const [session] = (await one.context().cookies()).filter(({ name }) => name === 'layercake')
  assert.ok(session.httpOnly && session.sameSite === 'Lax')
  assert.equal(await one.evaluate(() => document.cookie), '')

  // A sign-in that another site leads to needs a click here.
  const led = await open(browser, 'data:text/html,<a id=a>go</a>')
  await led.evaluate((to) => { document.getElementById('a').href = to }, `${url}/oidc/login?return=/%3Fb=2`)
  await led.getByText('go').click()
  await led.waitForURL(`${url}/login?return=${encodeURIComponent('/?b=2')}`)

  // What fails is said, and leads back.
  const failed = await open(browser, `${url}/oidc/callback?state=x&iss=${encodeURIComponent(provider)}`)
  await failed.getByRole('alert').filter({ hasText: 'This sign-in is over' }).waitFor()
  await failed.getByRole('link', { name: 'Back to signing in' }).click()
  await failed.getByRole('button', { name: 'Sign in' }).waitFor()

  await fetch(`${provider}/become?sub=2`)
  // Somebody with a password joins single sign-on to the account, and proves it again for that.
  const two = await open(browser, `${url}/login`)
  await two.getByText('I have a code').click()
  await two.getByLabel('Code').fill(code)
  await two.locator('#code').getByLabel('New password').fill(password)
  await two.getByRole('button', { name: 'Set password' }).click()
  await two.waitForURL(`${url}/`)
  await two.goto(`${url}/login`)
  const join = two.locator('#join')
  await join.getByLabel('Current password').fill('wrong')
  await join.getByRole('button', { name: 'Join' }).click()
  await two.getByRole('alert').filter({ hasText: 'The current password is wrong' }).waitFor()
  await join.getByLabel('Current password').fill(password)
  await join.getByRole('button', { name: 'Join' }).click()
  await two.getByText('Single sign-on is joined to your account.').waitFor()
  await two.getByRole('link', { name: 'Go on' }).click()
  await two.getByRole('button', { name: 'Sign out' }).click()
  await two.getByRole('link', { name: `Sign in with ${host}` }).click()
  await two.waitForURL(`${url}/`)
  await two.goto(`${url}/login`)
  await two.getByText('You are signed in as Bob').waitFor()
  const bad = [...one.problems, ...two.problems].filter((p) => !/^(info|verbose): /.test(p) && !p.includes('status of 40'))
  assert.deepEqual(bad, [])
} finally {
  await browser.close()
}
