// What becomes of a change that the server refused because others had changed the same: it is merged, or somebody decides.
import type { Change, Edit, EdgeParts, NodeParts, Refusal } from '../client/index.ts'
import { isObject, isSame, parseObject, write, type Json } from './json.ts'
import { merge, type Difference, type Side } from './merge.ts'

/** A change of one node or edge in which something differs from what others did. */
export interface Clash {
  change: Change
  of: 'node' | 'edge'
  id: string
  /** Who changed it, and in which versions. */
  names: readonly string[]
  versions: readonly number[]
  /** Where both set another value; nothing when the change can be merged. */
  differences: Difference[]
  /** The edits that are left to do, with one's own values or theirs where they differ. */
  edits: Record<Side, Edit[]>
}

type PartName = keyof NodeParts | keyof EdgeParts
type Parts = Partial<Record<PartName, unknown>>

/** The parts that can be merged, by what conflicts call them. */
const partNames: Record<string, PartName> = {
  metadata: 'metadata', config: 'config', 'source handle': 'sourceHandle', 'target handle': 'targetHandle',
}

const known = new WeakMap<Refusal, Clash | null>()

/** A refusal as a clash; null for one that has other reasons, or is about more than the parts of one element. */
export function clashOf(refusal: Refusal): Clash | null {
  if (!known.has(refusal)) known.set(refusal, compare(refusal))
  return known.get(refusal)!
}

function compare({ change, failure }: Refusal): Clash | null {
  const [edit, ...others] = change.edits
  if (!edit || others.length > 0 || failure.code !== 'CONFLICT' || failure.conflicts.length === 0) return null
  const of = 'updateNode' in edit ? 'node' : 'edge'
  const update = 'updateNode' in edit ? edit.updateNode : 'updateEdge' in edit ? edit.updateEdge : undefined
  if (!update?.expected) return null
  const updates: Parts = update.updates
  const expected: Parts = update.expected
  const differences: Difference[] = []
  const left = { mine: { ...updates }, theirs: { ...updates } }
  const seen: Parts = { ...expected }
  for (const { id, part, current } of failure.conflicts) {
    const name = partNames[part]
    if (id !== update.id || !name || !(name in updates)) return null
    const [base, mine, theirs] = [expected[name], updates[name], current].map((value) => jsonOf(name, value)) as [Json, Json, Json]
    for (const side of ['mine', 'theirs'] as const) {
      const outcome = merge(base, mine, theirs, side)
      if (side === 'mine') differences.push(...outcome.differences.map((each) => ({ ...each, path: isObject(base) ? each.path : [name] })))
      if (isSame(outcome.merged, theirs)) delete left[side][name]
      else Object.assign(left[side], { [name]: partOf(name, outcome.merged!) })
    }
    Object.assign(seen, { [name]: current })
  }
  const editsOf = (parts: Parts): Edit[] => {
    if (Object.keys(parts).length === 0) return []
    const again = { id: update.id, updates: parts as object, expected: seen as object }
    return [of === 'node' ? { updateNode: again } : { updateEdge: again }]
  }
  return {
    change, of, id: update.id, differences, edits: { mine: editsOf(left.mine), theirs: editsOf(left.theirs) },
    names: [...new Set(failure.conflicts.flatMap(({ actorNames }) => actorNames))],
    versions: failure.conflicts.flatMap(({ versions }) => versions),
  }
}

/** A part of an element in the form in which it can be merged: a config by its keys, metadata by its fields. */
function jsonOf(name: PartName, part: unknown): Json {
  if (typeof part === 'string') return (name === 'config' ? parseObject(part) : null) ?? part
  return part && typeof part === 'object' ? new Map(Object.entries(part as Record<string, string | null>)) : null
}

function partOf(name: PartName, value: Json): unknown {
  if (!isObject(value)) return value
  return name === 'config' ? write(value) : Object.fromEntries(value)
}
