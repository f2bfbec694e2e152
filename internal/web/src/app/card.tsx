// A node as it is drawn.
import { Handle, Position as Side, type Node, type NodeProps } from '@xyflow/react'
import { memo } from 'react'
import type { PlanNode, Position } from '../client/index.ts'
import { kindOf, KindIcon } from './kinds.tsx'

export const width = 200
export const height = 64

/** What is to be drawn of a node beside the node itself. Absent parts are not so. */
export type CardState = { // React Flow takes no interfaces
  hinted?: boolean
  /** Whether the edge that is being drawn may lead here; undefined while none is. */
  allowed?: boolean | undefined
}

export type Card = Node<{ node: PlanNode } & CardState, 'card'>

// With sizes and handles given, React Flow need not measure, and draws only what changed.
const handles = [
  { type: 'target' as const, position: Side.Left, x: -4, y: height / 2 - 4, width: 8, height: 8 },
  { type: 'source' as const, position: Side.Right, x: width - 4, y: height / 2 - 4, width: 8, height: 8 },
]

export function cardOf(node: PlanNode, position: Position, selected: boolean, state: CardState): Card {
  return {
    id: node.id, type: 'card', position, width, height, measured: { width, height }, handles, selected, data: { node, ...state },
    ariaLabel: `${kindOf(node.nodeType).word} ${node.metadata.label}`,
  }
}

export const nodeTypes = {
  card: memo(function CardOf({ data: { node, hinted, allowed }, selected }: NodeProps<Card>) {
    const { word } = kindOf(node.nodeType)
    const classes = ['card', selected && 'selected', hinted && 'hinted', allowed === true && 'allowed', allowed === false && 'refused']
    return (
      <div className={classes.filter(Boolean).join(' ')} data-kind={node.nodeType}>
        {node.nodeType !== 'DataSourceNode' && <Handle type="target" position={Side.Left} />}
        <strong dir="auto">{node.metadata.label}</strong>
        <span className="kind"><KindIcon nodeType={node.nodeType} /> {word}</span>
        {hinted && <em>Drag me</em>}
        {node.nodeType !== 'OutputNode' && <Handle type="source" position={Side.Right} />}
      </div>
    )
  }),
}
