// Every client calls every tool, hears of others' changes, and is asked. LAYERCAKE_URL leads to any replica.
import assert from 'node:assert/strict'
import { runAll } from '../run.mjs'
import { onUpdate, withEach } from './clients.mjs'
import { call, callEveryTool, fail } from './tools.mjs'

const project = async (client) => (await call(client, 'create_project', { name: 'Tea' })).id

// Adds a node as a browser does.
const addNode = async (projectId, id) => {
  const query = `mutation ($projectId: Int!, $node: PlanDagNodeInput!) { addPlanDagNode(projectId: $projectId, node: $node) { id } }`
  const node = { id, nodeType: 'GraphNode', position: { x: 0, y: 0 }, metadata: { label: id }, config: '{}' }
  const response = await fetch(process.env.LAYERCAKE_URL + '/graphql', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ query, variables: { projectId, node } }),
  })
  const { errors } = await response.json()
  assert.equal(errors, undefined)
}

const tests = {
  'versions': () => withEach(async (client, { modern }) => {
    assert.equal(client.getServerVersion().name, 'layercake')
    assert.match(client.getInstructions(), /\S/)
    assert.equal(client.getNegotiatedProtocolVersion?.() ?? '2025-11-25', modern ? '2026-07-28' : '2025-11-25')
  }),

  'every tool': () => withEach((client) => callEveryTool(client)),

  // The changes come over another protocol, and by turns to each replica, so that most are made on others than the one that tells.
  'updates': () => withEach(async (client, { hear }) => {
    const project_id = await project(client)
    const uri = `layercake://projects/${project_id}/plan`
    const updates = []
    let told = () => {}
    onUpdate(client, (uri) => { updates.push(uri); told() })
    await hear(client, uri)
    for (const id of ['a', 'b', 'c']) {
      const before = updates.length
      const update = new Promise((resolve) => { told = resolve })
      await addNode(project_id, id)
      if (updates.length === before) await update
    }
    assert.deepEqual(new Set(updates), new Set([uri]))
  }),

  // Resources and prompts are there as soon as the server says so.
  'every resource': () => withEach(async (client) => {
    if (!client.getServerCapabilities().resources) return
    const project_id = await project(client)
    const { plan_id } = await call(client, 'get_project', { project_id })
    const { data_sources: [{ node_id }] } = await call(client, 'import_csv', { project_id, nodes_csv: 'id,label\na,Assam\n' })
    const operations = [{ op: 'add_node', id: 'teas', node_type: 'GraphNode' }, { op: 'add_edge', source: node_id, target: 'teas' }]
    await call(client, 'edit_plan', { project_id, operations })
    assert.equal((await call(client, 'execute_plan', { plan_id, wait_seconds: 25 })).status, 'completed')
    const { resources } = await client.listResources()
    const { resourceTemplates } = await client.listResourceTemplates()
    const fill = (ids) => resourceTemplates.map(({ uriTemplate }) => uriTemplate.replace(/{(\w+)}/g, (_, name) => ({ format: 'dot', analysis_type: 'connectivity', ...ids })[name]))
    const lasting = resources.map(({ uri }) => uri).filter((uri) => !uri.startsWith('layercake://projects/')) // other clients delete theirs
    for (const uri of [...lasting, ...fill({ project_id, plan_id })]) {
      const { contents: [content, ...more] } = await client.readResource({ uri })
      assert.equal(content.uri, uri)
      assert.equal(more.length, 0, uri)
      if (content.mimeType === 'application/json') JSON.parse(content.text)
      else assert.equal(typeof content.text, 'string', uri)
    }
    for (const uri of [...fill({ project_id: 4711, plan_id: 4711 }), 'layercake://cake', 'cake://1']) {
      await assert.rejects(client.readResource({ uri }), ({ code }) => code === -32602, uri)
    }
  }),

  'every prompt': () => withEach(async (client) => {
    if (!client.getServerCapabilities().prompts) return
    const project_id = String(await project(client))
    const texts = { project_id, node_count: '3', edge_count: '2', layer_count: '1', source_node: 'a', target_node: 'b', goal: 'Brew tea' }
    const { prompts } = await client.listPrompts()
    assert.notEqual(prompts.length, 0)
    for (const { name, arguments: takes = [] } of prompts) {
      const required = takes.filter(({ required }) => required)
      const args = Object.fromEntries(required.map(({ name }) => [name, texts[name]]))
      const { messages } = await client.getPrompt({ name, arguments: args })
      assert.notEqual(messages.length, 0, name)
      for (const { role, content } of messages) {
        assert.equal(role, 'user', name)
        assert.doesNotMatch(content.text, /{{|undefined/, name)
      }
      if (required.length > 0) await assert.rejects(client.getPrompt({ name, arguments: {} }), ({ code }) => code === -32602, name)
    }
    await assert.rejects(client.getPrompt({ name: 'cake' }), ({ code }) => code === -32602)
    if (!client.getServerCapabilities().completions) return
    const ref = { type: 'ref/prompt', name: prompts.find(({ arguments: takes }) => takes?.some(({ name }) => name === 'project_id')).name }
    const { completion } = await client.complete({ ref, argument: { name: 'project_id', value: project_id } })
    assert.ok(completion.values.includes(project_id), `${completion.values} has no ${project_id}`)
  }),

  'a person declines': () => withEach(async (client) => {
    const project_id = await project(client)
    const { code } = await fail(client, 'delete_project', { project_id })
    assert.equal(code, 'FORBIDDEN')
    await call(client, 'get_project', { project_id })
  }, { answer: () => ({ action: 'decline' }) }),

  'a person accepts': () => {
    let asked = 0
    return withEach(async (client) => {
      asked = 0
      const project_id = await project(client)
      await call(client, 'delete_project', { project_id })
      assert.equal(asked, 1)
      const { code } = await fail(client, 'get_project', { project_id })
      assert.equal(code, 'NOT_FOUND')
    }, { answer: () => { asked++; return { action: 'accept', content: {} } } })
  },
}

await runAll(tests)
