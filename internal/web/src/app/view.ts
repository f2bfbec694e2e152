// What is seen of the plan.
import { useReactFlow } from '@xyflow/react'
import { useEffect } from 'react'
import type { Plan } from '../client/index.ts'
import { height, width } from './card.tsx'
import { planOf, type Desk } from './desk.ts'
import { none, type Held } from './gestures.ts'
import { linkedNode } from './link.ts'
import { prefersStillness } from './presence.ts'

/** What is seen at first: the node that the address names, or all. */
export function viewOf(plan: Plan) {
  const id = linkedNode()
  return id !== null && plan.nodes.has(id) ? { nodes: [{ id }], maxZoom: 1 } : { maxZoom: 1 }
}

/** Lets the rest of the editor use the canvas. What glides is apart from what a gesture holds, which becomes a change. */
export function useView(desk: Desk, setGliding: (gliding: Held) => void): void {
  const flow = useReactFlow()
  useEffect(() => {
    const canvas = document.querySelector<HTMLElement>('.canvas')!
    let pointer: { x: number; y: number } | null = null
    let frame = 0
    const enter = ({ clientX, clientY }: PointerEvent) => { pointer = { x: clientX, y: clientY } }
    const leave = () => { pointer = null }
    canvas.addEventListener('pointermove', enter)
    canvas.addEventListener('pointerleave', leave)
    desk.view.set({
      center() {
        const { left, top, width: wide, height: high } = canvas.getBoundingClientRect()
        const { x, y } = flow.screenToFlowPosition({ x: left + wide / 2, y: top + high / 2 })
        return { x: x - width / 2, y: y - height / 2 }
      },
      pointer: () => pointer && flow.screenToFlowPosition(pointer),
      reveal: (ids) => void flow.fitView({ duration: prefersStillness() ? 0 : duration, maxZoom: 1, ...(ids && { nodes: ids.map((id) => ({ id })) }) }),
      glide: (from) => new Promise((resolve) => {
        const start = performance.now()
        const draw = (now: number) => {
          const part = prefersStillness() ? 1 : Math.min(1, Math.max(0, (now - start) / duration))
          const plan = planOf(desk)
          setGliding(part === 1 || !plan ? none : new Map([...from].flatMap(([id, { x, y }]) => {
            const to = plan.nodes.get(id)?.position
            return to ? [[id, { x: x + (to.x - x) * part, y: y + (to.y - y) * part }] as const] : []
          })))
          if (part === 1) resolve()
          else frame = requestAnimationFrame(draw)
        }
        cancelAnimationFrame(frame)
        draw(start)
      }),
    })
    return () => {
      desk.view.set(null)
      cancelAnimationFrame(frame)
      canvas.removeEventListener('pointermove', enter)
      canvas.removeEventListener('pointerleave', leave)
    }
  }, [desk, flow, setGliding])
}

/** Movements that nobody makes by hand take that long, in milliseconds. */
const duration = 200

