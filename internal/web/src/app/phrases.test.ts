import { expect, test } from 'vitest'
import { applyEdit } from '../client/edits.ts'
import type { AppliedChange, Edit, Plan } from '../client/index.ts'
import { connect, move, remove } from './operations.ts'
import { orderOf } from './order.ts'
import { sampleEdits } from './sample.ts'
import { nameOfEdge, nameOfNode, wordsForChanges, wordsForEdits } from './phrases.ts'

function after(plan: Plan, edits: Edit[]): Plan {
  const next = { version: plan.version + 1, nodes: new Map(plan.nodes), edges: new Map(plan.edges) }
  for (const edit of edits) applyEdit(next, edit)
  return next
}

const sample = after({ version: 0, nodes: new Map(), edges: new Map() }, sampleEdits())
const made = (actorName: string, nodeIds: string[], edgeIds: string[] = []): AppliedChange => ({
  version: 1, opId: null, clientId: null, actorId: actorName, actorName, actorKind: 'anonymous', via: 'graphql', timestamp: '', nodeIds, edgeIds,
})
const [one, two] = ['datasourcenode_001', 'datasourcenode_002'] as const

test('a node is named with its kind and counts, an edge by its ends', () => {
  const { degrees } = orderOf(sample)
  expect(nameOfNode(sample.nodes.get('mergenode_004')!, degrees.get('mergenode_004')!)).toBe('Merge Everything we know, 3 inputs, 1 output')
  expect(nameOfEdge(sample, sample.edges.get('edge_1_4')!)).toBe('from Services to Everything we know')
})

test('one hears what one did', () => {
  const place = { x: 1, y: 1 }
  expect(wordsForEdits([], sample)).toBe('')
  expect(wordsForEdits(connect(sample, one, 'graphnode_006'), sample)).toBe('Connected Services to Overview')
  expect(wordsForEdits(move(new Map([[one, place]])), sample)).toBe('Moved Services')
  expect(wordsForEdits(move(new Map([[one, place], [two, place]])), sample)).toBe('Moved 2 nodes')
  expect(wordsForEdits(remove(sample, [one], []), sample)).toBe('Deleted Services')
  expect(wordsForEdits(remove(sample, [one], ['edge_2_4']), sample)).toBe('Deleted 2 elements')
  expect(wordsForEdits(remove(sample, [], ['edge_2_4']), sample)).toBe('Deleted the edge from Calls to Everything we know')
  expect(wordsForEdits([{ updateNode: { id: one, updates: { metadata: { label: 'Hosts', description: null } } } }], sample)).toBe('Renamed Services to Hosts')
  expect(wordsForEdits([{ updateNode: { id: one, updates: { config: '{}' } } }], sample)).toBe('Changed Services')
  expect(wordsForEdits(sampleEdits(), sample)).toBe('Added 15 elements')
})

test('of others one hears a sentence for each person, whatever the number of changes', () => {
  const moved = after(sample, move(new Map([[one, { x: 5, y: 5 }], [two, { x: 6, y: 6 }]])))
  expect(wordsForChanges([made('Jade Lynx', [one]), made('Jade Lynx', [one, two])], sample, moved)).toBe('Jade Lynx moved 2 nodes')
  const gone = after(moved, [{ deleteNode: 'outputnode_007' }])
  expect(wordsForChanges([made('Jade Lynx', [one]), made('Olive Owl', ['outputnode_007'], ['edge_6_7'])], sample, gone))
    .toBe('Jade Lynx moved Services. Olive Owl deleted Picture, deleted 1 edge')
  expect(wordsForChanges([made('Jade Lynx', ['came and went'])], sample, sample)).toBe('')
})
