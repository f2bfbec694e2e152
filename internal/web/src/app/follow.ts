// Going to where somebody is, and staying with them.
import type { Person, Plan, Position } from '../client/index.ts'
import { height, width } from './card.tsx'

/** To whom the view went last, and whether it stays with them. */
export interface Companion {
  userId: string
  follows: boolean
}

/** What a click on somebody means: the first goes there, the second follows, the third ends it. */
export function afterClick(before: Companion | null, userId: string): Companion | null {
  if (before?.userId !== userId) return { userId, follows: false }
  return before.follows ? null : { userId, follows: true }
}

/** Where somebody is: at their pointer, else at the node that they selected; null when neither is there. */
export function whereabouts({ cursor, selectedNodeId }: Pick<Person, 'cursor' | 'selectedNodeId'>, plan: Plan | null): Position | null {
  if (cursor) return cursor
  const node = plan?.nodes.get(selectedNodeId ?? '')
  return node ? { x: node.position.x + width / 2, y: node.position.y + height / 2 } : null
}
