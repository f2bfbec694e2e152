import { expect, test, vi } from 'vitest'
import { FakeSocket, withFakeSockets } from './fakesocket.ts'
import { PresenceStore } from './presence.ts'

withFakeSockets()

function join() {
  const store = new PresenceStore('ws://server', { userId: 'me', name: 'Me', color: '#000' })
  store.start()
  const socket = FakeSocket.all[0]!
  void socket.onopen()
  const places = () => socket.sent.flatMap(({ type, data }) => (type === 'cursor_update' ? [data] : []))
  return { store, socket, places }
}

const drag = (dx: number, nodeIds = ['a']) => ({ nodeIds, dx, dy: 0 })
const at = (x: number, y = 0) => ({ type: 'canvas', x, y })

test('what is dragged goes with the pointer, ten times a second', () => {
  const { store, places } = join()
  for (let x = 1; x <= 100; x++) {
    store.move({ x, y: 0 })
    store.drag(drag(x))
    vi.advanceTimersByTime(10)
  }
  expect(places()).toHaveLength(10)
  expect(places()[0]).toMatchObject({ position: at(10), dragging: drag(10) })
  expect(places()[9]).toMatchObject({ position: at(100), dragging: drag(100) })
})

test('the end of a drag is told at once, with the newest place', () => {
  const { store, places } = join()
  store.move({ x: 1, y: 0 }, 'a')
  store.drag(drag(1))
  vi.advanceTimersByTime(100)
  store.move({ x: 2, y: 0 }, 'a')
  store.drag(null)
  expect(places()[1]).toMatchObject({ position: at(2), selectedNodeId: 'a', dragging: null })
  store.drag(null) // nothing is dragged
  vi.advanceTimersByTime(1_000)
  expect(places()).toHaveLength(2)
  store.move({ x: 3, y: 0 })
  vi.advanceTimersByTime(100)
  expect(places()[2]).toMatchObject({ position: at(3), selectedNodeId: null, dragging: null })
})

test('whoever has not moved yet is nowhere', () => {
  const { store, places } = join()
  store.drag(drag(1))
  vi.advanceTimersByTime(1_000)
  expect(places()).toEqual([])
  store.move({ x: 1, y: 0 })
  vi.advanceTimersByTime(100)
  expect(places()).toMatchObject([{ position: at(1), dragging: drag(1) }])
})

test('of many nodes the others see the first fifty', () => {
  const { store, places } = join()
  const ids = Array.from({ length: 60 }, (_, i) => `n${i}`)
  store.move({ x: 1, y: 0 })
  store.drag(drag(1, ids))
  vi.advanceTimersByTime(100)
  expect(places()).toMatchObject([{ dragging: drag(1, ids.slice(0, 50)) }])
})

test('others are shown with what they drag, and without where they cannot say', () => {
  const { store, socket } = join()
  const person = (userId: string, place: object | null) => ({
    userId, userName: userId, avatarColor: '#111', isOnline: true, isAgent: false, lastActive: '2026-01-02T03:04:05.678Z',
    documents: place ? { 'plan-dag-canvas': { position: { ...at(1, 2), zoom: null }, selectedNodeId: 'a', ...place } } : {},
  })
  const tell = (type: string, data: unknown) => socket.say({ type, data })
  tell('bulk_presence', [person('ann', { dragging: drag(5) }), person('former', {}), person('elsewhere', null), person('me', {})])
  expect([...store.snapshot().values()]).toMatchObject([
    { userId: 'ann', cursor: { x: 1, y: 2 }, selectedNodeId: 'a', dragging: drag(5), activeAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678) },
    { userId: 'former', dragging: null }, { userId: 'elsewhere', cursor: null, selectedNodeId: null, dragging: null },
  ])
  tell('user_presence', person('ann', { dragging: null }))
  expect(store.snapshot().get('ann')).toMatchObject({ dragging: null })
})
