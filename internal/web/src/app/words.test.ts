import { expect, test } from 'vitest'
import { ago, looksLike, whoIsIn } from './words.ts'

const now = new Date('2026-03-01T12:00:00Z')
const second = 1_000
const day = 86_400 * second

test.each([
  [-day, 'just now'], [0, 'just now'], [59 * second, 'just now'], [60 * second, '1 minute ago'], [3_599 * second, '59 minutes ago'],
  [3_600 * second, '1 hour ago'], [day - second, '23 hours ago'], [2 * day - second, '1 day ago'], [6 * day, '6 days ago'], [7 * day, '1 week ago'],
  [30 * day, '4 weeks ago'], [31 * day, '1 month ago'], [365 * day, '11 months ago'], [800 * day, '2 years ago'],
])('what was %i ms ago is %s', (before, words) => {
  expect(ago(new Date(now.getTime() - before), now)).toBe(words)
})

test.each([
  [0, 0, ''], [1, 0, '1 person is in it'], [0, 1, '1 agent is in it'], [2, 1, '2 people and 1 agent are in it'], [1_000, 0, '1,000 people are in it'],
])('%i people and %i agents: %s', (people, agents, words) => {
  expect(whoIsIn({ people, agents })).toBe(words)
})

test.each([
  ['Plan', 'Plan', true], [' Plan ', 'Plan', true], ['A plan', 'A  plan', true], ['A\u00a0plan', 'A plan', true], ['é', 'e\u0301', true],
  ['plan', 'Plan', false], ['', 'Plan', false], ['Aplan', 'A plan', false],
])('%j looks like %j: %s', (text, other, same) => {
  expect(looksLike(text, other)).toBe(same)
})
