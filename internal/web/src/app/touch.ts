// What fingers do beside what browsers and React Flow make of them: a long press opens the menu, a second finger lets go of an edge.
import { useStoreApi } from '@xyflow/react'
import { useEffect } from 'react'

/** The wait of a long press, in milliseconds. */
const longPress = 500

/** A finger that went farther, in pixels, drags. */
const slack = 10

/** Listens to fingers on the canvas. */
export function useTouch(): void {
  const store = useStoreApi()
  useEffect(() => {
    const canvas = store.getState().domNode!
    let pressed: { x: number; y: number; timer: ReturnType<typeof setTimeout> } | null = null
    let opened = false // by us: the browser that opens it later, as some do, would open it twice
    const lift = () => {
      clearTimeout(pressed?.timer)
      pressed = null
    }
    const onPointerDown = ({ pointerType, isPrimary, target, clientX, clientY }: PointerEvent) => {
      lift()
      opened = false
      if (pointerType !== 'touch' || !isPrimary || !target) return
      const open = () => {
        pressed = null
        opened = true
        target.dispatchEvent(new MouseEvent('contextmenu', { bubbles: true, cancelable: true, clientX, clientY, button: 2 }))
      }
      pressed = { x: clientX, y: clientY, timer: setTimeout(open, longPress) }
    }
    const onPointerMove = ({ clientX, clientY }: PointerEvent) => {
      if (pressed && Math.hypot(clientX - pressed.x, clientY - pressed.y) > slack) lift()
    }
    const onContextMenu = (event: MouseEvent) => {
      if (!event.isTrusted) return
      lift()
      if (!opened) return
      event.preventDefault()
      event.stopPropagation()
    }
    // The edge is let go of where no node is, whatever the first finger is above.
    const onTouchStart = ({ touches }: TouchEvent) => {
      if (touches.length < 2 || !store.getState().connection.inProgress) return
      const nowhere = { clientX: -10_000, clientY: -10_000 }
      for (const type of ['mousemove', 'mouseup']) document.dispatchEvent(new MouseEvent(type, nowhere))
    }
    const stop = new AbortController()
    const options = { capture: true, signal: stop.signal }
    canvas.addEventListener('pointerdown', onPointerDown, options)
    canvas.addEventListener('pointermove', onPointerMove, options)
    canvas.addEventListener('pointerup', lift, options)
    canvas.addEventListener('pointercancel', lift, options)
    canvas.addEventListener('contextmenu', onContextMenu, options)
    document.addEventListener('touchstart', onTouchStart, options)
    return () => {
      lift()
      stop.abort()
    }
  }, [store])
}
