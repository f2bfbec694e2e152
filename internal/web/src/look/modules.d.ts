// Parts of the layout that its package has no types for: those that its own worker is made of.

declare module 'graphology-layout-forceatlas2/iterate.js' {
  import type { ForceAtlas2Settings } from 'graphology-layout-forceatlas2'
  export default function iterate(settings: ForceAtlas2Settings, nodes: Float32Array, edges: Float32Array): void
}

declare module 'graphology-layout-forceatlas2/helpers.js' {
  import type { AbstractGraph } from 'graphology-types'
  const helpers: {
    graphToByteArrays(graph: AbstractGraph, weight: () => number): { nodes: Float32Array; edges: Float32Array }
    assignLayoutChanges(graph: AbstractGraph, nodes: Float32Array): void
  }
  export default helpers
}

declare module 'graphology-layout-forceatlas2/defaults.js' {
  import type { ForceAtlas2Settings } from 'graphology-layout-forceatlas2'
  const defaults: Required<ForceAtlas2Settings>
  export default defaults
}
