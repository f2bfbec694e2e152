// A plan as Graphviz takes it, and its answer as places of nodes.
import type { Plan, Position } from '../client/index.ts'

/** What is laid out. A node is a number: no text of a plan gets into DOT, so none can break it. */
export interface Graph {
  ids: readonly string[]
  /** The numbers of the nodes that edges of a node lead to. */
  targets: readonly (readonly number[])[]
}

/** What Graphviz answers in its format json, as far as it matters here. */
export interface Drawing {
  objects?: { name: string; _draw_: { op: string; points?: [x: number, y: number][] }[] }[]
}

/** Graphviz takes inches of 72 points, and a point is a unit of the canvas. */
const inches = (units: number) => units / 72

/** Beyond that many edges Graphviz is told only of those that matter for the order. */
const mostEdges = 1_000

/** Up to that many edges Graphviz takes all the rounds that it likes to keep edges from crossing. */
const fewEdges = 300

/** The nodes of a plan, or some of them, and the edges between them. The order of the plan's maps does not matter. */
export function graphOf(plan: Plan, only?: ReadonlySet<string>): Graph {
  const ids = [...plan.nodes.keys()].filter((id) => !only || only.has(id)).toSorted()
  const numbers = new Map(ids.map((id, number) => [id, number]))
  const targets = ids.map(() => new Set<number>())
  for (const { source, target } of plan.edges.values()) {
    const from = numbers.get(source)
    const to = numbers.get(target)
    if (from !== undefined && to !== undefined) targets[from]!.add(to)
  }
  return { ids, targets: targets.map((set) => [...set].toSorted((a, b) => a - b)) }
}

/** The text that Graphviz draws. */
export function dotOf({ targets }: Graph): string {
  const shown = count(targets) > mostEdges ? withoutDetours(targets) : targets
  // Without its limits Graphviz would work for minutes on crowded plans. It draws no edges: the canvas does.
  const rounds = Math.min(1, fewEdges / count(shown))
  return [
    'digraph {',
    `graph [rankdir=LR nodesep=${inches(56)} ranksep=${inches(80)} splines=none nslimit=1 mclimit=${rounds}]`,
    `node [shape=box fixedsize=true width=${inches(200)} height=${inches(64)} label=""]`,
    ...shown.keys(),
    ...shown.flatMap((list, from) => list.map((to) => `${from} -> ${to}`)),
    '}',
  ].join('\n')
}

const count = (targets: Graph['targets']) => targets.reduce((sum, list) => sum + list.length, 0)

/** Leaves out each edge beside which a longer path leads to the same node: the path keeps the two in order. */
function withoutDetours(targets: Graph['targets']): Graph['targets'] {
  const reached: Set<number>[] = [] // from each node, itself included
  const place: number[] = [] // in the order of the flow, from its end
  const shown: number[][] = []
  let finished = 0
  const visit = (node: number) => {
    if (reached[node]) return
    const found = reached[node] = new Set([node])
    for (const target of targets[node]!) visit(target)
    const nearest = targets[node]!.toSorted((a, b) => (place[b] ?? 0) - (place[a] ?? 0))
    shown[node] = nearest.filter((target) => {
      if (found.has(target)) return false
      for (const further of reached[target]!) found.add(further)
      return true
    })
    place[node] = finished++
  }
  for (const node of targets.keys()) visit(node)
  return shown
}

/** Where Graphviz put the top left corners of the nodes, in whole units from 0, 0. */
export function placesOf({ ids }: Graph, drawing: Drawing): Map<string, Position> {
  return new Map((drawing.objects ?? []).map(({ name, _draw_ }) => {
    // The attribute pos would be rounded to five digits.
    const points = _draw_.find(({ points: corners }) => corners)!.points!
    return [ids[Number(name)]!, { x: Math.round(Math.min(...points.map(([x]) => x))), y: Math.round(Math.min(...points.map(([, y]) => y))) }]
  }))
}

/** The same places, moved so that the centre of the nodes stays where it is in the plan. */
export function centred(places: Map<string, Position>, plan: Plan): Map<string, Position> {
  const was = centre([...places.keys()].map((id) => plan.nodes.get(id)!.position))
  const is = centre([...places.values()])
  const dx = Math.round(was.x - is.x)
  const dy = Math.round(was.y - is.y)
  return new Map([...places].map(([id, { x, y }]) => [id, { x: x + dx, y: y + dy }]))
}

/** The middle of what positions span. All nodes have one size, so their corners will do. */
function centre(positions: Position[]): Position {
  const middle = (values: number[]) => (Math.min(...values) + Math.max(...values)) / 2
  return { x: middle(positions.map(({ x }) => x)), y: middle(positions.map(({ y }) => y)) }
}
