// Who else is in the project.
import { useSyncExternalStore } from 'react'
import { badge } from './colors.ts'
import { useDesk } from './desk.ts'

/** More people than that are counted. */
const mostShown = 12

export function People() {
  const { presence } = useDesk().project
  const people = useSyncExternalStore(presence.subscribe, presence.snapshot)
  return (
    <ul className="people" aria-label="Also here">
      {[...people.values()].slice(0, mostShown).map((person) => (
        <li key={person.userId} style={badge(person.color)} title={person.name}>
          {initials(person.name)}<span className="unseen"> {person.name}</span>
        </li>
      ))}
      {people.size > mostShown && <li className="more">and {people.size - mostShown} more</li>}
    </ul>
  )
}

function initials(name: string): string {
  return name.split(/\s+/).map((word) => [...word][0] ?? '').join('').slice(0, 2).toUpperCase()
}
