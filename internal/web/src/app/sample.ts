// The plan that newcomers begin with.
import type { Edit, NodeType } from '../client/index.ts'

/** The node of the sample plan that asks to be dragged. */
export const sampleHint = 'mergenode_004'

type Row = [id: string, nodeType: NodeType, label: string, x: number, y: number, config: object]

const nodes: Row[] = [
  ['datasourcenode_001', 'DataSourceNode', 'Services', 0, 0, {}],
  ['datasourcenode_002', 'DataSourceNode', 'Calls', 0, 120, {}],
  ['datasourcenode_003', 'DataSourceNode', 'Teams', 0, 240, {}],
  ['mergenode_004', 'MergeNode', 'Everything we know', 280, 120, { mergeStrategy: 'Union', conflictResolution: 'PreferLast' }],
  ['transformnode_005', 'TransformNode', 'Two levels only', 560, 120,
    { transformType: 'PartitionDepthLimit', transformConfig: { maxPartitionDepth: 2 } }],
  ['graphnode_006', 'GraphNode', 'Overview', 840, 120, { isReference: false }],
  ['outputnode_007', 'OutputNode', 'Picture', 1120, 50, { renderTarget: 'DOT' }],
  ['outputnode_008', 'OutputNode', 'For the wiki', 1120, 190, { renderTarget: 'Mermaid' }],
]

const edges: [source: number, target: number][] = [[1, 4], [2, 4], [3, 4], [4, 5], [5, 6], [6, 7], [6, 8]]

/** Three sources, a merge, a transform, a graph and two outputs: one change. */
export function sampleEdits(): Edit[] {
  return [
    ...nodes.map(([id, nodeType, label, x, y, config]): Edit => ({
      addNode: { id, nodeType, position: { x, y }, metadata: { label, description: null }, config: JSON.stringify(config) },
    })),
    ...edges.map(([from, to]): Edit => {
      const source = nodes[from - 1]!
      return {
        addEdge: {
          id: `edge_${from}_${to}`, source: source[0], target: nodes[to - 1]![0], sourceHandle: null, targetHandle: null,
          metadata: { label: null, dataType: source[1] === 'GraphNode' ? 'GRAPH_REFERENCE' : 'GRAPH_DATA' },
        },
      }
    }),
  ]
}
