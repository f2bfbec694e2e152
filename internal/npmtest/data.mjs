// From tables to files, as people of two replicas work: Apollo Client at URL as the existing client has it, urql at OTHER, and graphql-ws at
// OTHER to see how builds go. DOCUMENTS is a file with the existing client's documents by name. Builds are held until GATE is fetched.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { Client, fetchExchange } from '@urql/core'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'

import { runAll } from './run.mjs'

const { URL: here, OTHER: there, GATE: gate } = process.env
const documents = JSON.parse(readFileSync(process.env.DOCUMENTS, 'utf8'))
const base64 = (text) => Buffer.from(text).toString('base64')
const text = (content) => Buffer.from(content, 'base64').toString()

// What Apollo answers went through its cache: a field that is missing in the answer makes it drop the result.
const apollo = new ApolloClient({ cache: new InMemoryCache(), link: new HttpLink({ uri: here + '/graphql' }) })
const atHere = async (name, variables) => {
  const document = gql(documents[name])
  const { data, error } = document.definitions[0].operation === 'mutation'
    ? await apollo.mutate({ mutation: document, variables })
    : await apollo.query({ query: document, variables, fetchPolicy: 'network-only' })
  if (error) throw error
  assert.ok(data, name)
  return Object.values(data).find((field) => typeof field !== 'string')
}

const urql = new Client({ url: there + '/graphql', exchanges: [fetchExchange], requestPolicy: 'network-only', preferGetMethod: false })
const atThere = async (name, variables) => {
  const document = documents[name]
  const { data, error } = await (document.startsWith('mutation') ? urql.mutation(document, variables) : urql.query(document, variables)).toPromise()
  if (error) throw error
  return Object.values(data).find((field) => typeof field !== 'string')
}

// What a subscription told, which can be waited for.
class Told {
  events = []
  wake = () => {}
  constructor(project) {
    this.client = createClient({ url: there.replace(/^http/, 'ws') + '/graphql/ws', webSocketImpl: WebSocket, lazy: false })
    this.client.subscribe({
      query: `subscription ($p: Int!) { executions(projectId: $p) {
        projectId nodeId graphId state phase done total attempt replica errorMessage timestamp } }`,
      variables: { p: project },
    }, {
      next: ({ data, errors }) => {
        assert.equal(errors, undefined)
        this.events.push(data.executions)
        this.wake()
      },
      error: (error) => assert.fail(JSON.stringify(error)),
      complete: () => {},
    })
  }
  async until(node, state) {
    let timer
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${node} is not ${state}: ${JSON.stringify(this.events)}`)), 60_000) })
    while (!this.events.some((e) => e.nodeId === node && e.state === state)) {
      await Promise.race([late, new Promise((next) => { this.wake = next })])
    }
    clearTimeout(timer)
  }
  // The states of a node, each once however often its progress was told.
  states(node) {
    return this.events.filter((e) => e.nodeId === node).map((e) => e.state).filter((state, i, all) => state !== all[i - 1])
  }
}

const node = (id, nodeType, config) => ({ id, nodeType, position: { x: 1.5, y: 2 }, metadata: { label: id, description: '' }, config })
const connect = (projectId, source, target, i) => atHere('AddPlanDagEdge', { projectId, edge: {
  id: `edge-${i}`, source, target, sourceHandle: 'output-right', targetHandle: 'input-left', metadata: { label: 'Data', dataType: 'GRAPH_DATA' },
} })

const nodes = 'id,label,layer,is_partition,belongs_to\nsys,System,app,true,\na,Anna,app,false,sys\nb,"Ben & ""Co"", Ünïcödé",app,false,sys\n'
const edges = 'id,source,target,label\ne1,a,b,knows\n'
const layers = 'layer,label,background,border,text\napp,Application,1f6feb,0d419d,ffffff\n'

const tests = {
  async 'from tables to a file'() {
    const { id: projectId } = await atHere('CreateProject', { input: { name: 'Tables', description: '' } })
    const first = await atHere('CreateDataSourceFromFile', { input: {
      projectId, name: 'Nodes', description: null, filename: 'nodes.csv', fileContent: base64(nodes), fileFormat: 'CSV', dataType: 'NODES' } })
    assert.deepEqual([first.status, first.fileSize, first.errorMessage], ['active', Buffer.byteLength(nodes), null])
    const others = await atThere('BulkUploadDataSources', { projectId, files: Object.entries({ 'edges.csv': edges, 'layers.csv': layers }).map(
      ([filename, file]) => ({ name: filename, description: `Uploaded from ${filename}`, filename, fileContent: base64(file) })) })
    assert.deepEqual(others.map((s) => [s.filename, s.dataType, s.status]), [['edges.csv', 'edges', 'active'], ['layers.csv', 'layers', 'active']])
    for (const ask of [atHere, atThere]) {
      const listed = await ask('GetDataSources', { projectId })
      assert.deepEqual(listed.map((s) => s.id).sort(), [first, ...others].map((s) => s.id).sort())
      const graph = JSON.parse(listed.find((s) => s.id === first.id).graphJson)
      assert.deepEqual(graph.nodes.map((n) => n.label), ['System', 'Anna', 'Ben & "Co", Ünïcödé'])
    }

    await atHere('AddPlanDagNode', { projectId, node: node('graphnode_001', 'GraphNode', '{"isReference":false,"metadata":{}}') })
    await atThere('AddPlanDagNode', { projectId, node: node('outputnode_001', 'OutputNode', '{"renderTarget":"CSVNodes","outputPath":""}') })
    const sources = (await atHere('GetPlanDag', { projectId })).nodes.filter((n) => n.nodeType === 'DataSourceNode')
    assert.equal(sources.length, 3)
    for (const [i, { id }] of sources.entries()) await connect(projectId, id, 'graphnode_001', i)
    await connect(projectId, 'graphnode_001', 'outputnode_001', 'out')
    assert.equal((await atThere('GetGraphPreview', { projectId, nodeId: 'graphnode_001' }))?.executionState ?? 'not_started', 'not_started')

    const told = new Told(projectId)
    const executed = atHere('ExecuteNode', { projectId, nodeId: 'graphnode_001' })
    await told.until('graphnode_001', 'processing')
    const under = await atThere('GetGraphPreview', { projectId, nodeId: 'graphnode_001' })
    assert.equal(under.executionState, 'processing')
    await fetch(gate)
    assert.deepEqual(await executed, { __typename: 'NodeExecutionResult', success: true, message: 'The graph is built', nodeId: 'graphnode_001' })
    await told.until('graphnode_001', 'completed')
    // The subscription may have begun when it was already asked for.
    const before = ['not_started', 'pending']
    assert.deepEqual(told.states('graphnode_001').filter((state) => !before.includes(state)), ['processing', 'completed'])
    const last = told.events.at(-1)
    assert.deepEqual([last.projectId, last.phase, last.replica, last.errorMessage], [projectId, null, null, null])
    assert.ok(told.events.every((e) => e.graphId === last.graphId && !Number.isNaN(Date.parse(e.timestamp))))
    await told.client.dispose()

    for (const ask of [atHere, atThere]) {
      const preview = await ask('GetGraphPreview', { projectId, nodeId: 'graphnode_001' })
      assert.deepEqual([preview.executionState, preview.nodeCount, preview.edgeCount, preview.errorMessage], ['completed', 3, 1, null])
      assert.deepEqual(preview.nodes.map((n) => [n.id, n.isPartition]), [['sys', true], ['a', false], ['b', false]])
      assert.deepEqual(preview.edges.map((e) => [e.id, e.source, e.target, e.label]), [['e1', 'a', 'b', 'knows']])
      assert.equal(preview.layers[0].properties.background_color, '1f6feb')
      const shown = (await ask('GetPlanDag', { projectId })).nodes.find((n) => n.id === 'graphnode_001').graphExecution
      assert.deepEqual([shown.executionState, shown.nodeCount, shown.graphId], ['completed', 3, last.graphId])
      const file = await ask('ExportNodeOutput', { projectId, nodeId: 'outputnode_001' })
      assert.deepEqual([file.success, file.filename, file.mimeType], [true, 'Tables.csv', 'text/csv'])
      assert.match(text(file.content), /^id,label,layer,is_partition,belongs_to.*\n/)
      assert.ok(text(file.content).includes('"Ben & ""Co"", Ünïcödé"'), text(file.content))
    }
  },

  async 'a plan file becomes nodes that run'() {
    const { id: projectId } = await atThere('CreateProject', { input: { name: 'Imported', description: '' } })
    await atThere('BulkUploadDataSources', { projectId, files: Object.entries({ 'nodes.csv': nodes, 'edges.csv': edges, 'layers.csv': layers }).map(
      ([filename, file]) => ({ name: filename, filename, fileContent: base64(file) })) })
    const yamlContent = `meta: { name: "Imported" }
import:
  profiles:
    - { filename: "nodes.csv", filetype: "Nodes" }
    - { filename: "edges.csv", filetype: "Edges" }
    - { filename: "layers.csv", filetype: "Layers" }
export:
  profiles:
    - { filename: "out/imported.dot", exporter: "DOT" }
`
    const imported = await atHere('ImportPlanYaml', { projectId, yamlContent })
    const plan = await atThere('GetPlanDag', { projectId })
    assert.deepEqual([imported.success, imported.nodeCount, imported.edgeCount], [true, plan.nodes.length - 3, plan.edges.length])
    const output = plan.nodes.find((n) => n.nodeType === 'OutputNode')
    const file = await atHere('ExportNodeOutput', { projectId, nodeId: output.id })
    assert.equal(file.filename, 'imported.dot')
    assert.match(text(file.content), /^digraph/)
    assert.match(text(file.content).replaceAll('"', ''), /a -> b/)
    const graphs = await atThere('GetGraphs', { projectId })
    assert.ok(graphs.length > 0 && graphs.every((g) => g.executionState === 'completed' && g.nodeCount === 3), JSON.stringify(graphs))
  },

  async 'what is wrong is told'() {
    const { id: projectId } = await atHere('CreateProject', { input: { name: 'Wrong', description: '' } })
    const refused = async (promise) => promise.then(() => assert.fail('it was not refused'), (error) => {
      const [first] = error.errors ?? error.graphQLErrors
      return [first.extensions.code, first.message]
    })
    for (const ask of [atHere, atThere]) {
      const [code, message] = await refused(ask('CreateDataSourceFromFile', { input: {
        projectId, name: 'n', filename: 'nodes.csv', fileContent: '###', fileFormat: 'CSV', dataType: 'NODES' } }))
      assert.equal(code, 'BAD_REQUEST')
      assert.match(message, /^Failed to decode base64 file content: /)
      assert.deepEqual((await refused(ask('ExecuteNode', { projectId, nodeId: 'ghost' })))[0], 'NOT_FOUND')
      assert.deepEqual((await refused(ask('ExportNodeOutput', { projectId, nodeId: 'ghost' })))[0], 'NOT_FOUND')
      assert.deepEqual((await refused(ask('ImportPlanYaml', { projectId, yamlContent: 'export: [' })))[0], 'BAD_REQUEST')
    }
    assert.deepEqual(await atThere('GetDataSources', { projectId }), [])
  },
}

await runAll(tests)
