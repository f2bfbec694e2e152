import { instance } from '@viz-js/viz'
import { expect, test } from 'vitest'
import { toBeDrawn } from './picture-dot.ts'

const dot = (edges: string[]) => ['digraph G {', '  label="{ fontname=\\"Lato\\""', '  fontname="Lato"', '  node [fontname="Lato"]', ...edges, '}'].join('\n')

test('limits come first, and texts stay as they are', () => {
  const drawn = toBeDrawn(dot(['a -> b']), 600)
  expect(drawn).toMatch(/^digraph G \{ nslimit=1 nslimit1=1 mclimit=0.5\n/)
  expect(drawn).toContain('label="{ fontname=\\"Lato\\""')
  expect(drawn).toContain('node [fontname="Arial"]')
  expect(toBeDrawn(dot([]), 0)).toContain('mclimit=1\n')
})

test('Graphviz takes it, and what stands in labels is text in the drawing', async () => {
  const graphviz = await instance()
  const svg = graphviz.renderString(toBeDrawn(dot(['a [label="<b onclick=\\"x()\\">&amp;"]', 'a -> b']), 1), { format: 'svg' })
  expect(svg).toContain('&lt;b onclick=&quot;x()&quot;&gt;')
  expect(svg).not.toMatch(/<b |Lato(?!&quot;)/)
})
