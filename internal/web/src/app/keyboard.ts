// The plan by the keyboard. The canvas is one stop of the Tab key; from there Tab goes along the flow, also to what is not drawn yet.
import { useReactFlow } from '@xyflow/react'
import { useCallback, useEffect, useLayoutEffect, useRef } from 'react'
import { flushSync } from 'react-dom'
import type { Plan } from '../client/index.ts'
import { height, width } from './card.tsx'
import { change, selected, selectItem, update, useDesk, useDeskState } from './desk.ts'
import { connect } from './operations.ts'
import { neighbourOf, orderOf, type Item } from './order.ts'
import { allowedTargets } from './rules.ts'

const arrows: Record<string, readonly [x: number, y: number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

/** A finer zoom is not needed to see an element; from a coarser one it may be drawn without parts that can have the focus. */
const clearZoom = 0.5

/** What the canvas is to listen to. A function is told which nodes go how far while an arrow key is down. */
export function useKeyboard(plan: Plan, nudge: (ids: readonly string[], dx: number, dy: number) => void) {
  const desk = useDesk()
  const flow = useReactFlow()
  const { connecting } = useDeskState()
  const { items } = orderOf(plan)
  /** What has the focus, or had it before it was gone; null while that is elsewhere. */
  const current = useRef<Item | null>(null)

  /** Brings an element into the middle of the view, unless it is seen. */
  const reveal = useCallback((item: Item) => {
    if (isSeen(item)) return
    const element = item.kind === 'node' ? elementOf(item)?.getBoundingClientRect() : undefined
    // What comes into view has to be there before it can have the focus.
    flushSync(() => {
      if (element) { // where it is drawn, which while it moves is not where the plan has it
        const { left, top, width: wide, height: high } = canvas()!.getBoundingClientRect()
        const { x, y, zoom } = flow.getViewport()
        const [dx, dy] = [left + (wide - element.width) / 2 - element.left, top + (high - element.height) / 2 - element.top]
        void flow.setViewport({ x: x + dx, y: y + dy, zoom })
      } else {
        const edge = plan.edges.get(item.id)
        const places = (edge ? [edge.source, edge.target] : [item.id]).flatMap((id) => plan.nodes.get(id)?.position ?? [])
        const middle = (axis: 'x' | 'y') => places.reduce((sum, place) => sum + place[axis], 0) / places.length
        void flow.setCenter(middle('x') + width / 2, middle('y') + height / 2, { zoom: Math.max(flow.getZoom(), clearZoom) })
      }
    })
  }, [flow, plan])

  const focus = useCallback((item: Item) => {
    current.current = item
    reveal(item)
    const element = elementOf(item) ?? canvas()
    element?.focus({ preventScroll: true })
  }, [reveal])

  // Whatever had the focus and is gone leaves it to the next. It may be drawn a little longer than it is in the plan.
  const before = useRef(items)
  useLayoutEffect(() => {
    const was = current.current
    const active = document.activeElement ?? document.body
    const isGone = was && !(was.kind === 'node' ? plan.nodes : plan.edges).has(was.id)
    if (isGone && (active === document.body || itemOf(active)?.id === was.id)) {
      const next = neighbourOf(was.id, before.current, items)
      queueMicrotask(() => { // flushSync is not allowed in an effect
        if (next) focus(next)
        else canvas()?.focus()
      })
    }
    before.current = items
  }, [plan, items, focus])

  const targets = useCallback((source: string) => {
    const allowed = allowedTargets(plan, desk.rules.get(), source)
    return items.filter(({ kind, id }) => kind === 'node' && allowed.has(id))
  }, [plan, items, desk])

  // The focus is on the target that Enter would take, and comes back when one leaves.
  const wasConnecting = useRef<string | null>(null)
  useEffect(() => {
    const [source, was] = [connecting, wasConnecting.current]
    wasConnecting.current = source
    const here = current.current !== null
    if (source !== null && source !== was && here) queueMicrotask(() => focus(targets(source)[0]!))
    if (source === null && was !== null && here && plan.nodes.has(was)) queueMicrotask(() => focus({ kind: 'node', id: was }))
  }, [connecting, plan, focus, targets])

  const onKeyDown = (event: React.KeyboardEvent) => {
    const { key, shiftKey } = event
    const here = itemAt(event.target)
    if (!here && event.target !== canvas()) return
    const go = (among: readonly Item[], by: number) => {
      const last = among.findIndex(({ id }) => id === current.current?.id)
      const next = last < 0 ? among.at(by > 0 ? 0 : -1) : among[last + by]
      if (!next) return false
      focus(next)
      event.preventDefault()
      return true
    }
    const arrow = arrows[key]
    if (connecting !== null && (key === 'Tab' || arrow || key === 'Enter')) {
      event.preventDefault()
      const among = targets(connecting)
      if (key !== 'Enter') go(among, arrow ? arrow[0] + arrow[1] : shiftKey ? -1 : 1)
      else if (here && among.some(({ id }) => id === here.id)) {
        change(desk, connect(plan, connecting, here.id))
        update(desk, { connecting: null })
      }
      return
    }
    if (key === 'Tab') {
      if (here && shiftKey && here.id === items[0]?.id) current.current = null // the canvas itself is next
      else if (here || !shiftKey) go(items, shiftKey ? -1 : 1)
      return
    }
    if (!here || ['Shift', 'Control', 'Alt', 'Meta', 'Escape'].includes(key)) return
    // A key is for what has the focus, and for all that is selected if that is.
    const { selection } = desk.state.get()
    const isSelected = selection[here.kind === 'node' ? 'nodes' : 'edges'].has(here.id)
    if (key === ' ' && shiftKey) toggle(here)
    else if (!isSelected) selectItem(desk, here)
    const step = shiftKey ? 10 : 1
    if (arrow) {
      if (here.kind === 'node') reveal(here) // out of sight it would lose the focus
      nudge(selected(desk).nodes, arrow[0] * step, arrow[1] * step)
    }
    if (arrow || key === ' ') event.preventDefault()
  }

  const toggle = ({ kind, id }: Item) => {
    const { nodes, edges } = desk.state.get().selection
    const flip = (ids: ReadonlySet<string>) => new Set(ids.has(id) ? [...ids].filter((other) => other !== id) : [...ids, id])
    update(desk, { selection: kind === 'node' ? { nodes: flip(nodes), edges } : { nodes, edges: flip(edges) } })
  }

  // What moves out of the view cannot keep the focus: the canvas has it, and knows from where to go on.
  const onMoveEnd = useCallback(() => {
    if (current.current && document.activeElement === document.body) canvas()?.focus({ preventScroll: true })
  }, [])

  return {
    onKeyDown,
    onFocus: ({ target, relatedTarget }: React.FocusEvent) => {
      const isKept = target === canvas() && !relatedTarget // it came from what is gone, or with the window
      current.current = itemOf(target) ?? (isKept ? current.current : null)
    },
    onBlur: ({ relatedTarget }: React.FocusEvent) => {
      if (relatedTarget && !canvas()?.contains(relatedTarget)) current.current = null
    },
    onMoveEnd,
  }
}

function canvas(): HTMLElement | null {
  return document.querySelector('.canvas')
}

function elementOf({ kind, id }: Item): HTMLElement | SVGElement | null {
  return document.querySelector(`.canvas .react-flow__${kind}[data-id="${CSS.escape(id)}"]`)
}

/** The element that keys are for; null while they are for a field or a button. */
function itemAt(target: EventTarget): Item | null {
  return target instanceof Element && !target.closest('input, textarea, button') ? itemOf(target) : null
}

/** The element that something is in. */
function itemOf(target: Element): Item | null {
  const element = target.closest('.react-flow__node, .react-flow__edge')
  const id = element?.getAttribute('data-id')
  return id ? { kind: element!.classList.contains('react-flow__node') ? 'node' : 'edge', id } : null
}

/** Whether a node is in view as a whole; of an edge a part is enough. */
function isSeen(item: Item): boolean {
  const element = elementOf(item)
  if (!element) return false
  const [box, view] = [element.getBoundingClientRect(), canvas()!.getBoundingClientRect()]
  return item.kind === 'node'
    ? box.left >= view.left && box.right <= view.right && box.top >= view.top && box.bottom <= view.bottom
    : box.left < view.right && box.right > view.left && box.top < view.bottom && box.bottom > view.top
}
