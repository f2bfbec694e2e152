// Rows of a table, page by page: what is in view is loaded, and what is far from it is forgotten.
import { Failure } from '../client/index.ts'
import { withColumnsOf } from './columns.ts'

/** What the server gives at once. */
export const pageLength = 500

/** So many pages are kept: beyond, the one that is farthest from the view is forgotten. */
const kept = 24

/** So many are loaded at the same time. What waits meanwhile and goes out of view is not asked for. */
const atOnce = 2

export type Row = Readonly<Record<string, unknown>>

/** What pages are of. */
export interface Paged {
  total: number
  /** Columns that are known from the start: rows may have others. */
  columns: readonly string[]
  /** Returns rows from a place on, none less than asked for. */
  load(from: number, count: number): Promise<readonly Row[]>
}

export class Pages {
  readonly #of: Paged
  readonly #changed: () => void
  readonly #loaded = new Map<number, readonly Row[]>()
  readonly #loading = new Set<number>()
  #wanted: number[] = []
  #failure: Error | null = null
  #columns: readonly string[]

  /** Changed is called when there is more to show. */
  constructor(of: Paged, changed: () => void) {
    this.#of = of
    this.#columns = of.columns
    this.#changed = changed
  }

  /** All columns that were seen, in the order in which they came. */
  get columns(): readonly string[] {
    return this.#columns
  }

  /** A row, unless it is not loaded. */
  row(index: number): Row | undefined {
    return this.#loaded.get(Math.floor(index / pageLength))?.[index % pageLength]
  }

  /** Why a page could not be loaded. Nothing more is, until retry is called. */
  get failure(): Error | null {
    return this.#failure
  }

  /** Sees to it that rows are loaded, with those that come next in both directions, and only those are waited for. */
  want(first: number, last: number): void {
    const margin = pageLength / 4
    const [from, to] = [first - margin, last + margin].map((row) => Math.floor(Math.max(0, Math.min(row, this.#of.total - 1)) / pageLength)) as [number, number]
    const middle = (first + last) / 2 / pageLength
    this.#wanted = Array.from({ length: to - from + 1 }, (_, i) => from + i).toSorted((a, b) => Math.abs(a + 0.5 - middle) - Math.abs(b + 0.5 - middle))
    this.#next()
  }

  retry(): void {
    this.#failure = null
    this.#changed()
    this.#next()
  }

  #next(): void {
    for (const page of this.#of.total > 0 ? this.#wanted : []) {
      if (this.#failure || this.#loading.size >= atOnce) return
      if (this.#loaded.has(page) || this.#loading.has(page)) continue
      this.#loading.add(page)
      const from = page * pageLength
      const settle = () => {
        this.#loading.delete(page)
        this.#changed()
        this.#next()
      }
      this.#of.load(from, Math.min(pageLength, this.#of.total - from))
        .then((rows) => this.#keep(page, rows), (error: Error) => { this.#failure = error }).finally(settle)
    }
  }

  #keep(page: number, rows: readonly Row[]): void {
    this.#loaded.set(page, rows)
    this.#columns = withColumnsOf(this.#columns, rows)
    const near = this.#wanted[0] ?? page
    if (this.#loaded.size > kept) this.#loaded.delete([...this.#loaded.keys()].toSorted((a, b) => Math.abs(b - near) - Math.abs(a - near))[0]!)
  }
}

/** Loads rows, in smaller parts when they are too long to be answered together. */
export async function inParts(from: number, count: number, load: (from: number, count: number) => Promise<Row[]>): Promise<Row[]> {
  try {
    return await load(from, count)
  } catch (error) {
    const isTooMuch = error instanceof Failure && typeof error.detail === 'object' && error.detail !== null && 'limit' in error.detail
    if (!isTooMuch || count === 1) throw error
    const half = Math.ceil(count / 2)
    return [...await inParts(from, half, load), ...await inParts(from + half, count - half, load)]
  }
}
