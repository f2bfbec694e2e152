// Who else is in the project. A click on somebody goes where they are, a second one follows them.
import { openAvatarMenu } from './avatar-menu.ts'
import { AgentBadge, initials, lookOf, type Look } from './avatar.tsx'
import { badge, standingOut } from './colors.ts'
import { update, useDesk, useDeskState } from './desk.ts'
import { afterClick } from './follow.ts'
import './people.css'
import { useOfPeople } from './presence.ts'

/** More people than that are in a list that opens. */
const mostShown = 12

export function People() {
  const people = useOfPeople((all) => [...all.values()].map(lookOf))
  const others = people.slice(mostShown)
  return (
    <ul className="people" aria-label="Also here">
      {people.slice(0, mostShown).map((person) => (
        <li key={person.userId} style={badge(standingOut(person.color))} title={person.name}>
          <Avatar person={person}><span aria-hidden="true">{initials(person.name)}</span><span className="unseen"> {person.name}</span></Avatar>
        </li>
      ))}
      {others.length > 0 && (
        <li className="more">
          <button popoverTarget="more-people">and {others.length} more</button>
          <ul id="more-people" popover="auto">
            {others.map((person) => (
              <li key={person.userId}><Avatar person={person}><span className="dot" style={badge(standingOut(person.color))} /> {person.name}</Avatar></li>
            ))}
          </ul>
        </li>
      )}
    </ul>
  )
}

function Avatar({ person, children }: { person: Look; children: React.ReactNode }) {
  const desk = useDesk()
  const { userId, isAgent } = person
  const { companion } = useDeskState()
  const onContextMenu = (event: React.MouseEvent) => {
    event.preventDefault()
    const { left, bottom } = event.currentTarget.getBoundingClientRect()
    openAvatarMenu(desk, { left, top: bottom }, person)
  }
  const follows = companion?.userId === userId && companion.follows
  return (
    <button
      className="avatar" aria-pressed={follows} aria-haspopup="menu"
      onClick={() => update(desk, { companion: afterClick(companion, userId) })} onContextMenu={onContextMenu}
    >
      {children}{isAgent && <AgentBadge />}
    </button>
  )
}
