import { expect, test, vi } from 'vitest'
import { FakeSocket, withFakeSockets } from './fakesocket.ts'
import { Socket } from './socket.ts'

withFakeSockets()

async function follow() {
  const socket = new Socket('ws://server', () => ({}))
  socket.follow('subscription { events }', () => ({}), () => {}, () => {})
  await vi.advanceTimersByTimeAsync(0)
  return socket
}

async function greet(payload?: object) {
  const wire = FakeSocket.all.at(-1)!
  await wire.onopen()
  await vi.advanceTimersByTimeAsync(7)
  wire.say({ type: 'connection_ack', payload })
  return wire
}

test('a replica says who it is, and each answer how far away it is', async () => {
  const socket = await follow()
  expect(socket.snapshot()).toMatchObject({ state: 'connecting', greeting: {}, roundTrip: null })
  const greeting = { replica: 'r1', version: '1.2', page: 'hash' }
  const wire = await greet(greeting)
  const { since } = socket.snapshot()
  expect(socket.snapshot()).toEqual({ state: 'live', since, greeting, roundTrip: 7 })
  let told = 0
  socket.subscribe(() => { told++ })
  await vi.advanceTimersByTimeAsync(10_000 - 7)
  expect(wire.sent.at(-1)).toEqual({ type: 'ping' })
  expect(told).toBe(0)
  await vi.advanceTimersByTimeAsync(42)
  wire.say({ type: 'pong' })
  expect(socket.snapshot()).toEqual({ state: 'live', since, greeting, roundTrip: 42 })
  expect(told).toBe(1)
})

test('an outage has one beginning, however many attempts it takes', async () => {
  const socket = await follow()
  const wire = await greet({ replica: 'r1' })
  wire.onclose({ code: 1012, reason: '{"retryAfterMs":50}' })
  await vi.advanceTimersByTimeAsync(0)
  const { since } = socket.snapshot()
  expect(socket.snapshot()).toMatchObject({ state: 'reconnecting', since: Date.now() })
  await vi.advanceTimersByTimeAsync(50)
  expect(FakeSocket.all).toHaveLength(2)
  FakeSocket.all[1]!.onclose({ code: 1006, reason: '' })
  await vi.advanceTimersByTimeAsync(10)
  expect(socket.snapshot()).toMatchObject({ state: 'reconnecting', since })
  await vi.advanceTimersByTimeAsync(5_000)
  expect(FakeSocket.all).toHaveLength(3)
  await greet() // a release before says nothing of itself
  expect(socket.snapshot()).toMatchObject({ state: 'live', greeting: {} })
})

test('a replica that does not answer is given up', async () => {
  const socket = await follow()
  await greet({})
  await vi.advanceTimersByTimeAsync(10_000 + 5_000)
  expect(socket.snapshot().state).toBe('reconnecting')
})
