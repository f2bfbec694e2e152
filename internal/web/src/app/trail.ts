// The way of something that is told ten times a second, such as a pointer, drawn in between: a little late, and without jumps.
import type { Position } from '../client/index.ts'

/** The time by which what is drawn is behind what was told. */
const delay = 120

/** More places than that are never between what is drawn and what was told. */
const most = 4

/** Some last places, the newest at the end, and when each was told. It is changed in place. */
export type Trail = (Position & { at: number })[]

export function trailFrom({ x, y }: Position, now: number): Trail {
  return [{ x, y, at: now - delay }]
}

/** Adds the place that was told at a moment. Whatever rested begins to move then, however long ago it was told last. */
export function lead(trail: Trail, { x, y }: Position, now: number): void {
  const last = trail.at(-1)!
  last.at = Math.max(last.at, now - delay)
  trail.push({ x, y, at: now })
  if (trail.length > most) trail.shift()
}

/** Where to draw it at a moment. */
export function placeAt(trail: Trail, now: number): Position {
  const time = now - delay
  const next = trail.findIndex(({ at }) => at > time)
  const after = trail.at(next)!
  const before = trail[next - 1]
  if (!before) return { x: after.x, y: after.y }
  const part = (time - before.at) / (after.at - before.at)
  return { x: before.x + (after.x - before.x) * part, y: before.y + (after.y - before.y) * part }
}

/** Whether it is drawn elsewhere a moment later. */
export function isMoving(trail: Trail, now: number): boolean {
  return trail.at(-1)!.at > now - delay
}

/** Ends all movement at the newest place, for people who do not want to see any. */
export function arrive(trail: Trail): void {
  trail.splice(0, trail.length - 1)
  trail[0]!.at = -Infinity
}
