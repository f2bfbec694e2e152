// Graphviz, which runs in a worker because it takes its time.
import { Failure } from '../client/index.ts'
// oxlint-disable-next-line import/default -- the build makes the address the default export
import address from './layout.worker.ts?worker&url'
import type { Asked } from './layout.worker.ts'
import { scriptAddress } from './trusted.ts'

/** A drawing may take that long. */
const patience = 10_000

/** What is said when Graphviz takes too long, and when it fails. */
interface Sentences {
  tooLong: string
  failed: string
}

/** Draws what a text of DOT says. */
export interface Graphviz {
  /** Fails with a Failure, or with an AbortError when something else is asked for before it is there, or nothing more. */
  draw(asked: Asked): Promise<unknown>
  /** Ends what is being drawn, and the worker: an idle one would be kept until the page is left. */
  end(): void
}

/** Returns a Graphviz of one's own: it draws one thing at a time. */
export function createGraphviz({ tooLong, failed }: Sentences): Graphviz {
  let worker: Worker | null = null
  let giveUp: (reason: Error) => void = () => {}
  const abandon = () => giveUp(new DOMException('Another layout was asked for', 'AbortError'))
  const end = () => {
    abandon()
    worker?.terminate()
    worker = null
  }
  const draw = (asked: Asked) => {
    abandon()
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
      const timer = setTimeout(() => giveUp(new Failure('UNAVAILABLE', tooLong)), patience)
      drawing.onmessage = ({ data }: MessageEvent<unknown>) => {
        settle()
        resolve(data)
      }
      drawing.onerror = () => giveUp(new Failure('INTERNAL', failed))
      drawing.postMessage(asked) // oxlint-disable-line unicorn/require-post-message-target-origin -- this is no window
    })
  }
  return { draw, end }
}
