import { expect, test } from 'vitest'
import { parseObject } from './json.ts'
import { fieldsOf, othersOf, textOf, valueOf, type ValueField } from './schema.ts'

const properties = {
  name: { type: 'string', description: 'For people' },
  depth: { type: 'integer', minimum: 1, maximum: 20 },
  ratio: { type: 'number', default: 0.5 },
  target: { type: 'string', enum: ['DOT', 'GML'], default: 'GML' },
  deep: { type: 'boolean', default: true },
  inner: { type: 'object', properties: { width: { type: 'integer' } } },
  steps: { type: 'array', items: { type: 'string' } }, // makes no field
}
const fields = fieldsOf({ type: 'object', properties })!
const field = (name: string) => fields.find(({ path }) => path[0] === name) as ValueField

test('a schema makes fields', () => {
  expect(fields.map(({ kind, path }) => `${path} ${kind}`)).toEqual(
    ['name string', 'depth integer', 'ratio number', 'target choice', 'deep choice', 'inner group'])
  expect(field('target')).toMatchObject({ choices: ['DOT', 'GML'], fallback: 'GML' })
  expect(field('deep')).toMatchObject({ choices: [true, false], fallback: 'true' })
  expect(field('inner')).toMatchObject({ fields: [{ path: ['inner', 'width'], kind: 'integer' }] })
  expect(field('name').description).toBe('For people')
})

test.each([
  undefined, null, true, {}, { type: 'array' }, { type: 'object', oneOf: [] }, { type: 'object', properties: { a: { $ref: '#/x' } } },
  { type: 'object', properties: { a: { type: ['string', 'null'] } } }, { type: 'object', properties: { a: { type: 'string', pattern: 'x' } } },
  { type: 'object', properties: { a: { type: 'object', properties: { b: { type: 'array' } } } } },
])('a schema that is not understood makes none: %j', (schema) => {
  expect(fieldsOf(schema)).toBeNull()
})

test.each([
  ['name', '', undefined], ['name', ' a "b" ', ' a "b" '], ['depth', '12', { number: '12' }], ['depth', ' 7 ', { number: '7' }],
  ['ratio', '-0.250', { number: '-0.250' }], ['target', 'DOT', 'DOT'], ['target', '', undefined], ['deep', 'false', false],
])('in %s, %j is a value', (name, text, value) => {
  expect(valueOf(field(name), text)).toEqual({ value })
})

test.each([
  ['depth', '0', 'Type 1 or more'], ['depth', '21', 'Type 20 or less'], ['depth', '1.5', 'Type a whole number'], ['depth', '1e1', 'Type a whole number'],
  ['depth', 'many', 'Type a number, such as 12'], ['ratio', '1e999', 'Type a number, such as 12'], ['ratio', '"1"', 'Type a number, such as 12'],
  ['target', 'PNG', 'Choose one of the values'],
])('in %s, %j is none', (name, text, problem) => {
  expect(valueOf(field(name), text)).toEqual({ problem })
})

test('texts are of values, not of defaults', () => {
  expect([undefined, '', 'x', true, null, { number: '1.50' }].map(textOf)).toEqual(['', '', 'x', 'true', 'null', '1.50'])
})

test('what has no field, or does not fit into it, is named', () => {
  const config = parseObject('{"name":"x","mine":1,"depth":"deep","inner":{"width":1,"height":2},"target":"PNG"}')!
  expect(othersOf(fields, config)).toEqual([['mine'], ['depth'], ['inner', 'height']])
  expect(othersOf(fields, parseObject('{"inner":[1]}')!)).toEqual([['inner']])
})
