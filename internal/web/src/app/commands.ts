// Everything that can be done by a command: its words, its key, and what it does. Menus and keys are made from this list.
import { flushSync } from 'react-dom'
import type { NodeType } from '../client/index.ts'
import { canSendSampleAgent, sendSampleAgent } from './agent.tsx'
import { change, planOf, select, selected, update, type Desk } from './desk.ts'
import { kindOf, kindNames } from './kinds.tsx'
import { addNode, remove } from './operations.ts'

export interface Command {
  /** What it does, in words. */
  words: string
  /** As in Control+D, 1 or Delete. Control is Command on a Mac. */
  key?: string
  isPossible(desk: Desk): boolean
  run(desk: Desk): void
}

const always = () => true
const withSelection = (desk: Desk) => {
  const { nodes, edges } = selected(desk)
  return nodes.length + edges.length > 0
}

export const commands: readonly Command[] = [
  ...kindNames.map((nodeType, i): Command => ({
    words: `Add ${kindOf(nodeType).word}`, key: String(i + 1), isPossible: always,
    run: (desk) => addAt(desk, nodeType),
  })),
  {
    words: 'Delete', key: 'Delete', isPossible: withSelection,
    run(desk) {
      const { nodes, edges } = selected(desk)
      const plan = planOf(desk)
      if (plan) change(desk, remove(plan, nodes, edges))
    },
  },
  {
    words: 'Select all', key: 'Control+A', isPossible: always,
    run: (desk) => select(desk, planOf(desk)?.nodes.keys() ?? [], planOf(desk)?.edges.keys() ?? []),
  },
  {
    words: 'Rename', key: 'F2', isPossible: (desk) => selected(desk).nodes.length === 1,
    run: (desk) => update(desk, { renaming: selected(desk).nodes[0] ?? null }),
  },
  { words: 'Send a sample agent', isPossible: canSendSampleAgent, run: sendSampleAgent },
  {
    words: 'Edit', key: 'Enter',
    isPossible(desk) { // Enter first selects what has the focus
      const focused = document.activeElement?.closest<HTMLElement>('.canvas [data-id]')?.dataset.id
      const { nodes, edges } = selected(desk)
      return nodes.length + edges.length === 1 && (focused === undefined || nodes.includes(focused) || edges.includes(focused))
    },
    run(desk) {
      flushSync(() => update(desk, { inspecting: true })) // what is not drawn cannot be focused
      document.querySelector<HTMLElement>('.inspector input')?.focus()
    },
  },
  { words: 'Show the whole plan', key: 'Control+0', isPossible: always, run: (desk) => desk.view.get()?.reveal() },
]

function addAt(desk: Desk, nodeType: NodeType): void {
  const { id, edits } = addNode(desk.rules.get(), nodeType, desk.view.get()?.center() ?? { x: 0, y: 0 })
  change(desk, edits)
  select(desk, [id])
}

/** The command whose key was pressed, unless somebody types. */
export function commandOf(event: KeyboardEvent): Command | undefined {
  if (event.target instanceof HTMLElement && event.target.closest('input, textarea, select, dialog, [contenteditable]')) return undefined
  if (event.key === 'Enter' && event.target instanceof HTMLElement && event.target.closest('a, button, summary')) return undefined
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key
  const pressed = [...(event.ctrlKey || event.metaKey ? ['Control'] : []), ...(event.shiftKey && event.key.length > 1 ? ['Shift'] : []), key].join('+')
  return commands.find((command) => command.key === pressed)
}
