// The plan, drawn: nodes and edges, and the pointers of the others.
import {
  Background, Controls, Handle, MarkerType, Position as Side, ReactFlow, useReactFlow, ViewportPortal,
  type Edge, type Node, type NodeChange, type NodeProps,
} from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import { memo, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type { Plan, PlanEdge, PlanNode, Position } from '../client/index.ts'
import { badge } from './colors.ts'
import { KindIcon, kindOf } from './kinds.tsx'
import { hint } from './path.ts'
import type { OpenProject } from './session.ts'

const width = 200
const height = 64

type Card = Node<{ node: PlanNode; hinted: boolean }, 'card'>

// With sizes and handles given, React Flow need not measure, and draws only what changed.
const handles = [
  { type: 'target' as const, position: Side.Left, x: -4, y: height / 2 - 4, width: 8, height: 8 },
  { type: 'source' as const, position: Side.Right, x: width - 4, y: height / 2 - 4, width: 8, height: 8 },
]

const nodeTypes = {
  card: memo(function CardOf({ data: { node, hinted }, selected }: NodeProps<Card>) {
    const { word } = kindOf(node.nodeType)
    return (
      <div className={`card${selected ? ' selected' : ''}${hinted ? ' hinted' : ''}`} data-kind={node.nodeType}>
        {node.nodeType !== 'DataSourceNode' && <Handle type="target" position={Side.Left} />}
        <strong dir="auto">{node.metadata.label}</strong>
        <span className="kind"><KindIcon nodeType={node.nodeType} /> {word}</span>
        {hinted && <em>Drag me</em>}
        {node.nodeType !== 'OutputNode' && <Handle type="source" position={Side.Right} />}
      </div>
    )
  }),
}

/** Positions that a gesture holds until it ends. Nobody else's change takes them away. */
type Held = ReadonlyMap<string, Position>
const nothing: Held = new Map()

export function Canvas({ project, plan }: { project: OpenProject; plan: Plan }) {
  const [held, setHeld] = useState(nothing)
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [hinted, setHinted] = useState(hint)
  const flow = useReactFlow()
  const nodes = useCards(plan, held, selected, hinted)
  const edges = useMemo(() => [...plan.edges.values()].map(lineOf), [plan.edges])

  const onNodesChange = useCallback((changes: NodeChange<Card>[]) => {
    const moved = changes.flatMap((change) => (change.type === 'position' && change.position ? [[change.id, change.position] as const] : []))
    const selections = changes.filter((change) => change.type === 'select')
    if (moved.length > 0) setHeld((before) => new Map([...before, ...moved]))
    if (selections.length > 0) {
      setSelected((before) => {
        const after = new Set(before)
        for (const { id, selected: now } of selections) {
          if (now) after.add(id)
          else after.delete(id)
        }
        return after
      })
    }
  }, [])

  // A gesture, by the pointer or by the arrow keys, is one change.
  const moveHeld = (positions: Held) => {
    if (positions.size === 0) return
    project.plan.change([{ moveNodes: [...positions].map(([nodeId, { x, y }]) => ({ nodeId, position: { x, y } })) }])
    setHeld(nothing)
    setHinted(undefined)
  }

  return (
    <ReactFlow
      className="canvas"
      nodes={nodes} edges={edges} nodeTypes={nodeTypes} onNodesChange={onNodesChange}
      onNodeDragStop={(_, __, dragged) => moveHeld(new Map(dragged.map(({ id, position }) => [id, position])))}
      onKeyUp={({ key }) => { if (key.startsWith('Arrow')) moveHeld(held) }}
      onBlur={() => moveHeld(held)} // the key comes up elsewhere
      onPointerMove={({ clientX, clientY }) => project.presence.move(flow.screenToFlowPosition({ x: clientX, y: clientY }))}
      nodesConnectable={false} deleteKeyCode={null} onlyRenderVisibleElements fitView minZoom={0.05} colorMode="system"
    >
      <Background />
      <Controls showInteractive={false} />
      <Pointers project={project} />
    </ReactFlow>
  )
}

/** The nodes as React Flow takes them. Those of which nothing changed stay the same objects, so that they are not drawn again. */
function useCards(plan: Plan, held: Held, selected: ReadonlySet<string>, hinted: string | undefined): Card[] {
  const [known] = useState(() => new WeakMap<PlanNode, Card>())
  return useMemo(() => [...plan.nodes.values()].map((node) => {
    const card = cardOf(node, held.get(node.id) ?? node.position, selected.has(node.id), hinted === node.id)
    const before = known.get(node)
    if (before?.position === card.position && before.selected === card.selected && before.data.hinted === card.data.hinted) return before
    known.set(node, card)
    return card
  }), [plan.nodes, held, selected, hinted, known])
}

function cardOf(node: PlanNode, position: Position, selected: boolean, hinted: boolean): Card {
  return {
    id: node.id, type: 'card', position, width, height, measured: { width, height }, handles, selected, data: { node, hinted },
    ariaLabel: `${kindOf(node.nodeType).word} ${node.metadata.label}`,
  }
}

const lines = new WeakMap<PlanEdge, Edge>()

/** An edge as React Flow takes it: the same object as long as nothing changed. */
function lineOf(edge: PlanEdge): Edge {
  const { id, source, target } = edge
  const line = lines.get(edge) ?? { id, source, target, markerEnd: { type: MarkerType.ArrowClosed, color: 'var(--quiet)', width: 18, height: 18 } }
  lines.set(edge, line)
  return line
}

/** The pointers of the others. They move too often for React: each frame moves what changed. */
function Pointers({ project: { presence } }: { project: OpenProject }) {
  const layer = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const drawn = new Map<string, HTMLElement>()
    let frame = 0
    const draw = () => {
      frame = 0
      const people = presence.snapshot()
      for (const [id, element] of drawn) {
        if (people.get(id)?.cursor) continue
        element.remove()
        drawn.delete(id)
      }
      for (const { userId, name, color, cursor } of people.values()) {
        if (!cursor) continue
        let element = drawn.get(userId)
        if (!element) {
          element = document.createElement('div')
          element.className = 'pointer'
          drawn.set(userId, element)
          layer.current?.append(element)
        }
        element.textContent = name
        Object.assign(element.style, badge(color))
        element.style.transform = `translate(${cursor.x}px, ${cursor.y}px)`
      }
    }
    const soon = () => { frame ||= requestAnimationFrame(draw) }
    const stop = presence.subscribe(soon)
    soon()
    return () => {
      stop()
      cancelAnimationFrame(frame)
      for (const element of drawn.values()) element.remove()
    }
  }, [presence])
  return <ViewportPortal><div ref={layer} aria-hidden="true" /></ViewportPortal>
}
