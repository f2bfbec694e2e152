import { expect, test } from 'vitest'
import { oneAtATime } from './again.ts'

test('what is asked for while it is done is done once more', async () => {
  const ends: (() => void)[] = []
  const act = oneAtATime(() => new Promise((resolve) => ends.push(resolve)))
  const all = act()
  void act()
  void act()
  expect(ends).toHaveLength(1)
  ends[0]!()
  await Promise.resolve()
  await Promise.resolve()
  expect(ends).toHaveLength(2)
  ends[1]!()
  await all
  expect(ends).toHaveLength(2)
})
