// An agent for people to watch: a script of this page, which speaks to /mcp as every agent does.
import { newId } from '../client/index.ts'
import { update, type Desk, type SampleAgent } from './desk.ts'

const name = 'Sample agent'
const version = '2026-07-28'

/** Time for people to see each step. */
const betweenSteps = 1_000

/** The parts of a plan, and of an answer to an edit, that it reads. */
interface Outline { nodes: { id: string; type: string; label: string }[] }
interface Edited { changes: { kind: string; id: string }[] }

/** Comes into a project, adds an output, connects it the wrong way round, is refused, mends that, and goes. */
export async function run(desk: Desk): Promise<void> {
  const project = desk.project.id
  const said: string[] = []
  // Who it is to the log shows by its changes.
  const begun: Pick<SampleAgent, 'actorId' | 'since'> = { actorId: null, since: new Date() }
  const opIds = new Set<string>()
  const stopHearing = desk.project.plan.hear(({ opId, actorId }) => { if (opId !== null && opIds.has(opId)) begun.actorId = actorId })
  const say = async (words: string) => {
    said.push(words)
    update(desk, { sampleAgent: { ...begun, said: [...said], isRunning: true } })
    await new Promise((resolve) => setTimeout(resolve, betweenSteps))
  }
  const gone = new AbortController()
  const ask = <T>(tool: string, parameters: object, options: RequestInit = { signal: gone.signal }) => (
    callTool<T>(tool, { project_id: project, ...parameters }, options))
  const edit = (...operations: object[]) => {
    const opId = newId()
    opIds.add(opId)
    return ask<Edited>('edit_plan', { operations, op_id: opId, note: `By the ${name.toLowerCase()}` })
  }
  // What is under way when the page ends would bring it back after it has gone.
  const leave = () => {
    gone.abort()
    return ask('set_presence', { leave: true }, { keepalive: true })
  }
  const onPageHide = () => void leave().catch(() => {})
  addEventListener('pagehide', onPageHide)
  try {
    const { nodes } = await ask<Outline>('get_plan', { check: false })
    const graph = nodes.findLast(({ type }) => type === 'GraphNode')
    await ask('set_presence', graph ? { node_id: graph.id } : { x: 0, y: 0 })
    await say('I am here, and read the plan.')

    const added = await edit(
      ...(graph ? [] : [{ op: 'add_node', node_type: 'GraphNode', label: 'Graph' }]),
      { op: 'add_node', node_type: 'OutputNode', label: 'Output of an agent', config: { renderTarget: 'DOT' } },
    )
    const ids = added.changes.filter(({ kind }) => kind === 'node_added').map(({ id }) => id)
    const [source, output] = [graph?.id ?? ids[0], ids.at(-1)]
    await say('I added an output, “Output of an agent”.')

    try {
      await edit({ op: 'add_edge', source: output, target: source })
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      await say(`I tried to lead it into “${graph?.label ?? 'Graph'}”, and was refused: ${error.message}.`)
    }
    await edit({ op: 'add_edge', source, target: output })
    await say('I connected them the other way round: that is right.')
    said.push('I have gone. What I did stays.')
  } catch (error) {
    said.push(`I stopped: ${error instanceof Error ? error.message : String(error)}.`)
  } finally {
    removeEventListener('pagehide', onPageHide)
    await leave().catch(() => {}) // it is gone a little later, when it was not heard of
    stopHearing()
    update(desk, { sampleAgent: { ...begun, said, isRunning: false } })
  }
}

/** What a tool refuses, in the server's words. */
class Refused extends Error {}

/** Calls a tool, by a request that needs no session. */
async function callTool<T>(tool: string, parameters: object, options: RequestInit): Promise<T> {
  const { result, error } = await answerOf('/mcp', {
    ...options,
    method: 'POST',
    headers: {
      'content-type': 'application/json', accept: 'application/json', 'mcp-protocol-version': version, 'mcp-method': 'tools/call', 'mcp-name': tool,
      'x-layercake-agent': name,
    },
    body: JSON.stringify({
      jsonrpc: '2.0', id: 1, method: 'tools/call', params: {
        name: tool, arguments: parameters, _meta: {
          'io.modelcontextprotocol/protocolVersion': version, 'io.modelcontextprotocol/clientInfo': { name, version: '1' },
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }),
  }) as {
    result?: { isError?: boolean; structuredContent?: T; content: { text: string }[] }
    error?: { message: string }
  }
  if (!result) throw new Error(error?.message ?? 'The answer has no result')
  if (result.isError) {
    const { message, detail } = JSON.parse(result.content[0]!.text).error as { message: string; detail?: unknown }
    throw new Refused(typeof detail === 'string' ? `${message} (${detail})` : message)
  }
  return result.structuredContent!
}

/** What is answered, as JSON. Other answers come from something between us and the server. */
async function answerOf(path: string, options: RequestInit): Promise<unknown> {
  try {
    return await (await fetch(path, options)).json()
  } catch {
    throw new Error('The server cannot be reached')
  }
}
