import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

const script = readFileSync(new URL('../credentials.js', import.meta.url), 'utf8')
const origin = 'https://plans.example'

/** What the browser's own fetch was asked for. */
let asked: [unknown, RequestInit | undefined][] = []

beforeEach(() => {
  asked = []
  vi.stubGlobal('location', { origin })
  vi.stubGlobal('document', { baseURI: `${origin}/projects/7` })
  vi.stubGlobal('fetch', (...given: [unknown, RequestInit | undefined]) => {
    asked.push(given)
    return Promise.resolve()
  })
  // oxlint-disable-next-line no-eval -- a classic script, as browsers run it
  ;(0, eval)(script)
})
afterEach(() => { vi.unstubAllGlobals() })

/** The credentials that a request has in the end. */
async function credentialsOf(input: RequestInfo | URL, init?: RequestInit): Promise<string> {
  await fetch(input, init)
  const [[sent, how]] = asked as [[RequestInfo | URL, RequestInit | undefined]]
  return how?.credentials ?? (sent instanceof Request ? sent.credentials : 'same-origin')
}

test.each<[string, RequestInfo | URL, RequestInit | undefined, string]>([
  ['ours', `${origin}/graphql`, { credentials: 'omit' }, 'same-origin'],
  ['ours, by its path', '/graphql', { credentials: 'omit' }, 'same-origin'],
  ['ours, from the screen', '../graphql', { credentials: 'omit' }, 'same-origin'],
  ['ours, as an address', new URL(`${origin}/graphql`), { credentials: 'omit' }, 'same-origin'],
  ['ours, as a request', new Request(`${origin}/graphql`, { credentials: 'omit' }), undefined, 'same-origin'],
  ['ours, as a request that is sent otherwise', new Request(`${origin}/graphql`), { credentials: 'omit' }, 'same-origin'],
  ['another origin', 'https://elsewhere.example/graphql', { credentials: 'omit' }, 'omit'],
  ['another port', `${origin}:8443/graphql`, { credentials: 'omit' }, 'omit'],
  ['another scheme', 'http://plans.example/graphql', { credentials: 'omit' }, 'omit'],
  ['our name as a user of another', `https://plans.example@elsewhere.example/`, { credentials: 'omit' }, 'omit'],
  ['another origin, by its name alone', '//elsewhere.example/graphql', { credentials: 'omit' }, 'omit'],
  ['another origin, as a request', new Request('https://elsewhere.example/', { credentials: 'omit' }), undefined, 'omit'],
  ['data', 'data:text/plain,hello', { credentials: 'omit' }, 'omit'],
  ['no address', 'https://', { credentials: 'omit' }, 'omit'],
  ['what says nothing', '/graphql', undefined, 'same-origin'],
  ['what includes them', '/graphql', { credentials: 'include' }, 'include'],
  ['what includes them elsewhere', 'https://elsewhere.example/', { credentials: 'include' }, 'include'],
])('%s', async (_, input, init, want) => {
  expect(await credentialsOf(input, init)).toBe(want)
})

test('everything else of a request stays', async () => {
  const signal = new AbortController().signal
  class Options { get method() { return 'POST' } }
  const init = Object.assign(new Options(), { credentials: 'omit' as const, headers: { accept: 'application/json' }, body: '{}', signal })
  await fetch('/graphql', init)
  const [[input, sent]] = asked as [[string, RequestInit]]
  expect(input).toBe('/graphql')
  expect([sent.method, sent.headers, sent.body, sent.signal, sent.credentials]).toEqual(['POST', init.headers, '{}', signal, 'same-origin'])
  expect(init.credentials).toBe('omit')
})
