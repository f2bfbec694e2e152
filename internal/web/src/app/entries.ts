// The changes in the history that fit a filter, newest first, as they come in.
import { oneAtATime } from './again.ts'
import { largestPage, onNewVersion, readHistory, readingRest, type LogEntry } from './log.ts'
import type { OpenProject } from './session.ts'
import { createStore, type Store } from './store.ts'
import { messageOf } from './words.ts'

const pageSize = 50

export interface EntriesState {
  entries: readonly LogEntry[]
  /** Whether older ones were not read. */
  more: boolean
  /** Why nothing could be read last; empty for no reason. */
  problem: string
}

export interface Entries extends Pick<Store<EntriesState>, 'get' | 'subscribe'> {
  /** Reads what there is, and again whenever somebody changes the plan, until what it returns is called. */
  follow(): () => void
  readMore(): Promise<void>
}

/** Nothing is read before they are followed. */
export function createEntries({ id, plan }: OpenProject, filter: { actorId: string | null; elementId: string | null }): Entries {
  const { get, set, subscribe } = createStore<EntriesState>({ entries: [], more: false, problem: '' })

  /** Reads all again that was read, since an undo marks what it takes back. */
  const read = async () => {
    const limit = Math.min(largestPage, Math.max(pageSize, get().entries.length))
    const { changes, more } = await readHistory(id, { ...filter, limit })
    const last = more ? changes.at(-1)?.version : undefined
    const older = last === undefined ? [] : get().entries.filter(({ version }) => version < last)
    set({ entries: [...changes, ...older], more: older.length > 0 ? get().more : more, problem: '' })
  }

  const saying = async (act: () => Promise<void>) => {
    try {
      await act()
    } catch (error) {
      set({ ...get(), problem: messageOf(error) })
    }
  }

  const ask = oneAtATime(() => saying(read), readingRest)

  return {
    get, subscribe,
    follow() {
      void ask()
      return onNewVersion(plan, () => void ask())
    },
    readMore: () => saying(async () => {
      const before = get().entries.at(-1)?.version ?? null
      const { changes, more } = await readHistory(id, { ...filter, before, limit: pageSize })
      const known = new Set(get().entries.map(({ version }) => version))
      set({ entries: [...get().entries, ...changes.filter(({ version }) => !known.has(version))], more, problem: '' })
    }),
  }
}
