// Lays out plans by Graphviz, which runs in a worker because it takes its time.
import { Failure, type Plan, type Position } from '../client/index.ts'
import { centred, dotOf, graphOf, placesOf, type Drawing } from './dot.ts'
// oxlint-disable-next-line import/default -- the build makes the address the default export
import address from './layout.worker.ts?worker&url'
import { scriptAddress } from './trusted.ts'

/** A layout may take that long. */
const patience = 10_000

/**
 * Finds places for the top left corners of a plan's nodes, from left to right in the order of the flow, or for some of them, around the
 * centre that these have. Fails with a Failure, or with an AbortError when another layout is asked for before this one is there.
 */
export async function layOut(plan: Plan, only?: ReadonlySet<string>): Promise<Map<string, Position>> {
  const graph = graphOf(plan, only)
  const drawing = await draw(dotOf(graph))
  const places = placesOf(graph, drawing)
  return only ? centred(places, plan) : places
}

let worker: Worker | null = null
let giveUp: (reason: Error) => void = () => {}

function draw(dot: string): Promise<Drawing> {
  giveUp(new DOMException('Another layout was asked for', 'AbortError'))
  return new Promise((resolve, reject) => {
    const drawing = worker ??= new Worker(scriptAddress(address))
    const settle = () => {
      clearTimeout(timer)
      giveUp = () => {}
    }
    // Graphviz cannot be cancelled, only ended.
    giveUp = (reason) => {
      drawing.terminate()
      worker = null
      settle()
      reject(reason)
    }
    const timer = setTimeout(() => {
      giveUp(new Failure('UNAVAILABLE', 'The layout took more than 10 seconds. Lay out fewer nodes at a time.'))
    }, patience)
    drawing.onmessage = ({ data }: MessageEvent<Drawing>) => {
      settle()
      resolve(data)
    }
    drawing.onerror = () => giveUp(new Failure('INTERNAL', 'The layout failed. Reload the page and try again.'))
    drawing.postMessage(dot) // oxlint-disable-line unicorn/require-post-message-target-origin -- this is no window
  })
}
