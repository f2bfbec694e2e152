// The address of the page, for screens that follow it. Beside another client the page lies below /app; the paths of screens are from there.

const base = import.meta.url.slice(location.origin.length).split('/assets/')[0]!

const listeners = new Set<() => void>()
const tell = () => { for (const listener of listeners) listener() }
addEventListener('popstate', tell)

export const pathname = (): string => location.pathname.slice(base.length) || '/'

/** The address of a screen, for links. */
export const addressOf = (path: string): string => base + path

export function onNavigate(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Goes to another screen. The hint is for that screen alone, and not for those who get the address. */
export function navigate(path: string, itsHint?: string): void {
  history.pushState({ hint: itsHint }, '', addressOf(path))
  tell()
}

/** The hint with which one came to this screen. */
export function hint(): string | undefined {
  const state: unknown = history.state
  return typeof state === 'object' && state !== null && 'hint' in state && typeof state.hint === 'string' ? state.hint : undefined
}
