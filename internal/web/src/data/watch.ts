// Follows what becomes of the nodes of a plan. States come with the plan's events; how far builds are is followed while there are any.
import { pause, type Plan } from '../client/index.ts'
import { oneAtATime } from '../app/again.ts'
import { planOf, type Desk } from '../app/desk.ts'
import { isNow } from '../app/history-state.ts'
import { connection } from '../app/session.ts'
import { ExecutionsDocument, StalenessDocument } from './gql/graphql.ts'
import { endsInWords, isOpen, isSameToBuilds, nothingKnown, statesOf, type Known, type Progress } from './states.ts'

/** What makes graphs out of date is asked for that often at most, in milliseconds. */
const rest = 1_000

/** Keeps the states of the desk until what it returns is called, and tells in words which builds ended. */
export function watchStates(desk: Desk, tell: (words: string) => void): () => void {
  const { plan: store } = desk.project
  let known: Known = nothingKnown
  let asked: Plan | null = null
  let stopped = false
  let drawn: { plan: Plan; known: Known } | null = null
  const progress = followProgress(desk.project.id, (now) => {
    known = { ...known, progress: now }
    draw()
  })
  const ask = oneAtATime(async () => {
    const plan = planOf(desk)
    if (stopped || !plan || document.hidden || store.snapshot().status.state !== 'live' || (asked && isSameToBuilds(asked, plan))) return
    asked = plan
    if (![...plan.nodes.values()].some(({ graphExecution }) => graphExecution?.executionState === 'completed')) return
    try {
      const { graphs } = await connection.request(StalenessDocument, { projectId: desk.project.id })
      if (stopped) return
      const stale = graphs.flatMap(({ nodeId, stale: is, staleBecause }) => {
        const of = plan.nodes.get(nodeId)?.graphExecution
        return is && of ? [[nodeId, { of, because: staleBecause }] as const] : []
      })
      known = { ...known, stale: new Map(stale) }
      draw()
    } catch {
      asked = null // the next change asks again
    }
  }, rest)
  const draw = () => {
    const plan = planOf(desk)
    const before = desk.states.get()
    if (!plan || !isNow(desk)) {
      drawn = null
      return desk.states.set(new Map())
    }
    if (plan === drawn?.plan && known === drawn.known) return // how the connection is, or so
    const was = drawn?.plan
    drawn = { plan, known }
    const after = statesOf(plan, known, before)
    desk.states.set(after)
    const ends = was && was !== plan ? endsInWords(was, plan, after) : ''
    if (ends) tell(ends)
    const anyOpen = [...plan.nodes.values()].some(isOpen)
    if (anyOpen) progress.follow()
    else progress.stop()
  }
  const look = () => {
    draw()
    void ask()
  }
  const stops = [store.subscribe(look), desk.history.subscribe(draw)]
  document.addEventListener('visibilitychange', look)
  look()
  return () => {
    stopped = true
    progress.stop()
    for (const stop of stops) stop()
    document.removeEventListener('visibilitychange', look)
    desk.states.set(new Map())
  }
}

/** Follows how far builds are from follow to stop, and tells all that is known. Whoever asks again while it follows changes nothing. */
function followProgress(projectId: number, tell: (progress: ReadonlyMap<string, Progress>) => void) {
  let stop: (() => void) | null = null
  let known = new Map<string, Progress>()
  const begin = (attempt: number) => {
    let retry: ReturnType<typeof setTimeout> | undefined
    let heard = false
    const end = connection.socket.follow(ExecutionsDocument, () => ({ projectId }), ({ executions: one }) => {
      heard = true
      known = new Map(known).set(one.nodeId, one)
      tell(known)
    }, (failure) => {
      if (!failure.passes) return // without it, states are told all the same
      const next = heard ? 0 : attempt + 1
      retry = setTimeout(() => begin(next), pause(next, failure.retryAfterMs))
    })
    stop = () => {
      clearTimeout(retry)
      end()
    }
  }
  return {
    follow() {
      if (!stop) begin(0)
    },
    stop() {
      stop?.()
      stop = null
      if (known.size === 0) return
      known = new Map()
      tell(known)
    },
  }
}
