// What an editor knows of what was taken back.
import type { Conflict, Edit } from '../client/index.ts'
import type { Desk } from './desk.ts'
import { createStore, type Store } from './store.ts'

/** What is to be taken back: an own change, or undo, when no version is named. */
export interface Target {
  redo: boolean
  version?: number
}

/** What others changed since stands in the way: somebody has to decide. */
export interface Question {
  target: Target
  conflicts: readonly Conflict[]
}

/** Changes of somebody that are taken back, one after the other. */
export interface Run {
  name: string
  done: number
  /** Null while they are counted. */
  of: number | null
}

export interface UndoState {
  /** The sentence that says what was done last. */
  said: string
  question: Question | null
  run: Run | null
  /** Changes that were taken back before they were sent, the last one at the end: redo makes them again. */
  dropped: readonly (readonly Edit[])[]
  /** Counts the changes that were made in this window. */
  made: number
}

export function createUndo(): Store<UndoState> {
  return createStore<UndoState>({ said: '', question: null, run: null, dropped: [], made: 0 })
}

/** Sets parts of the state. */
export function setUndo(desk: Desk, parts: Partial<UndoState>): void {
  desk.undo.set({ ...desk.undo.get(), ...parts })
}

/** Says a sentence. */
export function say(desk: Desk, said: string): void {
  setUndo(desk, { said })
}

/** Whoever makes a change does not do again what they took back before. */
export function noteChange(desk: Desk): void {
  setUndo(desk, { dropped: [], made: desk.undo.get().made + 1 })
}
