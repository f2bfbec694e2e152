// A node as it is drawn.
import { Handle, Position as Side, type Node, type NodeProps } from '@xyflow/react'
import { createContext, memo, useContext, useEffect, useRef } from 'react'
import type { PlanNode, Position } from '../client/index.ts'
import { change, update, useDesk } from './desk.ts'
import { kindOf, KindIcon } from './kinds.tsx'
import { signs, type Mark } from './marks.ts'
import type { NodeState } from './node-state.ts'
import { rename } from './operations.ts'

export const width = 200
export const height = 64

/** What is to be drawn of a node beside the node itself. Absent parts are not so. */
export type CardState = { // React Flow takes no interfaces
  hinted?: boolean
  /** Whether the edge that is being drawn may lead here; undefined while none is. */
  allowed?: boolean | undefined
  /** Whether the label is being typed. */
  renaming?: boolean
  /** What keeps the node from working, in sentences. */
  warnings?: readonly string[] | undefined
  mark?: Mark | undefined
  /** What became of its file or build. */
  state?: NodeState | undefined
}

export type Card = Node<{ node: PlanNode } & CardState, 'card'>

/** Below this zoom nobody can read, so nodes are plain blocks, and all edges are one line. */
export const farZoom = 0.4

/** Whether cards are drawn from far away. */
export const Far = createContext(false)

// With sizes and handles given, React Flow need not measure, and draws only what changed.
const handles = [
  { type: 'target' as const, position: Side.Left, x: -4, y: height / 2 - 4, width: 8, height: 8 },
  { type: 'source' as const, position: Side.Right, x: width - 4, y: height / 2 - 4, width: 8, height: 8 },
]

/** The canvas itself leads the Tab key from one element to the next. */
export const notInTabOrder = { tabIndex: -1 }

/** What the plan that can be changed does not have cannot be changed. */
const notThere = { draggable: false, selectable: false, connectable: false }

export function cardOf(node: PlanNode, name: string, position: Position, selected: boolean, state: CardState): Card {
  return {
    id: node.id, type: 'card', position, width, height, measured: { width, height }, handles, selected, data: { node, ...state },
    ...(state.mark?.kind === 'added' && notThere),
    ariaLabel: [name, ...(state.mark ? [state.mark.words] : []), ...(state.warnings ?? []), ...(state.state ? [state.state.words] : [])].join('. '), domAttributes: notInTabOrder,
  }
}

export const nodeTypes = {
  card: memo(function CardOf({ data: { node, hinted, allowed, renaming, warnings, mark, state }, selected }: NodeProps<Card>) {
    const far = useContext(Far) && !renaming
    const { word } = kindOf(node.nodeType)
    const classes = [
      'card', selected && 'selected', hinted && 'hinted', allowed === true && 'allowed', allowed === false && 'refused', far && 'far', mark?.kind,
    ]
    // Handles are hidden from far away, and not absent: edges would be gone for good.
    return (
      <div className={classes.filter(Boolean).join(' ')} data-kind={node.nodeType}>
        {node.nodeType !== 'DataSourceNode' && <Handle type="target" position={Side.Left} />}
        {!far && (
          <>
            {renaming ? <LabelField node={node} /> : <strong dir="auto">{node.metadata.label}</strong>}
            <span className="kind"><KindIcon nodeType={node.nodeType} /> {word}</span>
            {mark && <span className="mark" title={mark.words}>{signs[mark.kind]} {mark.words}</span>}
            {hinted && <em>Drag me</em>}
            {warnings && <Warnings sentences={warnings} />}
            {state && <span className={`state ${state.kind}`} title={state.words}>{state.sign} {state.words}</span>}
          </>
        )}
        {node.nodeType !== 'OutputNode' && <Handle type="source" position={Side.Right} />}
      </div>
    )
  }),
}

function Warnings({ sentences }: { sentences: readonly string[] }) {
  const words = sentences.join('\n')
  return <span className="warnings" role="img" title={words} aria-label={`Warning: ${words}`}>⚠ {sentences.length}</span>
}

/** Takes a label. Nobody else's change gets into it: that one meanwhile changed the node shows when it is sent. */
function LabelField({ node }: { node: PlanNode }) {
  const desk = useDesk()
  const far = useContext(Far)
  const field = useRef<HTMLInputElement>(null)
  const began = useRef(node)
  const leave = useRef(() => {})
  useEffect(() => {
    const input = field.current!
    const before = document.activeElement
    let left = false
    leave.current = () => {
      if (left) return
      left = true
      if (desk.state.get().renaming === began.current.id) update(desk, { renaming: null })
      const label = input.value.trim()
      if (label) change(desk, rename(began.current, label))
    }
    input.focus({ preventScroll: true })
    input.select()
    return () => {
      leave.current() // a card that goes out of sight, or is deleted by somebody, loses no text
      if (before instanceof HTMLElement && document.activeElement === document.body) before.focus({ preventScroll: true })
    }
  }, [desk])
  useEffect(() => {
    if (far) desk.view.get()?.reveal([began.current.id])
  }, [desk, far])
  return (
    <input
      ref={field} className="label nodrag nopan" aria-label="Label" defaultValue={node.metadata.label} maxLength={200} dir="auto"
      onBlur={() => leave.current()}
      onKeyDown={(event) => {
        event.stopPropagation() // arrows would move the node
        if (event.key === 'Escape') event.currentTarget.value = began.current.metadata.label
        if ((event.key === 'Enter' && !event.nativeEvent.isComposing) || event.key === 'Escape') leave.current()
      }}
    />
  )
}
