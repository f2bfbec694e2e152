import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSame, parse, parseObject, valueAt, write, type Json } from './json.ts'
import { differencesOf, merge } from './merge.ts'

const read = (text: string): Json => {
  const parsed = parse(text)
  if (!('value' in parsed)) throw new Error(text)
  return parsed.value
}

/** Objects of few keys, so that two of them often have some in common. */
const key = fc.constantFrom('a', 'b', 'c')
const { object } = fc.letrec<{ object: object; value: unknown }>((tie) => ({
  object: fc.dictionary(key, tie('value')) as fc.Arbitrary<object>,
  value: fc.oneof({ maxDepth: 3 }, fc.constantFrom(1, 2, 'x', null), tie('object'), fc.array(fc.constantFrom(1, 2), { maxLength: 2 })),
}))
const json = object.map((value) => read(JSON.stringify(value)))

test.each([
  ['{"a":1}', '{"a":2}', '{"a":1,"b":3}', '{"a":2,"b":3}'],
  ['{"o":{"a":1,"b":1}}', '{"o":{"a":2,"b":1}}', '{"o":{"a":1,"b":2}}', '{"o":{"a":2,"b":2}}'],
  ['{}', '{"o":{"a":1}}', '{"o":{"b":1}}', '{"o":{"b":1,"a":1}}'], // both made the same object
  ['{"a":1,"b":1}', '{"b":1}', '{"a":1}', '{}'],
  ['{"a":1}', '{"a":2}', '{"a":2}', '{"a":2}'],
  ['{"z":1,"1":1}', '{"z":1,"1":2}', '{"z":1,"1":1,"y":1}', '{"z":1,"1":2,"y":1}'],
])('from %s, %s and %s become %s', (base, mine, theirs, merged) => {
  const outcome = merge(read(base), read(mine), read(theirs), 'mine')
  expect(outcome.differences).toEqual([])
  expect(write(outcome.merged!)).toBe(merged)
})

test.each([
  ['{"a":1}', '{"a":2}', '{"a":3}', [['a']]],
  ['{"a":1}', '{}', '{"a":3}', [['a']]],
  ['{"l":[1]}', '{"l":[1,2]}', '{"l":[0,1]}', [['l']]], // a list is one value
  ['{"o":{"a":1}}', '{}', '{"o":{"a":2}}', [['o']]],
  ['{"o":1}', '{"o":{"a":1}}', '{"o":{"b":1}}', [['o']]],
  ['{"o":{"a":1,"b":1}}', '{"o":{"a":2,"b":2}}', '{"o":{"a":3,"b":1}}', [['o', 'a']]],
])('from %s, %s and %s differ', (base, mine, theirs, paths) => {
  expect(merge(read(base), read(mine), read(theirs), 'mine').differences.map(({ path }) => path)).toEqual(paths)
})

test('whoever changed nothing has no say', () => {
  fc.assert(fc.property(json, json, (base, other) => {
    for (const [mine, theirs] of [[base, other], [other, base], [other, other]] as const) {
      const { merged, differences } = merge(base, mine, theirs, 'mine')
      expect(differences).toEqual([])
      expect(isSame(merged, other)).toBe(true)
    }
  }))
})

test('changes of other keys both count', () => {
  fc.assert(fc.property(json, json, json, (base, one, other) => {
    // What has other keys than a, b and c is touched by one side only.
    const renamed = (value: Json, prefix: string) => new Map([...(value as Map<string, Json>)].map(([name, member]) => [prefix + name, member]))
    const all = (...parts: Map<string, Json>[]): Json => new Map(parts.flatMap((part) => [...part]))
    const [start, mine, theirs] = [base as Map<string, Json>, renamed(one, 'm'), renamed(other, 't')]
    const { merged, differences } = merge(start, all(start, mine), all(start, theirs), 'theirs')
    expect(differences).toEqual([])
    expect(isSame(merged, all(start, mine, theirs))).toBe(true)
  }))
})

test('two differ exactly where both set other values, and there the preferred one is taken', () => {
  fc.assert(fc.property(json, json, json, fc.constantFrom('mine' as const, 'theirs' as const), (base, mine, theirs, side) => {
    const { merged, differences } = merge(base, mine, theirs, side)
    for (const each of differences) {
      const [before, one, other] = [base, mine, theirs].map((value) => valueAt(value, each.path))
      expect([isSame(one, before), isSame(other, before), isSame(one, other)]).toEqual([false, false, false])
      expect(isSame(valueAt(merged, each.path), each[side])).toBe(true)
    }
    // The other way round it is the same, but for the order of keys.
    const mirrored = merge(base, theirs, mine, side === 'mine' ? 'theirs' : 'mine')
    expect(isSame(mirrored.merged, merged)).toBe(true)
    // With no difference, each one's changes are all in it.
    if (differences.length > 0) return
    for (const changed of [mine, theirs]) {
      for (const { path, theirs: value } of differencesOf(base, changed)) {
        if (value === undefined || typeof value === 'object') continue
        expect(isSame(valueAt(merged, path), value)).toBe(true)
      }
    }
  }))
})

test('what others did is told by its places', () => {
  const told = differencesOf(parseObject('{"a":1,"o":{"x":1,"y":2},"l":[1]}')!, parseObject('{"o":{"x":1,"y":3,"z":4},"l":[2]}')!)
  expect(told.map(({ path, theirs }) => [path.join('.'), theirs && write(theirs)])).toEqual([['o.y', '3'], ['o.z', '4'], ['l', '[2]'], ['a', undefined]])
})
