// What somebody types and has not saved. It stays when something else is selected, and nobody else's change touches it.
import type { Edit, Plan, PlanEdge, PlanNode } from '../client/index.ts'
import type { JsonError } from './json.ts'
import { createStore, type Store } from './store.ts'

export type Element = PlanNode | PlanEdge

/** The edit that saves a text, or a sentence that says why it cannot be saved, with the place if that is known. */
export type Saved = { edit: Edit } | { problem: string; place?: JsonError }

/** A field of nodes or edges: how its text is read, and what saves another. */
export interface Field<Of = Element> {
  /** Such as Label. */
  name: string
  of: 'node' | 'edge'
  read(element: Of): string
  /** Saves a text, for an element as its author saw it. */
  save(seen: Of, text: string): Saved
  /** What others did to the text, in words; without this it is the text. */
  tell?(seen: Of, now: Of): string
}

export interface Draft {
  field: Field
  /** The node or edge as it was when typing began. */
  seen: Element
  text: string
}

/** Drafts by their keys. */
export type Drafts = Store<ReadonlyMap<string, Draft>>

export function createDrafts(): Drafts {
  return createStore<ReadonlyMap<string, Draft>>(new Map())
}

export function elementOf(plan: Plan | null, of: 'node' | 'edge', id: string): Element | undefined {
  return of === 'node' ? plan?.nodes.get(id) : plan?.edges.get(id)
}

export function setDraft(drafts: Drafts, key: string, draft: Draft | undefined): void {
  const after = new Map(drafts.get())
  if (draft) after.set(key, draft)
  else if (!after.delete(key)) return
  drafts.set(after)
}

/** The edits that save a draft, which ends with that. What cannot be saved stays, to be mended, or to be copied when its element is gone. */
export function finish(drafts: Drafts, key: string, plan: Plan | null): Edit[] {
  const draft = drafts.get().get(key)
  if (!draft || !elementOf(plan, draft.field.of, draft.seen.id)) return []
  const { field, seen, text } = draft
  const saved = text === field.read(seen) ? null : field.save(seen, text)
  if (saved && 'problem' in saved) return []
  setDraft(drafts, key, undefined)
  return saved ? [saved.edit] : []
}
