// Which edges the server would take, by what it says of node types. It decides; this is what lights up.
import type { NodeType, Plan, PlanNode } from '../client/index.ts'
import type { NodeTypesQuery } from './gql/graphql.ts'
import { kindNames } from './kinds.tsx'
import type { End } from './operations.ts'

export type NodeTypeInfo = NodeTypesQuery['nodeTypes'][number]

/** What the server says of each node type, by its name. */
export type Rules = ReadonlyMap<string, NodeTypeInfo>

export function rulesOf({ nodeTypes }: NodeTypesQuery): Rules {
  return new Map(nodeTypes.map((info) => [info.nodeType, info]))
}

/** The nodes at which an edge may end that begins at one. */
export function allowedEnds(plan: Plan, rules: Rules, { node, type }: End): Set<string> {
  return (type === 'source' ? allowedTargets : allowedSources)(plan, rules, node)
}

/** The kinds of new nodes at which an edge may end that begins at one that is there. */
export function allowedKinds(plan: Plan, rules: Rules, begin: End): NodeType[] {
  const idOf = (nodeType: NodeType) => `\0${nodeType}` // which no node has
  const nodes = new Map(plan.nodes)
  for (const nodeType of kindNames) nodes.set(idOf(nodeType), { ...plan.nodes.get(begin.node)!, id: idOf(nodeType), nodeType })
  const ends = allowedEnds({ ...plan, nodes }, rules, begin)
  return kindNames.filter((nodeType) => ends.has(idOf(nodeType)))
}

/** The nodes to which an edge from a node may lead. */
export function allowedTargets(plan: Plan, rules: Rules, source: string): Set<string> {
  return allowed(plan, rules, source, (node, other) => [node, other])
}

/** The nodes from which an edge may lead to a node. */
export function allowedSources(plan: Plan, rules: Rules, target: string): Set<string> {
  return allowed(plan, rules, target, (node, other) => [other, node])
}

function allowed(plan: Plan, rules: Rules, id: string, ends: (node: string, other: string) => [source: string, target: string]): Set<string> {
  const inputs = new Map<string, number>()
  const outputs = new Map<string, number>()
  const count = (of: Map<string, number>, node: string) => of.set(node, (of.get(node) ?? 0) + 1)
  const ways = new Map<string, string[]>() // to where edges lead that an edge from here would close to a cycle, or double
  const neighbours = new Set<string>([id])
  for (const { source, target } of plan.edges.values()) {
    count(outputs, source)
    count(inputs, target)
    const [node, other] = ends(source, target)
    ways.set(other, [...(ways.get(other) ?? []), node])
    if (node === id) neighbours.add(other)
  }
  for (const reached = [id]; reached.length > 0;) {
    for (const next of ways.get(reached.pop()!) ?? []) {
      if (neighbours.has(next)) continue
      neighbours.add(next)
      reached.push(next)
    }
  }
  const fits = (other: string) => {
    const [source, target] = ends(id, other).map((end) => plan.nodes.get(end)) as [PlanNode | undefined, PlanNode | undefined]
    if (!source || !target) return false
    const [from, to] = [rules.get(source.nodeType), rules.get(target.nodeType)]
    return from !== undefined && to !== undefined && from.leadsTo.includes(to.nodeType) &&
      (outputs.get(source.id) ?? 0) < (from.maxOutputs ?? Infinity) && (inputs.get(target.id) ?? 0) < (to.maxInputs ?? Infinity)
  }
  return new Set([...plan.nodes.keys()].filter((other) => !neighbours.has(other) && fits(other)))
}
