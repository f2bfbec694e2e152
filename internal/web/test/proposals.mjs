// An agent proposes by MCP; people see ghosts on the canvas, and accept or reject.
import assert from 'node:assert/strict'
import { cards, launch, name, openSample } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const { one, two, path } = await openSample(browser, url, other)
  const propose = await agent(url, 'Robo', Number(path.split('/')[2]))

  // What would be added and deleted is drawn, on every replica, and changes nothing.
  await propose('We need a copy', [
    { op: 'add_node', id: 'spare', node_type: 'CopyNode', label: 'Spare' }, { op: 'add_edge', source: 'mergenode_004', target: 'spare' },
    { op: 'delete_node', id: 'outputnode_008' },
  ])
  for (const page of [one, two]) {
    await page.getByRole('article', { name: 'Proposal of Robo' }).getByText('add “Spare”, add 1 edge, and delete “For the wiki”').waitFor()
    await page.locator('[data-id=spare].react-flow__node').getByText('Robo would add this').waitFor()
    await page.locator('[data-id=outputnode_008]').getByText('Robo would delete this').waitFor()
    await page.locator('.react-flow__edge.added').waitFor({ state: 'attached' })
  }
  if (process.env.SHOTS) {
    await one.screenshot({ path: `${process.env.SHOTS}/proposal.png` })
    await one.emulateMedia({ colorScheme: 'dark' })
    await one.screenshot({ path: `${process.env.SHOTS}/proposal-dark.png` })
    await one.emulateMedia({ colorScheme: null })
  }
  // A ghost cannot be selected or deleted.
  await one.locator('[data-id=spare].react-flow__node').focus()
  await one.keyboard.press('Enter')
  await one.keyboard.press('Delete')
  await one.locator('[data-id=spare].react-flow__node').getByText('Robo would add this').waitFor()

  // Accepting is one change, of the person who accepts.
  await two.getByRole('button', { name: 'Accept' }).click()
  for (const page of [one, two]) {
    await page.getByRole('article', { name: 'Proposal of Robo' }).waitFor({ state: 'detached' })
    await page.locator('[data-id=outputnode_008]').waitFor({ state: 'detached' })
    await page.waitForFunction(() => document.querySelectorAll('.mark').length === 0)
    await cards(page, 8)
  }
  await one.getByRole('button', { name: 'History' }).click()
  const entries = one.getByRole('complementary', { name: 'History' }).getByRole('listitem')
  await entries.filter({ hasText: 'added “Spare”' }).filter({ hasText: await name(two) }).waitFor()
  assert.equal(await entries.count(), 2)
  await one.getByRole('button', { name: 'Close' }).click()

  // What the plan does not allow any more is said, and the proposal stays, to be rejected.
  await propose('One more output', [
    { op: 'add_node', id: 'more', node_type: 'OutputNode', label: 'More' }, { op: 'add_edge', source: 'graphnode_006', target: 'more' },
  ])
  const proposal = one.getByRole('article', { name: 'Proposal of Robo' })
  await proposal.waitFor()
  await one.locator('[data-id=graphnode_006]').click()
  await one.keyboard.press('Delete')
  await one.locator('[data-id=graphnode_006]').waitFor({ state: 'detached' })
  await two.locator('[data-id=graphnode_006]').waitFor({ state: 'detached' })
  await proposal.getByRole('button', { name: 'Accept' }).click()
  await proposal.getByRole('alert').filter({ hasText: 'That cannot be done: ' }).waitFor()
  await proposal.getByRole('button', { name: 'Reject' }).click()
  await one.getByText('Rejected: add “More” and add 1 edge').waitFor()
  for (const page of [one, two]) await page.locator('.proposals article').waitFor({ state: 'detached' })

  for (const page of [one, two]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

/** Connects an agent to a project; returns what proposes. */
async function agent(server, agentName, projectId) {
  let session
  let id = 0
  const call = async (method, params) => {
    const response = await fetch(`${server}/mcp`, {
      method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params }),
      headers: {
        'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-layercake-agent': agentName,
        ...(session && { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' }),
      },
    })
    session ??= response.headers.get('mcp-session-id')
    const { result, error } = JSON.parse((await response.text()).replace(/^[^{]*/, ''))
    assert.ok(result && !result.isError, JSON.stringify(error ?? result))
  }
  await call('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } })
  return (note, operations) => call('tools/call', { name: 'edit_plan', arguments: { project_id: projectId, mode: 'propose', note, operations } })
}
