// Changes that were made and not answered yet, kept beyond this page.
import type { Change } from './edits.ts'

/** Where changes are kept until they are answered. */
export interface Journal {
  /** Whether a reload finds them again. */
  readonly durable: boolean
  /** All that is kept for a project, of every window, in the order in which it was made. */
  load(projectId: number): Promise<Change[]>
  /** Keeps some changes and forgets others, in one step. */
  write(kept: readonly Change[], forgotten: readonly string[]): Promise<void>
}

/** Storage that is damaged may never answer. */
const patience = 3_000

/** A journal in IndexedDB, or one in memory where the browser has none for us. */
export async function openJournal(): Promise<Journal> {
  try {
    // The database first: where there is none, nobody would wait for the other, and its failure would end a program in Node.
    return new StoredJournal(await Promise.race([database(), new Promise<never>((_, reject) => setTimeout(reject, patience))]))
  } catch {
    return memoryJournal()
  }
}

/** A journal that ends with the page. */
export function memoryJournal(): Journal {
  const changes = new Map<string, Change>()
  return {
    durable: false,
    load: async (projectId) => inOrder([...changes.values()].filter((change) => change.projectId === projectId)),
    write: async (kept, forgotten) => {
      for (const opId of forgotten) changes.delete(opId)
      for (const change of kept) changes.set(change.opId, change)
    },
  }
}

const store = 'changes'
const byProject = 'project'

class StoredJournal implements Journal {
  durable = true
  readonly #db: IDBDatabase
  /** What was not written yet, or could not be: it is tried again with the next write. */
  readonly #missing = new Map<string, Change>()
  readonly #gone = new Set<string>()
  /** The last write, and the one that has not begun: what else is to be written goes with it. */
  #last: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(db: IDBDatabase) {
    this.#db = db
    // Another tab wants a newer form of the database, and must not wait for us.
    db.onversionchange = () => db.close()
    db.onclose = () => { this.durable = false }
  }

  async load(projectId: number): Promise<Change[]> {
    try {
      const found = this.#db.transaction(store).objectStore(store).index(byProject).getAll(projectId)
      return this.#withMissing(projectId, (await answered(found)) as Change[])
    } catch {
      this.durable = false
      return this.#withMissing(projectId, [])
    }
  }

  /** What is kept, with what would be if it could be written. */
  #withMissing(projectId: number, stored: Change[]): Change[] {
    const missing = [...this.#missing.values()].filter((change) => change.projectId === projectId)
    return inOrder([...stored.filter(({ opId }) => !this.#missing.has(opId) && !this.#gone.has(opId)), ...missing])
  }

  // One transaction after the other: what comes meanwhile goes together, since each takes milliseconds, whatever it holds.
  write(kept: readonly Change[], forgotten: readonly string[]): Promise<void> {
    for (const opId of forgotten) {
      this.#missing.delete(opId)
      this.#gone.add(opId)
    }
    for (const change of kept) {
      this.#gone.delete(change.opId)
      this.#missing.set(change.opId, change)
    }
    this.#next ??= this.#last.then(() => {
      this.#next = undefined
      return this.#store()
    })
    this.#last = this.#next
    return this.#last
  }

  // What cannot be written is still in the queue of the page, so editing goes on; durable says what a reload would lose.
  async #store(): Promise<void> {
    const [writing, removing] = [[...this.#missing.values()], [...this.#gone]]
    try {
      const transaction = this.#db.transaction(store, 'readwrite', { durability: 'relaxed' })
      const changes = transaction.objectStore(store)
      for (const opId of removing) changes.delete(opId)
      for (const change of writing) changes.put(change)
      await new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve()
        transaction.onabort = () => reject(transaction.error)
      })
      for (const change of writing) if (this.#missing.get(change.opId) === change) this.#missing.delete(change.opId)
      for (const opId of removing) this.#gone.delete(opId)
      this.durable = this.#missing.size === 0
    } catch {
      this.durable = false
    }
  }
}

function database(): Promise<IDBDatabase> {
  const opening = indexedDB.open('layercake', 1)
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(store, { keyPath: 'opId' }).createIndex(byProject, 'projectId')
  }
  return answered(opening)
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

function inOrder(changes: Change[]): Change[] {
  return changes.toSorted((a, b) => a.seq - b.seq)
}
