// What one window does with a plan: what is selected, connected and renamed there. Nothing of it is in the plan, nor on the wire.
import { createContext, useContext, useSyncExternalStore } from 'react'
import type { Edit, Plan, Position } from '../client/index.ts'
import type { Companion } from './follow.ts'
import { createDrafts, type Drafts } from './drafts.ts'
import { createOthers, type Others } from './others.ts'
import type { Rules } from './rules.ts'
import type { OpenProject } from './session.ts'
import { createStore, type Store } from './store.ts'

export interface Selection {
  nodes: ReadonlySet<string>
  edges: ReadonlySet<string>
}

export const nothing: Selection = { nodes: new Set(), edges: new Set() }

export interface DeskState {
  selection: Selection
  /** The node whose output is being connected without a drag; null for none. */
  connecting: string | null
  /** The node whose label is being typed on the canvas; null for none. */
  renaming: string | null
  /** To whom the view went; null for nobody, or since one went on by oneself. */
  companion: Companion | null
  /** What the sample agent that was sent from here says; null for none. */
  sampleAgent: { said: readonly string[]; isRunning: boolean } | null
  /** Whether the inspector is shown. */
  inspecting: boolean
}

/** What the canvas does for the rest of the editor, while it is there. */
export interface View {
  /** The point of the plan in the middle of what is seen. */
  center(): Position
  /** Brings nodes into view; all of them when none is named. */
  reveal(nodeIds?: readonly string[]): void
}

/** An open editor. */
export interface Desk {
  project: OpenProject
  state: Store<DeskState>
  /** Null until the canvas is there. */
  view: Store<View | null>
  /** Empty until the server has said it. */
  rules: Store<Rules>
  drafts: Drafts
  others: Others
}

export function createDesk(project: OpenProject): Desk {
  return {
    project,
    state: createStore<DeskState>({
      selection: nothing, connecting: null, renaming: null, companion: null, sampleAgent: null, inspecting: true,
    }),
    view: createStore<View | null>(null),
    rules: createStore<Rules>(new Map()),
    drafts: createDrafts(),
    others: createOthers(),
  }
}

/** The plan as it is shown; null before it was read. */
export function planOf(desk: Desk): Plan | null {
  return desk.project.plan.snapshot().plan
}

/** Makes one change of the plan; none when there is nothing to do. */
export function change(desk: Desk, edits: Edit[]): void {
  if (edits.length > 0) desk.project.plan.change(edits)
}

/** Sets parts of the state. */
export function update(desk: Desk, parts: Partial<DeskState>): void {
  desk.state.set({ ...desk.state.get(), ...parts })
}

/** Selects these nodes and edges, and no others. */
export function select(desk: Desk, nodes: Iterable<string>, edges: Iterable<string> = []): void {
  update(desk, { selection: { nodes: new Set(nodes), edges: new Set(edges) } })
}

/** The nodes and edges that are selected and still there. */
export function selected(desk: Desk): { nodes: string[]; edges: string[] } {
  const { selection } = desk.state.get()
  const plan = planOf(desk)
  return {
    nodes: [...selection.nodes].filter((id) => plan?.nodes.has(id)),
    edges: [...selection.edges].filter((id) => plan?.edges.has(id)),
  }
}

const DeskContext = createContext<Desk | null>(null)

export const DeskProvider = DeskContext.Provider

/** The editor that a component stands in. */
export function useDesk(): Desk {
  const desk = useContext(DeskContext)
  if (!desk) throw new Error('outside of an editor')
  return desk
}

/** The state of the desk, drawn anew when it changes. */
export function useDeskState(): DeskState {
  const { state } = useDesk()
  return useSyncExternalStore(state.subscribe, state.get)
}
