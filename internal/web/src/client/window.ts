// Which window this is. Each has an id of its own that outlives a reload, and holds a lock by that name as long as it is open.
import { newId } from './request.ts'

const key = 'layercake-window'
const lockName = (id: string) => `layercake-window-${id}`

/** The page before a reload may still hold the lock for a moment. */
const handover = 500

/** Returns this window's id. A window that the browser cloned from another one takes a new one. */
export async function claimWindow(): Promise<string> {
  let id = read() ?? newId()
  if (!(await hold(id))) {
    id = newId()
    await hold(id)
  }
  try {
    sessionStorage.setItem(key, id)
  } catch {
    // Without storage the id ends with the page.
  }
  return id
}

/** The ids of the windows that are open, or null where the browser does not say. */
export async function openWindows(): Promise<Set<string> | null> {
  if (!locks()) return null
  const prefix = lockName('')
  const { held = [] } = await navigator.locks.query()
  return new Set(held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : [])))
}

function read(): string | null {
  try {
    return sessionStorage.getItem(key)
  } catch {
    return null
  }
}

/** Takes a lock until the page ends; false when another window has it. */
function hold(id: string): Promise<boolean> {
  if (!locks()) return Promise.resolve(true)
  return new Promise((resolve) => {
    const untilTheEnd = () => {
      resolve(true)
      return new Promise<never>(() => {})
    }
    navigator.locks.request(lockName(id), { signal: AbortSignal.timeout(handover) }, untilTheEnd).catch(() => resolve(false))
  })
}

// Pages over plain HTTP from another machine, and Node, have none.
function locks(): boolean {
  return typeof navigator !== 'undefined' && 'locks' in navigator
}
