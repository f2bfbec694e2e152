// What is proposed, one after the other, to be accepted or rejected.
import { useState } from 'react'
import type { Plan } from '../client/index.ts'
import { useDesk } from './desk.ts'
import { proposalSummary, proposedNodes } from './ghosts.ts'
import type { ProposalDecision } from './gql/graphql.ts'
import './proposal-items.css'
import { decideProposal, type Proposal, type Proposals } from './proposals.ts'
import { say } from './undo-state.ts'
import { messageOf } from './words.ts'

export default function ProposalItems({ proposals, plan }: { proposals: Proposals; plan: Plan }) {
  return [...proposals.values()].map((proposal) => <ProposalItem key={proposal.id} proposal={proposal} plan={plan} />)
}

function ProposalItem({ proposal, plan }: { proposal: Proposal; plan: Plan }) {
  const desk = useDesk()
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const { id, byName, note } = proposal
  const what = proposalSummary(plan, proposal)
  const decide = async (decision: ProposalDecision) => {
    if (busy) return
    setBusy(true)
    setProblem('')
    try {
      await decideProposal(desk.project.id, id, decision)
      say(desk, `${decision === 'ACCEPT' ? 'Accepted' : 'Rejected'}: ${what}`)
    } catch (error) {
      setProblem(`That cannot be done: ${messageOf(error)}`)
    }
    setBusy(false)
  }
  return (
    <article aria-label={`Proposal of ${byName}`}>
      <p><strong><bdi>{byName}</bdi></strong> proposes to <span dir="auto">{what}</span></p>
      {note && <p className="note" dir="auto">{note}</p>}
      <p role="alert">{problem}</p>
      <p className="actions">
        <button onClick={() => void decide('ACCEPT')}>Accept</button>
        <button onClick={() => void decide('REJECT')}>Reject</button>
        <button onClick={() => desk.view.get()?.reveal(proposedNodes(proposal))}>Show</button>
      </p>
    </article>
  )
}
