// What tools/list costs a model. LAYERCAKE_URL leads to any replica.
import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { encode } from 'gpt-tokenizer/encoding/o200k_base'

const mostTokens = 3600 // of what clients show to models
const mostBytes = 30_000 // of the list

const client = new Client({ name: 'tokens', version: '1' })
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.LAYERCAKE_URL + '/mcp')))
const { tools, nextCursor } = await client.listTools()
await client.close()
assert.equal(nextCursor, undefined)

const tokens = (tool) => encode(JSON.stringify(tool)).length
const shown = tools.map(({ name, description, inputSchema }) => ({ name, description, input_schema: inputSchema }))
const bytes = Buffer.byteLength(JSON.stringify({ tools }))
const table = shown.map((tool) => `${String(tokens(tool)).padStart(5)} ${tool.name}`).join('\n')
const total = `${tools.length} tools: ${tokens(shown)} tokens are shown to a model, ${bytes} bytes are sent`
console.log(`${table}\n${total}`)
assert.ok(tokens(shown) <= mostTokens, `${total}: at most ${mostTokens} tokens`)
assert.ok(bytes <= mostBytes, `${total}: at most ${mostBytes} bytes`)
process.exit(0)
