import { expect, test, vi } from 'vitest'
import { Failure } from '../client/index.ts'
import { inParts, pageLength, Pages, type Row } from './pages.ts'

/** A table whose pages come when a test lets them. */
function table(total: number) {
  const asked: { from: number; count: number; answer: () => Promise<void>; fail: (error: Error) => Promise<void> }[] = []
  const changed = vi.fn<() => void>()
  const rest = () => new Promise<void>((resolve) => { setTimeout(resolve) })
  const pages = new Pages({
    total, columns: ['id'],
    load: (from, count) => new Promise<Row[]>((resolve, reject) => {
      asked.push({
        from, count,
        answer: () => {
          resolve(Array.from({ length: count }, (_, i) => ({ id: from + i, ...(from > 0 && { more: 1 }) })))
          return rest()
        },
        fail: (error) => {
          reject(error)
          return rest()
        },
      })
    }),
  }, changed)
  /** Answers until nothing more is asked for; returns where pages began. */
  const answerAll = async () => {
    const from = []
    for (let next; (next = asked.shift()); await next.answer()) from.push(next.from)
    return from
  }
  return { pages, asked, changed, answerAll }
}

test('what is in view is loaded, and the last page is as long as it is', async () => {
  const { pages, asked, changed, answerAll } = table(1_200)
  pages.want(0, 20)
  expect(asked.map(({ from, count }) => [from, count])).toEqual([[0, pageLength]])
  expect(pages.row(3)).toBeUndefined()
  await answerAll()
  expect(pages.row(3)).toEqual({ id: 3 })
  expect(changed).toHaveBeenCalled()
  pages.want(1_150, 1_199)
  expect(asked.map(({ from, count }) => [from, count])).toEqual([[1_000, 200]])
  await answerAll()
  expect(pages.row(1_199)).toEqual({ id: 1_199, more: 1 })
  expect(pages.columns).toEqual(['id', 'more'])
})

test('near the end of a page the next one is loaded, too, and nothing twice', async () => {
  const { pages, answerAll } = table(10_000)
  pages.want(900, 990)
  pages.want(901, 991)
  expect(await answerAll()).toEqual([500, 1_000])
  pages.want(880, 960)
  expect(await answerAll()).toEqual([])
})

test('what waits and went out of view is not asked for', async () => {
  const { pages, answerAll } = table(1_000_000)
  for (let row = 200; row < 900_000; row += 5_000) pages.want(row, row + 20)
  expect(await answerAll()).toEqual([0, 5_000, 895_000])
})

test('only some pages are kept', async () => {
  const { pages, answerAll } = table(1_000_000)
  for (let row = 200; row < 50_000; row += 500) {
    pages.want(row, row + 20)
    await answerAll()
  }
  expect(pages.row(49_710)).toBeDefined()
  expect(pages.row(210)).toBeUndefined()
  pages.want(200, 220)
  expect(await answerAll()).toEqual([0])
})

test('after a failure nothing is asked for until one tries again', async () => {
  const { pages, asked, answerAll } = table(5_000)
  pages.want(0, 20)
  await asked.shift()!.fail(new Error('no'))
  expect(pages.failure?.message).toBe('no')
  pages.want(2_200, 2_220)
  expect(asked).toEqual([])
  pages.retry()
  expect(pages.failure).toBeNull()
  expect(await answerAll()).toEqual([2_000])
})

test('of a table without rows nothing is asked for', () => {
  const { pages, asked } = table(0)
  pages.want(0, 0)
  expect(asked).toEqual([])
})

test('rows that are too long to be answered together are asked for in smaller parts', async () => {
  const asked: number[] = []
  const load = async (from: number, count: number): Promise<Row[]> => {
    asked.push(count)
    if (count > 3) throw new Failure('BAD_REQUEST', 'too long', { extensions: { detail: { limit: 8 } } })
    return Array.from({ length: count }, (_, i) => ({ id: from + i }))
  }
  expect((await inParts(10, 9, load)).map(({ id }) => id)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18])
  expect(asked).toEqual([9, 5, 3, 2, 4, 2, 2])
  await expect(inParts(0, 9, () => Promise.reject(new Failure('BAD_REQUEST', 'wrong')))).rejects.toThrow('wrong')
})
