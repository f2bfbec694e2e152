// A real identity provider: npm's oidc-provider, at PROVIDER. People sign in by it at URL, are signed in at OTHER_URL, and are signed out there
// when they are at the provider; its keys change; and a program that signs in there by itself calls /mcp.
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import http from 'node:http'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Provider } from 'oidc-provider'

const { URL: url, OTHER_URL: other, PROVIDER: issuer, SECRET: secret } = process.env
const resource = `${url}/mcp`
const native = 'http://127.0.0.1:1/callback' // nobody listens there: the address is read

const people = {
  ann: { email: 'ann@example.com', email_verified: true, name: 'Ann', preferred_username: 'ann' },
  bob: { email: 'bob@example.com', email_verified: false, name: 'Bob', preferred_username: 'bob' },
}

function provider(kid, type, options) {
  const { privateKey } = generateKeyPairSync(type, options)
  const key = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: type === 'rsa' ? 'RS256' : 'ES256' }
  const signing = type === 'rsa' ? {} : { id_token_signed_response_alg: 'ES256' }
  const made = new Provider(issuer, {
    jwks: { keys: [key] }, cookies: { keys: ['for tests'] },
    clients: [
      {
        client_id: 'layercake', client_secret: secret, redirect_uris: [`${url}/oidc/callback`], backchannel_logout_uri: `${other}/oidc/logout`,
        backchannel_logout_session_required: true, ...signing,
      },
      { client_id: 'desktop', token_endpoint_auth_method: 'none', application_type: 'native', redirect_uris: [native], ...signing },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
    scopes: ['openid', 'email', 'profile'],
    findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
    fetch: (to, { dispatcher, ...options }) => fetch(to, options), // its own one tells nobody on this machine of a logout
    pkce: { required: () => true },
    ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 300, IdToken: 300, Interaction: 300, Session: 300 },
    features: {
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'layercake:read layercake:edit', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: key.alg } },
        }),
      },
    },
  })
  made.on('server_error', (_, error) => console.error(error))
  made.on('backchannel.error', (_, error) => console.error(error))
  return made
}

// Browser keeps cookies by origin, follows redirects, and fills in what the provider asks.
class Browser {
  constructor(login) { this.login = login; this.jar = new Map(); this.pages = 0 }

  async send(address, body) {
    const { origin } = new URL(address)
    const jar = this.jar.get(origin) ?? new Map()
    this.jar.set(origin, jar)
    const response = await fetch(address, {
      method: body ? 'POST' : 'GET', body, redirect: 'manual',
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '), accept: 'text/html', 'sec-fetch-site': 'same-origin',
        'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';')
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    return response
  }

  /** Goes to an address, and on until nothing leads further; returns where it ended, and what is there. */
  async go(address, body) {
    for (let steps = 0; steps < 30; steps++) {
      if (address.startsWith(native)) return { address, text: '' }
      const response = await this.send(address, body)
      body = undefined
      const location = response.headers.get('location')
      if (location) {
        address = new URL(location, address).href
        continue
      }
      const text = await response.text()
      const form = /<form[^>]*action="([^"]+)"/.exec(text)
      if (!address.startsWith(issuer) || !form || response.status !== 200) return { address, text, status: response.status }
      this.pages++
      const fields = new URLSearchParams()
      for (const [, name, value] of text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)) fields.set(name, value)
      if (text.includes('name="login"')) {
        fields.set('login', this.login)
        fields.set('password', 'x')
      }
      if (text.includes('name="logout"')) fields.set('logout', 'yes')
      address = new URL(form[1].replaceAll('&amp;', '&'), address).href
      body = fields.toString()
    }
    throw new Error(`it leads on and on: ${address}`)
  }

  async me(replica) {
    const jar = this.jar.get(url)
    const response = await fetch(`${replica}/graphql`, {
      method: 'POST', body: JSON.stringify({ query: '{ me { username email } }' }),
      headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', cookie: `layercake=${jar?.get('layercake')}` },
    })
    return (await response.json()).data?.me ?? null
  }
}

let current = provider('first', 'rsa', { modulusLength: 2048 })
const server = http.createServer((request, response) => current.callback()(request, response))
await new Promise((resolve) => { server.listen(Number(new URL(issuer).port), '127.0.0.1', resolve) })

// A sign-in.
const ann = new Browser('ann')
const began = performance.now()
const end = await ann.go(`${url}/oidc/login?return=/projects/7`)
console.log(`a sign-in takes ${Math.round(performance.now() - began)} ms`)
assert.equal(end.status, 200, end.text)
assert.match(end.text, /content="0; url=\/projects\/7"/)
assert.deepEqual(await ann.me(other), { username: 'ann', email: 'ann@example.com' })
const bob = new Browser('bob')
await bob.go(`${url}/oidc/login`)
assert.deepEqual(await bob.me(other), { username: 'bob', email: '' }) // nobody has verified it

// Who is signed in there is not asked again, unless that is asked for.
const before = ann.pages
await ann.go(`${url}/oidc/login`)
assert.equal(ann.pages, before)
assert.equal((await ann.go(`${url}/oidc/login?again=true`)).status, 200)
assert.ok(ann.pages > before)

// A program signs in by itself: it learns from the server where, and for what.
const challenge = await fetch(resource, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
assert.equal(challenge.status, 401)
const [, where] = /resource_metadata="([^"]+)"/.exec(challenge.headers.get('www-authenticate'))
const metadata = await (await fetch(where)).json()
assert.deepEqual([metadata.resource, metadata.authorization_servers], [resource, [issuer]])
async function accessToken(scope, forResource) {
  const verifier = randomBytes(32).toString('base64url')
  const asked = new URLSearchParams({
    client_id: 'desktop', response_type: 'code', redirect_uri: native, scope, code_challenge_method: 'S256', prompt: 'consent',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), ...forResource && { resource: forResource },
  })
  const { address, text } = await ann.go(`${issuer}/auth?${asked}`)
  assert.ok(address.startsWith(native), text)
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code', client_id: 'desktop', redirect_uri: native, code_verifier: verifier,
      code: new URL(address).searchParams.get('code'), ...forResource && { resource: forResource },
    }),
  })
  const tokens = await response.json()
  assert.ok(tokens.access_token, JSON.stringify(tokens))
  return tokens
}
async function tools(token) {
  const client = new Client({ name: 'desktop', version: '1' })
  await client.connect(new StreamableHTTPClientTransport(new URL(`${other}/mcp`), { requestInit: { headers: { authorization: `Bearer ${token}` } } }))
  const answer = await client.callTool({ name: 'create_project', arguments: { name: 'By a program' } })
  await client.close()
  return answer
}
const reader = await accessToken('openid layercake:read', metadata.resource)
assert.equal((await tools(reader.access_token)).isError, true)
const editor = await accessToken('openid layercake:read layercake:edit', metadata.resource)
const made = await tools(editor.access_token)
assert.ok(!made.isError, JSON.stringify(made))
for (const token of [editor.id_token, (await accessToken('openid', undefined)).access_token]) {
  await assert.rejects(tools(token), `a token for something else: ${token}`)
}

// Its keys change: another algorithm, too.
current = provider('second', 'ec', { namedCurve: 'P-256' })
const carl = new Browser('bob')
assert.equal((await carl.go(`${url}/oidc/login`)).status, 200)
assert.deepEqual(await carl.me(url), { username: 'bob', email: '' })

// Signing out there signs out here, on every replica, and nobody else.
const left = await carl.go(`${issuer}/session/end?client_id=layercake`)
assert.equal(left.status, 200, left.text)
for (let i = 0; i < 600 && await carl.me(url); i++) await new Promise((resolve) => { setTimeout(resolve, 100) })
assert.equal(await carl.me(url), null)
assert.equal(await carl.me(other), null)
assert.deepEqual(await ann.me(url), { username: 'ann', email: 'ann@example.com' })
server.close()
process.exit(0)
