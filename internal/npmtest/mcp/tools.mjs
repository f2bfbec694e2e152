// What every client does with every tool. A client is one of either generation.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'

// Calls that succeed one after the other. A text $name stands for what an earlier call learned of its result, by names and places in lists
// with dots between; $new for a new id.
const calls = JSON.parse(readFileSync(new URL('calls.json', import.meta.url)))

// Calls each tool that the server has with arguments that it takes, and with some that it does not.
export const callEveryTool = async (client) => {
  const listed = new Set()
  for (let cursor; ;) {
    const page = await client.listTools({ cursor })
    page.tools.forEach((tool) => listed.add(tool.name))
    if (!(cursor = page.nextCursor)) break
  }
  const untried = [...listed].filter((name) => !calls.some(({ tool }) => tool === name))
  assert.deepEqual(untried, [], 'tools that this script does not call')

  const known = {}
  const fill = (key, value) => (value === '$new' ? randomUUID() : typeof value === 'string' && value[0] === '$' ? known[value.slice(1)] : value)
  for (const { tool, arguments: args, learn = {} } of calls.filter(({ tool }) => listed.has(tool))) {
    const result = await call(client, tool, JSON.parse(JSON.stringify(args, fill)))
    for (const [name, path] of Object.entries(learn)) known[name] = path.split('.').reduce((value, key) => value[key], result)
  }
  for (const name of listed) {
    const { code } = await fail(client, name, { no_such_argument: 1 })
    assert.equal(code, 'BAD_REQUEST', name)
  }
}

// Returns the structured content of a call that succeeds. The client has compared it with the schema. The text says the same.
export const call = async (client, name, args) => {
  const { isError, structuredContent, content } = await client.callTool({ name, arguments: args })
  assert.ok(!isError, `${name} ${JSON.stringify(args)}: ${content[0]?.text}`)
  assert.deepEqual(content, [{ type: 'text', text: JSON.stringify(structuredContent) }], name)
  return structuredContent
}

// Returns the error of a call that fails. The client does not throw, because there is nothing to compare with the schema.
export const fail = async (client, name, args) => {
  const { isError, structuredContent, content } = await client.callTool({ name, arguments: args })
  assert.ok(isError, `${name} ${JSON.stringify(args)} succeeded`)
  assert.equal(structuredContent, undefined, name)
  assert.equal(content.length, 1, name)
  return JSON.parse(content[0].text).error
}
