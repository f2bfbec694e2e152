// The plan, drawn: nodes and edges, and what is done to them by the pointer.
import {
  Background, Controls, MarkerType, MiniMap, Panel, ReactFlow, SelectionMode, useReactFlow, useStore, useStoreApi, ViewportPortal,
  type Edge, type ReactFlowState,
} from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import type { Plan, PlanEdge, PlanNode } from '../client/index.ts'
import { cardOf, Far, farZoom, height, nodeTypes, notInTabOrder, width, type Card, type CardState } from './card.tsx'
import { followClipboard } from './clipboard.ts'
import { change, planOf, update, useDesk, useDeskState, type Desk } from './desk.ts'
import { useDrags } from './drags.ts'
import { Following } from './following.tsx'
import { dropKind, endsOf, none, onConnections, onElements, type Drawing, type Held } from './gestures.ts'
import { useKeyboard } from './keyboard.ts'
import { later } from './later.tsx'
import { followLink } from './link.ts'
import { signs, type Mark, type Marks } from './marks.ts'
import { Menu } from './menu.tsx'
import { Mode, useClicks } from './modes.tsx'
import { move } from './operations.ts'
import { Outlines } from './outlines.tsx'
import type { NodeStates } from './node-state.ts'
import { orderOf } from './order.ts'
import { hint } from './path.ts'
import { useOwnPlace } from './place.ts'
import { Pointers } from './pointers.tsx'
import { nameOfEdge, nameOfNode } from './phrases.ts'
import { Pulses } from './pulses.tsx'
import { useScene } from './scene.ts'
import { useTheme } from './theme.tsx'
import { isKindDragged } from './toolbar.tsx'
import { useTouch } from './touch.ts'
import { useView, viewOf } from './view.ts'
import type { Warnings } from './warnings.ts'

const Data = later(() => import('../data/data.tsx'))
const Palette = later(() => import('./palette.tsx'))

const isFar = ({ transform }: ReactFlowState) => transform[2] < farZoom
const noEdges: Edge[] = []
const mapSize = { width: 150, height: 100 }

export function Canvas({ plan: drawn, warnings }: { plan: Plan; warnings: Warnings }) {
  const desk = useDesk()
  // When a gesture ends, what it did is in the plan a frame before the editor is drawn anew. Without it nodes would go back for that frame.
  const { plan, marks, readOnly } = useScene(planOf(desk) ?? drawn)
  const { selection, connecting, renaming, boxing, map, message } = useDeskState()
  const [held, setHeld] = useState(none)
  const [gliding, setGliding] = useState(none)
  const [hinted, setHinted] = useState(hint)
  const [drawing, setDrawing] = useState<Drawing | null>(null)
  const flow = useReactFlow()
  const reactFlow = useStoreApi()
  const far = useStore(isFar)
  const theme = useTheme()
  const dragged = useDrags(plan, held)
  const places = readOnly ? none : dragged // what people drag now is not in the past
  const ownPlace = useOwnPlace()
  const states = useSyncExternalStore(desk.states.subscribe, desk.states.get)
  const reachable = useReachable(plan, desk, drawing, connecting)
  const nodes = useCards(plan, places, gliding, selection.nodes, { hinted, reachable, renaming, warnings, marks: marks.nodes, states })
  const edges = useLines(plan, selection.edges, marks.edges)
  const [firstView] = useState(() => viewOf(plan))
  useView(desk, setGliding)
  useEffect(() => followClipboard(desk), [desk])
  useEffect(() => followLink(desk), [desk])

  // A gesture, by the pointer or by the arrow keys, is one change.
  const moveHeld = useCallback((positions: Held) => {
    if (positions.size === 0) return
    const left = planOf(desk)?.nodes // somebody may have deleted some
    change(desk, move(new Map([...positions].filter(([id]) => left?.has(id)))))
    setHeld(none)
    setHinted(undefined)
  }, [desk])
  const stopDrawing = useCallback(() => {
    setDrawing(null)
    reactFlow.setState({ connectionClickStartHandle: null })
  }, [reactFlow])
  const elements = useMemo(() => onElements(desk, flow, setHeld, moveHeld), [desk, flow, moveHeld])
  const connections = useMemo(() => onConnections(desk, flow, setDrawing, stopDrawing), [desk, flow, stopDrawing])
  const isValidConnection = useCallback(({ source, target }: { source: string; target: string }) => (
    (drawing !== null && reachable?.has(drawing.type === 'source' ? target : source)) ?? false), [drawing, reachable])

  const nudge = (ids: readonly string[], dx: number, dy: number) => setHeld((before) => new Map([...before, ...ids.map((id) => {
    const { x, y } = before.get(id) ?? plan.nodes.get(id)!.position
    return [id, { x: x + dx, y: y + dy }] as const
  })]))
  const keyboard = useKeyboard(plan, nudge)
  const clicks = useClicks(desk, flow)
  useTouch()

  return (
    <Far value={far}>
      <ReactFlow
        className={readOnly ? 'canvas read-only' : 'canvas'} nodesDraggable={!readOnly} nodesConnectable={!readOnly}
        nodes={nodes} edges={far ? noEdges : edges} nodeTypes={nodeTypes}
        {...elements} {...connections} isValidConnection={isValidConnection} reconnectRadius={12}
        onKeyUp={({ key }) => { if (key.startsWith('Arrow')) moveHeld(held) }}
        onBlur={(event) => {
          keyboard.onBlur(event)
          moveHeld(held) // the key comes up elsewhere
        }}
        onKeyDown={(event) => {
          if (event.key === 'Escape') stopDrawing()
          keyboard.onKeyDown(event)
        }}
        onFocus={keyboard.onFocus} onMoveEnd={keyboard.onMoveEnd} disableKeyboardA11y
        tabIndex={0} aria-label="Plan" aria-describedby="canvas-keys" {...clicks}
        {...ownPlace}
        onDragOver={(event) => { if (isKindDragged(event)) event.preventDefault() }}
        onDrop={(event) => dropKind(desk, flow, event)}
        selectionOnDrag={boxing} panOnDrag={boxing ? panWhileBoxing : true} selectionMode={SelectionMode.Partial}
        deleteKeyCode={null} zoomOnDoubleClick={false} onlyRenderVisibleElements elevateNodesOnSelect={false} minZoom={0.05} colorMode={theme}
        fitView fitViewOptions={firstView}
      >
        <Background />
        <Controls showInteractive={false} />
        {map && <MiniMap<Card> pannable zoomable style={mapSize} nodeClassName={kindOfCard} ariaLabel="Map of the plan" />}
        {far && <DistantEdges plan={plan} nodes={nodes} />}
        <Pulses />
        <Outlines plan={plan} places={places} />
        <Pointers />
        <Following />
        <Data />
        <Mode plan={plan} />
        <p id="canvas-keys" className="unseen">
          Tab goes along the flow. Arrows move a node, with Shift by ten. C connects it, Enter edits it, Delete deletes it.
        </p>
        {message && (
          <Panel position="top-center" className="notice">
            <span role="alert">{message}</span> <button onClick={() => update(desk, { message: null })}>Dismiss</button>
          </Panel>
        )}
      </ReactFlow>
      <Menu />
      <Palette />
    </Far>
  )
}

const panWhileBoxing = [1]
const kindOfCard = ({ data }: Card) => data.node.nodeType

/** The nodes that the edge which is being drawn, by the pointer or without it, may reach; null while none is. */
function useReachable(plan: Plan, desk: Desk, drawing: Drawing | null, connecting: string | null): ReadonlySet<string> | null {
  return useMemo(() => {
    const from: Drawing | null = drawing ?? (connecting === null ? null : { node: connecting, type: 'source' })
    return from && endsOf(plan, desk, from)
  }, [plan, desk, drawing, connecting])
}

/** What of the screen shows on cards. */
interface Shown {
  hinted: string | undefined
  reachable: ReadonlySet<string> | null
  renaming: string | null
  warnings: Warnings
  marks: Marks['nodes']
  states: NodeStates
}

/** The nodes as React Flow takes them. Those of which nothing changed stay the same objects, so that they are not drawn again. */
function useCards(
  plan: Plan, held: Held, gliding: Held, selected: ReadonlySet<string>, { hinted, reachable, renaming, warnings, marks, states }: Shown,
): Card[] {
  const [known] = useState(() => new WeakMap<PlanNode, Card>())
  return useMemo(() => orderOf(plan).nodes.map((node) => {
    const { id } = node
    const state: CardState = {
      hinted: hinted === id, allowed: reachable?.has(id), renaming: renaming === id, warnings: warnings.get(id), mark: marks.get(id),
      state: states.get(id),
    }
    const position = held.get(id) ?? gliding.get(id) ?? node.position
    const before = known.get(node)
    const card = cardOf(node, nameOfNode(node, orderOf(plan).degrees.get(id)!), position, selected.has(id), state)
    if (before && before.position === position && before.selected === card.selected && before.ariaLabel === card.ariaLabel &&
      isSame(before.data, state)) return before
    known.set(node, card)
    return card
  }), [plan, held, gliding, selected, hinted, reachable, renaming, warnings, marks, states, known])
}

function isSame(one: CardState, other: CardState): boolean {
  return one.hinted === other.hinted && one.allowed === other.allowed && one.renaming === other.renaming && one.state === other.state &&
    one.warnings?.join('\n') === other.warnings?.join('\n') && isSameMark(one.mark, other.mark)
}

function isSameMark(one: Mark | undefined, other: Mark | undefined): boolean {
  return one?.kind === other?.kind && one?.words === other?.words
}

/** The edges as React Flow takes them: the same objects as long as nothing changed. */
function useLines(plan: Plan, selected: ReadonlySet<string>, marks: Marks['edges']): Edge[] {
  const [known] = useState(() => new WeakMap<PlanEdge, Line>())
  return useMemo(() => orderOf(plan).edges.map((edge) => {
    const before = known.get(edge)
    const mark = marks.get(edge.id)
    const name = [`Edge ${nameOfEdge(plan, edge)}`, ...(mark ? [mark.words] : [])].join('. ')
    if (before?.selected === selected.has(edge.id) && before.ariaLabel === name && isSameMark(before.data?.mark, mark)) return before
    const line = lineOf(edge, name, selected.has(edge.id), mark)
    known.set(edge, line)
    return line
  }), [plan, selected, marks, known])
}

type Line = Edge<{ mark?: Mark | undefined }>

function lineOf({ id, source, target }: PlanEdge, ariaLabel: string, selected: boolean, mark: Mark | undefined): Line {
  return {
    id, source, target, selected, ariaLabel, domAttributes: notInTabOrder, data: { mark },
    markerEnd: { type: MarkerType.ArrowClosed, color: 'var(--quiet)', width: 18, height: 18 },
    ...(mark && { className: mark.kind, label: signs[mark.kind], selectable: mark.kind !== 'added' }),
  }
}

/** How many nodes have the edges that lead from them in one path. */
const nodesOfPath = 25

/**
 * All edges as few paths, since thousands of elements that nobody can tell apart take too long to draw. They are more than one, so that of a
 * node that moves only the surroundings are painted anew.
 */
function DistantEdges({ plan, nodes }: { plan: Plan; nodes: readonly Card[] }) {
  const paths = useMemo(() => {
    const places = new Map(nodes.map(({ id, position }, i) => [id, { ...position, path: Math.floor(i / nodesOfPath) }]))
    const lines = Array.from({ length: Math.ceil(nodes.length / nodesOfPath) }, () => '')
    for (const { source, target } of plan.edges.values()) {
      const [from, to] = [places.get(source), places.get(target)]
      if (from && to) lines[from.path] += `M${from.x + width} ${from.y + height / 2}L${to.x} ${to.y + height / 2}`
    }
    return lines
  }, [plan.edges, nodes])
  return (
    <ViewportPortal>
      <svg className="distant" aria-hidden="true">{paths.map((path, i) => <path key={i} d={path} />)}</svg>
    </ViewportPortal>
  )
}
