// What can be done to a plan, and what it does to a plan that has not seen it yet.

export type NodeType = 'DataSourceNode' | 'GraphNode' | 'TransformNode' | 'MergeNode' | 'CopyNode' | 'OutputNode'

export interface Position {
  x: number
  y: number
}

/** The state of the data source that a node names. */
export interface DataSourceExecution {
  dataSourceId: number
  filename: string
  status: string
  processedAt: string | null
  executionState: string
  errorMessage: string | null
}

/** The state of the graph that a node builds. */
export interface GraphExecution {
  graphId: number
  nodeCount: number
  edgeCount: number
  executionState: string
  computedDate: string | null
  errorMessage: string | null
}

/** A step of a plan. The config is the text of a JSON object. */
export interface PlanNode {
  id: string
  nodeType: NodeType
  position: Position
  metadata: { label: string; description: string | null }
  config: string
  /** What the server tells of it, and nobody edits. Null or absent while there is nothing, and in the past. */
  datasourceExecution?: DataSourceExecution | null
  graphExecution?: GraphExecution | null
}

/** Leads from one node's output to another's input. */
export interface PlanEdge {
  id: string
  source: string
  target: string
  sourceHandle: string | null
  targetHandle: string | null
  metadata: { label: string | null; dataType: 'GRAPH_DATA' | 'GRAPH_REFERENCE' }
}

/** A plan as it is shown. Elements that did not change keep their identity from one plan to the next. */
export interface Plan {
  readonly version: number
  readonly nodes: ReadonlyMap<string, PlanNode>
  readonly edges: ReadonlyMap<string, PlanEdge>
}

/** A plan that is being worked on. Its elements are replaced, never changed. */
export interface Draft {
  nodes: Map<string, PlanNode>
  edges: Map<string, PlanEdge>
}

export interface Move {
  nodeId: string
  position: Position
}

/** Parts of a node, and of an edge, that can be changed on their own. */
export type NodeParts = Partial<Pick<PlanNode, 'metadata' | 'config'>>
export type EdgeParts = Partial<Pick<PlanEdge, 'metadata' | 'sourceHandle' | 'targetHandle'>>

/**
 * One edit. Absent parts of updates stay as they are. Expected are parts as the author saw them, in the plan that the store shows: if one is
 * another by then, the server refuses the change, and the failure has conflicts.
 */
export type Edit =
  | { addNode: PlanNode }
  | { updateNode: { id: string; updates: NodeParts; expected?: NodeParts } }
  | { moveNodes: Move[] }
  | { deleteNode: string }
  | { addEdge: PlanEdge }
  | { updateEdge: { id: string; updates: EdgeParts; expected?: EdgeParts } }
  | { deleteEdge: string }

/** What one gesture did: its edits are one change of the plan. The operation id makes it safe to send again. */
export interface Change {
  opId: string
  projectId: number
  /** The window that made it. */
  clientId: string
  /** When it was made, by the clock of this machine. */
  at: number
  /** Orders the changes of a window. */
  seq: number
  edits: Edit[]
}

/** Applies an edit as far as the draft lets it: whether it is allowed is for the server to say. */
export function applyEdit(draft: Draft, edit: Edit): void {
  const { nodes, edges } = draft
  if ('addNode' in edit) {
    if (!nodes.has(edit.addNode.id)) nodes.set(edit.addNode.id, edit.addNode)
  } else if ('updateNode' in edit) {
    const node = nodes.get(edit.updateNode.id)
    if (node) nodes.set(node.id, { ...node, ...edit.updateNode.updates })
  } else if ('moveNodes' in edit) {
    for (const { nodeId, position } of edit.moveNodes) {
      const node = nodes.get(nodeId)
      if (node) nodes.set(nodeId, { ...node, position })
    }
  } else if ('deleteNode' in edit) {
    nodes.delete(edit.deleteNode)
    for (const edge of edges.values()) {
      if (edge.source === edit.deleteNode || edge.target === edit.deleteNode) edges.delete(edge.id)
    }
  } else if ('addEdge' in edit) {
    const { id, source, target } = edit.addEdge
    if (!edges.has(id) && nodes.has(source) && nodes.has(target)) edges.set(id, edit.addEdge)
  } else if ('updateEdge' in edit) {
    const edge = edges.get(edit.updateEdge.id)
    if (edge) edges.set(edge.id, { ...edge, ...edit.updateEdge.updates })
  } else {
    edges.delete(edit.deleteEdge)
  }
}

/** One step of a change, as an event tells it. */
export interface Operation {
  kind: string
  id: string
  after: unknown
}

/** Applies a step of a change that the server made. Kinds that this client does not know are skipped. */
export function applyOperation(draft: Draft, { kind, id, after }: Operation): void {
  switch (kind) {
    case 'NODE_ADDED':
      draft.nodes.set(id, after as PlanNode)
      break
    case 'NODE_UPDATED': // executions have steps of their own
      draft.nodes.set(id, { ...draft.nodes.get(id), ...after as PlanNode })
      break
    case 'EXECUTION_CHANGED': {
      const node = draft.nodes.get(id)
      const none = { datasourceExecution: null, graphExecution: null }
      const field = after && 'graphId' in (after as object) ? 'graphExecution' : 'datasourceExecution'
      if (node) draft.nodes.set(id, { ...node, ...none, [field]: after ?? null })
      break
    }
    case 'NODE_REMOVED':
      draft.nodes.delete(id)
      break
    case 'EDGE_ADDED':
    case 'EDGE_UPDATED':
      draft.edges.set(id, after as PlanEdge)
      break
    case 'EDGE_REMOVED':
      draft.edges.delete(id)
  }
}

/** The elements that an edit changes, and those that it needs to be there. */
export function touches(edit: Edit): { writes: string[]; needs: string[] } {
  const node = (id: string) => `node ${id}`
  const edge = (id: string) => `edge ${id}`
  if ('addNode' in edit) return { writes: [node(edit.addNode.id)], needs: [] }
  if ('updateNode' in edit) return { writes: [node(edit.updateNode.id)], needs: [] }
  if ('moveNodes' in edit) return { writes: edit.moveNodes.map((move) => node(move.nodeId)), needs: [] }
  if ('deleteNode' in edit) return { writes: [node(edit.deleteNode)], needs: [] }
  if ('addEdge' in edit) {
    return { writes: [edge(edit.addEdge.id)], needs: [node(edit.addEdge.source), node(edit.addEdge.target)] }
  }
  if ('updateEdge' in edit) return { writes: [edge(edit.updateEdge.id)], needs: [] }
  return { writes: [edge(edit.deleteEdge)], needs: [] }
}
