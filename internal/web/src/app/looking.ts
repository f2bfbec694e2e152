// Which node's data are looked at, and how.
import type { Command } from './commands.ts'
import { selected, update, type Desk } from './desk.ts'

export interface Looking {
  node: string
  view: 'table' | 'picture'
}

export function isView(name: string | null): name is Looking['view'] {
  return name === 'table' || name === 'picture'
}

/** Looks at what a node holds. */
export function look(desk: Desk, node: string, view: Looking['view']): void {
  update(desk, { looking: { node, view } })
}

const lookAs = (words: string, key: string, view: Looking['view']): Command => ({
  words, key, menu: ['selection'], isPossible: (desk) => selected(desk).nodes.length === 1, run: (desk) => look(desk, selected(desk).nodes[0]!, view),
})

export const lookCommands: readonly Command[] = [lookAs('Table', 'T', 'table'), lookAs('Picture', 'P', 'picture')]
