// The plan, drawn: nodes and edges, and what is done to them by the pointer.
import {
  Background, Controls, MarkerType, ReactFlow, useReactFlow, type Edge, type EdgeChange, type NodeChange, type OnConnectStartParams,
} from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import { useCallback, useEffect, useMemo, useState } from 'react'
import type { Plan, PlanEdge, PlanNode, Position } from '../client/index.ts'
import { cardOf, height, nodeTypes, width, type Card, type CardState } from './card.tsx'
import { change, planOf, update, useDesk, useDeskState } from './desk.ts'
import { useDrags } from './drags.ts'
import { Following } from './following.tsx'
import { connect, move } from './operations.ts'
import { Outlines } from './outlines.tsx'
import { hint } from './path.ts'
import { useOwnPlace } from './place.ts'
import { Pointers } from './pointers.tsx'
import { Pulses } from './pulses.tsx'
import { allowedSources, allowedTargets } from './rules.ts'

/** Positions that a gesture holds until it ends. Nobody else's change takes them away. */
type Held = ReadonlyMap<string, Position>
const none: Held = new Map()

export function Canvas({ plan }: { plan: Plan }) {
  const desk = useDesk()
  const { selection } = useDeskState()
  const [held, setHeld] = useState(none)
  const [hinted, setHinted] = useState(hint)
  /** The nodes that the edge which is being drawn may reach; null while none is. */
  const [reachable, setReachable] = useState<ReadonlySet<string> | null>(null)
  const flow = useReactFlow()
  const places = useDrags(plan, held)
  const ownPlace = useOwnPlace()
  const nodes = useCards(plan, places, selection.nodes, hinted, reachable)
  const edges = useLines(plan, selection.edges)

  useEffect(() => {
    desk.view.set({
      center() {
        const { left, top, width: wide, height: high } = document.querySelector('.canvas')!.getBoundingClientRect()
        const { x, y } = flow.screenToFlowPosition({ x: left + wide / 2, y: top + high / 2 })
        return { x: x - width / 2, y: y - height / 2 }
      },
      reveal: (ids) => void flow.fitView({ duration: 200, ...(ids && { nodes: ids.map((id) => ({ id })), maxZoom: 1 }) }),
    })
    return () => desk.view.set(null)
  }, [desk, flow])

  const onNodesChange = useCallback((changes: NodeChange<Card>[]) => {
    const moved = changes.flatMap((each) => (each.type === 'position' && each.position ? [[each.id, each.position] as const] : []))
    if (moved.length > 0) setHeld((before) => new Map([...before, ...moved]))
    const { selection: before } = desk.state.get()
    update(desk, { selection: { ...before, nodes: afterSelections(before.nodes, changes) } })
  }, [desk])

  const onEdgesChange = useCallback((changes: EdgeChange[]) => {
    const { selection: before } = desk.state.get()
    update(desk, { selection: { ...before, edges: afterSelections(before.edges, changes) } })
  }, [desk])

  // A gesture, by the pointer or by the arrow keys, is one change.
  const moveHeld = (positions: Held) => {
    if (positions.size === 0) return
    change(desk, move(positions))
    setHeld(none)
    setHinted(undefined)
  }

  const onConnectStart = (_: unknown, { nodeId, handleType }: OnConnectStartParams) => {
    const now = planOf(desk)
    if (now && nodeId) setReachable((handleType === 'source' ? allowedTargets : allowedSources)(now, desk.rules.get(), nodeId))
  }

  return (
    <ReactFlow
      className="canvas"
      nodes={nodes} edges={edges} nodeTypes={nodeTypes} onNodesChange={onNodesChange} onEdgesChange={onEdgesChange}
      onNodeDragStop={(_, __, dragged) => moveHeld(new Map(dragged.map(({ id, position }) => [id, position])))}
      onKeyUp={({ key }) => { if (key.startsWith('Arrow')) moveHeld(held) }}
      onBlur={() => moveHeld(held)} // the key comes up elsewhere
      {...ownPlace}
      onConnectStart={onConnectStart}
      onConnectEnd={() => setReachable(null)}
      isValidConnection={({ source, target }) => (reachable?.has(target) || reachable?.has(source)) ?? false}
      onConnect={({ source, target }) => change(desk, connect(plan, source, target))}
      deleteKeyCode={null} onlyRenderVisibleElements fitView minZoom={0.05} colorMode="system"
    >
      <Background />
      <Controls showInteractive={false} />
      <Pulses />
      <Outlines plan={plan} places={places} />
      <Pointers />
      <Following />
    </ReactFlow>
  )
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

/** The nodes as React Flow takes them. Those of which nothing changed stay the same objects, so that they are not drawn again. */
function useCards(
  plan: Plan, held: Held, selected: ReadonlySet<string>, hinted: string | undefined, reachable: ReadonlySet<string> | null,
): Card[] {
  const [known] = useState(() => new WeakMap<PlanNode, Card>())
  return useMemo(() => [...plan.nodes.values()].map((node) => {
    const state: CardState = { hinted: hinted === node.id, allowed: reachable?.has(node.id) }
    const card = cardOf(node, held.get(node.id) ?? node.position, selected.has(node.id), state)
    const before = known.get(node)
    if (before && before.position === card.position && before.selected === card.selected && isSame(before.data, card.data)) return before
    known.set(node, card)
    return card
  }), [plan.nodes, held, selected, hinted, reachable, known])
}

function isSame(one: CardState, other: CardState): boolean {
  return one.hinted === other.hinted && one.allowed === other.allowed
}

/** The edges as React Flow takes them: the same objects as long as nothing changed. */
function useLines(plan: Plan, selected: ReadonlySet<string>): Edge[] {
  const [known] = useState(() => new WeakMap<PlanEdge, Edge>())
  return useMemo(() => [...plan.edges.values()].map((edge) => {
    const before = known.get(edge)
    if (before?.selected === selected.has(edge.id)) return before
    const line = lineOf(edge, selected.has(edge.id))
    known.set(edge, line)
    return line
  }), [plan.edges, selected, known])
}

function lineOf({ id, source, target }: PlanEdge, selected: boolean): Edge {
  return { id, source, target, selected, markerEnd: { type: MarkerType.ArrowClosed, color: 'var(--quiet)', width: 18, height: 18 } }
}
