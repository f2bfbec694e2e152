/** Up to that many edges Graphviz takes all the rounds that it likes to keep edges from crossing. */
const fewEdges = 300

/**
 * The server's DOT of a graph as the page has it drawn. Without its limits Graphviz would work for minutes on some graphs of 500 nodes. It does not know
 * how wide the letters of other fonts are. Neither replaces anything in a text of the graph: there quotes have backslashes, and no text is before the
 * first brace.
 */
export function toBeDrawn(dot: string, edges: number): string {
  return dot.replace('{', `{ nslimit=1 nslimit1=1 mclimit=${Math.min(1, fewEdges / Math.max(edges, 1))}`)
    .replaceAll('fontname="Lato"', 'fontname="Arial"')
}
