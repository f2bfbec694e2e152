// What an editor shows of the past.
import type { Plan } from '../client/index.ts'
import type { Desk } from './desk.ts'
import type { LogEntry } from './log.ts'
import { nothingKnown, type Known } from './past.ts'
import { createStore, type Store } from './store.ts'

export interface HistoryState {
  /** Whether the history is beside the canvas. */
  open: boolean
  known: Known<LogEntry>
  /** The versions that can be looked at: all between these. */
  oldest: number
  newest: number
  /** The version that somebody wants to see; null is now. */
  wanted: number | null
  /** The plan that the canvas shows instead of the one of now, which is not to be changed; null for none. */
  past: Plan | null
  playing: boolean
}

const closed: HistoryState = { open: false, known: nothingKnown, oldest: 0, newest: 0, wanted: null, past: null, playing: false }

export function createHistory(): Store<HistoryState> {
  return createStore(closed)
}

/** Sets parts of it. */
export function setHistory(desk: Desk, parts: Partial<HistoryState>): void {
  desk.history.set({ ...desk.history.get(), ...parts })
}

/** Whether the canvas shows the plan of now, which can be changed. */
export function isNow(desk: Desk): boolean {
  return desk.history.get().past === null
}

export function openHistory(desk: Desk): void {
  setHistory(desk, { open: true })
}

/** Closes it, and goes back to now. */
export function closeHistory(desk: Desk): void {
  desk.history.set(closed)
}
