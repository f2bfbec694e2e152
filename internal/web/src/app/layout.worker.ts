// Graphviz, in a worker: it takes DOT, and answers with the drawing.
import { instance } from '@viz-js/viz'

const graphviz = instance()

// What fails reaches the page as an error of the worker.
onmessage = ({ data }: MessageEvent<string>) => {
  graphviz.then((it) => postMessage(JSON.parse(it.renderString(data, { format: 'json', yInvert: true })))).catch(reportError)
}
