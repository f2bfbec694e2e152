// What one window does with a plan: what is selected, connected and renamed there. Nothing of it is in the plan, nor on the wire.
import { createContext, useContext, useSyncExternalStore } from 'react'
import type { Edit, NodeType, Plan, Position } from '../client/index.ts'
import { createDrafts, type Drafts } from './drafts.ts'
import type { Companion } from './follow.ts'
import type { Looking } from './looking.ts'
import type { NodeStates } from './node-state.ts'
import type { Item } from './order.ts'
import { createOthers, type Others } from './others.ts'
import { wordsForEdits } from './phrases.ts'
import type { Proposals } from './proposals.ts'
import type { Rules } from './rules.ts'
import type { OpenProject } from './session.ts'
import { createStore, type Store } from './store.ts'
import { createHistory, isNow, type HistoryState } from './history-state.ts'
import { createUndo, noteChange, type UndoState } from './undo-state.ts'

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
  sampleAgent: SampleAgent | null
  /** Whether the inspector is shown. */
  inspecting: boolean
  /** Whether a drag on the empty canvas selects what is in the box, rather than move the view. */
  boxing: boolean
  /** Whether the small map of the whole plan is shown. */
  map: boolean
  /** Whether the list of all commands and nodes is open. */
  finding: boolean
  /** The menu that is open; null for none. */
  menu: Menu | null
  /** A sentence about what could not be done here; null for none. */
  message: string | null
  /** Whether the next click on the canvas says where the selected nodes go. */
  moving: boolean
  /** Whether the outline is shown. */
  outline: boolean
  /** What is looked at of what a node holds; null for nothing. */
  looking: Looking | null
}

/** A menu, and where its corner is on the screen. */
export interface Menu {
  name: string
  left: number
  top: number
  items: readonly { words: string; key?: string | undefined; kind?: NodeType; run(): void }[]
}

/** What the sample agent says, and as which actor it changed the plan since when; the actor is null before its first change was heard of. */
export interface SampleAgent {
  said: readonly string[]
  isRunning: boolean
  actorId: string | null
  since: Date
}

/** What the canvas does for the rest of the editor, while it is there. */
export interface View {
  /** The point of the plan in the middle of what is seen. */
  center(): Position
  /** Where the pointer is on the canvas; null while it is elsewhere. */
  pointer(): Position | null
  /** Brings nodes into view; all of them when none is named. */
  reveal(nodeIds?: readonly string[]): void
  /** Shows nodes on their way from where they were to where the plan has them, until they are there. */
  glide(from: ReadonlyMap<string, Position>): Promise<void>
}

/** A sentence for those who hear the page. The count makes it another one when the same is said again. */
export interface Sentence {
  words: string
  count: number
}

/** An open editor. */
export interface Desk {
  project: OpenProject
  state: Store<DeskState>
  /** Null until the canvas is there. */
  view: Store<View | null>
  /** What was done here last, for those who hear it. */
  said: Store<Sentence>
  /** Empty until the server has said it. */
  rules: Store<Rules>
  drafts: Drafts
  others: Others
  /** What was taken back. */
  undo: Store<UndoState>
  /** What is looked at of the past. */
  history: Store<HistoryState>
  /** What is proposed and not decided. */
  proposals: Store<Proposals>
  /** What became of the nodes' files and builds; empty until that is loaded, and while the past is shown. */
  states: Store<NodeStates>
}

export function createDesk(project: OpenProject): Desk {
  return {
    project,
    state: createStore<DeskState>({
      selection: nothing, connecting: null, renaming: null, companion: null, sampleAgent: null, inspecting: true,
      boxing: false, map: true, finding: false, menu: null, message: null, moving: false, outline: false, looking: null,
    }),
    view: createStore<View | null>(null),
    said: createStore<Sentence>({ words: '', count: 0 }),
    rules: createStore<Rules>(new Map()),
    drafts: createDrafts(),
    others: createOthers(),
    undo: createUndo(),
    history: createHistory(),
    proposals: createStore<Proposals>(new Map()),
    states: createStore<NodeStates>(new Map()),
  }
}

/** The plan as it is shown; null before it was read. */
export function planOf(desk: Desk): Plan | null {
  return desk.project.plan.snapshot().plan
}

/** The server takes at most that many edits in one change. */
export const maxEdits = 500

/**
 * Makes one change of the plan; none when there is nothing to do, and a sentence when it is too much or the plan of the past is shown. Returns
 * whether the plan is as meant.
 */
export function change(desk: Desk, edits: Edit[]): boolean {
  if (edits.length > maxEdits) {
    tell(desk, `That would be ${edits.length} edits. At most ${maxEdits} can be made at once: select less.`)
    return false
  }
  if (edits.length > 0 && !isNow(desk)) {
    tell(desk, 'This plan is of the past. Go back to now to change it.')
    return false
  }
  const plan = planOf(desk)
  if (edits.length === 0 || !plan) return true
  desk.said.set({ words: wordsForEdits(edits, plan), count: desk.said.get().count + 1 })
  desk.project.plan.change(edits)
  noteChange(desk)
  return true
}

/** Says why something could not be done here, until it is dismissed. */
export function tell(desk: Desk, message: string): void {
  update(desk, { message })
}

/** Sets parts of the state. */
export function update(desk: Desk, parts: Partial<DeskState>): void {
  desk.state.set({ ...desk.state.get(), ...parts })
}

/** Selects these nodes and edges, and no others. */
export function select(desk: Desk, nodes: Iterable<string>, edges: Iterable<string> = []): void {
  update(desk, { selection: { nodes: new Set(nodes), edges: new Set(edges) } })
}

/** Selects a node or an edge, and nothing else. */
export function selectItem(desk: Desk, { kind, id }: Item): void {
  select(desk, kind === 'node' ? [id] : [], kind === 'edge' ? [id] : [])
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

/** Whether keys and the clipboard belong to a field, a dialog or a menu, and not to the plan. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, select, dialog, [role=menu], [contenteditable]') !== null
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
