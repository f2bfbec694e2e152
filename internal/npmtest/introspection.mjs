// Asks URL for its schema in every way that getIntrospectionQuery knows, as tools do, and in some more of theirs. Each answer must make a
// schema.
import assert from 'node:assert/strict'
import { buildClientSchema, getIntrospectionQuery, parse, print, stripIgnoredCharacters, visit } from 'graphql'

import { runAll } from './run.mjs'

const url = process.env.URL + '/graphql'

const ask = async (query, operationName) => {
  const response = await fetch(url, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, operationName }),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined)
  assert.ok(buildClientSchema(data).getType('PlanDag').getFields().nodes)
}

const options = ['descriptions', 'specifiedByUrl', 'directiveIsRepeatable', 'schemaDescription', 'inputValueDeprecation', 'oneOf']
const tests = {}
for (let bits = 0; bits < 2 ** options.length; bits++) {
  const chosen = Object.fromEntries(options.map((name, i) => [name, Boolean(bits & (2 ** i))]))
  tests[`with ${options.filter((name) => chosen[name]).join(', ') || 'nothing'}`] = () => ask(getIntrospectionQuery(chosen))
}
const standard = getIntrospectionQuery()
tests['without blanks'] = () => ask(stripIgnoredCharacters(standard))
tests['under another name'] = () => ask(standard.replace('IntrospectionQuery', 'Explore'), 'Explore')
tests['as Apollo sends it'] = () => ask(print(visit(parse(standard), {
  SelectionSet: (node) => ({ ...node, selections: [...node.selections, { kind: 'Field', name: { kind: 'Name', value: '__typename' } }] }),
})))

await runAll(tests)
