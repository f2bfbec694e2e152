// What is proposed, to be accepted or rejected.
import { useEffect, useSyncExternalStore } from 'react'
import type { Plan } from '../client/index.ts'
import { useDesk } from './desk.ts'
import { later } from './later.tsx'
import { followProposals } from './proposals.ts'

const ProposalItems = later(() => import('./proposal-items.tsx'))

export function ProposalList({ plan, readOnly }: { plan: Plan; readOnly: boolean }) {
  const { project, proposals: store } = useDesk()
  const proposals = useSyncExternalStore(store.subscribe, store.get)
  useEffect(() => followProposals(project.id, store), [project, store])
  return (
    <section className="proposals" aria-label="Proposals" aria-live="polite">
      {!readOnly && proposals.size > 0 && <ProposalItems proposals={proposals} plan={plan} />}
    </section>
  )
}
