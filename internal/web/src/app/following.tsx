// The view, while it goes where somebody else is.
import { Panel, useReactFlow } from '@xyflow/react'
import { useEffect } from 'react'
import { planOf, update, useDesk, useDeskState } from './desk.ts'
import { whereabouts } from './follow.ts'
import { prefersStillness, useOfPeople } from './presence.ts'
import { arrive, isMoving, lead, placeAt, trailFrom } from './trail.ts'

export function Following() {
  const desk = useDesk()
  const { companion } = useDeskState()
  const { getZoom, setCenter } = useReactFlow()
  const name = useOfPeople((people) => people.get(companion?.userId ?? '')?.name ?? null)

  useEffect(() => {
    if (!companion) return
    const { presence } = desk.project
    const place = () => {
      const person = presence.snapshot().get(companion.userId)
      return person ? whereabouts(person, planOf(desk)) : null
    }
    let told = place()
    if (told) void setCenter(told.x, told.y, { zoom: getZoom(), duration: prefersStillness() ? 0 : 200 })
    if (!companion.follows) return
    const trail = trailFrom(told ?? { x: 0, y: 0 }, performance.now())
    let frame = 0
    const soon = () => { frame ||= requestAnimationFrame(draw) }
    const draw = (now: number) => {
      frame = 0
      const next = place()
      if (!next) return
      if (next.x !== told?.x || next.y !== told.y) lead(trail, next, now)
      if (!told || prefersStillness()) arrive(trail)
      told = next
      const { x, y } = placeAt(trail, now)
      void setCenter(x, y, { zoom: getZoom() })
      if (isMoving(trail, now)) soon()
    }
    const stop = presence.subscribe(soon)
    return () => {
      stop()
      cancelAnimationFrame(frame)
    }
  }, [desk, companion, getZoom, setCenter])

  // One's own input ends it, and so does their departure.
  const isGone = companion !== null && name === null
  useEffect(() => {
    if (isGone) update(desk, { companion: null })
  }, [desk, isGone])
  useEffect(() => {
    if (!companion) return
    const end = () => update(desk, { companion: null })
    const onCanvas = ({ target }: Event) => { if (target instanceof Element && target.closest('.canvas')) end() }
    const onKeyDown = ({ key, target }: KeyboardEvent) => {
      const amongPeople = target instanceof Element && target.closest('.people')
      if (key === 'Escape' || !amongPeople) end()
    }
    addEventListener('wheel', onCanvas, true)
    addEventListener('pointerdown', onCanvas, true)
    addEventListener('keydown', onKeyDown, true)
    return () => {
      removeEventListener('wheel', onCanvas, true)
      removeEventListener('pointerdown', onCanvas, true)
      removeEventListener('keydown', onKeyDown, true)
    }
  }, [desk, companion])

  return (
    <Panel position="top-center" role="status">
      {companion?.follows && name !== null && (
        <p className="following"><span>Following <strong>{name}</strong>, Escape ends</span> <button onClick={() => update(desk, { companion: null })}>End</button></p>
      )}
    </Panel>
  )
}
