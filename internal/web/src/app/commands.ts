// Everything that can be done by a command: its words, its key, and what it does. Menus and keys are made from this list.
import { Failure, type Edit, type NodeType, type Plan, type Position } from '../client/index.ts'
import { canSendSampleAgent, sendSampleAgent } from './agent.tsx'
import { duplicate, pasteByCommand } from './clipboard.ts'
import { change, isTyping, nothing, planOf, select, selected, tell, update, type Desk } from './desk.ts'
import { kindOf, kindNames } from './kinds.tsx'
import { showAndFocus } from './later.tsx'
import { lookCommands } from './looking.ts'
import { addNode, align, distribute, move, remove, within } from './operations.ts'
import { navigate } from './path.ts'
import { labelOf } from './phrases.ts'
import { allowedTargets } from './rules.ts'
import { closeHistory, isNow, openHistory } from './history-state.ts'
import { redoOwn, undoOwn } from './undo.ts'

export interface Command {
  /** What it does, in words. */
  words: string
  /** As in Control+D, 1 or Delete. Control is Command on a Mac. */
  key?: string
  /** The browser makes an event of the key, which does it also where a command may not. */
  byEvent?: boolean
  /** The menus that offer it: of what is selected, and of the empty canvas. */
  menu?: readonly ('selection' | 'plan')[]
  /** The kind of nodes that it is about. */
  kind?: NodeType
  /** Another key that does it, too. */
  otherKey?: string
  isPossible(desk: Desk): boolean
  /** Does it; what it adds comes to a place of the plan, or where there is room in view. */
  run(desk: Desk, at?: Position): void
}

const always = () => true
const hasRoomForMap = () => matchMedia('(min-width: 701px)').matches // as editor.css
const withNodes = (least: number) => (desk: Desk) => selected(desk).nodes.length >= least
const withSelection = (desk: Desk) => {
  const { nodes, edges } = selected(desk)
  return nodes.length + edges.length > 0
}

/** One for each kind, in their order. */
export const additions: readonly Command[] = kindNames.map((nodeType, i): Command => ({
  words: `Add ${kindOf(nodeType).word}`, key: String(i + 1), menu: ['plan'], kind: nodeType, isPossible: always,
  run: (desk, at) => addAt(desk, nodeType, at),
}))

export const layOutCommand: Command = {
  words: 'Lay out', key: 'L', menu: ['selection', 'plan'], isPossible: (desk) => (planOf(desk)?.nodes.size ?? 0) > 1,
  run: (desk) => void layOutPlan(desk),
}

const all: Command[] = [
  ...additions,
  { words: 'Find a command or a node', key: 'Control+K', isPossible: always, run: (desk) => update(desk, { finding: true }) },
  {
    words: 'Rename', key: 'F2', menu: ['selection'], isPossible: (desk) => selected(desk).nodes.length === 1,
    run: (desk) => update(desk, { renaming: selected(desk).nodes[0] ?? null }),
  },
  {
    words: 'Edit', key: 'Enter', menu: ['selection'],
    isPossible(desk) {
      const { nodes, edges } = selected(desk)
      return nodes.length + edges.length === 1
    },
    run(desk) {
      showAndFocus('.inspector input', () => update(desk, { inspecting: true }))
    },
  },
  { words: 'Copy', key: 'Control+C', byEvent: true, menu: ['selection'], isPossible: withNodes(1), run: () => document.execCommand('copy') },
  { words: 'Cut', key: 'Control+X', byEvent: true, menu: ['selection'], isPossible: withNodes(1), run: () => document.execCommand('cut') },
  {
    words: 'Paste', key: 'Control+V', byEvent: true, menu: ['plan'], isPossible: always,
    run: (desk, at) => void pasteByCommand(desk, at ?? null),
  },
  { words: 'Duplicate', key: 'Control+D', menu: ['selection'], isPossible: withNodes(1), run: duplicate },
  {
    words: 'Delete', key: 'Delete', menu: ['selection'], isPossible: withSelection,
    run: (desk) => changeSelected(desk, (plan, nodes, edges) => remove(plan, nodes, edges)),
  },
  {
    words: 'Select all', key: 'Control+A', menu: ['plan'], isPossible: always,
    run: (desk) => select(desk, planOf(desk)?.nodes.keys() ?? [], planOf(desk)?.edges.keys() ?? []),
  },
  {
    words: 'Connect', key: 'C', menu: ['selection'], isPossible: (desk) => selected(desk).nodes.length === 1, run: beginConnecting,
  },
  { words: 'Undo', key: 'Control+Z', isPossible: isNow, run: undoOwn },
  { words: 'Redo', key: 'Control+Shift+Z', otherKey: 'Control+Y', isPossible: isNow, run: redoOwn },
  {
    words: 'History', key: 'Control+Shift+H', isPossible: always,
    run: (desk) => (desk.history.get().open ? closeHistory : openHistory)(desk),
  },
  {
    words: 'Move to a place', key: 'M', menu: ['selection'], isPossible: withNodes(1),
    run: (desk) => update(desk, { moving: true, connecting: null }),
  },
  { words: 'Leave', key: 'Escape', isPossible: isAtSomething, run: leave },
  { words: 'Show or hide the outline', key: 'O', menu: ['plan'], isPossible: always, run: (desk) => update(desk, { outline: !desk.state.get().outline }) },
  { words: 'Select by a box', isPossible: always, run: (desk) => update(desk, { boxing: !desk.state.get().boxing }) },
  alignment('Align left', 'x', 0),
  alignment('Align center', 'x', 0.5),
  alignment('Align right', 'x', 1),
  alignment('Align top', 'y', 0),
  alignment('Align middle', 'y', 0.5),
  alignment('Align bottom', 'y', 1),
  distribution('Distribute across', 'x'),
  distribution('Distribute down', 'y'),
  layOutCommand,
  ...lookCommands,
  { words: 'Show the whole plan', key: 'Control+0', menu: ['plan'], isPossible: always, run: (desk) => desk.view.get()?.reveal() },
  { words: 'Show or hide the map', menu: ['plan'], isPossible: hasRoomForMap, run: (desk) => update(desk, { map: !desk.state.get().map }) },
  { words: 'Send a sample agent', isPossible: canSendSampleAgent, run: sendSampleAgent },
  {
    words: 'Connect agents and programs', menu: ['plan'], isPossible: always, run: (desk) => navigate(`/connect?project=${desk.project.id}`),
  },
]

/** All commands that are loaded. */
export const commands: readonly Command[] = all

/** Adds those of a part that is loaded later. */
export const addCommands = (more: readonly Command[]) => void all.push(...more)

function alignment(words: string, axis: 'x' | 'y', part: 0 | 0.5 | 1): Command {
  return { words, menu: ['selection'], isPossible: withNodes(2), run: (desk) => changeSelected(desk, (plan, nodes) => align(plan, nodes, axis, part)) }
}

function distribution(words: string, axis: 'x' | 'y'): Command {
  return { words, menu: ['selection'], isPossible: withNodes(3), run: (desk) => changeSelected(desk, (plan, nodes) => distribute(plan, nodes, axis)) }
}

/** Lets one choose where an edge from the selected node leads. */
function beginConnecting(desk: Desk): void {
  const [source] = selected(desk).nodes
  const plan = planOf(desk)
  if (!plan || !source) return
  if (allowedTargets(plan, desk.rules.get(), source).size === 0) tell(desk, `No node can take what comes from ${labelOf(plan, source)}.`)
  else update(desk, { connecting: source, moving: false })
}

function isAtSomething(desk: Desk): boolean {
  const { connecting, moving, selection } = desk.state.get()
  return connecting !== null || moving || selection.nodes.size + selection.edges.size > 0
}

/** Leaves what was begun; else selects nothing. */
function leave(desk: Desk): void {
  const { connecting, moving } = desk.state.get()
  update(desk, connecting !== null || moving ? { connecting: null, moving: false } : { selection: nothing })
}

function addAt(desk: Desk, nodeType: NodeType, at = desk.view.get()?.center() ?? { x: 0, y: 0 }): void {
  const plan = planOf(desk)
  if (!plan) return
  const { ids, edits } = addNode(plan, desk.rules.get(), nodeType, at)
  change(desk, edits)
  select(desk, ids)
}

function changeSelected(desk: Desk, operation: (plan: Plan, nodes: string[], edges: string[]) => Edit[]): void {
  const plan = planOf(desk)
  const { nodes, edges } = selected(desk)
  if (plan) change(desk, operation(plan, nodes, edges))
}

/** Finds new places for what is selected, or for all when that is no more than one node. */
async function layOutPlan(desk: Desk): Promise<void> {
  const plan = planOf(desk)
  if (!plan) return
  const chosen = selected(desk).nodes
  const only = chosen.length > 1 ? new Set(chosen) : undefined
  try {
    const { layOut } = await import('./layout.ts') // whoever lays out nothing needs none of it
    const places = within(await layOut(plan, only))
    const now = planOf(desk)
    if (!now) return
    const left = [...places].filter(([id]) => now.nodes.has(id)) // the others were deleted meanwhile
    const before = new Map(left.map(([id]) => [id, now.nodes.get(id)!.position]))
    change(desk, move(new Map(left)))
    await desk.view.get()?.glide(before)
    if (!only) desk.view.get()?.reveal()
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return // another layout is under way
    tell(desk, error instanceof Failure ? error.message : 'The layout could not be loaded. Try again when the server is there.')
  }
}

/** The command whose key was pressed, unless somebody types, or the browser does it by an event. */
export function commandOf(event: KeyboardEvent): Command | undefined {
  if (isTyping(event.target) || event.altKey) return undefined
  if (event.key === 'Escape' && document.querySelector(':popover-open')) return undefined // it is closed first
  if (event.key === 'Enter' && event.target instanceof HTMLElement && event.target.closest('a, button, summary')) return undefined
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key
  const control = event.ctrlKey || event.metaKey
  const pressed = [...(control ? ['Control'] : []), ...(event.shiftKey && (control || event.key.length > 1) ? ['Shift'] : []), key].join('+')
  return commands.find((command) => (command.key === pressed || command.otherKey === pressed) && !command.byEvent)
}

/** The key of a command, as it is written on keyboards. */
export function keyWords({ key }: Command): string | undefined {
  return key?.replace('Control', /Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘' : 'Ctrl')
}
