// The ways to connect to an open server: what the page says to paste is run as it stands there, and what it tries itself shows an answer.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { launch, live, open, violations } from './browser.mjs'
import { ask, byAddress, byProgram, headersIn, snippet, toolsOf, workplace } from './paste.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const bites = `O'Reilly "7" <b>$(id) \`x\` ‘z’ שלום 👩‍👩‍👧`
const create = async (name) => (await ask(url, 'mutation ($name: String!) { createProject(input: { name: $name }) { id } }', { name })).createProject.id
await create('First')
const project = await create(bites)
const node = (id) => ({ addNode: { id, nodeType: 'GraphNode', position: { x: 1, y: 2 }, metadata: { label: `Node ${id}` }, config: '{}' } })
const edit = (...edits) => ask(other, 'mutation ($project: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $project, edits: $edits) { version } }', { project, edits })
await edit(node('one'))
let moves = 0
const move = () => edit({ moveNodes: [{ nodeId: 'one', position: { x: ++moves, y: 0 } }] })

const browser = await launch()
const place = workplace()
const files = createServer()
try {
  // By keyboard from the list; from an editor, its project is chosen.
  const page = await open(browser, url)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.getByRole('link', { name: 'Connect' }).press('Enter')
  await page.getByRole('heading', { name: 'Connect' }).waitFor()
  assert.equal(new URL(page.url()).pathname, '/connect')
  const chosen = page.getByRole('combobox', { name: 'Project' })
  await chosen.locator('option', { hasText: bites }).waitFor({ state: 'attached' })
  assert.equal(await chosen.inputValue(), '')
  await check(page, 'all')
  await page.goto(`${url}/projects/${project}`)
  await live(page)
  await page.getByRole('link', { name: 'Connect' }).press('Enter')
  await page.waitForURL(`${url}/connect?project=${project}`)
  await chosen.locator('option:checked', { hasText: bites }).waitFor({ state: 'attached' })
  await page.goBack()
  await live(page)
  await page.goForward()
  await page.reload()
  await chosen.locator('option:checked', { hasText: bites }).waitFor({ state: 'attached' })
  await page.getByText('It leads to the machine that it is used on').waitFor()
  assert.equal(await page.getByRole('button', { name: 'Make a token' }).count(), 0)

  // Agents: each paste leads a client to the tools.
  const agents = async (headers, holds) => {
    const pasted = {}
    for (const [name, program] of [['claude-code', 'claude'], ['gemini', 'gemini']]) {
      const args = JSON.parse((await place.shell(await snippet(page, `agents-${name}`))).stdout)
      assert.deepEqual(args.slice(0, 2), ['mcp', 'add'], program)
      assert.deepEqual(headersIn(args), headers)
      pasted[name] = { url: args.find((each) => each.startsWith('http:')), headers: headersIn(args) }
    }
    for (const [name, list] of [['cursor', 'mcpServers'], ['vs-code', 'servers'], ['other', 'mcpServers']]) {
      pasted[name] = Object.values(JSON.parse(await snippet(page, `agents-${name}`))[list])[0]
      assert.deepEqual(pasted[name].headers ?? {}, headers, name)
    }
    const codex = await snippet(page, 'agents-codex')
    pasted.codex = { url: JSON.parse(/^url = (".*")$/m.exec(codex)[1]) }
    for (const value of Object.values(headers)) assert.ok(codex.includes(JSON.stringify(value)))
    for (const [name, { url: address }] of Object.entries(pasted)) {
      assert.equal(address, pasted.codex.url, name)
      await byAddress(address, headers, async (client) => holds(await toolsOf(client), client, name))
    }
    const program = Object.values(JSON.parse(await snippet(page, 'agents-claude-desktop')).mcpServers)[0]
    await byProgram(program, place, async (client) => holds(await toolsOf(client), client, 'claude-desktop'))
    const listed = JSON.parse((await place.shell(await snippet(page, 'agents-inspector'))).stdout)
    holds(listed.tools.map(({ name }) => name), null, 'inspector')
  }
  await agents({}, (tools, _, name) => assert.ok(tools.includes('edit_plan') && tools.includes('who_is_here'), name))

  // Narrowed, and under a name that bites: everybody sees it as it was typed.
  await page.getByLabel('Read only').press(' ')
  await page.getByRole('group', { name: 'Tools for' }).getByLabel('people').uncheck()
  await page.getByLabel('Name that people see').fill(`O'Brien "R2" $(id) \`x\``)
  await agents({ 'X-Layercake-Agent': `O'Brien "R2" $(id) \`x\`` }, (tools, _, name) => {
    assert.ok(tools.includes('get_plan') && !tools.includes('edit_plan') && !tools.includes('who_is_here'), name)
  })
  await page.getByLabel('Read only').uncheck()
  await page.getByRole('group', { name: 'Tools for' }).getByLabel('people').check()
  const { url: address, headers } = JSON.parse(await snippet(page, 'agents-other')).mcpServers[`layercake-${project}`]
  const act = async (client) => {
    const { isError, content } = await client.callTool({ name: 'edit_plan', arguments: { project_id: project, operations: [{ op: 'add_node', node_type: 'GraphNode' }] } })
    assert.ok(!isError, JSON.stringify(content))
  }
  await byAddress(address, headers, act)
  await page.getByLabel('Name that people see').fill(bites)
  await page.getByText('only the paste for Claude Desktop has it').waitFor()
  assert.deepEqual(JSON.parse(await snippet(page, 'agents-cursor')).mcpServers[`layercake-${project}`].headers, undefined)
  await byProgram(JSON.parse(await snippet(page, 'agents-claude-desktop')).mcpServers[`layercake-${project}`], place, act)
  const { planHistory } = await ask(url, 'query ($id: Int!) { planHistory(projectId: $id, limit: 2) { changes { actorName actorKind } } }', { id: project })
  assert.deepEqual(planHistory.changes, [bites, `O'Brien "R2" $(id) \`x\``].map((actorName) => ({ actorName, actorKind: 'agent' })))
  await page.getByLabel('Name that people see').fill('')
  // The last group of tools cannot be taken away.
  for (const group of ['projects', 'plans', 'data', 'graphs']) await page.getByLabel(group, { exact: true }).uncheck()
  assert.ok(await page.getByLabel('people', { exact: true }).isDisabled())
  for (const group of ['projects', 'plans', 'data', 'graphs']) await page.getByLabel(group, { exact: true }).check()

  // Programs: a query, and a change that is made once however often it is sent.
  const asked = JSON.parse((await place.shell(await snippet(page, 'graphql-query'))).stdout)
  assert.ok(asked.data.getPlanDag.nodes.some(({ id }) => id === 'one'), JSON.stringify(asked))
  const [once, twice] = [await place.shell(await snippet(page, 'graphql-mutation')), await place.shell(await snippet(page, 'graphql-mutation'))]
  assert.ok(JSON.parse(once.stdout).data.editPlan.version > 0, once.stdout)
  assert.equal(once.stdout, twice.stdout)
  await place.shell(await snippet(page, 'schema'))
  assert.match(await readFile(join(place.folder, 'schema.graphql'), 'utf8'), /^type Query/m)

  // Front ends: the package, what is asked by it, and a page without a build, which another server serves.
  await place.shell(await snippet(page, 'client-install'))
  place.file('ask.mjs', await snippet(page, 'client-use'))
  assert.match((await place.shell('node ask.mjs')).stdout, /First/)
  place.file('follow.mjs', await snippet(page, 'graphql-subscription'))
  assert.match(await place.follow('node follow.mjs', move), /"version":\d+.*"NODE_UPDATED"/)
  const text = await snippet(page, 'client-page')
  files.on('request', (request, response) => response.setHeader('content-type', 'text/html').end(request.url === '/' ? text : ''))
  await new Promise((resolve) => { files.listen(0, '127.0.0.1', resolve) })
  const built = await open(browser, `http://127.0.0.1:${files.address().port}`)
  await built.getByText('Node one').waitFor()
  await edit(node('two'))
  await built.getByText('Node two').waitFor()
  assert.deepEqual(built.problems, [])
  await built.context().close()

  // The terminal.
  assert.match(await place.follow(await snippet(page, 'terminal-watch'), move), /^\{"version":\d+,.*"NODE_UPDATED"/)
  assert.match((await place.shell(await snippet(page, 'terminal-history'))).stdout, /VERSION.*\n.*updated/)
  assert.match((await place.shell(await snippet(page, 'terminal-undo'))).stdout, /It would be|Nothing was left to do/)

  // DBAs: psql, and every question that only reads. The plan of some days ago is asked for.
  const psql = await snippet(page, 'sql-psql')
  await place.shell(psql, "UPDATE events SET at = at - interval '4 days'; UPDATE plans SET created_at = created_at - interval '5 days';")
  const ids = await page.locator('[data-snippet^="sql-"]').evaluateAll((all) => all.map((each) => each.dataset.snippet))
  let questions = 0
  for (const id of ids.filter((each) => each !== 'sql-psql')) {
    const statement = await snippet(page, id)
    if (!statement.startsWith('SELECT') || /layercake\.(kick|kick_user|drain|undrain|cancel_build|end_sessions|disable_user|enable_user)\(/.test(statement)) continue
    const { stdout, stderr } = await place.shell(psql, statement)
    assert.equal(stderr, '', statement)
    assert.match(stdout, /\(\d+ rows?\)/, statement)
    questions++
  }
  assert.ok(questions >= 15, String(questions))
  assert.match(await snippet(page, 'sql-1-1'), new RegExp(`project_id = ${project} `))

  // What is copied is what is shown.
  await page.getByRole('group', { name: 'A query' }).getByRole('button', { name: 'Copy' }).press('Enter')
  await page.getByRole('status').filter({ hasText: 'Copied' }).waitFor()
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await snippet(page, 'graphql-query'))

  // Over plain HTTP from another machine a page has no clipboard, but what is selected is copied all the same.
  await page.evaluate(() => {
    globalThis.clipboard = navigator.clipboard
    Object.defineProperty(navigator, 'clipboard', { configurable: true, value: undefined })
  })
  await page.getByRole('group', { name: 'The schema' }).getByRole('button', { name: 'Copy' }).press('Enter')
  await page.getByRole('group', { name: 'The schema' }).getByText('Copied').waitFor()
  assert.equal(await page.evaluate(() => globalThis.clipboard.readText()), await snippet(page, 'schema'))

  // What the browser tries itself, by keyboard.
  const box = (title) => page.getByRole('group', { name: title, exact: true })
  const answer = (title, words) => box(title).locator('.answers').getByText(words).first().waitFor()
  const attempt = (title) => box(title).getByRole('button', { name: 'Try it' }).press('Enter')
  const clients = page.locator('summary', { hasText: 'Any other client' })
  await clients.press('Enter')
  await attempt('Any other client')
  await answer('Any other client', '200 OK · initialize')
  await answer('Any other client', '200 OK · tools/list')
  await answer('Any other client', 'get_plan')
  await answer('Any other client', /more characters/)
  await attempt('A query')
  await answer('A query', '200 OK · The query')
  await answer('A query', '"Node one"')
  await attempt('The schema')
  await answer('The schema', '200 OK · The schema')
  const own = await page.evaluate(() => sessionStorage.getItem('layercake-window'))
  await attempt('Ask something')
  await answer('Ask something', 'Connected · The module')
  await answer('Ask something', /First/)
  assert.equal(await page.evaluate(() => sessionStorage.getItem('layercake-window')), own)
  await attempt('A subscription')
  await answer('A subscription', 'Waiting for the next change of the plan')
  const came = answer('A subscription', 'First event · The subscription')
  for (let isThere = false; !isThere;) { // it may not be followed yet
    await move()
    isThere = await box('A subscription').locator('.answers strong').count() > 0
  }
  await came
  await attempt('A subscription')
  await box('A subscription').getByRole('button', { name: 'Stop' }).press('Enter')
  await box('A subscription').getByRole('button', { name: 'Try it' }).waitFor()
  await check(page, 'tried')

  // What goes wrong is shown as it comes.
  await page.route('**/graphql', (route) => route.abort())
  await attempt('A query')
  await answer('A query', 'No answer · The query')
  await page.unroute('**/graphql')
  await page.route('**/schema.graphql', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }))
  await attempt('The schema')
  await answer('The schema', '502 Bad Gateway · The schema')
  await answer('The schema', '<h1>Bad gateway</h1>')
  await page.unroute('**/schema.graphql')

  // Other shells have other quotes, which JSON does not.
  const before = await snippet(page, 'agents-cursor')
  await page.getByLabel('Commands for').selectOption('PowerShell 7.3 or later')
  assert.match(await snippet(page, 'graphql-query'), / `\n {2}-H /)
  assert.equal(await snippet(page, 'sql-psql'), 'psql $env:LAYERCAKE_DATABASE_URL')
  assert.equal(await snippet(page, 'agents-cursor'), before)
  await page.getByLabel('Commands for').selectOption('sh, bash, zsh')

  // A project that is not there, and an address that nobody made.
  await page.goto(`${url}/connect?project=999999`)
  await chosen.locator('option:checked', { hasText: 'Project 999999' }).waitFor({ state: 'attached' })
  await attempt('A query')
  await answer('A query', /NOT_FOUND/)
  await page.goto(`${url}/connect?project=1#database`)
  await page.waitForFunction(() => document.querySelector('#database')?.getBoundingClientRect().top < 5)
  await page.goto(`${url}/connect?project=%27%3Bdrop`)
  await page.getByText('Choose a project above').waitFor()

  // A server that is away for a moment is asked again.
  await page.route('**/login/options', (route) => route.abort())
  await page.reload()
  await page.getByRole('alert').filter({ hasText: 'The server cannot be reached. Trying again.' }).waitFor()
  await page.unroute('**/login/options')
  await page.getByRole('heading', { name: 'Agents' }).waitFor()

  // All of it open, and narrow.
  await page.locator('details').evaluateAll((all) => { for (const each of all) { each.removeAttribute('name'); each.open = true } })
  await check(page, 'open')
  await page.setViewportSize({ width: 320, height: 640 })
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 320), 'wider than the page')
  await check(page, 'narrow')

  // An editor that is left at once closes a socket that is not open yet, of which browsers warn.
  const bad = page.problems.filter((problem) => !/ERR_FAILED|status of (404|502)|ERR_ABORTED|closed before the connection is established/.test(problem))
  assert.deepEqual(bad, [])
  const paths = new Set(page.requests.map((each) => new URL(each)).filter(({ origin }) => origin === url).map(({ pathname }) => pathname.replace(/^(\/assets)\/.*|\/\d+$/, '$1')))
  assert.deepEqual([...paths].toSorted(), ['/', '/assets', '/client/index.js', '/connect', '/graphql', '/icon.svg', '/login/options', '/mcp', '/projects', '/schema.graphql'])
} finally {
  await browser.close()
  files.close()
  place.remove()
}

/** Looks at a page with axe, in light and dark. */
async function check(page, state) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    const found = await violations(page)
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/connect-${state}-${colorScheme}.png`, fullPage: true })
    assert.deepEqual(found, [], `${state}, ${colorScheme}`)
  }
}
