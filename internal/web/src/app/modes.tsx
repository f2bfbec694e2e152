// What goes on by single clicks instead of a drag: choosing a target, and choosing a place.
import { Panel, type ReactFlowInstance } from '@xyflow/react'
import { useEffect, useMemo } from 'react'
import type { Plan } from '../client/index.ts'
import { height, width } from './card.tsx'
import { change, planOf, selected, update, useDesk, useDeskState, type Desk } from './desk.ts'
import { connect, moveTo } from './operations.ts'
import { allowedTargets } from './rules.ts'
import { labelOf } from './phrases.ts'

/** What a click on the canvas means, once a command has begun something. The functions stay the same. */
export function useClicks(desk: Desk, flow: ReactFlowInstance) {
  return useMemo(() => ({
    onNodeClick(_: React.MouseEvent, { id }: { id: string }) {
      const { connecting } = desk.state.get()
      const plan = planOf(desk)
      if (connecting === null || !plan || !allowedTargets(plan, desk.rules.get(), connecting).has(id)) return
      change(desk, connect(plan, connecting, id))
      update(desk, { connecting: null })
    },
    onPaneClick({ clientX, clientY }: React.MouseEvent) {
      const { moving, connecting, selection } = desk.state.get()
      const plan = planOf(desk)
      if (connecting !== null) update(desk, { connecting: null })
      if (!moving || !plan) return
      const { x, y } = flow.screenToFlowPosition({ x: clientX, y: clientY })
      // React Flow takes the selection away with a click on the empty canvas, unless it is put back behind that.
      queueMicrotask(() => update(desk, { selection }))
      change(desk, moveTo(plan, selected(desk).nodes, { x: x - width / 2, y: y - height / 2 }))
      update(desk, { moving: false })
    },
  }), [desk, flow])
}

/** Says what was begun, and how to leave it. */
export function Mode({ plan }: { plan: Plan }) {
  const desk = useDesk()
  const { connecting, moving } = useDeskState()
  const begun = connecting !== null || moving
  // What was begun ends with the nodes that it is for.
  useEffect(() => {
    const isGone = connecting !== null ? !plan.nodes.has(connecting) : moving && selected(desk).nodes.length === 0
    if (isGone) update(desk, { connecting: null, moving: false })
  }, [desk, plan, connecting, moving])
  return (
    <Panel position="top-center" className={begun ? 'mode' : 'unseen'}>
      <span role="status">
        {connecting !== null && `Connect ${labelOf(plan, connecting)} to: click a node, or choose by arrows and Enter.`}
        {moving && 'Click where it should go.'}
      </span>
      {begun && <button onClick={() => update(desk, { connecting: null, moving: false })}>Cancel</button>}
    </Panel>
  )
}
