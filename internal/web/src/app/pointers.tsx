// The pointers of the others.
import { useReactFlow, useStoreApi, ViewportPortal } from '@xyflow/react'
import { useEffect, useState } from 'react'
import type { Position, PresenceStore } from '../client/index.ts'
import { AgentBadge, lookOf } from './avatar.tsx'
import { badge, standingOut } from './colors.ts'
import { useDesk } from './desk.ts'
import { prefersStillness, useOfPeople } from './presence.ts'
import { arrive, isMoving, lead, placeAt, trailFrom, type Trail } from './trail.ts'

/** Those who have one. Readers find the same people in the list of who is here. */
export function Pointers() {
  const { presence } = useDesk().project
  const { getZoom } = useReactFlow()
  const { subscribe } = useStoreApi()
  const [movement] = useState(() => createMovement(presence, getZoom))
  useEffect(() => movement.start(subscribe), [movement, subscribe])
  const people = useOfPeople((all) => [...all.values()].filter(({ cursor }) => cursor).map(lookOf))
  return (
    <ViewportPortal>
      <div className="pointers" aria-hidden="true">
        {people.map(({ userId, name, color, isAgent }) => (
          <div key={userId} className={isAgent ? 'pointer of-agent' : 'pointer'} ref={(element) => movement.enter(userId, element!)}>
            <svg viewBox="0 0 16 20" width="16" height="20"><path d="M1 1l14 10.5-6.5 1L5 19z" fill={standingOut(color)} stroke="#fff" /></svg>
            <span className="name" style={badge(standingOut(color))}>{name}{isAgent && <AgentBadge />}</span>
          </div>
        ))}
      </div>
    </ViewportPortal>
  )
}

interface Moving {
  told: Position
  trail: Trail
  /** Whether it is drawn where it rests. */
  rests: boolean
}

/** Moves the pointers: they move too often for React. While one does, each frame moves those that do. They are as large at any zoom. */
function createMovement(presence: PresenceStore, getZoom: () => number) {
  const elements = new Map<string, HTMLElement>()
  const moving = new Map<string, Moving>()
  let people = presence.snapshot()
  let zoom = getZoom()
  let frame = 0
  const soon = () => { frame ||= requestAnimationFrame(draw) }

  const put = (id: string, now: number) => {
    const [element, pointer] = [elements.get(id), moving.get(id)]
    if (!element || !pointer) return
    const { x, y } = placeAt(pointer.trail, now)
    element.style.transform = `translate(${x}px, ${y}px) scale(${1 / zoom})`
    pointer.rests = !isMoving(pointer.trail, now)
  }

  const take = (now: number) => {
    people = presence.snapshot()
    for (const id of moving.keys()) if (!people.get(id)?.cursor) moving.delete(id)
    for (const { userId, cursor } of people.values()) {
      if (!cursor) continue
      const pointer = moving.get(userId)
      if (!pointer) moving.set(userId, { told: cursor, trail: trailFrom(cursor, now), rests: false })
      else if (pointer.told.x !== cursor.x || pointer.told.y !== cursor.y) {
        lead(pointer.trail, cursor, now)
        pointer.told = cursor
        pointer.rests = false
      }
    }
  }

  const draw = (now: number) => {
    frame = 0
    if (people !== presence.snapshot()) take(now)
    if (prefersStillness()) for (const { trail } of moving.values()) arrive(trail)
    const isZoomed = zoom !== getZoom()
    zoom = getZoom()
    for (const [id, { rests }] of moving) if (isZoomed || !rests) put(id, now)
    if ([...moving.values()].some(({ rests }) => !rests)) soon()
  }

  return {
    /** Takes the element of somebody's pointer, until what it returns is called. */
    enter(id: string, element: HTMLElement): () => void {
      elements.set(id, element)
      const now = performance.now()
      take(now)
      put(id, now)
      return () => elements.delete(id)
    },
    /** Goes on until what it returns is called. */
    start(onViewport: (listener: () => void) => () => void): () => void {
      const stops = [presence.subscribe(soon), onViewport(() => { if (getZoom() !== zoom) soon() })]
      soon()
      return () => {
        for (const stop of stops) stop()
        cancelAnimationFrame(frame)
      }
    },
  }
}
