import { expect, test } from 'vitest'
import type { Plan, PlanNode } from '../client/index.ts'
import { createDrafts, finish, setDraft, type Field } from './drafts.ts'
import { configField, configText, description, nodeLabel } from './fields.ts'
import { fieldsOf, type ValueField } from './schema.ts'

const node: PlanNode = {
  id: 'n', nodeType: 'OutputNode', position: { x: 0, y: 0 }, metadata: { label: 'One', description: null }, config: '{"z": 1, "depth": 2, "1": 12345678901234567890}',
}
const depth = configField(fieldsOf({ type: 'object', properties: { depth: { type: 'integer', minimum: 1 } } })![0] as ValueField)

test('a field of the form changes its value and nothing else', () => {
  expect(depth.read(node)).toBe('2')
  const saved = (config: string) => ({ edit: { updateNode: { id: 'n', updates: { config }, expected: { config: node.config } } } })
  expect(depth.save(node, '3')).toEqual(saved('{"z":1,"depth":3,"1":12345678901234567890}'))
  expect(depth.save(node, '')).toEqual(saved('{"z":1,"1":12345678901234567890}'))
  expect(depth.save(node, '0')).toEqual({ problem: 'Type 1 or more' })
})

test('a config is saved as one JSON object', () => {
  expect(configText.read(node)).toBe('{\n  "z": 1,\n  "depth": 2,\n  "1": 12345678901234567890\n}')
  expect(configText.save(node, '[1]')).toEqual({ problem: 'A config is an object, in { and }' })
  expect(configText.save(node, '{"a"\n1}')).toMatchObject({ place: { line: 2, column: 1 } })
  expect(configText.save(node, `{"a":"${'é'.repeat(50_000)}"}`)).toEqual({ problem: 'A config has at most 100,000 bytes' })
  expect(configText.read({ ...node, config: 'no JSON' })).toBe('no JSON')
  expect(configText.tell!(node, { ...node, config: '{"z":1,"depth":5}' })).toBe('depth: 5, 1: removed')
})

test('label and description go together, and an empty description is none', () => {
  const expected = { metadata: node.metadata }
  expect(nodeLabel.save(node, 'Two')).toEqual({ edit: { updateNode: { id: 'n', updates: { metadata: { label: 'Two', description: null } }, expected } } })
  expect(description.save({ ...node, metadata: { label: 'One', description: 'x' } }, '')).toMatchObject(
    { edit: { updateNode: { updates: { metadata: { label: 'One', description: null } } } } })
  expect(nodeLabel.save(node, '😀'.repeat(201))).toEqual({ problem: 'Type at most 200 characters' })
})

test('a draft ends when it is saved; one that cannot be saved, or whose node is gone, stays', () => {
  const plan = (...nodes: PlanNode[]): Plan => ({ version: 1, nodes: new Map(nodes.map((each) => [each.id, each])), edges: new Map() })
  const after = (text: string, there: Plan) => {
    const drafts = createDrafts()
    setDraft(drafts, 'key', { field: depth as Field, seen: node, text })
    return { edits: finish(drafts, 'key', there).length, left: drafts.get().size }
  }
  expect(after('3', plan(node))).toEqual({ edits: 1, left: 0 })
  expect(after('2', plan(node))).toEqual({ edits: 0, left: 0 }) // as it was
  expect(after('many', plan(node))).toEqual({ edits: 0, left: 1 })
  expect(after('3', plan())).toEqual({ edits: 0, left: 1 })
})
