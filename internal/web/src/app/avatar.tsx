// A person in small: initials in their colour.
import type { Person } from '../client/index.ts'

/** What marks an agent wherever it is shown: an icon, and a word for readers. */
export function AgentBadge() {
  return (
    <span className="agent" title="Agent">
      <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
        <path d="M8 1v3M3 4h10v8H3zM1 7v3M15 7v3M6 7.5v1M10 7.5v1M5 15h6" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
      </svg>
      <span className="unseen"> agent</span>
    </span>
  )
}

/** What is drawn of a person, whatever they do. */
export type Look = Pick<Person, 'userId' | 'name' | 'color' | 'isAgent'>

export function lookOf({ userId, name, color, isAgent }: Person): Look {
  return { userId, name, color, isAgent }
}

export function initials(name: string): string {
  return name.split(/\s+/).map((word) => [...word][0] ?? '').join('').slice(0, 2).toUpperCase()
}
