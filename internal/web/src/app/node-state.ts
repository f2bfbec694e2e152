// What a node shows of the file that it reads, or of the graph that it builds.

export interface NodeState {
  kind: 'waiting' | 'building' | 'done' | 'stale' | 'failed'
  /** Stands beside the words, so that nobody needs the colour. */
  sign: string
  words: string
}

/** The states of nodes, by their ids. Those that did not change are the same objects as before. */
export type NodeStates = ReadonlyMap<string, NodeState>
