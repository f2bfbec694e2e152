// Clients of each generation: those of the package before 2026, and its successor in both of its eras. Each says how to connect, and how to
// hear of a resource.
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport as SSE1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as HTTP1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { Client as Client2, SSEClientTransport as SSE2, StreamableHTTPClientTransport as HTTP2 } from '@modelcontextprotocol/client'

const subscribe = (client, uri) => client.subscribeResource({ uri })
const listen = (client, uri) => client.listen({ resourceSubscriptions: [uri] })

const generations = {
  'sdk 1, HTTP': { Client: Client1, Transport: HTTP1, path: '/mcp', hear: subscribe },
  'sdk 1, SSE': { Client: Client1, Transport: SSE1, path: '/mcp/sse', hear: subscribe },
  'client 2, HTTP': { Client: Client2, Transport: HTTP2, path: '/mcp', hear: subscribe },
  'client 2, SSE': { Client: Client2, Transport: SSE2, path: '/mcp/sse', hear: subscribe },
  'client 2, auto': {
    Client: Client2, Transport: HTTP2, path: '/mcp', hear: listen, options: { versionNegotiation: { mode: 'auto' } }, modern: true,
  },
}

// Calls a function with a client of each generation, and closes the client. Whoever has `answer` can be asked, and answers with it.
export const withEach = async (run, { answer } = {}) => {
  for (const [name, generation] of Object.entries(generations)) {
    const client = await connect(name, generation, answer)
    try {
      await run(client, generation)
    } catch (cause) {
      throw new Error(name, { cause })
    } finally {
      await client.close()
    }
  }
}

const connect = async (name, { Client, Transport, path, options }, answer) => {
  const client = new Client({ name, version: '1' }, { ...options, capabilities: answer ? { elicitation: {} } : {} })
  if (answer) {
    client.setRequestHandler(Client === Client1 ? ElicitRequestSchema : 'elicitation/create', () => answer())
  }
  await client.connect(new Transport(new URL(process.env.LAYERCAKE_URL + path)))
  return client
}

// Calls a function with the URI of each resource that a client is told has changed.
export const onUpdate = (client, f) => {
  const method = client instanceof Client1 ? ResourceUpdatedNotificationSchema : 'notifications/resources/updated'
  client.setNotificationHandler(method, ({ params }) => f(params.uri))
}
