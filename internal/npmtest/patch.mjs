// Shows that the deltas of planDagDeltaChanged guard themselves: applied by fast-json-patch to a plan that was fetched at any
// version, through any loss, repetition and exchange, they end in the plan that getPlanDag answers or in fetching it again, and
// never in another plan. States of data sources and graphs are told by OTHERS. The client at URL is the existing web client's: same documents, same way to apply. SEED repeats a run.
import assert from 'node:assert/strict'
import { createClient } from 'graphql-ws'
import jsonpatch from 'fast-json-patch'
import WebSocket from 'ws'

const { URL: url, OTHERS: others, SEED: seed = String(Date.now()) } = process.env

// mulberry32
let state = Number(seed) >>> 0
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0
  let t = state
  t = Math.imul(t ^ (t >>> 15), t | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const below = (n) => Math.floor(random() * n)
const pick = (list) => list[below(list.length)]

const post = async (query, variables = {}) => {
  const response = await fetch(url + '/graphql', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  return response.json()
}

// What the plan editor selects, and everything that a delta patches.
const documents = {
  editor: `nodes { id nodeType position { x y } sourcePosition targetPosition metadata { label description } config
      datasourceExecution { dataSourceId filename status processedAt executionState errorMessage }
      graphExecution { graphId nodeCount edgeCount executionState computedDate errorMessage } }
    edges { id source target metadata { label dataType } }`,
  everything: `nodes { id nodeType position { x y } sourcePosition targetPosition metadata { label description } config }
    edges { id source target sourceHandle targetHandle metadata { label dataType } }`,
}
const fetchPlan = async (project, selection) => {
  const query = `query ($p: Int!) { getPlanDag(projectId: $p) { version ${selection}
    metadata { version name description created lastModified author } } }`
  return (await post(query, { p: project })).data.getPlanDag
}

// An edit at random. Many are refused, which must not show in the stream.
const nodes = Array.from({ length: 8 }, (_, i) => `node_${i}`)
const edges = Array.from({ length: 10 }, (_, i) => `edge_${i}`)
const types = ['DataSourceNode', 'GraphNode', 'TransformNode', 'MergeNode', 'CopyNode', 'OutputNode']
const texts = ['', 'a', 'Web & API', '"quoted" \\ /', 'line\nbreak', 'ünïcödé 🎂', '</script>']
const position = () => ({ x: below(1000) / 8, y: -below(1000) })
const side = () => pick(['left', 'right', 'top', 'bottom'])
const metadata = () => ({ label: pick(texts), description: pick([null, ...texts]) })
const config = () => JSON.stringify(pick([{}, { a: 1 }, { text: pick(texts) }, { nested: { list: [1, null, 'x'] } }, { dataSourceId: 1 }, { dataSourceId: 1, a: 2 }, { dataSourceId: 2 },
  { dataSourceId: 9 }]), null, below(3))
const edits = [
  () => [`addPlanDagNode(projectId: $p, node: $a)`, '$a: PlanDagNodeInput!',
    { a: { id: pick(nodes), nodeType: pick(types), position: position(), metadata: metadata(), config: config() } }],
  () => [`addPlanDagEdge(projectId: $p, edge: $a)`, '$a: PlanDagEdgeInput!',
    { a: { id: pick(edges), source: pick(nodes), target: pick(nodes), sourceHandle: pick([null, 'output-right']),
      metadata: { label: pick([null, 'Data']), dataType: pick(['GRAPH_DATA', 'GRAPH_REFERENCE']) } } }],
  () => [`updatePlanDagNode(projectId: $p, nodeId: $n, updates: $a)`, '$n: String!, $a: PlanDagNodeUpdateInput!',
    { n: pick(nodes), a: pick([{ config: config() }, { metadata: metadata() }, { position: position(), config: config() }]) }],
  () => [`movePlanDagNode(projectId: $p, nodeId: $n, position: $a)`, '$n: String!, $a: PositionInput!', { n: pick(nodes), a: position() }],
  () => [`batchMovePlanDagNodes(projectId: $p, nodePositions: $a)`, '$a: [NodePositionInput!]!',
    { a: [pick(nodes), pick(nodes)].map((nodeId) => ({ nodeId, position: position(), sourcePosition: side(), targetPosition: side() })) }],
  () => [`updatePlanDagEdge(projectId: $p, edgeId: $n, updates: $a)`, '$n: String!, $a: PlanDagEdgeUpdateInput!',
    { n: pick(edges), a: pick([{ sourceHandle: side() }, { targetHandle: side(), metadata: { label: pick(texts), dataType: 'GRAPH_DATA' } }]) }],
  () => [`deletePlanDagNode(projectId: $p, nodeId: $n)`, '$n: String!', { n: pick(nodes) }],
  () => [`deletePlanDagEdge(projectId: $p, edgeId: $n)`, '$n: String!', { n: pick(edges) }],
  () => [`undoChange(projectId: $p, version: $n, onConflict: $a)`, '$n: Int!, $a: OnConflict!',
    { n: 1 + below(newest), a: pick(['FAIL', 'SKIP', 'OVERWRITE']) }, 'change { undoes operations { kind } }'],
]
const likely = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 8]
let newest = 0
const undone = {}
const edit = async (project) => {
  if (random() < 0.2) return fetch(`${others}?project=${project}&node=${pick(nodes)}&state=${pick(['pending', 'completed', 'error'])}`)
  const [field, parameters, variables, selection = 'id'] = edits[pick(likely)]()
  const answer = await post(`mutation ($p: Int!, ${parameters}) { ${field} { ${selection} } }`, { p: project, ...variables })
  for (const { kind } of answer.data?.undoChange?.change?.operations ?? []) undone[kind] = (undone[kind] ?? 0) + 1
}

// Makes edits until so many changed something, and records the plan at each version and the delta to each version.
const record = async (changes) => {
  const project = (await post('mutation { createProject(input: { name: "Patched" }) { id } }')).data.createProject.id
  for (const _ of [1, 2]) await fetch(`${others}?project=${project}`) // data sources
  const client = createClient({ url: url.replace(/^http/, 'ws') + '/graphql/ws', webSocketImpl: WebSocket, lazy: false })
  const deltas = new Map()
  const checks = []
  let wake = () => {}
  client.subscribe({
    query: 'subscription ($p: Int!) { planDagDeltaChanged(projectId: $p) { version snapshot operations { op path value from } } }',
    variables: { p: project },
  }, {
    next: ({ data: { planDagDeltaChanged: event } }) => {
      if (event.operations.length === 1 && event.operations[0].op === 'TEST') checks.push(event)
      else {
        assert.ok(!deltas.has(event.version), `version ${event.version} came twice`)
        deltas.set(event.version, event)
      }
      wake()
    },
    error: (error) => assert.fail(JSON.stringify(error)),
    complete: () => {},
  })
  const until = async (done, what) => {
    const late = setTimeout(() => { console.error(`waited too long for ${what}`); process.exit(1) }, 60_000)
    while (!done()) await new Promise((next) => { wake = next })
    clearTimeout(late)
  }
  await until(() => checks.length > 0, 'the first check')
  const plans = Object.fromEntries(Object.keys(documents).map((name) => [name, new Map()]))
  const look = async () => {
    for (const [name, selection] of Object.entries(documents)) {
      const plan = await fetchPlan(project, selection)
      plans[name].set(plan.version, plan)
      newest = Number(plan.version)
    }
  }
  await look()
  const tells = (member) => [...deltas.values()].some(({ operations }) => operations.some(({ op, path }) => op === 'ADD' && path.endsWith(member)))
  const enough = () => Object.keys(undone).length > 2 && tells('/graphExecution') && tells('/datasourceExecution')
  for (let i = 0; plans.editor.size <= changes || !enough(); i++) { // undos of some kinds, and states, are among them
    assert.ok(i < 20 * changes, `only ${plans.editor.size - 1} of ${i} edits were changes, and undos did ${JSON.stringify(undone)}`)
    await edit(project)
    await look()
  }
  const last = plans.editor.size - 1
  await until(() => deltas.size >= last, `${last} deltas`)
  await client.dispose()
  return { plans, deltas, checks, last }
}

// How the existing client applies an event.
const apply = (plan, event) => {
  const patch = event.operations.map(({ op, path, value, from }) => ({
    op: op.toLowerCase(), path, ...(value !== null && { value }), ...(from !== null && { from }),
  }))
  const patched = jsonpatch.applyPatch(jsonpatch.deepClone(plan), patch, true, false).newDocument
  return { ...patched, version: String(event.version) }
}

// A plan less what its document does not select.
const project = (value, like) => {
  if (Array.isArray(value)) return value.map((item) => project(item, like))
  if (value === null || typeof value !== 'object' || like === null || typeof like !== 'object') return value
  return Object.fromEntries(Object.keys(like).map((key) => [key, value[key] === undefined ? undefined : project(value[key], like[key])]))
}
const seen = (plan, shape) => ({
  ...project(plan, { version: 0, metadata: shape.metadata }),
  nodes: project(plan.nodes, shape.node), edges: project(plan.edges, shape.edge),
})

const { plans, deltas, checks, last } = await record(80)
const counts = { applied: 0, refetched: 0 }
for (const [name, versions] of Object.entries(plans)) {
  const all = [...versions.values()]
  const full = all.find((plan) => plan.nodes.length && plan.edges.length)
  assert.ok(full, 'no plan with nodes and edges')
  const leaf = (object) => JSON.parse(JSON.stringify(object), (_, v) => v === null ? 0 : v)
  const shape = { metadata: leaf(full.metadata), node: leaf({ ...full.nodes[0], metadata: { label: '', description: '' } }), edge: leaf(full.edges[0]) }
  const check = (plan) => {
    const want = versions.get(plan.version)
    assert.deepEqual(seen(plan, shape), seen(want, shape), `${name}: version ${plan.metadata.version} differs, SEED=${seed}`)
  }

  let plan = versions.get('0')
  for (let v = 1; v <= last; v++) {
    plan = apply(plan, deltas.get(v))
    check(plan)
  }
  assert.equal(plan.version, String(last))

  for (let run = 0; run < 100; run++) {
    // The fetch may answer before or after any event; events get lost, come twice, and change places.
    let plan = versions.get(String(below(last + 1)))
    const stream = []
    for (let v = 1 + below(last); v <= last; v++) {
      if (random() < 0.05) continue
      stream.push(deltas.get(v))
      if (random() < 0.05) stream.push(deltas.get(v))
      if (random() < 0.05) stream.push({ ...pick(checks), version: v, operations: [{ op: 'TEST', path: '/metadata/version', value: versions.get(String(v)).metadata.version, from: null }] })
      if (random() < 0.05 && stream.length > 1) stream.push(stream.splice(-2, 1)[0])
    }
    let committed = 0
    for (const event of stream) {
      committed = Math.max(committed, event.version)
      try {
        plan = apply(plan, event)
        counts.applied++
      } catch (error) {
        plan = versions.get(String(committed + below(last - committed + 1)))
        counts.refetched++
      }
      check(plan)
    }
  }
}
assert.ok(counts.applied > 500 && counts.refetched > 500, JSON.stringify(counts))
console.log(`seed ${seed}: ${last} versions, ${counts.applied} deltas applied, ${counts.refetched} times fetched again, undone: ${JSON.stringify(undone)}`)
process.exit(0)
