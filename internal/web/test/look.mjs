// What nodes hold is looked at: as tables of any length, and as pictures.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { cards, launch, live, open } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const project = (await ask('mutation { createProject(input: { name: "Looked at" }) { id } }')).createProject.id
const lines = (count, line) => Array.from({ length: count }, (_, i) => line(i)).join('\n')
const million = 1_000_000

// Labels with markup, in a script from right to left, and very long; ids of any letters.
await upload('n.csv', `id,label,layer,is_partition,belongs_to,note\nall,<b onclick="x()">All</b>,app,true,,\na,שלום & "Alpha",app,,all,\nb,${'long '.repeat(40)},data,,all,\nc,C,,,all,second`)
await upload('e.csv', 'id,source,target,label\ne1,a,b,<script>x()</script>\ne2,b,c,')
await upload('l.csv', 'id,label,background_color,border_color,text_color\napp,Apps,1f6feb,0d419d,ffffff\ndata,Data,eeeeee,999999,000000')
await upload('bn.csv', `id,label,layer\n${lines(2_000, (i) => `n${i},Node ${i},l${i % 5}`)}\n`)
await upload('be.csv', `id,source,target\n${lines(3_000, (i) => `e${i},n${i % 2_000},n${(i * i + Math.floor(i / 7)) % 2_000}`)}\n`)
await upload('rows.csv', `id,label,layer\n${lines(million, (i) => `r${i + 1},Row ${i + 1},l${i % 7}`)}\n`)
const sources = (await ask('query ($id: Int!) { getPlanDag(projectId: $id) { nodes { id metadata { label } } } }', { id: project })).getPlanDag.nodes
const idOf = (file) => sources.find(({ metadata }) => metadata.label === `${file}.csv`).id
const graph = (id, label, y, inputs) => [
  { addNode: { id, nodeType: 'GraphNode', position: { x: 400, y }, metadata: { label, description: null }, config: '{}' } },
  ...inputs.map((input) => ({
    addEdge: { id: `${input}-${id}`, source: input, target: id, sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_DATA' } },
  })),
]
await edit([...graph('small', 'Small <i>graph</i>', 100, [idOf('n'), idOf('e'), idOf('l')]), ...graph('big', 'Big', 200, [idOf('bn'), idOf('be')]), ...graph('idle', 'Not run', 300, [idOf('rows')])])
await Promise.all([run('small'), run('big')])

const browser = await launch({ webGL: true })
try {
  const page = await open(browser, `${url}/projects/${project}`)
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await live(page)
  await cards(page, 9)

  // A million rows.
  const grid = page.getByRole('grid')
  const dialog = page.getByRole('dialog')
  await page.locator(`[data-id="${idOf('rows')}"]`).click()
  await page.locator('.inspector').getByRole('button', { name: 'Table' }).click()
  await grid.getByRole('gridcell', { name: 'Row 1', exact: true }).waitFor()
  await shot(page, 'million')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  await page.locator('[data-id=small]').click()
  await page.keyboard.press('p')
  await dialog.getByRole('img').waitFor()
  await page.waitForFunction(() => document.querySelector('.paper img').complete)
  await shot(page, 'drawing')
  await dialog.getByRole('button', { name: 'Table' }).click()
  await dialog.getByRole('grid').waitFor()
  await grid.getByRole('gridcell', { name: 'app', exact: true }).first().waitFor()
  await shot(page, 'table')
  await page.keyboard.press('Escape')
  await page.locator('[data-id=big]').click()
  await page.keyboard.press('p')
  await dialog.getByText('Laid out').waitFor({ timeout: 20_000 }).catch(async (e) => { await shot(page, 'failed'); console.error(page.problems); throw e })
  await shot(page, 'points')
  await dialog.getByRole('searchbox').fill('Node 7')
  await page.keyboard.press('Enter')
  await dialog.getByRole('heading', { name: 'Node 7' }).waitFor()
  await shot(page, 'chosen')
  console.log(page.problems)
} finally {
  await browser.close()
}

async function upload(filename, text) {
  const form = new FormData()
  form.append('file', new Blob([text]), filename)
  const response = await fetch(`${url}/api/projects/${project}/data-sources`, { method: 'POST', body: form })
  assert.ok(response.ok, `${filename}: ${response.status} ${await response.text()}`)
}

function edit(edits) {
  return ask('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', { id: project, edits })
}

async function run(node) {
  const { executeNode } = await ask('mutation ($id: Int!, $node: String!) { executeNode(projectId: $id, nodeId: $node) { success message } }', { id: project, node })
  assert.ok(executeNode.success, executeNode.message)
}

async function ask(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined, JSON.stringify(errors))
  return data
}

async function shot(page, state) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/look-${state}.png` })
}
