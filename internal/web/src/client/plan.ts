// One plan as this window shows it: the server's, and what waits to be sent.
import { applyEdit, applyOperation, type Change, type Draft, type Edit, type Plan, type PlanEdge, type PlanNode } from './edits.ts'
import {
  PlanDocument, PlanEventsDocument, PlanHeadDocument, PlanStepsDocument,
  type GraphFragment, type PlanEventsSubscription, type PlanEventsSubscriptionVariables, type StepFragment,
} from './gql/graphql.ts'
import type { Journal } from './journal.ts'
import { enqueue, maxBatch, nextBatch, settle, type Outcome, type Waiting } from './queue.ts'
import { dataOf, Failure, newId, pause, type Document, type Post } from './request.ts'
import type { Socket, SocketStatus } from './socket.ts'
import { isOfFormerRelease, sendChanges } from './wire.ts'

/** An event. A replica of a release before may not say who made the change. */
type PlanEvent = StepFragment & Partial<PlanEventsSubscription['planEvents']>

/**
 * How a plan is followed, since when (milliseconds since 1970), and how many changes are known to be missing. An ended one is not followed
 * again by itself; failure says why.
 */
export type PlanStatus =
  | { state: 'connecting' | 'live' | 'catchingUp' | 'reconnecting'; since: number; behind: number }
  | { state: 'ended'; since: number; failure: Failure }

/** A change that the server refused. It is not shown any more. */
export interface Refusal {
  change: Change
  failure: Failure
}

/** A change that somebody made, oneself or another, when the plan that is shown has it. */
export interface AppliedChange {
  version: number
  opId: string | null
  /** The window, or the program, that made it. */
  clientId: string | null
  actorId: string
  actorName: string
  actorKind: string
  via: string
  timestamp: string
  /** The nodes and edges that it wrote, or removed. */
  nodeIds: string[]
  edgeIds: string[]
}

/** What a plan store shows. It is another object whenever something changed. */
export interface PlanSnapshot {
  /** The server's plan and what waits; null before it was read. */
  plan: Plan | null
  projectName: string
  status: PlanStatus
  /** How many changes were not answered yet. */
  waiting: number
  refused: readonly Refusal[]
  /** Changes that are old, or of a window that is gone: the user decides. */
  undecided: readonly Change[]
  /** Whether a reload would find what waits. */
  durable: boolean
}

/** What a plan store needs of the world. */
export interface Surroundings {
  projectId: number
  clientId: string
  journal: Journal
  post: Post
  socket: Pick<Socket, 'subscribe' | 'snapshot' | 'follow'>
  openWindows(): Promise<Set<string> | null>
  now(): number
  /** Calls a function before the next frame is drawn. */
  beforeFrame(draw: () => void): void
  delay(time: number): Promise<void>
}

/** A change that is older was made in a world that its author may not remember. */
const tooOld = 60 * 60 * 1_000

export class PlanStore {
  readonly #base: Draft = { nodes: new Map(), edges: new Map() }
  #version = -1
  #cursor: string | null = null
  #projectName = ''
  #queue: Waiting[] = []
  #refused: Refusal[] = []
  #undecided: Change[] = []
  #status: PlanStatus
  #seq = 0

  #shown: PlanSnapshot | null = null
  #plan: Plan | null = null
  #drawing = false
  #sending = false
  #stopped = false
  readonly #listeners = new Set<() => void>()
  readonly #hearers = new Set<(change: AppliedChange) => void>()
  #stopFollowing = () => {}
  /** Whether the replica does not say who makes changes. */
  #stepsOnly = false
  #stopListening = () => {}
  /** How far the server's plan was after the last reconnection. */
  #head = 0
  #stopAsking = () => {}
  readonly #sleepers = new Set<() => void>()
  #written: Promise<void> = Promise.resolve()
  readonly #around: Surroundings

  constructor(around: Surroundings) {
    this.#around = around
    this.#status = { state: 'connecting', since: around.now(), behind: 0 }
  }

  /** Calls a function before a frame in which something is to be drawn anew, until what it returns is called. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Calls a function with each change that is taken from the events, until what it returns is called. States of executions are no changes
   * that somebody made, and are not told; neither are changes that came with a whole plan, and none is while a replica of a release answers
   * that does not say who made them.
   */
  hear(listener: (change: AppliedChange) => void): () => void {
    this.#hearers.add(listener)
    return () => this.#hearers.delete(listener)
  }

  /** What is to be shown now. */
  snapshot = (): PlanSnapshot => {
    this.#shown ??= {
      plan: this.#version < 0 ? null : (this.#plan ??= this.#view()),
      projectName: this.#projectName,
      status: this.#status,
      waiting: unanswered(this.#queue).size,
      refused: this.#refused,
      undecided: this.#undecided,
      durable: this.#around.journal.durable,
    }
    return this.#shown
  }

  /** Makes a change of the plan. It is shown at once, and sent when that is possible; returns its operation id. */
  change(edits: Edit[]): string {
    const { projectId, clientId } = this.#around
    const change: Change = { opId: newId(), projectId, clientId, at: this.#around.now(), seq: ++this.#seq, edits }
    this.#replaceQueue(enqueue(this.#queue, change))
    if (this.#status.state === 'ended') this.#refuseWaiting(this.#status.failure)
    void this.#flush()
    return change.opId
  }

  /** Takes back the newest change, if it waits and nobody has sent it; returns it, or undefined. */
  drop(): Change | undefined {
    const newest = this.#queue.at(-1)
    if (!newest || newest.sent) return undefined
    this.#replaceQueue(this.#queue.slice(0, -1))
    return newest
  }

  /** Sends changes that were undecided. */
  send(opIds: readonly string[]): void {
    const chosen = this.#undecided.filter((change) => opIds.includes(change.opId))
    this.#undecided = this.#undecided.filter((change) => !opIds.includes(change.opId))
    // They may have been sent before, so they stay as they are but for their age and whose they are now.
    const mine = chosen.map((change) => (
      { ...change, clientId: this.#around.clientId, at: this.#around.now(), seq: ++this.#seq, sent: true }))
    this.#replaceQueue([...this.#queue, ...mine])
    void this.#flush()
  }

  /** Forgets changes that were undecided, and refusals that were read. */
  discard(opIds: readonly string[]): void {
    const gone = (change: Change) => opIds.includes(change.opId)
    const refused = this.#refused.map(({ change }) => change)
    this.#write([], [...this.#undecided, ...refused].filter(gone).map((change) => change.opId))
    this.#undecided = this.#undecided.filter((change) => !gone(change))
    this.#refused = this.#refused.filter(({ change }) => !gone(change))
    this.#changed()
  }

  /** Reads the plan and follows it until stop. */
  async start(): Promise<void> {
    const { socket } = this.#around
    let { state } = socket.snapshot()
    this.#stopListening = socket.subscribe(() => {
      const before = state
      state = socket.snapshot().state
      if (state !== before) this.#hearSocket(state)
    })
    await this.#restore()
    await this.comeBack()
  }

  /** Follows a plan again that ended, such as after an operator disconnected its reader. */
  async comeBack(): Promise<void> {
    this.#stopped = false
    this.#status = { state: 'connecting', since: this.#around.now(), behind: 0 }
    this.#changed()
    if (await this.#load()) {
      if (this.#around.socket.snapshot().state === 'live') this.#become('live') // another plan opened it, so it will not say so
      this.#follow()
    }
    void this.#flush()
  }

  /** Ends following. What waits stays in the journal. */
  stop(): void {
    this.#stopListening()
    this.#halt()
  }

  #halt(): void {
    this.#stopped = true
    this.#stopFollowing()
    this.#stopAsking()
    this.#wake()
  }

  // ---- what was there before this page

  // The journal is asked before anything can be changed, so what is changed meanwhile is not in its answer.
  async #restore(): Promise<void> {
    const { journal, projectId, clientId } = this.#around
    const [kept, open] = await Promise.all([journal.load(projectId), this.#around.openWindows()])
    const mine = kept.filter((change) => change.clientId === clientId)
    this.#undecided = [
      ...mine.filter((change) => this.#isOld(change)),
      ...kept.filter((change) => change.clientId !== clientId && open && !open.has(change.clientId)),
    ]
    this.#queue = [...mine.filter((change) => !this.#isOld(change)).map((change) => ({ ...change, sent: true })), ...this.#queue]
    this.#seq = Math.max(this.#seq, ...kept.map((change) => change.seq))
    this.#changed()
  }

  /** A change of the future is of another clock, so nobody knows how old it is. */
  #isOld(change: Change): boolean {
    return Math.abs(this.#around.now() - change.at) > tooOld
  }

  // ---- following

  /** Reads the plan, however often that takes; false when there is none. */
  async #load(): Promise<boolean> {
    for (let attempt = 0; !this.#stopped; attempt++) {
      try {
        const { project, getPlanDag } = dataOf(await this.#around.post(PlanDocument, { projectId: this.#around.projectId }))
        if (!project || !getPlanDag) throw new Failure('NOT_FOUND', 'Project not found')
        this.#projectName = project.name
        this.#replaceBase(getPlanDag)
        return true
      } catch (error) {
        const failure = asFailure(error)
        if (!failure.passes) {
          this.#end(failure)
          return false
        }
        this.#become('reconnecting')
        await this.#sleep(pause(attempt, failure.retryAfterMs))
      }
    }
    return false
  }

  #hearSocket(state: SocketStatus['state']): void {
    if (state !== 'live') return this.#become(state)
    this.#wake()
    if (this.#version < 0) return
    if (this.#status.state === 'reconnecting') this.#askHead()
    else this.#become('live')
    if (this.#stepsOnly) this.#follow() // this replica may know more
  }

  /** Finds out how much was missed, so that people see how much is still to come. */
  #askHead(): void {
    this.#stopAsking()
    const { socket, projectId } = this.#around
    this.#stopAsking = socket.follow(PlanHeadDocument, () => ({ projectId }), ({ project }) => {
      this.#stopAsking()
      this.#catchUp(project?.live.planVersion)
    }, () => this.#catchUp()) // a release before does not say
  }

  #catchUp(head = 0): void {
    this.#head = head
    const behind = Math.max(0, head - this.#version)
    this.#become(behind > 0 ? 'catchingUp' : 'live', behind)
  }

  #follow(attempt = 0, stepsOnly = false): void {
    this.#stopFollowing()
    this.#stepsOnly = stepsOnly
    const variables = () => ({ projectId: this.#around.projectId, after: this.#cursor })
    let heard = false
    const document: Document<{ planEvents: PlanEvent }, PlanEventsSubscriptionVariables> = stepsOnly ? PlanStepsDocument : PlanEventsDocument
    this.#stopFollowing = this.#around.socket.follow(document, variables, ({ planEvents }) => {
      heard = true
      this.#take(planEvents)
    }, async (failure) => {
      if (!stepsOnly && isOfFormerRelease(failure)) return this.#follow(attempt, true)
      if (!failure.passes) return this.#end(failure)
      const next = heard ? 0 : attempt + 1
      await this.#sleep(pause(next, failure.retryAfterMs))
      if (!this.#stopped) this.#follow(next)
    })
  }

  /** Takes an event: the next one, or a whole plan. */
  #take(event: PlanEvent): void {
    if (event.snapshot) {
      if (event.plan) this.#replaceBase(event.plan)
      return
    }
    if (event.version <= this.#version) return
    for (const operation of event.operations) applyOperation(this.#base, operation)
    this.#version = event.version
    this.#cursor = event.cursor
    this.#replaceQueue(this.#queue.filter((change) => change.opId !== event.opId))
    if (event.actorId === undefined || event.operations.every(({ kind }) => kind === 'EXECUTION_CHANGED')) return
    const { plan: _, operations, ...made } = event as Required<PlanEvent>
    const idsOf = (kind: string) => [...new Set(operations.flatMap((step) => (step.kind.startsWith(kind) ? [step.id] : [])))]
    for (const tell of this.#hearers) tell({ ...made, nodeIds: idsOf('NODE'), edgeIds: idsOf('EDGE') })
  }

  #replaceBase(graph: GraphFragment): void {
    this.#base.nodes = byId<PlanNode>(graph.nodes)
    this.#base.edges = byId<PlanEdge>(graph.edges)
    this.#version = Number(graph.version)
    this.#cursor = graph.cursor
    // What was accepted is in there, or was lost with the server's history.
    this.#replaceQueue([...unanswered(this.#queue).values()])
  }

  // ---- sending

  /** Sends what waits, in order, one request at a time. */
  async #flush(): Promise<void> {
    if (this.#sending || this.#version < 0) return
    this.#sending = true
    try {
      let most = maxBatch
      let attempt = 0
      while (!this.#stopped) {
        await this.#written // what the server knows, a reload must know, too
        this.#setOldAside()
        const batch = nextBatch(this.#queue, most)
        if (batch.length === 0) return
        for (const change of batch) change.sent = true
        let outcomes: (Outcome | undefined)[]
        try {
          outcomes = await sendChanges(this.#around.post, this.#around.projectId, batch)
        } catch (error) {
          const failure = asFailure(error)
          // The request as a whole was refused. Which change it was for shows when each is sent alone.
          if (!failure.passes && batch.length > 1) {
            most = 1
            continue
          }
          outcomes = batch.map(() => ({ failure }))
        }
        const settled = settle(this.#queue, batch, outcomes)
        this.#refused = [...this.#refused, ...settled.refused]
        if (settled.refused.length > 0) most = maxBatch
        this.#replaceQueue(settled.queue)
        if (settled.wait) await this.#sleep(pause(attempt++, settled.wait.retryAfterMs))
        else attempt = 0
      }
    } finally {
      this.#sending = false
    }
  }

  /** A laptop that was closed for the night asks before it sends what it still has. */
  #setOldAside(): void {
    const old = this.#queue.filter((change) => change.accepted === undefined && this.#isOld(change))
    if (old.length === 0) return
    this.#undecided = [...this.#undecided, ...old]
    this.#queue = this.#queue.filter((change) => !old.includes(change))
    this.#plan = null
    this.#changed()
  }

  // ---- what all of it needs

  /**
   * Puts another queue in place of the one that is there, also in the journal, without what the plan shows by now. So it is called after each
   * change of the plan, too.
   */
  #replaceQueue(next: Waiting[]): void {
    const queue = next.filter(({ accepted }) => accepted === undefined || accepted > this.#version)
    const before = unanswered(this.#queue)
    const after = unanswered(queue)
    this.#queue = queue
    this.#plan = null
    if (this.#status.state === 'catchingUp') this.#catchUp(this.#head)
    this.#write(
      [...after.values()].filter((change) => before.get(change.opId) !== change).map(withoutState),
      [...before.keys()].filter((opId) => !after.has(opId)),
    )
    this.#changed()
  }

  #write(kept: readonly Change[], forgotten: readonly string[]): void {
    if (kept.length === 0 && forgotten.length === 0) return
    const { journal } = this.#around
    const durable = journal.durable
    const writing = journal.write(kept, forgotten).then(() => {
      if (journal.durable !== durable) this.#changed()
    })
    this.#written = Promise.all([this.#written, writing]).then(() => {})
  }

  #view(): Plan {
    const view = { version: this.#version, nodes: new Map(this.#base.nodes), edges: new Map(this.#base.edges) }
    for (const change of this.#queue) for (const edit of change.edits) applyEdit(view, edit)
    return view
  }

  #become(state: 'connecting' | 'live' | 'catchingUp' | 'reconnecting', behind = 0): void {
    const before = this.#status
    if (before.state === 'ended' || (before.state === state && before.behind === behind)) return
    this.#status = { state, since: before.state === state ? before.since : this.#around.now(), behind }
    this.#changed()
  }

  #end(failure: Failure): void {
    this.#status = { state: 'ended', since: this.#around.now(), failure }
    this.#halt()
    this.#refuseWaiting(failure)
    this.#changed()
  }

  /**
   * A plan that is gone takes no more changes: their author can only see what they were, also after a reload, until they are discarded.
   * Otherwise they wait until it is followed again.
   */
  #refuseWaiting(failure: Failure): void {
    if (failure.code !== 'NOT_FOUND') return
    this.#refused = [...this.#refused, ...[...unanswered(this.#queue).values()].map((change) => ({ change, failure }))]
    this.#queue = []
    this.#plan = null
    this.#changed()
  }

  /** Whatever happens until the next frame is drawn by it. */
  #changed(): void {
    this.#shown = null
    if (this.#drawing) return
    this.#drawing = true
    this.#around.beforeFrame(() => {
      this.#drawing = false
      for (const listener of this.#listeners) listener()
    })
  }

  /** Waits, or until it is worth to try again. */
  #sleep(time: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(wake)
        resolve()
      }
      this.#sleepers.add(wake)
      void this.#around.delay(time).then(wake)
    })
  }

  #wake(): void {
    for (const wake of this.#sleepers) wake()
  }
}

function byId<T extends { id: string }>(elements: readonly T[]): Map<string, T> {
  return new Map(elements.map((element) => [element.id, element]))
}

function unanswered(queue: Waiting[]): Map<string, Waiting> {
  return new Map(queue.filter((change) => change.accepted === undefined).map((change) => [change.opId, change]))
}

/** A change as it was made. */
function withoutState({ opId, projectId, clientId, at, seq, edits }: Waiting): Change {
  return { opId, projectId, clientId, at, seq, edits }
}

function asFailure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure('INTERNAL', String(error))
}
