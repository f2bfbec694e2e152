// What goes wrong for people by their own doing, or an operator's: nothing is lost, and the page says how things are.
import assert from 'node:assert/strict'
import { cards, drawnAs, launch, live, name, open, place, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const browser = await launch()
try {
  const one = await open(browser, url)
  let collaboration
  await one.routeWebSocket(/\/ws\/collaboration/, (socket) => {
    collaboration = socket
    socket.connectToServer()
  })

  // A name of which 100 halves of characters are no text, and one that the server does not take.
  const rename = async (to) => {
    await one.locator('.own-name button').click()
    await one.locator('.own-name input').fill(to)
    await one.locator('.own-name input').press('Enter')
  }
  await rename('a' + '😀'.repeat(60))
  await one.getByRole('button', { name: 'a😀' }).waitFor()
  await rename('Bell\u0007')
  await one.getByText('Name may not contain the character U+0007').waitFor()
  assert.equal(await name(one), 'a' + '😀'.repeat(60))

  await one.getByRole('button', { name: 'Open the sample plan' }).click()
  await live(one)
  await cards(one, 8)
  const path = new URL(one.url()).pathname
  const two = await open(browser, other + path)
  await cards(two, 8)

  // Whoever goes to another project at once takes the socket along.
  await one.getByRole('link', { name: 'All projects' }).click()
  await one.getByRole('link', { name: 'Sample plan' }).click()
  await live(one)
  await cards(one, 8)

  // The focus goes elsewhere while an arrow key is down.
  const before = await place(two, 'graphnode_006')
  await one.locator('[data-id=graphnode_006]').focus()
  await one.keyboard.down('ArrowDown')
  await one.getByRole('link', { name: 'All projects' }).focus()
  await one.keyboard.up('ArrowDown')
  await two.waitForFunction((was) => document.querySelector('[data-id=graphnode_006]').style.transform !== was, before)
  await drawnAs(two, 'graphnode_006', one)

  // Of many people some are shown, in colours on which letters can be read.
  await two.evaluate((id) => {
    window.crowd = Array.from({ length: 14 }, (_, i) => {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws/collaboration?project_id=${id}`)
      const data = { userId: `one${i}`, userName: `One ${i}`, avatarColor: '#ffffff', documentId: 'plan-dag-canvas' }
      socket.onopen = () => socket.send(JSON.stringify({ type: 'join_session', data }))
      return socket
    })
  }, path.split('/')[2])
  await one.getByText('and 3 more').waitFor()
  assert.equal(await one.locator('.people li[title^=One]').first().evaluate((element) => element.style.color), 'rgb(0, 0, 0)')
  await two.evaluate(() => { for (const socket of window.crowd) socket.close() })
  for (const page of [one, two]) await page.waitForFunction(() => document.querySelectorAll('.people li').length === 1)

  // An operator disconnects somebody, who comes back.
  await collaboration.close({ code: 4000, reason: 'Too loud' })
  await one.getByText('An operator disconnected you from the others: Too loud').waitFor()
  await one.getByRole('button', { name: 'Come back' }).click()
  await one.locator('.people li').waitFor()
  await one.getByRole('button', { name: 'Come back' }).waitFor({ state: 'detached' })

  // Of a long label from right to left the end is cut off, as of any other.
  await post('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', {
    id: Number(path.split('/')[2]),
    edits: [{ updateNode: { id: 'mergenode_004', updates: { metadata: { label: 'שלום '.repeat(20) } } } }],
  })
  await one.waitForFunction(() => {
    const label = document.querySelector('[data-id=mergenode_004] strong')
    return label.textContent.includes('שלום') && getComputedStyle(label).direction === 'rtl'
  })

  // The project is deleted while an edit waits.
  await one.route('**/graphql', (route) => route.abort())
  await one.locator('[data-id=graphnode_006]').press('ArrowDown')
  await one.getByText('1 edit waiting').waitFor()
  await post('mutation ($id: ID!) { deleteProject(id: $id) }', { id: path.split('/')[2] })
  await one.getByText('This project was deleted').waitFor()
  await one.getByText('1 edit was not sent before the project was deleted').waitFor()
  await one.getByText('Look', { exact: true }).click()
  await one.getByText('move “Overview”').waitFor()
  await settled(one)
  await one.unroute('**/graphql')
  await one.reload()
  await one.getByText('There is no such project').waitFor()
  await one.getByText('Loading').waitFor({ state: 'detached' })

  assert.deepEqual(one.problems.filter((problem) => !/ERR_|status of 400|WebSocket connection/.test(problem)), [])
  assert.deepEqual(two.problems.filter((problem) => !/WebSocket connection/.test(problem)), [])
} finally {
  await browser.close()
}

/** Does something without a page. */
async function post(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  assert.equal((await response.json()).errors, undefined)
}
