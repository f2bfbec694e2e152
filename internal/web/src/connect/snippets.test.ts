import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  agentAddress, agentSnippets, frontEndSnippets, graphQLSnippets, reach, requestHeaders, terminalSnippets, toolsets, type Snippet, type Target,
} from './snippets.ts'

const target: Target = {
  origin: 'http://127.0.0.1:3000', project: null, readOnly: false, toolsets, agent: '', token: null, person: 'Amber Otter', opId: '0123456789abcdef',
  shell: 'posix',
}
const all = (of: Target) => [...agentSnippets(of), ...frontEndSnippets(of), ...graphQLSnippets(of), ...terminalSnippets(of)]
const textOf = (snippets: Snippet[], id: string) => snippets.find((each) => each.id === id)!.text

test('an address is narrowed by what is chosen, and by nothing else', () => {
  expect(agentAddress(target)).toBe('http://127.0.0.1:3000/mcp')
  expect(agentAddress({ ...target, readOnly: true })).toBe('http://127.0.0.1:3000/mcp?read_only=true')
  expect(agentAddress({ ...target, project: 7, readOnly: true, toolsets: ['plans', 'people'] }))
    .toBe('http://127.0.0.1:3000/mcp?read_only=true&project=7&toolsets=plans,people')
})

test('each paste has the narrowed address, and its token', () => {
  const narrowed = { ...target, project: 7, readOnly: true, token: 'lc_secret' }
  for (const { id, text } of agentSnippets(narrowed)) {
    expect(text, id).toContain('http://127.0.0.1:3000/mcp?read_only=true&project=7')
    expect(text, id).toContain('lc_secret')
    if (id !== 'agents-inspector') expect(text, id).toContain('layercake-7')
  }
  for (const { id, text } of [...graphQLSnippets(narrowed), ...terminalSnippets(narrowed)]) expect(text, id).toContain('lc_secret')
})

test('an open server needs neither token nor header', () => {
  for (const { id, text } of all(target)) expect(text, id).not.toMatch(/authorization|token/i)
  expect(textOf(agentSnippets(target), 'agents-claude-code')).toBe('claude mcp add --transport http layercake http://127.0.0.1:3000/mcp')
})

test('JSON is JSON, whatever people are called', () => {
  const name = fc.string({ unit: 'binary', maxLength: 100 })
  fc.assert(fc.property(name, name, fc.option(name), fc.boolean(), fc.option(fc.integer({ min: 1 })), (agent, person, token, readOnly, project) => {
    const named = { ...target, agent, person, token, readOnly, project }
    for (const { id, text } of agentSnippets(named).filter((each) => each.text.startsWith('{'))) {
      const { mcpServers, servers } = JSON.parse(text)
      const [[called, server]] = Object.entries(mcpServers ?? servers) as [[string, { url?: string; args?: string[]; headers?: object }]]
      expect(called, id).toBe(project === null ? 'layercake' : `layercake-${project}`)
      expect(server.url ?? server.args![2], id).toBe(agentAddress(named))
      expect(server.headers ?? {}, id).toEqual(id === 'agents-claude-desktop' ? {} : {
        ...(token !== null && { Authorization: `Bearer ${token}` }),
        ...(agent !== '' && /^[\x20-\x7e]*$/.test(agent) && { 'X-Layercake-Agent': agent }),
      })
    }
    for (const { text } of graphQLSnippets(named)) expect(text).not.toContain('undefined')
    for (const value of Object.values(requestHeaders({ ...named, token: null }))) expect(value).toMatch(/^[\x21-\x7e]*$/)
  }))
})

test('a token comes in the place of a name', () => {
  expect(requestHeaders({ ...target, token: 'lc_x' })).toEqual({ Authorization: 'Bearer lc_x' })
  expect(requestHeaders({ ...target, person: 'Zoë "Z" <b>' })).toEqual({ 'X-Layercake-Name': 'Zo%C3%AB%20%22Z%22%20%3Cb%3E' })
})

test('PowerShell has its own lines and variables', () => {
  const there = { ...target, shell: 'powershell' as const, token: 'lc_x', project: 7 }
  expect(textOf(terminalSnippets(there), 'terminal-watch')).toBe("$env:LAYERCAKE_TOKEN = 'lc_x'\nlayercake watch 7 --url http://127.0.0.1:3000")
  expect(textOf(agentSnippets(there), 'agents-claude-code')).toContain(" `\n  --header 'Authorization: Bearer lc_x'")
})

test('whoever can reach an address is told', () => {
  for (const origin of ['http://127.0.0.1:3000', 'http://localhost', 'http://[::1]:3000', 'https://plans.localhost']) expect(reach(origin)).toBe('this machine')
  for (const origin of ['http://10.1.2.3:3000', 'http://plans.example.com', 'http://127.0.0.1.example.com']) expect(reach(origin)).toBe('in the clear')
  expect(reach('https://plans.example.com')).toBe('encrypted')
})
