// What agents, and others, propose to change: followed and decided.
import { newId, pause } from '../client/index.ts'
import { DecideDocument, ProposalsDocument, type ProposalDecision, type ProposalsSubscription } from './gql/graphql.ts'
import { withRetries } from './retry.ts'
import { connection } from './session.ts'
import type { Store } from './store.ts'

export type Proposal = ProposalsSubscription['proposalsChanged']

/** The open proposals, by their numbers. */
export type Proposals = ReadonlyMap<number, Proposal>

/** Follows the proposals of a project until what it returns is called. A replica that knows no proposals has none. */
export function followProposals(projectId: number, store: Store<Proposals>): () => void {
  let stopped = false
  let stop = () => {}
  const follow = (attempt: number) => {
    let heard = false
    stop = connection.socket.follow(ProposalsDocument, () => ({ projectId }), ({ proposalsChanged: proposal }) => {
      heard = true
      const open = new Map(store.get())
      if (proposal.status === 'OPEN') open.set(proposal.id, proposal)
      else open.delete(proposal.id)
      store.set(open)
    }, (failure) => {
      store.set(new Map())
      if (!failure.passes) return
      const next = heard ? 0 : attempt + 1
      setTimeout(() => { if (!stopped) follow(next) }, pause(next, failure.retryAfterMs))
    })
  }
  follow(0)
  // What is decided while nobody hears it is not told. With the next connection all that are open come again.
  const stopListening = connection.socket.subscribe(() => {
    if (connection.socket.snapshot().state !== 'live') store.set(new Map())
  })
  return () => {
    stopped = true
    stopListening()
    stop()
    store.set(new Map())
  }
}

/** Accepts or rejects a proposal; fails with what the plan's rules say of it by now. */
export async function decideProposal(projectId: number, id: number, decision: ProposalDecision): Promise<void> {
  const variables = { projectId, id, decision, opId: newId(), clientId: connection.clientId }
  await withRetries(() => connection.request(DecideDocument, variables))
}
