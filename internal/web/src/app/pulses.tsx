// Changes of others: what they touched pulses once, in their colour.
import { ViewportPortal } from '@xyflow/react'
import { useEffect, useRef } from 'react'
import type { AppliedChange, People, Plan } from '../client/index.ts'
import { height, width } from './card.tsx'
import { standingOut } from './colors.ts'
import { useDesk } from './desk.ts'
import { connection } from './session.ts'

/** In one frame no more nodes than that begin to pulse: after a long absence everything would. */
const mostAtOnce = 50

/** The nodes that a change of somebody else touched, and those at the ends of edges that it did. */
function touched({ nodeIds, edgeIds }: Pick<AppliedChange, 'nodeIds' | 'edgeIds'>, { nodes, edges }: Plan): string[] {
  const ends = edgeIds.flatMap((id) => edges.get(id) ?? []).flatMap(({ source, target }) => [source, target])
  return [...new Set([...nodeIds, ...ends])].filter((id) => nodes.has(id))
}

/** The colour of who made a change: windows are known by their id, agents by theirs. Whoever has gone already is grey. */
function colorOf({ clientId, actorId }: Pick<AppliedChange, 'clientId' | 'actorId'>, people: People): string {
  return standingOut((people.get(clientId ?? '') ?? people.get(actorId))?.color ?? '')
}

export function Pulses() {
  const { plan, presence } = useDesk().project
  const layer = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let colors = new Map<string, string>()
    let frame = 0
    const draw = () => {
      frame = 0
      const { nodes } = plan.snapshot().plan!
      for (const [id, color] of [...colors].slice(-mostAtOnce)) {
        const node = nodes.get(id)
        if (!node) continue
        const ring = document.createElement('div')
        ring.className = 'pulse'
        ring.dataset['of'] = id
        Object.assign(ring.style, {
          width: `${width}px`, height: `${height}px`, color, transform: `translate(${node.position.x}px, ${node.position.y}px)`,
        })
        ring.onanimationend = () => ring.remove()
        layer.current?.append(ring)
      }
      colors = new Map()
    }
    const stop = plan.hear((change) => {
      const shown = plan.snapshot().plan
      if (!shown || change.clientId === connection.clientId) return
      for (const id of touched(change, shown)) {
        colors.delete(id) // the newest are the last
        colors.set(id, colorOf(change, presence.snapshot()))
      }
      frame ||= requestAnimationFrame(draw)
    })
    return () => {
      stop()
      cancelAnimationFrame(frame)
    }
  }, [plan, presence])
  return <ViewportPortal><div ref={layer} className="overlay" aria-hidden="true" /></ViewportPortal>
}
