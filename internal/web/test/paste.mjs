// Runs what the page says to paste, as it stands there, in a folder of its own.
import { spawn, execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const { TOOLS, PSQL, NODE, SDK, INSPECTOR, DATABASE } = process.env
const require = createRequire(`${SDK}/package.json`)
const { Client } = await import(require.resolve('@modelcontextprotocol/sdk/client/index.js'))
const { StreamableHTTPClientTransport } = await import(require.resolve('@modelcontextprotocol/sdk/client/streamableHttp.js'))
const { StdioClientTransport } = await import(require.resolve('@modelcontextprotocol/sdk/client/stdio.js'))

/** A new folder, with programs that stand for clients of agents: they print what they are given. */
export function workplace() {
  const folder = mkdtempSync(join(tmpdir(), 'layercake-connect-'))
  const program = (name, script) => {
    writeFileSync(join(folder, name), script)
    chmodSync(join(folder, name), 0o755)
  }
  for (const name of ['claude', 'gemini']) program(name, `#!${NODE}/node\nconsole.log(JSON.stringify(process.argv.slice(2)))\n`)
  program('npx', `#!/bin/sh\nshift\nexec ${NODE}/node ${INSPECTOR}/clients/launcher/build/index.js "$@"\n`)
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  const env = {
    ...process.env, PATH: [folder, TOOLS, NODE, PSQL, process.env.PATH].join(':'), HOME: folder, LAYERCAKE_DATABASE_URL: DATABASE, LAYERCAKE_TOKEN: '',
    npm_config_cache: join(folder, 'cache'), npm_config_audit: 'false', npm_config_fund: 'false', npm_config_update_notifier: 'false',
  }
  const options = { cwd: folder, env, encoding: 'utf8', timeout: 120_000 }
  return {
    folder,
    /** Writes a file, whose name is returned. */
    file(name, text) {
      writeFileSync(join(folder, name), text)
      return name
    },
    /** Runs a command line, with what it is told, and returns what it says; fails when it does. */
    async shell(line, input = '') {
      const running = promisify(execFile)('sh', ['-c', line], options)
      running.child.stdin.on('error', () => {}) // whoever reads nothing may have ended before
      running.child.stdin.end(input)
      return running
    },
    /** Starts a command line, and returns its lines, the first of which is awaited while something is done again and again. */
    async follow(line, act) {
      const child = spawn('sh', ['-c', line], { ...options, detached: true }) // a group of its own, to be ended with what it starts
      const said = { lines: '', problems: '', ended: false }
      child.stdout.on('data', (data) => { said.lines += data })
      child.stderr.on('data', (data) => { said.problems += data })
      const end = new Promise((resolve) => { child.on('close', resolve) }).then(() => { said.ended = true })
      while (!said.lines.includes('\n') && !said.ended) await act()
      if (!said.ended) process.kill(-child.pid, 'SIGINT')
      await end
      if (!said.lines.includes('\n')) throw new Error(`${line}: ${said.problems}`)
      return said.lines.split('\n')[0]
    },
    remove: () => rmSync(folder, { recursive: true }),
    env,
  }
}

async function withClient(transport, act) {
  const client = new Client({ name: 'pasted', version: '1' })
  await client.connect(transport)
  try {
    return await act(client)
  } finally {
    await client.close()
  }
}

/** Connects as a client of agents does that was given an address and headers. */
export function byAddress(url, headers, act) {
  return withClient(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }), act)
}

/** Connects as a client of agents does that was given a program. */
export function byProgram({ command, args, env }, place, act) {
  return withClient(new StdioClientTransport({ command, args, env: { PATH: place.env.PATH, ...env }, stderr: 'pipe' }), act)
}

/** The names of the tools that a client is offered. */
export async function toolsOf(client) {
  return (await client.listTools()).tools.map(({ name }) => name)
}

/** The header that follows each flag. */
export function headersIn(args) {
  return Object.fromEntries(args.flatMap((each, i) => (each === '--header' ? [args[i + 1].match(/^([^:]*): ([^]*)$/).slice(1)] : [])))
}

/** The text of a snippet. */
export function snippet(page, id) {
  return page.locator(`[data-snippet="${id}"]`).evaluate((code) => code.textContent)
}

/** Asks a server without a page. */
export async function ask(url, query, variables, headers = {}) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}
