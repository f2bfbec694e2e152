import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSame, parse, parseObject, valueAt, withValueAt, write } from './json.ts'

test.each(['{"b":1,"1":2.50,"__proto__":{"x":12345678901234567890}}', '[]', '{}', '[-0,1e400,1E+2,"\\n😀",[true,false,null]]', '""'])(
  'what is read of %s is written as it was', (text) => {
    const parsed = parse(text)
    expect('value' in parsed && write(parsed.value)).toBe(text)
  },
)

test('any value survives, in one line and in many', () => {
  fc.assert(fc.property(fc.json(), fc.constantFrom('', '  '), (text, indent) => {
    const parsed = parse(text)
    if (!('value' in parsed)) throw new Error(parsed.error.message)
    const written = write(parsed.value, indent)
    expect(JSON.parse(written)).toEqual(JSON.parse(text))
    const again = parse(written)
    expect('value' in again && isSame(again.value, parsed.value)).toBe(true)
  }))
})

test('a text is read if and only if JSON.parse reads it', () => {
  const pieces = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"', '\\', '1', '-', '.5', 'e3', '01', 'true', 'null', ' ', '\n', '\t', '\u0001', 'x')
  fc.assert(fc.property(fc.array(pieces, { maxLength: 8 }), (some) => {
    const text = some.join('')
    let isJSON = true
    try {
      JSON.parse(text)
    } catch {
      isJSON = false
    }
    expect('value' in parse(text)).toBe(isJSON)
  }), { numRuns: 2_000 })
})

test.each([
  ['{\n  "a": 1,\n  "b" 2\n}', 3, 7, 'A colon is missing'],
  ['{"a": 1 "b": 2}', 1, 9, 'A comma or } is missing'],
  ['{"a": 1,}', 1, 9, 'A key in double quotes is missing'],
  ['{\n"a": [1 2]}', 2, 9, 'A comma or ] is missing'],
  ['{"a": yes}', 1, 7, 'A value is missing: a text in quotes, a number, true, false, null, [ or {'],
  ['{"a": "b\nc"}', 1, 9, 'The text in quotes does not end in its line; a line break is \\n, a tab is \\t'],
  ['{"a": "\\x"}', 1, 8, 'There is no such escape'],
  ['{"a": 1', 1, 8, 'The text ends too early'],
  ['', 1, 1, 'The text ends too early'],
  ['{} {}', 1, 4, 'Nothing may follow the end'],
])('%j is wrong in line %i, column %i', (text, line, column, message) => {
  expect(parse(text)).toMatchObject({ error: { line, column, message } })
})

test('a text that is nested too deeply is refused', () => {
  expect(parse('['.repeat(100_000))).toMatchObject({ error: { message: 'This is nested too deeply' } })
})

test('a value is set and removed where the order of the keys stays', () => {
  const object = parseObject('{"z":1,"inner":{"b":2,"a":3},"9":null}')!
  const set = (path: [string, ...string[]], json?: string) => write(withValueAt(object, path, json === undefined ? undefined : parseObject(`{"v":${json}}`)!.get('v')))
  expect(set(['z'], '4')).toBe('{"z":4,"inner":{"b":2,"a":3},"9":null}')
  expect(set(['inner', 'b'])).toBe('{"z":1,"inner":{"a":3},"9":null}')
  expect(set(['fresh', 'x'], 'true')).toBe('{"z":1,"inner":{"b":2,"a":3},"9":null,"fresh":{"x":true}}')
  expect(valueAt(object, ['inner', 'a'])).toEqual({ number: '3' })
  expect(valueAt(object, ['z', 'a'])).toBeUndefined()
})
