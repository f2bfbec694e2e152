import { expect, test } from 'vitest'
import { Failure, type Conflict, type Edit, type EdgeParts, type NodeParts } from '../client/index.ts'
import { clashOf } from './resolve.ts'

const refusal = (edits: Edit[], conflicts: Partial<Conflict>[], code = 'CONFLICT') => ({
  change: { opId: 'one', projectId: 1, clientId: 'me', at: 0, seq: 1, edits },
  failure: new Failure(code, 'Others have changed what this would change', {
    extensions: { conflicts: conflicts.map((each) => ({ id: 'n', kind: 'NODE_UPDATED', versions: [7], actorNames: ['Jade Lynx'], ...each }) as Conflict) },
  }),
})
const ofNode = (updates: NodeParts, expected: NodeParts): Edit => ({ updateNode: { id: 'n', updates, expected } })

test('configs that differ in other keys are merged with what is there', () => {
  const config = { current: '{"a": 1, "b": 2}', part: 'config' }
  const clash = clashOf(refusal([ofNode({ config: '{"a":3}' }, { config: '{"a":1}' })], [config]))
  expect(clash).toMatchObject({ differences: [], names: ['Jade Lynx'], versions: [7] })
  expect(clash!.edits.mine).toEqual([ofNode({ config: '{"a":3,"b":2}' }, { config: '{"a": 1, "b": 2}' })])
})

test('a label and a description are merged, as each has its own field', () => {
  const [seen, mine, theirs] = [['One', null], ['Mine', null], ['One', 'Theirs']]
    .map(([label, description]) => ({ label: label!, description: description! }))
  const clash = clashOf(refusal([ofNode({ metadata: mine! }, { metadata: seen! })], [{ part: 'metadata', current: theirs }]))
  expect(clash!.differences).toEqual([])
  expect(clash!.edits.mine).toEqual([ofNode({ metadata: { label: 'Mine', description: 'Theirs' } }, { metadata: theirs! })])
})

test('two labels are for a decision: mine is sent over what is there, for theirs nothing is left to do', () => {
  const [seen, mine, theirs] = ['One', 'Mine', 'Theirs'].map((label) => ({ label, description: null }))
  const clash = clashOf(refusal([ofNode({ metadata: mine! }, { metadata: seen! })], [{ part: 'metadata', current: theirs }]))
  expect(clash!.differences).toEqual([{ path: ['label'], mine: 'Mine', theirs: 'Theirs' }])
  expect(clash!.edits).toEqual({ mine: [ofNode({ metadata: mine! }, { metadata: theirs! })], theirs: [] })
})

test('taking theirs keeps what I did elsewhere', () => {
  const clash = clashOf(refusal(
    [ofNode({ config: '{"a":2,"b":2}' }, { config: '{"a":1,"b":1}' })], [{ part: 'config', current: '{"a":3,"b":1}' }],
  ))
  expect(clash!.edits.theirs).toEqual([ofNode({ config: '{"a":3,"b":2}' }, { config: '{"a":3,"b":1}' })])
})

test('who set the same as I has done it for me', () => {
  const clash = clashOf(refusal([ofNode({ config: '{"a":2}' }, { config: '{"a":1}' })], [{ part: 'config', current: '{ "a": 2 }' }]))
  expect(clash).toMatchObject({ differences: [], edits: { mine: [], theirs: [] } })
})

test('handles are texts, whatever they look like', () => {
  const ofEdge = (updates: EdgeParts, expected: EdgeParts): Edit => ({ updateEdge: { id: 'n', updates, expected } })
  const clash = clashOf(refusal(
    [ofEdge({ sourceHandle: '{"a":1}' }, { sourceHandle: null })], [{ part: 'source handle', current: '{"b":1}' }],
  ))
  expect(clash!.differences).toEqual([{ path: ['sourceHandle'], mine: '{"a":1}', theirs: '{"b":1}' }])
  expect(clash!.edits.mine).toEqual([ofEdge({ sourceHandle: '{"a":1}' }, { sourceHandle: '{"b":1}' })])
})

test('a config that is no object is one value', () => {
  const clash = clashOf(refusal([ofNode({ config: '{"a":1}' }, { config: '[' })], [{ part: 'config', current: '[[' }]))
  expect(clash!.differences).toMatchObject([{ path: ['config'], theirs: '[[' }])
  expect(clash!.edits.mine).toEqual([ofNode({ config: '{"a":1}' }, { config: '[[' })])
})

test.each([
  ['has other reasons', refusal([ofNode({ config: '{}' }, { config: '{}' })], [{ part: 'config', current: '{}' }], 'NOT_FOUND')],
  ['is about several edits', refusal([ofNode({ config: '{}' }, { config: '{}' }), { deleteNode: 'm' }], [{ part: 'config', current: '{}' }])],
  ['expected nothing', refusal([{ updateNode: { id: 'n', updates: { config: '{}' } } }], [{ part: 'config', current: '{}' }])],
  ['is about another part', refusal([ofNode({ config: '{}' }, { config: '{}' })], [{ part: 'element', current: null }])],
  ['says nothing of conflicts', refusal([ofNode({ config: '{}' }, { config: '{}' })], [])],
])('a refusal that %s is none of two who changed the same', (_, refused) => {
  expect(clashOf(refused)).toBeNull()
})
