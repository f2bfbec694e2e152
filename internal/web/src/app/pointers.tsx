// The pointers of the others.
import { ViewportPortal } from '@xyflow/react'
import { useEffect, useRef } from 'react'
import { badge } from './colors.ts'
import { useDesk } from './desk.ts'

/** They move too often for React: each frame moves what changed. */
export function Pointers() {
  const { presence } = useDesk().project
  const layer = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const drawn = new Map<string, HTMLElement>()
    let frame = 0
    const draw = () => {
      frame = 0
      const people = presence.snapshot()
      for (const [id, element] of drawn) {
        if (people.get(id)?.cursor) continue
        element.remove()
        drawn.delete(id)
      }
      for (const { userId, name, color, cursor } of people.values()) {
        if (!cursor) continue
        let element = drawn.get(userId)
        if (!element) {
          element = document.createElement('div')
          element.className = 'pointer'
          drawn.set(userId, element)
          layer.current?.append(element)
        }
        element.textContent = name
        Object.assign(element.style, badge(color))
        element.style.transform = `translate(${cursor.x}px, ${cursor.y}px)`
      }
    }
    const soon = () => { frame ||= requestAnimationFrame(draw) }
    const stop = presence.subscribe(soon)
    soon()
    return () => {
      stop()
      cancelAnimationFrame(frame)
      for (const element of drawn.values()) element.remove()
    }
  }, [presence])
  return <ViewportPortal><div ref={layer} aria-hidden="true" /></ViewportPortal>
}
