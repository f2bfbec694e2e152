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
  if (!document.createElement('canvas').getContext('webgl2')) {
    lost(noWebGL)
    return null
  }
  const colors = () => {
    const { color, outlineColor } = getComputedStyle(element)
    return { labelColor: { color }, defaultEdgeColor: outlineColor }
  }
  const stage = new Sigma(network, element, {
    ...colors(), labelFont: 'system-ui, sans-serif', labelSize: 12, labelRenderedSizeThreshold: 5,
    hideEdgesOnMove: network.size > 10_000, zIndex: true, minCameraRatio: 0.005, maxCameraRatio: 4, allowInvalidContainer: true,
    // The label of the node that is pointed at lies on white.
    defaultDrawNodeHover: (context, data, settings) => drawDiscNodeHover(context, data, { ...settings, labelColor: { color: '#000' } }),
  })
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const onScheme = () => stage.setSettings(colors())
  dark.addEventListener('change', onScheme)
  stage.on('kill', () => dark.removeEventListener('change', onScheme))
  stage.on('clickNode', ({ node }) => choose(node))
  stage.on('clickStage', () => choose(null))
  for (const canvas of Object.values(stage.getCanvases())) {
    canvas.addEventListener('webglcontextlost', () => lost('The browser took the memory of the graphics away. Look again later, or look at the table.'))
  }
  return stage
}

/** Brings a node into the middle of the view, and closer if it is far. */
export function centreOn(stage: Sigma, id: string): void {
  const place = stage.getNodeDisplayData(id)
  const camera = stage.getCamera()
  if (place) camera.setState({ x: place.x, y: place.y, ratio: Math.min(camera.ratio, 0.3) })
}
