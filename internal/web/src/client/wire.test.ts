import { readFileSync } from 'node:fs'
import { buildSchema, getOperationAST, parse, validate } from 'graphql'
import { getVariableValues } from 'graphql/execution'
import { expect, test } from 'vitest'
import type { Change, Edit, PlanEdge, PlanNode } from './edits.ts'
import { Failure, type Post } from './request.ts'
import { documentOf, sendChanges } from './wire.ts'

const schema = buildSchema(readFileSync(new URL('../../../../graph/testdata/schema.graphql', import.meta.url), 'utf8'))

const node: PlanNode = {
  id: 'n1', nodeType: 'GraphNode', position: { x: 1, y: 2.5 }, metadata: { label: 'One', description: null }, config: '{}',
}
const edge: PlanEdge = {
  id: 'e1', source: 'n1', target: 'n2', sourceHandle: null, targetHandle: null, metadata: { label: null, dataType: 'GRAPH_REFERENCE' },
}
const all: Edit[] = [
  { addNode: node }, { updateNode: { id: 'n1', updates: { metadata: node.metadata, config: '{"a":1}' } } },
  { moveNodes: [{ nodeId: 'n1', position: { x: 3, y: 4 } }] }, { deleteNode: 'n1' },
  { addEdge: edge }, { updateEdge: { id: 'e1', updates: { metadata: edge.metadata } } }, { deleteEdge: 'e1' },
  { updateNode: { id: 'n1', updates: { config: '{}' }, expected: { metadata: node.metadata, config: '{"a":1}' } } },
  { updateEdge: { id: 'e1', updates: { sourceHandle: 'a' }, expected: { sourceHandle: null, metadata: edge.metadata } } },
]

const change = (opId: string, ...edits: Edit[]): Change => ({ opId, projectId: 7, clientId: 'window', at: 0, seq: 0, edits })

test('the server understands every edit', () => {
  const { document, variables } = documentOf(7, [...all.map((edit, i) => change(`op${i}`, edit)), change('many', ...all)])
  const parsed = parse(document)
  expect(validate(schema, parsed)).toEqual([])
  const declared = getOperationAST(parsed)!.variableDefinitions!
  // As the server reads them.
  const { coerced, errors } = getVariableValues(schema, declared, JSON.parse(JSON.stringify(variables)))
  expect(errors).toBeUndefined()
  expect(Object.keys(coerced!)).toHaveLength(declared.length)
})

test('errors go to the changes that they are about', async () => {
  const answer = (value: unknown): Post => async () => value as never
  const changes = [change('a', all[0]!), change('b', all[0]!, all[4]!), change('c', all[3]!)]
  const refusal = { message: 'This connection is not allowed', path: ['c1'], extensions: { code: 'BAD_REQUEST', detail: 'rule' } }
  const data = { c0: { version: 3 }, c1: { version: 3 }, c2: { version: 4 } }
  expect(await sendChanges(answer({ data }), 7, changes)).toEqual([{ version: 3 }, { version: 3 }, { version: 4 }])
  // No field may be null, so the failure of one leaves nothing of the data.
  const [a, b, c] = await sendChanges(answer({ data: null, errors: [refusal] }), 7, changes)
  expect(b).toMatchObject({ failure: { code: 'BAD_REQUEST', message: refusal.message, detail: 'rule', path: ['c1'] } })
  expect([a, c]).toEqual([undefined, undefined])
  const whole = { errors: [{ message: 'Unknown field', extensions: { code: 'BAD_REQUEST' } }] }
  await expect(sendChanges(answer(whole), 7, changes)).rejects.toBeInstanceOf(Failure)
})

test('changes wait while a replica answers that does not know how they are sent', async () => {
  const errors = [
    { message: 'Unknown type "PlanEdit".', extensions: { code: 'BAD_REQUEST' } },
    { message: 'Cannot query field "editPlan" on type "Mutation".', extensions: { code: 'BAD_REQUEST' } },
  ]
  for (const inOrder of [errors, errors.toReversed()]) {
    await expect(sendChanges(async () => ({ errors: inOrder }) as never, 7, [change('a')])).rejects.toMatchObject({ passes: true })
  }
})

// Otherwise the same changes would be sent again at once, for ever.
test.each([
  { data: null }, { data: {} }, { errors: [] }, { data: null, errors: [{ message: 'Upstream timed out', path: ['elsewhere'] }] },
])('an answer that says nothing of any change is none: %j', async (answer) => {
  const changes = [change('a', all[0]!), change('b', all[3]!)]
  await expect(sendChanges(async () => answer as never, 7, changes)).rejects.toMatchObject({ code: 'NETWORK', passes: true })
})
