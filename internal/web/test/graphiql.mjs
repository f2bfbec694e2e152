// GraphiQL comes from this server alone, and asks it: a query, a change, a subscription.
import assert from 'node:assert/strict'
import { launch, open } from './browser.mjs'

const url = process.env.URL
const browser = await launch()
try {
  const page = await open(browser, `${url}/graphql`)
  await page.getByRole('button', { name: 'Re-fetch GraphQL schema' }).and(page.locator(':not([disabled])')).waitFor()
  const run = page.getByRole('button', { name: 'Execute query' })
  const result = (text) => page.locator('.result-window').filter({ hasText: text }).waitFor()
  const ask = async (document) => {
    await page.locator('.graphiql-query-editor .CodeMirror').click()
    await page.keyboard.press('Control+a')
    await page.keyboard.insertText(document)
    await page.keyboard.press('Escape') // suggestions
    // GraphiQL reads what was typed a little later, and then names the tab after it.
    await page.getByRole('tab', { name: /\w+ (\w+)/.exec(document)[1], exact: true }).waitFor()
    await run.click()
  }

  await ask('mutation Create { createProject(input: {name: "From GraphiQL"}) { id } }')
  await result('"createProject"')
  const id = /"id": (\d+)/.exec(await page.locator('.result-window').innerText())[1]
  await ask(`query Look { project(id: ${id}) { name } getPlanDag(projectId: ${id}) { cursor } }`)
  await result('"From GraphiQL"')
  const cursor = /"cursor": ("[^"]+")/.exec(await page.locator('.result-window').innerText())[1]

  await ask(`subscription Follow { planEvents(projectId: ${id}, after: ${cursor}) { version actorName } }`)
  const change = { query: `mutation { editPlan(projectId: ${id}, edits: [{describe: {name: "Changed"}}]) { version } }` }
  const answer = await page.request.post(`${url}/graphql`, { data: change, headers: { 'x-layercake-name': 'Somebody%20else' } })
  assert.equal(answer.status(), 200)
  await result('"Somebody else"')
  await page.getByRole('button', { name: 'Stop query' }).click()

  // Suggestions, the documentation and the dialogs bring styles and HTML of their own.
  await page.locator('.graphiql-query-editor .CodeMirror').click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText('{ proj')
  await page.keyboard.press('Control+Space')
  await page.locator('.CodeMirror-hint').filter({ hasText: 'projectList' }).first().waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click()
  await page.locator('.graphiql-doc-explorer').getByText('Query', { exact: true }).click()
  await page.locator('.graphiql-doc-explorer').getByText('projectList', { exact: true }).click()
  if (process.env.SHOTS) {
    await page.emulateMedia({ colorScheme: 'light' })
    await page.screenshot({ path: `${process.env.SHOTS}/graphiql.png` })
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.screenshot({ path: `${process.env.SHOTS}/graphiql-dark.png` })
  }
  await page.getByRole('button', { name: 'Open settings dialog' }).click()
  await page.getByRole('dialog').getByText('Theme', { exact: true }).waitFor()
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/graphiql-settings.png` })

  assert.deepEqual(page.problems, [])
  assert.deepEqual([...new Set(page.requests.map((request) => new URL(request).origin))].filter((origin) => origin !== url), [])
} finally {
  await browser.close()
}
