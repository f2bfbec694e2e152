// Lays out a graph by forces, in a worker. The worker that the layout's package has is made of text, which the policy of the page refuses.
import iterate from 'graphology-layout-forceatlas2/iterate.js'
import type { ForceAtlas2Settings } from 'graphology-layout-forceatlas2'

/** A graph as arrays of the package, and how many rounds are to be made. */
export interface Asked {
  settings: ForceAtlas2Settings
  nodes: Float32Array
  edges: Float32Array
  rounds: number
}

/** Where the nodes are after some rounds. */
export interface Places {
  nodes: Float32Array
  done: number
}

/** So often it says how far it is, in milliseconds. */
const pause = 250

let asked: Asked
let done = 0

// It is asked once. Then each message says that the last answer was drawn.
onmessage = ({ data }: MessageEvent<Asked | 'drawn'>) => {
  if (data !== 'drawn') asked = data
  const { settings, nodes, edges, rounds } = asked
  const began = performance.now()
  while (done < rounds && performance.now() - began < pause) {
    iterate(settings, nodes, edges)
    done++
  }
  postMessage({ nodes, done } satisfies Places)
}
