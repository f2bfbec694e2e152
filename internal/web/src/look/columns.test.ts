import { expect, test } from 'vitest'
import { asLines, cellText, fittingWidth, textOf, withColumnsOf } from './columns.ts'

test('cells are texts, whatever stands in them', () => {
  expect([undefined, null, 'a', 1.5, false, ['x'], { y: 1 }].map(textOf)).toEqual(['', '', 'a', '1.5', 'false', '["x"]', '{"y":1}'])
  expect(cellText('a\tb\r\nc\nd')).toBe('a⇥b↵c↵d')
  expect(cellText('x'.repeat(100_000))).toHaveLength(201)
})

test('columns that only some rows have come last', () => {
  const columns = ['id', 'label']
  expect(withColumnsOf(columns, [{ id: 1 }, { label: 2, id: 3 }])).toBe(columns)
  expect(withColumnsOf(columns, [{ owner: 1 }, { id: 2, note: 3 }])).toEqual(['id', 'label', 'owner', 'note'])
})

test('columns are as wide as what they have, within limits', () => {
  expect(fittingWidth('id', [])).toBe(80)
  expect(fittingWidth('id', [{ id: 'x'.repeat(20) }, undefined])).toBe(174)
  expect(fittingWidth('id', [{ id: 'x'.repeat(1_000) }])).toBe(324)
})

test('copied cells are as spreadsheets take them', () => {
  expect(asLines([['a', 'b "c"'], ['d\te', 'f\ng']])).toBe('a\t"b ""c"""\n"d\te"\t"f\ng"')
})
