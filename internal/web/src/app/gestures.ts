// What the pointer does to a plan. React Flow is given the same functions at each drawing: with others it draws every node and edge anew.
import type { Connection, Edge, EdgeChange, NodeChange, OnConnectStartParams, ReactFlowInstance } from '@xyflow/react'
import type { DragEvent, MouseEvent } from 'react'
import type { NodeType, Plan, PlanEdge, Position } from '../client/index.ts'
import { height, width, type Card } from './card.tsx'
import { additions } from './commands.ts'
import { change, planOf, select, update, type Desk } from './desk.ts'
import { kindOf } from './kinds.tsx'
import { openCommands } from './menu.tsx'
import { addConnected, connect, reconnect, type End } from './operations.ts'
import { allowedEnds, allowedKinds } from './rules.ts'
import { kindDropped } from './toolbar.tsx'

/** Positions that a gesture holds until it ends. Nobody else's change takes them away. */
export type Held = ReadonlyMap<string, Position>
export const none: Held = new Map()

/** An edge that is being drawn: where it begins, and the edge whose other end it is, if it is there already. */
export interface Drawing extends End {
  old?: PlanEdge | undefined
}

/** What is done to nodes, to edges, and to the empty canvas. */
export function onElements(desk: Desk, flow: ReactFlowInstance, setHeld: (next: (before: Held) => Held) => void, moveHeld: (positions: Held) => void) {
  const openMenu = (event: { clientX: number; clientY: number; preventDefault(): void }, about: 'selection' | 'plan') => {
    event.preventDefault()
    const { clientX: left, clientY: top } = event
    openCommands(desk, { left, top }, about, flow.screenToFlowPosition({ x: left, y: top }))
  }
  return {
    onNodesChange(changes: NodeChange<Card>[]) {
      const moved = changes.flatMap((each) => (each.type === 'position' && each.position ? [[each.id, each.position] as const] : []))
      // So ends each drag: of a node, of all in the box of a selection, and one that is broken off, as by a second finger.
      if (changes.some((each) => each.type === 'position' && each.dragging === false)) moveHeld(new Map(moved))
      else if (moved.length > 0) setHeld((before) => new Map([...before, ...moved]))
      const { selection } = desk.state.get()
      const nodes = afterSelections(selection.nodes, changes)
      if (nodes !== selection.nodes) update(desk, { selection: { ...selection, nodes } })
    },
    onEdgesChange(changes: EdgeChange[]) {
      const { selection } = desk.state.get()
      const edges = afterSelections(selection.edges, changes)
      if (edges !== selection.edges) update(desk, { selection: { ...selection, edges } })
    },
    onNodeDoubleClick: (_: unknown, { id }: Card) => update(desk, { renaming: id }),
    onNodeContextMenu(event: MouseEvent, { id }: Card) {
      if (!desk.state.get().selection.nodes.has(id)) select(desk, [id])
      openMenu(event, 'selection')
    },
    onEdgeContextMenu(event: MouseEvent, { id }: Edge) {
      if (!desk.state.get().selection.edges.has(id)) select(desk, [], [id])
      openMenu(event, 'selection')
    },
    onSelectionContextMenu: (event: MouseEvent) => openMenu(event, 'selection'),
    onPaneContextMenu: (event: MouseEvent | globalThis.MouseEvent) => openMenu(event, 'plan'),
    onSelectionEnd: () => update(desk, { boxing: false }),
  }
}

/** How edges are drawn, by a drag or by clicks, and led elsewhere. */
export function onConnections(desk: Desk, flow: ReactFlowInstance, setDrawing: (drawing: Drawing | null) => void, stopDrawing: () => void) {
  let drawing: Drawing | null = null
  let old: PlanEdge | undefined
  const begin = (_: unknown, { nodeId, handleType }: OnConnectStartParams) => {
    drawing = nodeId && handleType ? { node: nodeId, type: handleType, old } : null
    setDrawing(drawing)
  }
  const end = () => {
    drawing = null
    old = undefined
    stopDrawing()
  }
  const lead = (edge: PlanEdge | undefined, source: string, target: string) => {
    const plan = planOf(desk)
    if (plan) change(desk, edge ? reconnect(plan, edge, source, target) : connect(plan, source, target))
  }
  return {
    onConnectStart: begin,
    onClickConnectStart: begin,
    onClickConnectEnd: end,
    // An edge may also be dropped on a card instead of its handle, or on the empty canvas, for a new node there.
    onConnectEnd(event: globalThis.MouseEvent | TouchEvent, { toHandle }: { toHandle: unknown }) {
      const [from, plan] = [drawing, planOf(desk)]
      end()
      if (!from || !plan?.nodes.has(from.node) || toHandle) return
      const { clientX, clientY } = 'changedTouches' in event ? event.changedTouches[0]! : event
      const under = document.elementFromPoint(clientX, clientY)
      const node = under?.closest<HTMLElement>('.react-flow__node')?.dataset.id
      if (node && endsOf(plan, desk, from).has(node)) lead(from.old, ...(from.type === 'source' ? [from.node, node] as const : [node, from.node] as const))
      else if (!from.old && under?.classList.contains('react-flow__pane')) {
        const { x, y } = flow.screenToFlowPosition({ x: clientX, y: clientY })
        offerKinds(desk, plan, from, { left: clientX, top: clientY }, { x: from.type === 'source' ? x : x - width, y: y - height / 2 })
      }
    },
    onConnect: ({ source, target }: Connection) => lead(undefined, source, target),
    onReconnectStart: (_: unknown, { id }: Edge) => { old = planOf(desk)?.edges.get(id) },
    onReconnect: ({ id }: Edge, { source, target }: Connection) => lead(planOf(desk)?.edges.get(id), source, target),
  }
}

/** Adds a node of the kind that was dragged from the toolbar. */
export function dropKind(desk: Desk, flow: ReactFlowInstance, event: DragEvent): void {
  const kind = kindDropped(event)
  if (!kind) return
  event.preventDefault()
  const { x, y } = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY })
  additions.find((command) => command.kind === kind)?.run(desk, { x: x - width / 2, y: y - height / 2 })
}

/** Offers the kinds of nodes at which an edge may end that was dropped on the empty canvas. */
function offerKinds(desk: Desk, plan: Plan, from: End, menu: { left: number; top: number }, at: Position): void {
  const add = (kind: NodeType) => {
    const now = planOf(desk)
    if (!now?.nodes.has(from.node)) return
    const { ids, edits } = addConnected(now, desk.rules.get(), kind, at, from)
    change(desk, edits)
    select(desk, ids)
  }
  const items = allowedKinds(plan, desk.rules.get(), from).map((kind) => ({ words: kindOf(kind).word, kind, run: () => add(kind) }))
  if (items.length > 0) update(desk, { menu: { name: 'Add and connect', ...menu, items } })
}

/** The nodes at which an edge may end. The one whose end is led elsewhere does not count any more. */
export function endsOf(plan: Plan, desk: Desk, { old, ...from }: Drawing): Set<string> {
  const edges = old ? new Map([...plan.edges].filter(([id]) => id !== old.id)) : plan.edges
  return allowedEnds({ ...plan, edges }, desk.rules.get(), from)
}

/** The ids that are selected after some changes; the same set when nothing changed. */
function afterSelections(before: ReadonlySet<string>, changes: (NodeChange<Card> | EdgeChange)[]): ReadonlySet<string> {
  const selections = changes.filter((each) => each.type === 'select')
  if (selections.every(({ id, selected }) => before.has(id) === selected)) return before
  const after = new Set(before)
  for (const { id, selected } of selections) {
    if (selected) after.add(id)
    else after.delete(id)
  }
  return after
}
