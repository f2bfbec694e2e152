// The picture of a built graph: drawn by Graphviz while it is small, else as points and lines.
import { useState } from 'react'
import type { PlanNode } from '../client/index.ts'
import { later } from '../app/later.tsx'
import { Drawing } from './drawing.tsx'
import './picture.css'

const Points = later(() => import('./points.tsx'))

/** Graphviz is given no more nodes. */
const mostDrawn = 500

export interface PictureProps {
  projectId: number
  node: PlanNode
  name: string
  /** Shows the tables instead. */
  tables: () => void
}

export default function Picture(props: PictureProps) {
  const { nodeCount = 0 } = props.node.graphExecution ?? {}
  const [asPoints, setAsPoints] = useState(nodeCount > mostDrawn)
  if (nodeCount === 0) return <p className="nothing">This graph has no nodes, so there is nothing to draw.</p>
  return asPoints ? <Points {...props} /> : <Drawing {...props} points={() => setAsPoints(true)} />
}
