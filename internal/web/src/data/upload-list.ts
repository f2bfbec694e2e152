// The files that this window sends. They go on when somebody leaves the editor for the list of projects.
import { newId } from '../client/index.ts'
import { createStore, type Store } from '../app/store.ts'
import { send } from './sending.ts'
import { isOpen, refusalOf, startable, type Kind, type State, type Target, type Upload } from './uploads.ts'

/** A busy server is asked that often, which is some minutes. */
const mostAttempts = 60

export class UploadList {
  readonly store: Store<readonly Upload[]> = createStore<readonly Upload[]>([])
  readonly #projectId: number
  readonly #stops = new Map<number, () => void>()
  readonly #attempts = new Map<number, number>()

  constructor(projectId: number) {
    this.#projectId = projectId
  }

  /** Adds a file. One that cannot be sent is refused in the list. Unless it is said what it holds, the server finds out. */
  add(file: File, target: Target, { isFolder = false, kind = null }: { isFolder?: boolean; kind?: Kind | null } = {}): void {
    const why = refusalOf({ name: file.name, size: file.size, isFolder })
    const state: State = why === null ? { at: 'waiting' } : { at: 'refused', why, problems: [] }
    this.store.set([...this.store.get(), { id: ++lastId, file, target, kind, opId: newId(), state }])
    this.#go()
  }

  /** Stops some, before any of those behind them begins. */
  stop(uploads: readonly Upload[]): void {
    for (const { id, state } of uploads) {
      this.#stops.get(id)?.()
      this.#stops.delete(id)
      const why = state.at === 'sent' ? 'Stopped after all was sent, so it may be added all the same.' : 'Stopped. Nothing was added.'
      this.#set(id, { at: 'stopped', why })
    }
    this.#go()
  }

  /** Sends a file again. What was asked before is asked under the same operation id, so that it is done once. */
  again(upload: Upload, kind = upload.kind): void {
    const isOther = kind !== upload.kind || upload.state.at === 'refused'
    this.#attempts.delete(upload.id)
    this.store.set(this.store.get().map((each): Upload => (
      each.id === upload.id ? { ...each, kind, opId: isOther ? newId() : each.opId, state: { at: 'waiting' } } : each)))
    this.#go()
  }

  /** Forgets those that went well: of the next ones, each is told again. */
  dismissDone(): void {
    this.dismiss(this.store.get().filter(({ state }) => state.at === 'done').map(({ id }) => id))
  }

  dismiss(ids: readonly number[]): void {
    this.store.set(this.store.get().filter((upload) => isOpen(upload) || !ids.includes(upload.id)))
    this.#go()
  }

  #set(id: number, state: State): void {
    this.store.set(this.store.get().map((upload) => (upload.id === id ? { ...upload, state } : upload)))
  }

  /** Begins what can begin, and keeps the page while anything is open. */
  #go(): void {
    for (const upload of startable(this.store.get())) {
      const { id } = upload
      this.#set(id, { at: 'sending', sent: 0 })
      this.#stops.set(id, send(this.#projectId, upload, (state) => this.#set(id, state), (end) => {
        this.#stops.delete(id)
        if ('at' in end) this.#set(id, end)
        else this.#wait(id, end)
        this.#go()
      }))
    }
    keepPage(this, this.store.get().some(isOpen))
  }

  #wait(id: number, { again, why }: { again: number; why: string }): void {
    const attempts = (this.#attempts.get(id) ?? 0) + 1
    this.#attempts.set(id, attempts)
    if (attempts > mostAttempts) return this.#set(id, { at: 'lost', why: `${why}. Try again later.` })
    this.#set(id, { at: 'busy', why })
    const timer = setTimeout(() => {
      this.#stops.delete(id)
      this.#set(id, { at: 'waiting' })
      this.#go()
    }, again)
    this.#stops.set(id, () => clearTimeout(timer))
  }
}

let lastId = 0
const lists = new Map<number, UploadList>()

/** The files that are sent to a project. */
export function uploadsTo(projectId: number): UploadList {
  let list = lists.get(projectId)
  if (!list) lists.set(projectId, list = new UploadList(projectId))
  return list
}

const busy = new Set<UploadList>()
const ask = (event: BeforeUnloadEvent) => event.preventDefault()

/** Asks before the page is left with files that are not sent. */
function keepPage(list: UploadList, keep: boolean): void {
  if (keep) busy.add(list)
  else busy.delete(list)
  if (busy.size > 0) addEventListener('beforeunload', ask)
  else removeEventListener('beforeunload', ask)
}
