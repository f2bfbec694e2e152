import fc from 'fast-check'
import { expect, test } from 'vitest'
import { highest, Scale } from './scale.ts'

test('rows that are not too high are scrolled as they are', () => {
  const scale = new Scale(500_000 * 28, 600)
  expect(scale.height).toBe(14_000_000)
  expect(scale.ratio).toBe(1)
  expect(scale.toRows(1234.5)).toBe(1234.5)
})

test('higher ones end where they end, and nothing is higher than browsers allow', () => {
  fc.assert(fc.property(fc.integer({ min: highest + 1, max: 2_000_000_000 }), fc.integer({ min: 1, max: 4_000 }), (all, seen) => {
    const scale = new Scale(all, seen)
    expect(scale.height).toBe(highest)
    expect(scale.toRows(0)).toBe(0)
    expect(scale.toRows(scale.height - seen)).toBeCloseTo(all - seen, 3)
  }))
})

test('there and back is the same place', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 2_000_000_000 }), fc.integer({ min: 0, max: 4_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (all, seen, part) => {
    const scale = new Scale(all, seen)
    const offset = part * Math.max(0, all - seen)
    expect(scale.toRows(scale.toElement(offset))).toBeCloseTo(offset, 3)
    expect(scale.toElement(offset)).toBeLessThanOrEqual(Math.max(0, scale.height - seen) + 0.001)
  }))
})
