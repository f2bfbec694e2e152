// Who sits here, and the connection that all screens share.
import { connect, type Connection, type PlanStore, type PresenceStore } from '../client/index.ts'
import { recall, remember } from './memory.ts'

const nameKey = 'layercake-name'

/** What this person is called, until they say otherwise. */
export const me = { name: rememberedName() ?? invented(), color: '#3b82f6' }

/** The connection to the server that this page came from. */
export const connection: Connection = await connect({ url: location.origin, name: me.name })

me.color = colorOf(connection.clientId)

/** A project that is open: its plan, and who is there. */
export interface OpenProject {
  id: number
  plan: PlanStore
  presence: PresenceStore
}

let open: OpenProject | null = null

/** Opens a project, and closes the one that was open. */
export function openProject(id: number): OpenProject {
  if (open?.id === id) return open
  closeProject()
  open = { id, plan: connection.plan(id), presence: connection.presence(id, me.color) }
  return open
}

export function closeProject(): void {
  open?.plan.stop()
  open?.presence.stop()
  open = null
}

/** Calls oneself something else; fails, and leaves the name as it was, when the server does not take it. */
export async function rename(name: string): Promise<void> {
  connection.name = name
  try {
    await connection.request('{ __typename }', {}) // with a wrong name every request fails
  } catch (error) {
    connection.name = me.name
    throw error
  }
  me.name = name
  remember(nameKey, name)
}

/** The name that is remembered, unless no server would take it. */
function rememberedName(): string | null {
  const name = recall(nameKey)?.trim() ?? ''
  return name !== '' && [...name].length <= 100 && !/\p{Cc}/u.test(name) ? name : null
}

function invented(): string {
  const one = (words: string) => {
    const list = words.split(' ')
    return list[Math.floor(Math.random() * list.length)]!
  }
  const name = `${one('Amber Azure Coral Ivory Jade Maroon Olive Scarlet Silver Violet')} ${one('Badger Falcon Heron Lynx Marten Otter Owl Raven Seal Stork')}`
  remember(nameKey, name)
  return name
}

/** A colour that stands out on light and dark, always the same for a window. */
function colorOf(id: string): string {
  const colors = ['#c2410c', '#b91c1c', '#a21caf', '#6d28d9', '#1d4ed8', '#0e7490', '#047857', '#4d7c0f']
  let sum = 0
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 9973
  return colors[sum % colors.length]!
}
