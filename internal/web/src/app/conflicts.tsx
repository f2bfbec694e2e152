// Changes that others were faster with, and that cannot be merged: both values are shown for a decision.
import { useMemo } from 'react'
import type { PlanSnapshot } from '../client/index.ts'
import { select, update, useDesk } from './desk.ts'
import { showAndFocus } from './later.tsx'
import { clashOf, type Clash } from './resolve.ts'

/** What is to be decided. */
export function useClashes({ refused }: PlanSnapshot): Clash[] {
  return useMemo(() => refused.flatMap((refusal) => clashOf(refusal) ?? []), [refused])
}

/** How much is to be decided, and the way there. */
export function ConflictNotice({ clashes }: { clashes: readonly Clash[] }) {
  const desk = useDesk()
  const [first] = clashes
  if (!first) return null
  const lead = () => {
    showAndFocus('.clash', () => {
      update(desk, { inspecting: true })
      if (first.of === 'node') select(desk, [first.id])
      else select(desk, [], [first.id])
    })
    if (first.of === 'node') desk.view.get()?.reveal([first.id])
  }
  return (
    <div className="notice">
      <p>{clashes.length === 1 ? '1 conflict' : `${clashes.length} conflicts`}: somebody else changed what you changed.</p>
      <button onClick={lead}>Look and decide</button>
    </div>
  )
}
