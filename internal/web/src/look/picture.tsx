// The picture of a built graph: drawn by Graphviz while it is small, else as points and lines.
import { useState } from 'react'
import type { PlanNode } from '../client/index.ts'
import { later } from '../app/later.tsx'
import { Drawing } from './drawing.tsx'
import './picture.css'

const Points = later(() => import('./points.tsx'))

/** Graphviz is given no more: of so many edges it would make nothing that can be read, and not in time. */
const [mostNodes, mostEdges] = [500, 20_000]

export interface PictureProps {
  projectId: number
  node: PlanNode
  name: string
  /** Shows the tables instead. */
  tables: () => void
}

export default function Picture(props: PictureProps) {
  const { nodeCount = 0, edgeCount = 0 } = props.node.graphExecution ?? {}
  const [asPoints, setAsPoints] = useState(nodeCount > mostNodes || edgeCount > mostEdges)
  if (nodeCount === 0) return <p className="nothing">This graph has no nodes, so there is nothing to draw.</p>
  return asPoints ? <Points {...props} /> : <Drawing {...props} points={() => setAsPoints(true)} />
}
