// What keeps nodes from working, as the server says.
import { useEffect, useRef, useState } from 'react'
import type { Plan, PlanNode } from '../client/index.ts'
import { ValidatePlanDocument } from './gql/graphql.ts'
import { connection } from './session.ts'

/** Sentences, by the id of the node that they are about. */
export type Warnings = ReadonlyMap<string, readonly string[]>

/** A question has the whole plan in it, so there are few of them, and fewer of a large one. */
const pauseOf = (plan: Plan) => (plan.nodes.size + plan.edges.size > 500 ? 5_000 : 1_000)

/** Follows the warnings of a plan while the window is visible. Where the server does not answer, what it said before stays. */
export function useWarnings(plan: Plan, isLive: boolean): Warnings {
  const [warnings, setWarnings] = useState<Warnings>(new Map())
  const newest = useRef(plan)
  const wake = useRef(() => {})
  useEffect(() => {
    newest.current = plan
    wake.current()
  }, [plan])
  useEffect(() => {
    if (!isLive) return
    let asked: Plan | null = null
    let timer: ReturnType<typeof setTimeout> | undefined
    let resting = false
    let stopped = false
    const rest = (time: number) => {
      resting = true
      timer = setTimeout(() => {
        resting = false
        void ask()
      }, time)
    }
    // One question at a time, so that no answer is older than the one before it.
    const ask = async () => {
      const now = newest.current
      if (stopped || resting || document.hidden || (asked && isSameToTheRules(asked, now))) return
      asked = now
      resting = true
      try {
        const said = await warningsOf(now)
        if (!stopped) setWarnings(said)
      } catch {
        // The next change asks again.
      }
      if (!stopped) rest(pauseOf(now))
    }
    wake.current = () => void ask()
    document.addEventListener('visibilitychange', wake.current)
    const { current: listener } = wake
    void ask()
    return () => {
      stopped = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', listener)
      wake.current = () => {}
    }
  }, [isLive])
  return warnings
}

async function warningsOf({ nodes, edges }: Plan): Promise<Warnings> {
  const { validatePlanDag: { errors, warnings } } = await connection.request(ValidatePlanDocument, {
    planDag: {
      version: '0', metadata: { version: '0' },
      nodes: [...nodes.values()].map(({ id, nodeType, position: { x, y }, metadata: { label, description }, config }) => (
        { id, nodeType, position: { x, y }, metadata: { label, description }, config })),
      edges: [...edges.values()].map(({ id, source, target, metadata: { label, dataType } }) => (
        { id, source, target, metadata: { label, dataType } })),
    },
  })
  const said = new Map<string, string[]>()
  for (const { nodeId, message } of [...errors, ...warnings]) {
    if (nodeId) said.set(nodeId, [...(said.get(nodeId) ?? []), message])
  }
  return said
}

/** Whether two plans differ in places alone, which no rule looks at. */
function isSameToTheRules(one: Plan, other: Plan): boolean {
  const isSame = (node: PlanNode, before: PlanNode | undefined) => before !== undefined &&
    node.nodeType === before.nodeType && node.config === before.config && node.metadata.label === before.metadata.label
  return one.nodes.size === other.nodes.size && one.edges.size === other.edges.size &&
    [...other.nodes.values()].every((node) => isSame(node, one.nodes.get(node.id))) &&
    [...other.edges.values()].every((edge) => one.edges.get(edge.id) === edge)
}
