// What people drag, seen while they do.
import { useEffect, useMemo, useState } from 'react'
import type { Dragging, People, Plan, Position } from '../client/index.ts'
import { planOf, useDesk } from './desk.ts'
import { prefersStillness } from './presence.ts'
import { arrive, isMoving, lead, placeAt, trailFrom, type Trail } from './trail.ts'

type Places = ReadonlyMap<string, Position>

/** A node that somebody else drags, or dropped a moment ago. */
export interface Dragged {
  by: string
  /** Where the plan has it. When the plan has it elsewhere, the change has come, and it is drawn there. */
  base: Position
  told: Dragging
  trail: Trail
  /** Null while it is dragged. */
  droppedAt: number | null
}

/** How long a node that was dropped stays where it was seen last, for the change to come. */
const patience = 1_000

/** Takes over what people drag by now. What is known by node is changed in place. */
export function takeDrags(known: Map<string, Dragged>, people: People, plan: Plan, now: number): void {
  for (const [id, dragged] of known) {
    if (!people.get(dragged.by)?.dragging?.nodeIds.includes(id)) dragged.droppedAt ??= now
    if (dragged.droppedAt === null) continue
    if (now - dragged.droppedAt >= patience || !isAt(plan, id, dragged.base)) known.delete(id)
  }
  for (const { userId, dragging } of people.values()) {
    for (const id of dragging?.nodeIds ?? []) take(known, userId, dragging!, id, plan, now)
  }
}

function take(known: Map<string, Dragged>, by: string, told: Dragging, id: string, plan: Plan, now: number): void {
  const before = known.get(id)
  const base = before && before.droppedAt === null ? before.base : plan.nodes.get(id)?.position
  if (!base || (before?.droppedAt === null && before.by !== by)) return
  const place = { x: base.x + told.dx, y: base.y + told.dy }
  if (before?.droppedAt !== null) {
    const trail = before?.trail ?? trailFrom(base, now)
    lead(trail, place, now)
    known.set(id, { by, base, told, trail, droppedAt: null })
  } else if (before.told.dx !== told.dx || before.told.dy !== told.dy) {
    lead(before.trail, place, now)
    before.told = told
  }
}

function isAt(plan: Plan, id: string, { x, y }: Position): boolean {
  const position = plan.nodes.get(id)?.position
  return position?.x === x && position.y === y
}

/** What one drags oneself, as the others are told. Nodes that are off the plan by different ways are not dragged. */
export function dragOf(plan: Plan, held: Places): Dragging | null {
  const ways = [...held].flatMap(([id, { x, y }]) => {
    const from = plan.nodes.get(id)?.position
    return from ? [{ id, dx: x - from.x, dy: y - from.y }] : []
  })
  const [first] = ways
  if (!first || ways.some(({ dx, dy }) => Math.hypot(dx - first.dx, dy - first.dy) > 1)) return null
  return { nodeIds: ways.map(({ id }) => id), dx: first.dx, dy: first.dy }
}

/**
 * Shows the others what one holds, and returns where to draw nodes that are not where the plan has them: those that others drag, and
 * before them those that one holds oneself.
 */
export function useDrags(plan: Plan, held: Places): Places {
  const desk = useDesk()
  const { presence } = desk.project
  const [seen, setSeen] = useState<ReadonlyMap<string, { base: Position; place: Position }>>(() => new Map())

  useEffect(() => presence.drag(dragOf(plan, held)), [presence, plan, held])

  useEffect(() => {
    const known = new Map<string, Dragged>()
    let frame = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    let moves = false
    const soon = () => { frame ||= requestAnimationFrame(draw) }
    const draw = (now: number) => {
      frame = 0
      const current = planOf(desk)
      if (!current) return
      const were = known.size
      takeDrags(known, presence.snapshot(), current, now)
      const dragged = [...known]
      const moved = moves
      moves = dragged.some(([, { trail }]) => isMoving(trail, now))
      if (prefersStillness()) for (const [, { trail }] of dragged) arrive(trail)
      // The pointers of others move all the time, and nobody drags.
      if (moves || moved || were !== known.size) setSeen(new Map(dragged.map(([id, { base, trail }]) => [id, { base, place: placeAt(trail, now) }])))
      clearTimeout(timer)
      if (moves) soon()
      else if (known.size > 0) timer = setTimeout(soon, patience)
    }
    const stop = presence.subscribe(soon)
    return () => {
      stop()
      cancelAnimationFrame(frame)
      clearTimeout(timer)
    }
  }, [desk, presence])

  return useMemo(() => {
    const places = new Map([...seen].flatMap(([id, { base, place }]) => (isAt(plan, id, base) ? [[id, place] as const] : [])))
    return places.size === 0 ? held : new Map([...places, ...held])
  }, [plan, held, seen])
}
