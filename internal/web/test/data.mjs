// Files become nodes where they fall, a plan is run, and the window on the other replica sees what becomes of it.
import assert from 'node:assert/strict'
import { cards, launch, live, open, settled } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]

const tables = {
  'nodes.csv': 'id,label,layer,is_partition,belongs_to,weight,comment\nsys,System,infra,true,,1,\nweb,Web & API,app,false,sys,1,\n' +
    'db,Database,infra,false,sys,1,\njob,Nightly job,app,no,sys,2,runs at 02:00\n',
  'edges.csv': 'id,source,target,label,layer,weight,comment\ne1,web,db,reads,app,3,\ne2,job,db,,infra,1,\ne3,web,job,starts,app,1,cron\n',
  'layers.csv': 'layer,label,background,border,text\ninfra,Infrastructure,eeeeee,999999,000000\napp,Application,1f6feb,0d419d,ffffff\n',
}

const browser = await launch()
try {
  const one = await open(browser, url)
  await one.getByRole('button', { name: 'Empty plan' }).click()
  await live(one)
  await one.getByRole('button', { name: 'Files…' }).waitFor()
  const path = new URL(one.url()).pathname
  const project = Number(path.split('/')[2])
  const two = await open(browser, other + path)
  await live(two)

  // Three tables fall on the canvas, and are nodes there, in the other window, too.
  await drop(one, tables, { x: 300, y: 200 })
  await cards(one, 3)
  await cards(two, 3)
  await one.getByText('3 files: 3 added').waitFor()
  await shoot(one, 'dropped')
  await one.getByRole('button', { name: 'Dismiss all that ended' }).click()

  // A graph of them, and an output of that.
  const sources = await nodes(project)
  assert.deepEqual(sources.map(({ metadata }) => metadata.label).toSorted(), ['edges.csv', 'layers.csv', 'nodes.csv'])
  await edit(project, [
    node('graph', 'GraphNode', 'Overview', 500, 200), node('out', 'OutputNode', 'File', 800, 200, { renderTarget: 'CSVEdges', outputPath: 'tiny.csv' }),
    ...sources.map(({ id }) => edge(id, 'graph')), edge('graph', 'out'),
  ])
  await settled(one)
  await one.keyboard.press('Control+0')
  await two.keyboard.press('Control+0')
  await cards(one, 5)
  await one.keyboard.press('Control+Enter')
  for (const page of [one, two]) await page.locator('[data-id=graph] .state').getByText('4 nodes, 3 edges').waitFor()
  await shoot(one, 'run')
  await shoot(two, 'seen')
  for (const page of [one, two]) assert.deepEqual(page.problems, [])
} finally {
  await browser.close()
}

/** Drops files on the canvas, as the browser does it. */
async function drop(page, files, at, target = '.react-flow__pane') {
  const transfer = await page.evaluateHandle((all) => {
    const data = new DataTransfer()
    for (const [name, text] of Object.entries(all)) data.items.add(new File([text], name))
    return data
  }, files)
  const { x, y } = await page.locator('.canvas').boundingBox()
  for (const type of ['dragover', 'drop']) {
    await page.locator(target).dispatchEvent(type, { dataTransfer: transfer, clientX: x + at.x, clientY: y + at.y, bubbles: true, cancelable: true })
  }
}

function node(id, nodeType, label, x, y, config = {}) {
  return { addNode: { id, nodeType, position: { x, y }, metadata: { label }, config: JSON.stringify(config) } }
}

function edge(source, target) {
  return { addEdge: { id: `${source}-${target}`, source, target, metadata: { dataType: 'GRAPH_DATA' } } }
}

async function nodes(id) {
  return (await ask('query ($id: Int!) { getPlanDag(projectId: $id) { nodes { id nodeType position { x y } metadata { label } config } } }', { id })).getPlanDag.nodes
}

function edit(id, edits) {
  return ask('mutation ($id: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $id, edits: $edits) { version } }', { id, edits })
}

async function ask(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined, JSON.stringify(errors))
  return data
}

async function shoot(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/data-${name}.png` })
}
