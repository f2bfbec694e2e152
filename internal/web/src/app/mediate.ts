// Changes that others were faster with are merged with what is there, and sent again.
import type { PlanStore } from '../client/index.ts'
import { clashOf } from './resolve.ts'

/** So often is a change merged and sent again before somebody is asked: others may change the same again and again. */
export const maxAttempts = 3

/** Merges what can be merged, until what it returns is called. */
export function mediate(plan: Pick<PlanStore, 'subscribe' | 'snapshot' | 'discard' | 'change'>): () => void {
  const attempts = new Map<string, number>()
  return plan.subscribe(() => {
    for (const refusal of plan.snapshot().refused) {
      const { opId } = refusal.change
      const before = attempts.get(opId) ?? 0
      const clash = clashOf(refusal)
      if (!clash || clash.differences.length > 0 || before === maxAttempts) continue
      attempts.delete(opId)
      plan.discard([opId])
      if (clash.edits.mine.length > 0) attempts.set(plan.change(clash.edits.mine), before + 1)
    }
  })
}
