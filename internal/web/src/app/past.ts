// Plans of the past, as pure functions: a state is found backwards from a later one, by what each change says was there before.
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import type { Mark, Marks } from './marks.ts'

/** A step of a change: an element before it and after it, or null where it was not there. */
export interface Step {
  kind: string
  id: string
  before?: unknown
  after?: unknown
}

/** A change of the log. */
export interface Entry {
  version: number
  actorName: string
  operations: readonly Step[]
}

/** What was read of the past: changes, and whole plans, by their versions. */
export interface Known<E extends Entry = Entry> {
  changes: ReadonlyMap<number, E>
  plans: ReadonlyMap<number, Plan>
}

export const nothingKnown = { changes: new Map(), plans: new Map() }

/** The plan after a version, from the nearest later one that is known; undefined when a change between them is not. */
export function planAt({ changes, plans }: Known, version: number): Plan | undefined {
  const since: Entry[] = []
  for (let at = version; ; at++) {
    const plan = plans.get(at)
    if (plan) return since.length === 0 ? plan : backwards(plan, since, version)
    const change = changes.get(at + 1)
    if (!change) return undefined
    since.push(change)
  }
}

/** The plan before some changes, which are given in their order. */
function backwards(plan: Plan, changes: readonly Entry[], version: number): Plan {
  const before = { nodes: new Map(plan.nodes), edges: new Map(plan.edges), version }
  for (const { operations } of changes.toReversed()) {
    for (const step of inverse(operations)) {
      if (step.kind.startsWith('NODE')) put(before.nodes, step)
      else if (step.kind.startsWith('EDGE')) put(before.edges, step)
    }
  }
  return before
}

function put<T>(elements: Map<string, T>, { id, after }: Step): void {
  if (after === null || after === undefined) elements.delete(id)
  else elements.set(id, after as T)
}

const opposite: Record<string, string> = {
  NODE_ADDED: 'NODE_REMOVED', NODE_REMOVED: 'NODE_ADDED', EDGE_ADDED: 'EDGE_REMOVED', EDGE_REMOVED: 'EDGE_ADDED',
}

/** The steps that take others back. */
export function inverse(operations: readonly Step[]): Step[] {
  return operations.toReversed().map(({ kind, id, before, after }) => ({ kind: opposite[kind] ?? kind, id, before: after, after: before }))
}

/** Who made an element differ in that way, as far as that is known. */
type AuthorOf = (id: string, kind: Mark['kind']) => string | undefined

/** A plan of the past as it is shown: with what was added since, and marked where it differs from now. */
export function compared(then: Plan, now: Plan, by: AuthorOf): { plan: Plan; marks: Marks } {
  const nodes = compareAll(then.nodes, now.nodes, isSameNode, by)
  const edges = compareAll(then.edges, now.edges, isSameEdge, by)
  return { plan: { version: then.version, nodes: nodes.all, edges: edges.all }, marks: { nodes: nodes.marks, edges: edges.marks } }
}

function compareAll<T>(
  then: ReadonlyMap<string, T>, now: ReadonlyMap<string, T>, isSame: (one: T, other: T) => boolean, by: AuthorOf,
) {
  const all = new Map(then)
  const marks = new Map<string, Mark>()
  const mark = (id: string, kind: Mark['kind']) => {
    const name = by(id, kind)
    marks.set(id, { kind, words: `${kind === 'gone' ? 'deleted' : kind} since${name ? ` by ${name}` : ''}` })
  }
  for (const [id, element] of then) {
    const current = now.get(id)
    if (current === undefined) mark(id, 'gone')
    else if (!isSame(element, current)) mark(id, 'changed')
  }
  for (const [id, element] of now) {
    if (then.has(id)) continue
    all.set(id, element)
    mark(id, 'added')
  }
  return { all, marks }
}

// Elements of the log have more parts, such as times, and their parts may be in another order.
function isSameNode(one: PlanNode, other: PlanNode): boolean {
  return one === other || (one.nodeType === other.nodeType && one.position.x === other.position.x && one.position.y === other.position.y &&
    isSameText(one.metadata, other.metadata) && isSameConfig(one.config, other.config))
}

function isSameEdge(one: PlanEdge, other: PlanEdge): boolean {
  return one === other || (one.source === other.source && one.target === other.target && one.metadata.dataType === other.metadata.dataType &&
    (one.metadata.label ?? null) === (other.metadata.label ?? null) &&
    (one.sourceHandle ?? null) === (other.sourceHandle ?? null) && (one.targetHandle ?? null) === (other.targetHandle ?? null))
}

const isSameText = (one: PlanNode['metadata'], other: PlanNode['metadata']) => (
  one.label === other.label && (one.description ?? null) === (other.description ?? null))

/** Whether configs say the same, however they are written. */
function isSameConfig(one: string, other: string): boolean {
  return one === other || sorted(one) === sorted(other)
}

function sorted(config: string): string {
  return JSON.stringify(JSON.parse(config), (_, value: unknown) => (
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value))
}

/** Whoever added an element last after a version, or touched it last in any way, among the changes that are known. */
export function authorsSince({ changes }: Known, after: number): AuthorOf {
  const added = new Map<string, string>()
  const touched = new Map<string, string>()
  const since = [...changes.values()].filter(({ version }) => version > after).toSorted((a, b) => a.version - b.version)
  for (const { actorName, operations } of since) {
    for (const { kind, id } of operations) {
      if (kind === 'EXECUTION_CHANGED') continue // the server made it, and the element is the same
      touched.set(id, actorName)
      if (kind.endsWith('ADDED')) added.set(id, actorName)
    }
  }
  return (id, kind) => (kind === 'added' ? added : touched).get(id)
}

/** How fast to go through so many versions: all within 20 s, and each shown for 0.1 to 0.5 s. */
export function pace(versions: number): { interval: number; stride: number } {
  const interval = Math.min(500, Math.max(100, Math.floor(19_000 / Math.max(1, versions))))
  return { interval, stride: Math.max(1, Math.ceil((versions * interval) / 19_000)) }
}
