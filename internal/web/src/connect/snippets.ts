// What to paste where, so that an agent, a front end or a terminal reaches this server.
import { command, json, scriptString, tomlString, variable, word, type Shell } from './quote.ts'

/** The groups of tools that an address of agents may be narrowed to. */
export const toolsets = ['projects', 'plans', 'data', 'graphs', 'people'] as const

export type Toolset = typeof toolsets[number]

/** What the snippets lead to, and as whom. */
export interface Target {
  /** Where the server is, such as http://127.0.0.1:3000. */
  origin: string
  /** The only project; null for all. */
  project: number | null
  readOnly: boolean
  /** All of them, or those that are left. */
  toolsets: readonly Toolset[]
  /** What people see the agent as; empty for what its program calls itself. */
  agent: string
  /** The secret that a program shows; null where none is needed. */
  token: string | null
  /** What a person without an account is called; null with a token. */
  person: string | null
  /** Names what a change makes, so that the change made twice is one. */
  opId: string
  shell: Shell
}

/** What stands for a token until there is one. */
export const noToken = 'YOUR_TOKEN'

export interface Snippet {
  /** Names it on the page, as in agents-cursor. */
  id: string
  title: string
  /** Where it goes: a file, or in words. */
  where: string
  text: string
}

/** The address of agents, narrowed as wanted. */
export function agentAddress({ origin, project, readOnly, toolsets: wanted }: Target): string {
  const narrowed = new URLSearchParams()
  if (readOnly) narrowed.set('read_only', 'true')
  if (project !== null) narrowed.set('project', String(project))
  if (wanted.length < toolsets.length) narrowed.set('toolsets', wanted.join(','))
  const query = narrowed.toString().replaceAll('%2C', ',')
  return `${origin}/mcp${query && `?${query}`}`
}

/** Whether a name can be sent in a header by every client: many refuse what is not ASCII, or send it in another encoding. */
export function fitsHeader(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name)
}

/** The headers of an agent. */
export function agentHeaders({ token, agent }: Target): Record<string, string> {
  return {
    ...(token !== null && { Authorization: `Bearer ${token}` }),
    ...(agent !== '' && fitsHeader(agent) && { 'X-Layercake-Agent': agent }),
  }
}

/** The headers of a program that asks. */
export function requestHeaders({ token, person }: Target): Record<string, string> {
  return {
    ...(token !== null && { Authorization: `Bearer ${token}` }),
    ...(token === null && person !== null && { 'X-Layercake-Name': encodeURIComponent(person.toWellFormed()) }),
  }
}

/** What clients of agents call the server: by its project, so that one can have several. */
export function serverName({ project }: Target): string {
  return project === null ? 'layercake' : `layercake-${project}`
}

/** One paste for each common client of agents. */
export function agentSnippets(target: Target): Snippet[] {
  const { agent, token, shell } = target
  const name = serverName(target)
  const url = agentAddress(target)
  const headers = agentHeaders(target)
  const lines = (flag: string) => Object.entries(headers).map(([header, value]) => [flag, `${header}: ${value}`])
  const withHeaders = { url, ...(Object.keys(headers).length > 0 && { headers }) }
  const bridge = {
    command: 'layercake', args: ['mcp', '--url', url, ...(agent === '' ? [] : [`--name=${agent}`])],
    ...(token !== null && { env: { LAYERCAKE_TOKEN: token } }),
  }
  return [
    {
      id: 'agents-claude-code', title: 'Claude Code', where: 'In a terminal, in the folder that you work in',
      text: command([['claude', 'mcp', 'add', '--transport', 'http', name, url], ...lines('--header')], shell),
    },
    {
      id: 'agents-claude-desktop', title: 'Claude Desktop',
      where: 'claude_desktop_config.json (Settings, Developer, Edit Config). It starts layercake, the program that serves this page, ' +
        'by its name where commands are looked for, or by its whole path in the place of the name.',
      text: json({ mcpServers: { [name]: bridge } }),
    },
    { id: 'agents-cursor', title: 'Cursor', where: '~/.cursor/mcp.json', text: json({ mcpServers: { [name]: withHeaders } }) },
    { id: 'agents-vs-code', title: 'VS Code', where: '.vscode/mcp.json', text: json({ servers: { [name]: { type: 'http', ...withHeaders } } }) },
    {
      id: 'agents-codex', title: 'Codex CLI', where: '~/.codex/config.toml',
      text: [
        `[mcp_servers.${name}]`, `url = ${tomlString(url)}`,
        ...(Object.keys(headers).length > 0
          ? [`http_headers = { ${Object.entries(headers).map(([header, value]) => `${tomlString(header)} = ${tomlString(value)}`).join(', ')} }`] : []),
      ].join('\n'),
    },
    {
      id: 'agents-gemini', title: 'Gemini CLI', where: 'In a terminal',
      text: command([['gemini', 'mcp', 'add', '--scope', 'user', '--transport', 'http'], ...lines('--header'), [name, url]], shell),
    },
    {
      id: 'agents-inspector', title: 'MCP Inspector', where: 'In a terminal, with Node 22 or later',
      text: command([
        ['npx', '@modelcontextprotocol/inspector', '--cli', url, '--transport', 'http', '--method', 'tools/list'], ...lines('--header'),
      ], shell),
    },
    {
      id: 'agents-other', title: 'Any other client', where: 'Its list of servers, as most of them have it',
      text: json({ mcpServers: { [name]: { type: 'http', ...withHeaders } } }),
    },
  ]
}

/** The options by which the client connects, as a script has them. */
function connectOptions({ origin, token, person }: Target): string {
  const options = [`url: ${scriptString(origin)}`]
  if (token !== null) options.push(`token: ${scriptString(token)}`)
  else if (person !== null) options.push(`name: ${scriptString(person)}`)
  return `{ ${options.join(', ')} }`
}

const curlHeaders = (target: Target) => Object.entries(requestHeaders(target)).map(([header, value]) => ['-H', `${header}: ${value}`])

/** For front ends: the client of exactly this server, by a package or by its address, and the schema. */
export function frontEndSnippets(target: Target): Snippet[] {
  const { origin, project, shell } = target
  const address = scriptString(`${origin}/client/index.js`)
  return [
    {
      id: 'client-install', title: 'The client as a package', where: 'In a terminal; it comes with its types, and needs no other package',
      text: command([['npm', 'install', `${origin}/client/layercake-client.tgz`]], shell),
    },
    {
      id: 'client-use', title: 'Ask something', where: 'A module, such as ask.mjs',
      text: [
        `import { connect } from 'layercake-client'`, '',
        `const layercake = await connect(${connectOptions(target)})`,
        `const { projectList } = await layercake.request('{ projectList(first: 5) { projects { id name } } }', {})`,
        'console.log(projectList.projects)',
      ].join('\n'),
    },
    {
      id: 'client-page', title: 'A page without a build', where: 'A file such as index.html, served from an origin that may call',
      text: [
        '<!doctype html>', '<meta charset="utf-8">', '<title>A plan</title>', '<ul></ul>', '<script type="module">',
        `  import { connect } from ${address}`,
        `  const layercake = await connect(${connectOptions(target)})`,
        `  const plan = layercake.plan(${project ?? 1})`,
        '  plan.subscribe(() => {',
        '    const nodes = [...plan.snapshot().plan?.nodes.values() ?? []]',
        `    document.querySelector('ul').replaceChildren(...nodes.map(({ metadata }) => Object.assign(document.createElement('li'), { textContent: metadata.label })))`,
        '  })', '</script>',
      ].join('\n'),
    },
    {
      id: 'schema', title: 'The schema', where: 'In a terminal; tools generate code from it',
      text: command([['curl', '-sSf', '-o', 'schema.graphql', `${origin}/schema.graphql`], ...curlHeaders(target)], shell),
    },
  ]
}

/** What asks GraphQL for the chosen plan, or for the projects. */
export function queryOf({ project }: Target): { query: string; variables: Record<string, unknown> } {
  if (project === null) return { query: '{ projectList(first: 5) { projects { id name live { planVersion people agents } } } }', variables: {} }
  return {
    query: 'query ($project: Int!) { getPlanDag(projectId: $project) { version nodes { id nodeType metadata { label } } edges { source target } } }',
    variables: { project },
  }
}

function mutationOf({ project, opId }: Target): { query: string; variables: Record<string, unknown> } {
  if (project === null) {
    return { query: 'mutation ($input: CreateProjectInput!) { createProject(input: $input) { id name } }', variables: { input: { name: 'By a program' } } }
  }
  const node = {
    id: `node_${opId.slice(0, 8)}`, nodeType: 'GraphNode', position: { x: 0, y: 0 }, metadata: { label: 'By a program' }, config: '{}',
  }
  return {
    query: 'mutation ($project: Int!, $edits: [PlanEdit!]!, $opId: String) { editPlan(projectId: $project, edits: $edits, opId: $opId) { version } }',
    variables: { project, edits: [{ addNode: node }], opId },
  }
}

/** Follows the changes of a plan. */
export const subscription = 'subscription ($project: Int!) { planEvents(projectId: $project) { version actorName operations { kind id } } }'

/** For GraphQL: a query, a mutation, a subscription. */
export function graphQLSnippets(target: Target): Snippet[] {
  const { origin, project, shell } = target
  const curl = (asked: object) => command([
    ['curl', '-sS', `${origin}/graphql`, '-H', 'Content-Type: application/json'], ...curlHeaders(target), ['-d', JSON.stringify(asked)],
  ], shell)
  return [
    { id: 'graphql-query', title: 'A query', where: 'In a terminal', text: curl(queryOf(target)) },
    { id: 'graphql-mutation', title: 'A mutation', where: 'In a terminal', text: curl(mutationOf(target)) },
    {
      id: 'graphql-subscription', title: 'A subscription', where: 'A module beside the client as a package, such as follow.mjs, with Node 22 or later',
      text: [
        `import { connect } from 'layercake-client'`, '',
        `const layercake = await connect(${connectOptions(target)})`,
        'layercake.socket.follow(',
        `  ${scriptString(subscription)},`,
        `  () => ({ project: ${project ?? 1} }),`,
        '  ({ planEvents }) => console.log(JSON.stringify(planEvents)),',
        '  (failure) => console.error(failure.message),',
        ')',
      ].join('\n'),
    },
  ]
}

/** For the terminal: the program that serves this page, as a client. */
export function terminalSnippets(target: Target): Snippet[] {
  const { origin, project, token, shell } = target
  const id = String(project ?? 1)
  const signedIn = (...words: string[]) => [
    ...(token === null ? [] : [variable('LAYERCAKE_TOKEN', token, shell)]), command([['layercake', ...words, '--url', origin]], shell),
  ].join('\n')
  return [
    { id: 'terminal-watch', title: 'Watch a plan', where: 'One change a line, as JSON, until ^C', text: signedIn('watch', id) },
    { id: 'terminal-history', title: 'Read its history', where: 'Newest first', text: signedIn('history', id) },
    {
      id: 'terminal-undo', title: 'Take a change back', where: 'By its version in the history; this only says what would be, but for what others touched since',
      text: signedIn('undo', id, '1', '--dry-run', '--on-conflict=skip'),
    },
  ]
}

/** The program that asks the database, where its address is in a variable. */
export function psqlSnippet({ shell }: Target): Snippet {
  return {
    id: 'sql-psql', title: 'psql', where: 'In a terminal',
    text: shell === 'posix' ? 'psql "$LAYERCAKE_DATABASE_URL"' : `${word('psql', shell)} $env:LAYERCAKE_DATABASE_URL`,
  }
}

/** Who can reach an address: nobody but the same machine, others whose words can be read on the way, or others. */
export function reach(origin: string): 'this machine' | 'in the clear' | 'encrypted' {
  const { protocol, hostname } = new URL(origin)
  if (/^(localhost|.*\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname)) return 'this machine'
  return protocol === 'https:' ? 'encrypted' : 'in the clear'
}
