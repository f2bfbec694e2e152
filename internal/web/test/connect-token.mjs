// The ways to connect where everybody signs in: a token that is made on the page stands in every paste, and may no more than was chosen.
import assert from 'node:assert/strict'
import { launch, open, violations } from './browser.mjs'
import { ask, byAddress, byProgram, snippet, toolsOf, workplace } from './paste.mjs'

const [url, other, code] = [process.env.URL, process.env.OTHER_URL, process.env.CODE]
const browser = await launch()
const place = workplace()
try {
  // Whoever is not signed in does that first, and comes back.
  const page = await open(browser, `${url}/connect`)
  assert.equal(new URL(page.url()).pathname, '/login')
  await page.getByText('I have a code').click()
  await page.getByLabel('Code').fill(code)
  await page.locator('#code').getByLabel('New password').fill('correct horse 7 battery')
  await page.getByRole('button', { name: 'Set password' }).click()
  await page.waitForURL(`${url}/connect`)
  await page.getByRole('button', { name: 'Make a token' }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'GraphiQL' }).count(), 0)

  // Before there is a token, pastes have what stands for it, and what is tried is tried as oneself.
  assert.match(await snippet(page, 'agents-cursor'), /"Authorization": "Bearer YOUR_TOKEN"/)
  assert.match((await place.shell(await snippet(page, 'graphql-query'))).stdout, /UNAUTHENTICATED/)
  const box = (title) => page.getByRole('group', { name: title, exact: true })
  const answer = (title, words) => box(title).locator('.answers').getByText(words).first().waitFor()
  const attempt = (title) => box(title).getByRole('button', { name: 'Try it' }).click()
  await attempt('A query')
  await answer('A query', '200 OK · The query')

  // What the server does not take is said.
  await page.getByLabel('Name', { exact: true }).fill('‮')
  await page.getByRole('button', { name: 'Make a token' }).click()
  await page.locator('.token [role=alert]:not(:empty)').waitFor()

  // One that reads: it stands in each paste, and reads only, also where the address would let it do more.
  await page.getByLabel('Read only').check()
  await page.getByLabel('Name', { exact: true }).fill(`O'Brien "R2" <b>`)
  await page.getByLabel('Days').fill('1')
  await page.getByText('The next one reads only, in all your projects').waitFor()
  await page.getByRole('button', { name: 'Make a token' }).click()
  await page.getByText('This token reads only, in all your projects, until').waitFor()
  const reading = await snippet(page, 'token')
  assert.match(reading, /^lc_\w+/)
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    assert.deepEqual(await violations(page), [], colorScheme)
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/connect-token-${colorScheme}.png` })
  }
  assert.match((await place.shell(await snippet(page, 'graphql-query'))).stdout, /"projectList"/)
  assert.match((await place.shell(await snippet(page, 'graphql-mutation'))).stdout, /FORBIDDEN/)
  const other1 = Object.values(JSON.parse(await snippet(page, 'agents-other')).mcpServers)[0]
  assert.match(other1.url, /\?read_only=true$/)
  await byAddress(other1.url, other1.headers, async (client) => assert.ok(!(await toolsOf(client)).includes('create_project')))
  await byAddress(`${other}/mcp`, other1.headers, async (client) => {
    const { isError, content } = await client.callTool({ name: 'create_project', arguments: { name: 'No' } })
    assert.ok(isError, JSON.stringify(content))
  })
  await attempt('A query')
  await answer('A query', '200 OK · The query')

  // Another choice is not what this token may: another one is made, and that changes.
  await page.getByLabel('Read only').uncheck()
  await page.getByText('What is chosen above is not what this token may.').waitFor()
  await page.getByRole('button', { name: 'Make another' }).click()
  await page.getByRole('button', { name: 'Make a token' }).click()
  await page.getByText('This token reads, changes and runs').waitFor()
  assert.notEqual(await snippet(page, 'token'), reading)
  const made = JSON.parse((await place.shell(await snippet(page, 'graphql-mutation'))).stdout)
  const project = made.data.createProject.id
  await page.reload()
  await page.getByRole('combobox', { name: 'Project' }).selectOption({ value: String(project) })
  await page.getByText(`in project ${project} only`).waitFor()
  assert.equal(await page.locator('[data-snippet=token]').count(), 0, 'a token is shown after a reload')
  await page.getByRole('button', { name: 'Make a token' }).click()
  await page.getByText(`This token reads, changes and runs, in project ${project} only`).waitFor()
  const secret = await snippet(page, 'token')
  const authorization = { authorization: `Bearer ${secret}` }
  const edit = () => ask(other, 'mutation ($project: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $project, edits: $edits) { version } }', {
    project, edits: [{ moveNodes: [{ nodeId: 'one', position: { x: Math.random(), y: 0 } }] }],
  }, authorization)
  await ask(url, 'mutation ($project: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $project, edits: $edits) { version } }', {
    project, edits: [{ addNode: { id: 'one', nodeType: 'GraphNode', position: { x: 0, y: 0 }, metadata: { label: 'One' }, config: '{}' } }],
  }, authorization)

  // Every way in has it.
  await place.shell(await snippet(page, 'client-install'))
  place.file('ask.mjs', await snippet(page, 'client-use'))
  assert.match((await place.shell('node ask.mjs')).stdout, /By a program/)
  place.file('follow.mjs', await snippet(page, 'graphql-subscription'))
  assert.match(await place.follow('node follow.mjs', edit), /"NODE_UPDATED"/)
  assert.match(await place.follow(await snippet(page, 'terminal-watch'), edit), /"NODE_UPDATED"/)
  assert.match((await place.shell(await snippet(page, 'terminal-history'))).stdout, /VERSION/)
  await place.shell(await snippet(page, 'schema'))
  const program = Object.values(JSON.parse(await snippet(page, 'agents-claude-desktop')).mcpServers)[0]
  await byProgram(program, place, async (client) => assert.ok((await toolsOf(client)).includes('edit_plan')))
  const listed = JSON.parse((await place.shell(await snippet(page, 'agents-inspector'))).stdout)
  assert.ok(listed.tools.some(({ name }) => name === 'edit_plan'))
  await page.locator('summary', { hasText: 'Any other client' }).click()
  for (const [title, words] of [['Any other client', '200 OK · tools/list'], ['Ask something', 'Connected · The module'], ['The schema', '200 OK · The schema']]) {
    await attempt(title)
    await answer(title, words)
  }

  // Ended here, it is nothing anywhere.
  await page.getByRole('button', { name: 'End it' }).click()
  await page.getByRole('button', { name: 'Make a token' }).waitFor()
  await assert.rejects(ask(other, '{ projects { id } }', {}, authorization), /UNAUTHENTICATED/)
  assert.match(await snippet(page, 'agents-cursor'), /YOUR_TOKEN/)

  // Who signed out elsewhere is told, with the way back.
  const tab = await page.context().newPage()
  await tab.goto(`${url}/login`)
  await tab.getByRole('button', { name: 'Sign out' }).click()
  await tab.getByRole('button', { name: 'Sign in' }).waitFor()
  await page.getByRole('button', { name: 'Make a token' }).click()
  await page.getByText('You are not signed in.').waitFor()
  assert.equal(await page.getByRole('link', { name: 'Sign in' }).getAttribute('href'), `/login?return=${encodeURIComponent(`/connect?project=${project}`)}`)

  const bad = page.problems.filter((problem) => !/^(info|verbose): /.test(problem) && !/status of 40/.test(problem))
  assert.deepEqual(bad, [])
} finally {
  await browser.close()
  place.remove()
}
