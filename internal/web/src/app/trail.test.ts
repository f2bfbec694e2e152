import { expect, test } from 'vitest'
import { arrive, isMoving, lead, placeAt, trailFrom } from './trail.ts'

test('what was told once rests there', () => {
  const trail = trailFrom({ x: 3, y: 4 }, 1000)
  expect(placeAt(trail, 1000)).toEqual({ x: 3, y: 4 })
  expect(isMoving(trail, 1000)).toBe(false)
})

test('it moves evenly from place to place, a little late, and rests at the last one', () => {
  const trail = trailFrom({ x: 0, y: 0 }, 0)
  lead(trail, { x: 100, y: 0 }, 1000)
  lead(trail, { x: 100, y: 50 }, 1100)
  expect(placeAt(trail, 1000)).toEqual({ x: 0, y: 0 })
  expect(placeAt(trail, 1060)).toEqual({ x: 50, y: 0 })
  expect(placeAt(trail, 1120)).toEqual({ x: 100, y: 0 })
  expect(placeAt(trail, 1170)).toEqual({ x: 100, y: 25 })
  expect(isMoving(trail, 1219)).toBe(true)
  expect(placeAt(trail, 1220)).toEqual({ x: 100, y: 50 })
  expect(isMoving(trail, 1220)).toBe(false)
  expect(placeAt(trail, 9999)).toEqual({ x: 100, y: 50 })
})

test('a burst of places leads to the newest, and takes no more memory', () => {
  const trail = trailFrom({ x: 0, y: 0 }, 0)
  for (let i = 1; i <= 1000; i++) lead(trail, { x: i, y: 0 }, 1000 + i / 1000)
  expect(trail.length).toBeLessThan(10)
  expect(placeAt(trail, 2000)).toEqual({ x: 1000, y: 0 })
})

test('it never goes back on a straight way', () => {
  const trail = trailFrom({ x: 0, y: 0 }, 0)
  let before = 0
  for (let now = 1000; now < 3000; now += 16) {
    if (now % 112 < 16) lead(trail, { x: now - 1000, y: 0 }, now)
    const { x } = placeAt(trail, now)
    expect(x).toBeGreaterThanOrEqual(before)
    before = x
  }
})

test('without movement it is at once where it was told', () => {
  const trail = trailFrom({ x: 0, y: 0 }, 0)
  lead(trail, { x: 10, y: 0 }, 1000)
  arrive(trail)
  expect(placeAt(trail, 1000)).toEqual({ x: 10, y: 0 })
  expect(isMoving(trail, 1000)).toBe(false)
})
