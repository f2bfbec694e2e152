// Lays out plans by Graphviz.
import type { Plan, Position } from '../client/index.ts'
import { centred, dotOf, graphOf, placesOf, type Drawing } from './dot.ts'
import { createGraphviz } from './graphviz.ts'

/**
 * Finds places for the top left corners of a plan's nodes, from left to right in the order of the flow, or for some of them, around the
 * centre that these have. Fails with a Failure, or with an AbortError when another layout is asked for before this one is there.
 */
export async function layOut(plan: Plan, only?: ReadonlySet<string>): Promise<Map<string, Position>> {
  const graph = graphOf(plan, only)
  const drawing = await graphviz.draw({ dot: dotOf(graph), format: 'json' }) as Drawing
  const places = placesOf(graph, drawing)
  return only ? centred(places, plan) : places
}

const graphviz = createGraphviz({
  tooLong: 'The layout took more than 10 seconds. Lay out fewer nodes at a time.',
  failed: 'The layout failed. Reload the page and try again.',
})
