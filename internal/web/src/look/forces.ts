// Lays out a network by forces, in a worker.
import defaults from 'graphology-layout-forceatlas2/defaults.js'
import helpers from 'graphology-layout-forceatlas2/helpers.js'
import { inferSettings } from 'graphology-layout-forceatlas2'
// oxlint-disable-next-line import/default -- the build makes the address the default export
import address from './forces.worker.ts?worker&url'
import { scriptAddress } from '../app/trusted.ts'
import type { Asked, Places } from './forces.worker.ts'
import { roundsFor, type Network } from './network.ts'

/**
 * Moves the nodes of a network to better and better places, on their way only if that is to be shown. Progress is called with the part that is done.
 * Failed is called when the worker cannot be loaded or breaks. Returns what ends it; then nodes stay where they came to.
 */
export function layOutByForces(network: Network, showWay: boolean, progress: (done: number) => void, failed: () => void): () => void {
  const worker = new Worker(scriptAddress(address))
  const rounds = roundsFor(network.order)
  let last: Float32Array | null = null
  let frame = 0
  worker.onmessage = ({ data: { nodes, done } }: MessageEvent<Places>) => {
    last = nodes
    if (showWay || done === rounds) helpers.assignLayoutChanges(network, nodes)
    progress(done / rounds)
    if (done === rounds) end()
    // The next rounds begin when these are drawn, so that slow machines have time for both.
    else frame = requestAnimationFrame(() => worker.postMessage('drawn')) // oxlint-disable-line unicorn/require-post-message-target-origin -- this is no window
  }
  worker.onerror = (event) => {
    event.preventDefault()
    end()
    failed()
  }
  const end = () => {
    cancelAnimationFrame(frame)
    worker.terminate()
    if (last && !showWay) helpers.assignLayoutChanges(network, last)
  }
  // Forces between far groups of nodes are taken together, or each round of 25,000 nodes would take minutes.
  const settings = { ...defaults, ...inferSettings(network.order), barnesHutOptimize: network.order > 500, barnesHutTheta: 1 }
  const { nodes, edges } = helpers.graphToByteArrays(network, () => 1)
  const asked: Asked = { settings, nodes, edges, rounds }
  worker.postMessage(asked, [nodes.buffer, edges.buffer])
  return end
}
