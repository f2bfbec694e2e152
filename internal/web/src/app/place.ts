// Where one is oneself, as the others see it.
import { useReactFlow } from '@xyflow/react'
import { useEffect, useMemo, useRef } from 'react'
import type { Position } from '../client/index.ts'
import { planOf, selected, useDesk, type Desk } from './desk.ts'
import { whereabouts } from './follow.ts'

/**
 * Shows the others one's pointer, and the node that is selected if it is the only one. Without a pointer on the canvas one is at that node.
 * Returns what the canvas does when the pointer moves over it, and when it leaves.
 */
export function useOwnPlace() {
  const desk = useDesk()
  const { screenToFlowPosition } = useReactFlow()
  const pointer = useRef<Position>(null)
  const last = useRef<Position>(null)
  useEffect(() => {
    let before: string | null = null
    return desk.state.subscribe(() => {
      const selectedNodeId = onlyNode(desk)
      if (selectedNodeId === before) return
      before = selectedNodeId
      last.current = whereabouts({ cursor: pointer.current, selectedNodeId }, planOf(desk)) ?? last.current
      if (last.current) desk.project.presence.move(last.current, selectedNodeId)
    })
  }, [desk])
  return useMemo(() => ({
    onPointerMove({ clientX, clientY }: { clientX: number; clientY: number }) {
      const { x, y } = screenToFlowPosition({ x: clientX, y: clientY })
      pointer.current = last.current = { x: Math.round(x), y: Math.round(y) }
      desk.project.presence.move(last.current, onlyNode(desk))
    },
    onPointerLeave() { pointer.current = null },
  }), [desk, screenToFlowPosition])
}

function onlyNode(desk: Desk): string | null {
  const { nodes } = selected(desk)
  return nodes.length === 1 ? nodes[0]! : null
}
