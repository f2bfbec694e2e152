// What the others have selected: an outline around each node, in their colours and with their names.
import { ViewportPortal } from '@xyflow/react'
import type { Plan, Position } from '../client/index.ts'
import { lookOf, type Look } from './avatar.tsx'
import { height, width } from './card.tsx'
import { badge, standingOut } from './colors.ts'
import { useOfPeople } from './presence.ts'

/** More people around one node than that are counted. */
const mostAround = 4

const between = 5
const labelHeight = 18

export function Outlines({ plan, places }: { plan: Plan; places: ReadonlyMap<string, Position> }) {
  const selections = useOfPeople((people) => [...people.values()].flatMap((person) => (
    person.selectedNodeId ? [{ nodeId: person.selectedNodeId, look: lookOf(person) }] : [])))
  const around = new Map<string, Look[]>()
  for (const { nodeId, look } of selections) around.set(nodeId, [...(around.get(nodeId) ?? []), look])
  return (
    <ViewportPortal>
      <div className="overlay" aria-hidden="true">
        {[...around].map(([nodeId, people]) => {
          const position = places.get(nodeId) ?? plan.nodes.get(nodeId)?.position
          return position && <Around key={nodeId} nodeId={nodeId} position={position} people={people} />
        })}
      </div>
    </ViewportPortal>
  )
}

function Around({ nodeId, position: { x, y }, people }: { nodeId: string; position: Position; people: Look[] }) {
  const shown = people.slice(0, mostAround)
  const more = people.length - shown.length
  const top = -between * shown.length
  return (
    <div className="around" data-around={nodeId} style={{ transform: `translate(${x}px, ${y}px)`, width, height }}>
      {shown.map(({ userId, name, color, isAgent }, i) => (
        <div key={userId} className="around" style={{ inset: -between * (i + 1), borderColor: standingOut(color) }}>
          {!isAgent && ( // its pointer is there, and has the name
            <span className="name" style={{ ...badge(standingOut(color)), left: between * i, top: top + (between - labelHeight) * (i + 1) }}>{name}</span>
          )}
        </div>
      ))}
      {more > 0 && <span className="name" style={{ ...badge(''), left: -between, top: top - labelHeight * (shown.length + 1) }}>and {more} more</span>}
    </div>
  )
}
