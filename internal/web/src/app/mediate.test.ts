import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Failure, type Conflict, type Edit, type PlanNode } from '../client/index.ts'
import { Browser, FakeServer, FakeWindow, projectId, settled } from '../client/world.ts'
import { maxAttempts, mediate } from './mediate.ts'
import { clashOf } from './resolve.ts'

const node: PlanNode = { id: 'n', nodeType: 'GraphNode', position: { x: 0, y: 0 }, metadata: { label: '', description: null }, config: '{}' }

test('two windows that set other keys lose nothing, whatever comes first', async () => {
  const gesture = fc.record({ window: fc.constantFrom(0, 1), what: fc.constantFrom('edit', 'answer', 'event') })
  await fc.assert(fc.asyncProperty(fc.array(gesture, { maxLength: 30 }), async (gestures) => {
    const server = new FakeServer()
    server.change('begin', [{ addNode: node }])
    const windows = await Promise.all(['one', 'other'].map(async () => {
      const window = new FakeWindow(new Browser(), server)
      await settled()
      while (await window.decide('answered')); // what is asked for first
      window.connect()
      mediate(window.store)
      return window
    }))
    const config = (window: FakeWindow) => window.store.snapshot().plan!.nodes.get('n')!.config
    const made = new Set<string>()
    for (const { window: index, what } of gestures) {
      const window = windows[index]!
      if (what === 'edit') {
        const key = `${index}_${made.size}`
        made.add(key)
        const seen = config(window)
        const edit: Edit = { updateNode: { id: 'n', updates: { config: JSON.stringify({ ...JSON.parse(seen), [key]: 1 }) }, expected: { config: seen } } }
        window.store.change([edit])
      } else if (what === 'answer') await window.decide('answered')
      else window.deliver()
      await settled()
    }
    // Then everything is answered and told. Whoever was overtaken too often is asked, and keeps theirs.
    const isAtRest = async (window: FakeWindow) => {
      await settled()
      for (const refusal of window.store.snapshot().refused) {
        window.store.discard([refusal.change.opId])
        const { differences, edits } = clashOf(refusal)!
        expect(differences).toEqual([])
        window.store.change(edits.mine)
      }
      await settled()
      return !window.deliver() && !await window.decide('answered') && window.store.snapshot().waiting === 0
    }
    for (let rest = false; !rest;) rest = (await Promise.all(windows.map(isAtRest))).every(Boolean)
    expect(Object.keys(JSON.parse(server.plan.nodes.get('n')!.config)).toSorted()).toEqual([...made].toSorted())
    for (const window of windows) expect(config(window)).toBe(server.plan.nodes.get('n')!.config)
  }), { numRuns: 60 })
})

test('a change that is overtaken again and again is left to somebody', () => {
  const listeners = new Set<() => void>()
  let sent = 0
  let refused = [refusalOf('op0', '{}', '{"a":1}', '{"x0":1}')]
  const plan = {
    subscribe: (listener: () => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    snapshot: () => ({ refused }) as never,
    discard: (opIds: readonly string[]) => { refused = refused.filter(({ change }) => !opIds.includes(change.opId)) },
    change: ([edit]: Edit[]) => {
      const { updates, expected } = (edit as { updateNode: { updates: { config: string }; expected: { config: string } } }).updateNode
      const opId = `op${++sent}`
      refused = [...refused, refusalOf(opId, expected.config, updates.config, `{"x${sent}":1}`)]
      return opId
    },
  }
  mediate(plan)
  for (let i = 0; i < 10; i++) for (const listener of listeners) listener()
  expect(sent).toBe(maxAttempts)
  expect(refused).toHaveLength(1)
})

function refusalOf(opId: string, seen: string, config: string, current: string) {
  const conflict: Conflict = {
    edit: 0, kind: 'NODE_UPDATED', id: 'n', part: 'config', reason: 'changed since', expected: seen, current, versions: [1], actorNames: ['Them'],
  }
  return {
    change: { opId, projectId, clientId: 'me', at: 0, seq: 1, edits: [{ updateNode: { id: 'n', updates: { config }, expected: { config: seen } } }] },
    failure: new Failure('CONFLICT', 'Others have changed what this would change', { extensions: { conflicts: [conflict] } }),
  }
}
