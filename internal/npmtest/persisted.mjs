// Asks URL with clients that send the hash of a document first, in every way that they know. They must fall back to the document.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { Client, fetchExchange } from '@urql/core'
import { persistedExchange } from '@urql/exchange-persisted'

import { runAll } from './run.mjs'

const url = process.env.URL + '/graphql'
const sha256 = (text) => createHash('sha256').update(text).digest('hex')
const document = 'query Q { projects { name } }'
const want = [{ name: 'Test' }]

// A fetch that counts, and that may say which media type it wants.
const counting = (accept) => {
  const f = async (target, options) => {
    f.count++
    const headers = new Headers(options.headers)
    if (accept) headers.set('accept', accept)
    return fetch(target, { ...options, headers })
  }
  f.count = 0
  return f
}

const withApollo = async (fetch, options) => {
  const link = new PersistedQueryLink({ sha256, ...options }).concat(new HttpLink({ uri: url, fetch }))
  const client = new ApolloClient({ cache: new InMemoryCache({ addTypename: false }), link })
  const { data } = await client.query({ query: gql(document), fetchPolicy: 'no-cache' })
  assert.deepEqual(data.projects.map(({ name }) => ({ name })), want)
  const { count } = fetch
  await client.query({ query: gql(document), fetchPolicy: 'no-cache' })
  assert.equal(fetch.count, count + 1, 'it remembers that the server knows no hashes')
}

const withUrql = async (fetch, options) => {
  const client = new Client({
    url, fetch, preferGetMethod: false,
    exchanges: [persistedExchange({ generateHash: async (text) => sha256(text), ...options }), fetchExchange],
  })
  const { data, error } = await client.query(document, {}).toPromise()
  assert.equal(error, undefined)
  assert.deepEqual(data.projects.map(({ name }) => ({ name })), want)
}

const medias = [undefined, 'application/json', 'application/graphql-response+json']
const tests = {}
for (const media of medias) {
  const name = media ?? 'its own Accept'
  tests[`Apollo by POST, ${name}`] = () => withApollo(counting(media), {})
  tests[`Apollo by GET, ${name}`] = () => withApollo(counting(media), { useGETForHashedQueries: true })
  tests[`urql by POST, ${name}`] = () => withUrql(counting(media), { preferGetForPersistedQueries: false })
  tests[`urql by GET, ${name}`] = () => withUrql(counting(media), { preferGetForPersistedQueries: true })
}

const persistedQuery = { version: 1, sha256Hash: sha256(document) }

tests['over a socket'] = async () => {
  const client = createClient({ url: url.replace('http', 'ws') + '/ws', webSocketImpl: WebSocket })
  const ask = (payload) => new Promise((resolve) => {
    const got = []
    client.subscribe(payload, { next: (v) => got.push(v), error: (e) => resolve(e), complete: () => resolve(got) })
  })
  const [refused] = await ask({ query: '', extensions: { persistedQuery } }) // its way to send a hash alone
  assert.deepEqual([refused.message, refused.extensions.code], ['PersistedQueryNotSupported', 'PERSISTED_QUERY_NOT_SUPPORTED'])
  const [answered] = await ask({ query: document, extensions: { persistedQuery } })
  assert.deepEqual(answered.data.projects, want)
  await client.dispose()
}

await runAll(tests)
