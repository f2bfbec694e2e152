// The six kinds of nodes: each by a colour, an icon and a word, so that none of them is needed alone.
import type { NodeType } from '../client/index.ts'

interface Kind {
  word: string
  /** The path of an icon of 16 by 16. */
  icon: string
}

const kinds: Record<NodeType, Kind> = {
  DataSourceNode: { word: 'Source', icon: 'M2 4c0-3 12-3 12 0v8c0 3-12 3-12 0zM2 4c0 3 12 3 12 0M2 8c0 3 12 3 12 0' },
  GraphNode: { word: 'Graph', icon: 'M5 4a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM15 5a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM10 13a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM5 4.2l6 .6M4 6l3 5M12 7l-3 4' },
  TransformNode: { word: 'Transform', icon: 'M2 5h9l-3-3M14 11H5l3 3' },
  MergeNode: { word: 'Merge', icon: 'M2 3c6 0 4 5 8 5h4M2 13c6 0 4-5 8-5M11 5l3 3-3 3' },
  CopyNode: { word: 'Copy', icon: 'M2 2h8v8H2zM6 10v4h8V6h-4' },
  OutputNode: { word: 'Output', icon: 'M8 2v8M5 7l3 3 3-3M2 12v2h12v-2' },
}

/** All kinds, in the order of their keys. */
export const kindNames = Object.keys(kinds) as NodeType[]

/** A kind that a newer server knows is shown by its name. */
export function kindOf(nodeType: string): Kind {
  return kinds[nodeType as NodeType] ?? { word: nodeType, icon: '' }
}

export function KindIcon({ nodeType }: { nodeType: string }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={kindOf(nodeType).icon} fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  )
}
