// The address of the page, for screens that follow it.

const listeners = new Set<() => void>()
const tell = () => { for (const listener of listeners) listener() }
addEventListener('popstate', tell)

export const pathname = (): string => location.pathname

export function onNavigate(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Goes to another screen. The hint is for that screen alone, and not for those who get the address. */
export function navigate(path: string, itsHint?: string): void {
  history.pushState({ hint: itsHint }, '', path)
  tell()
}

/** The hint with which one came to this screen. */
export function hint(): string | undefined {
  const state: unknown = history.state
  return typeof state === 'object' && state !== null && 'hint' in state && typeof state.hint === 'string' ? state.hint : undefined
}
