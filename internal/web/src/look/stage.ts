// WebGL draws a network.
import { Sigma } from 'sigma'
import { drawDiscNodeHover } from 'sigma/rendering'
import type { Network } from './network.ts'

const noWebGL = 'This browser cannot draw by WebGL. The table has all nodes and edges.'

/**
 * Draws a network in an element. Returns null, and says why, where there is no WebGL; the same is said when it is lost later. Choose is called with
 * the node that is pressed, or with null for none.
 */
export function createStage(network: Network, element: HTMLElement, lost: (why: string) => void, choose: (id: string | null) => void): Sigma | null {
  const tried = document.createElement('canvas').getContext('webgl2')
  if (!tried) {
    lost(noWebGL)
    return null
  }
  tried.getExtension('WEBGL_lose_context')?.loseContext() // browsers allow few at a time
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches && { zoomDuration: 0, doubleClickZoomingDuration: 0, inertiaDuration: 0 }
  const stage = new Sigma(network, element, {
    ...still, labelFont: 'system-ui, sans-serif', labelSize: 12, labelRenderedSizeThreshold: 5,
    hideEdgesOnMove: network.size > 10_000, zIndex: true, minCameraRatio: 0.005, maxCameraRatio: 4, allowInvalidContainer: true,
    // The label of the node that is pointed at lies on white.
    defaultDrawNodeHover: (context, data, settings) => drawDiscNodeHover(context, data, { ...settings, labelColor: { color: '#000' } }),
  })
  stage.on('clickNode', ({ node }) => choose(node))
  stage.on('clickStage', () => choose(null))
  for (const canvas of Object.values(stage.getCanvases())) {
    canvas.addEventListener('webglcontextlost', () => lost('The browser took the memory of the graphics away. Look again later, or look at the table.'))
  }
  return stage
}

/** The colours of letters and of lines in an element, as its style has them now. */
export function colorsOf(element: HTMLElement): { letters: string; lines: string } {
  const { color, outlineColor } = getComputedStyle(element)
  return { letters: color, lines: outlineColor }
}

/** Brings a node into the middle of the view, and closer if it is far. */
export function centreOn(stage: Sigma, id: string): void {
  const place = stage.getNodeDisplayData(id)
  const camera = stage.getCamera()
  if (place) camera.setState({ x: place.x, y: place.y, ratio: Math.min(camera.ratio, 0.3) })
}
