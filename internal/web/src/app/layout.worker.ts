// Graphviz, in a worker: it takes DOT, and answers with the drawing.
import { instance } from '@viz-js/viz'

/** What is to be drawn, and whether the answer is the text of an SVG, or an object that says where everything is. */
export interface Asked {
  dot: string
  format: 'svg' | 'json'
}

const graphviz = instance()

// What fails reaches the page as an error of the worker.
onmessage = ({ data: { dot, format } }: MessageEvent<Asked>) => {
  graphviz.then((it) => {
    const text = it.renderString(dot, { format, yInvert: format === 'json' })
    postMessage(format === 'json' ? JSON.parse(text) : text)
  }).catch(reportError)
}
