import { IDBDatabase, IDBFactory, IDBObjectStore } from 'fake-indexeddb'
import { beforeEach, expect, test, vi } from 'vitest'
import type { Change } from './edits.ts'
import { openJournal } from './journal.ts'

const change = (opId: string, seq: number, projectId = 1): Change => (
  { opId, projectId, clientId: 'window', at: 5, seq, edits: [{ deleteNode: 'ä\u0000' }] })

beforeEach(() => { globalThis.indexedDB = new IDBFactory() })

test('what is kept is there for the next page, in order, by project', async () => {
  const journal = await openJournal()
  await journal.write([change('b', 2), change('a', 10), change('other', 1, 2)], [])
  await journal.write([change('c', 3)], ['b'])
  expect(journal.durable).toBe(true)
  const next = await openJournal()
  expect(await next.load(1)).toEqual([change('c', 3), change('a', 10)])
  expect(await next.load(2)).toEqual([change('other', 1, 2)])
})

test('a change that is written again is there once', async () => {
  const journal = await openJournal()
  await journal.write([change('a', 1)], [])
  await journal.write([change('a', 7)], ['a'])
  expect(await journal.load(1)).toEqual([change('a', 7)])
})

test('a browser without storage for us has a journal in memory, and says so', async () => {
  vi.spyOn(indexedDB, 'open').mockImplementation(() => { throw new DOMException('denied', 'SecurityError') })
  const journal = await openJournal()
  await journal.write([change('a', 1)], [])
  expect(journal.durable).toBe(false)
  expect(await journal.load(1)).toEqual([change('a', 1)])
})

test('a browser whose storage does not answer is not waited for', async () => {
  vi.useFakeTimers()
  vi.spyOn(indexedDB, 'open').mockReturnValue({} as IDBOpenDBRequest)
  const opening = openJournal()
  await vi.runAllTimersAsync()
  vi.useRealTimers()
  expect((await opening).durable).toBe(false)
})

test('a journal that cannot be written any more says so, and does not fail', async () => {
  const journal = await openJournal()
  const put = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => { throw new DOMException('full', 'QuotaExceededError') })
  await journal.write([change('a', 1)], [])
  expect(journal.durable).toBe(false)
  // Whoever opens the project again on the same page still finds it.
  expect(await journal.load(1)).toEqual([change('a', 1)])
  expect(await journal.load(2)).toEqual([])
  put.mockRestore()
  await journal.write([change('b', 2)], [])
  expect(journal.durable).toBe(true)
  expect(await journal.load(1)).toEqual([change('a', 1), change('b', 2)])
})

test('what comes while something is written goes together', async () => {
  const journal = await openJournal()
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  const puts = vi.spyOn(IDBObjectStore.prototype, 'put')
  const writes = Array.from({ length: 1_000 }, (_, i) => journal.write([change(`op${i}`, i)], i > 0 ? [`op${i - 1}`] : []))
  await Promise.all(writes)
  expect(transactions).toHaveBeenCalledTimes(1)
  expect(puts).toHaveBeenCalledTimes(1)
  expect(await journal.load(1)).toEqual([change('op999', 999)])
})

test('what is written in between is there when its own write has ended', async () => {
  const journal = await openJournal()
  const first = journal.write([change('a', 1), change('b', 2)], [])
  await Promise.resolve()
  const second = journal.write([change('c', 3)], ['a'])
  await first
  await second
  expect(await (await openJournal()).load(1)).toEqual([change('b', 2), change('c', 3)])
})
