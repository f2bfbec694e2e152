// A world for tests: a server that keeps to the real schema, networks that lose what they carry, and a clock that stands still.
import { readFileSync } from 'node:fs'
import { buildSchema, execute, GraphQLError, parse } from 'graphql'
import { applyEdit, applyOperation, type Draft, type Edit, type Operation, type PlanEdge, type PlanNode } from './edits.ts'
import { memoryJournal } from './journal.ts'
import { PlanStore } from './plan.ts'
import { Failure, type Answer, type Conflict, type Post } from './request.ts'
import type { SocketStatus } from './socket.ts'

// The library here ends a mutation with the first field that fails and may not be null. The server's goes on, and answers null at last.
const text = readFileSync(new URL('../../../../graph/testdata/schema.graphql', import.meta.url), 'utf8')
const schema = buildSchema(text.replace('EditPlanResult!', 'EditPlanResult'))

export const projectId = 7

interface Event {
  version: number
  opId: string
  clientId: string | null
  operations: Operation[]
}

/** Lets everything happen that needs no network and no time. */
export const settled = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

const refusal = (code: string, message: string, more = {}) => new GraphQLError(message, { extensions: { code, ...more } })

/** One plan, with rules, a log and operation ids, as the real server has them. */
export class FakeServer {
  readonly plan: Draft = { nodes: new Map(), edges: new Map() }
  readonly log: Event[] = []
  /** Events up to this version are not kept. */
  floor = 0
  /** What was asked under each operation id, and the version that it was answered with. */
  readonly operations = new Map<string, { request: string; version: number }>()
  /** Operation ids that came again for something else: a fault of the client. */
  readonly misused: string[] = []
  /** Whether it is of a release that does not say who made a change. */
  former = false

  get version(): number {
    return this.log.length
  }

  async execute(document: string, variables: unknown, busyField: number): Promise<Answer<never>> {
    let field = 0
    const result = await execute({
      schema,
      document: parse(document),
      variableValues: JSON.parse(JSON.stringify(variables)),
      rootValue: {
        project: { id: projectId, name: 'Project' },
        getPlanDag: () => this.graph(),
        editPlan: ({ opId, clientId, edits }: { opId: string; clientId: string; edits: Edit[] }) => {
          if (field++ === busyField) throw new GraphQLError('busy', { extensions: { code: 'RATE_LIMITED', retryAfterMs: 5 } })
          return this.change(opId, edits, clientId)
        },
      },
    })
    return JSON.parse(JSON.stringify(result.errors ? { ...result, data: null } : result))
  }

  /** Makes a change: once for an operation id, and only if the rules allow all of it. */
  change(opId: string, edits: Edit[], clientId: string | null = null): { version: number } {
    const request = JSON.stringify(edits)
    const known = this.operations.get(opId)
    if (known && known.request !== request) this.misused.push(opId)
    if (known) return known
    const after: Draft = { nodes: new Map(this.plan.nodes), edges: new Map(this.plan.edges) }
    edits.forEach((edit, i) => {
      check(after, edit, i)
      applyEdit(after, edit)
    })
    const operations = [
      ...steps('EDGE', this.plan.edges, after.edges).filter(({ kind }) => kind === 'EDGE_REMOVED'),
      ...steps('NODE', this.plan.nodes, after.nodes),
      ...steps('EDGE', this.plan.edges, after.edges).filter(({ kind }) => kind !== 'EDGE_REMOVED'),
    ]
    if (operations.length > 0) {
      for (const operation of operations) applyOperation(this.plan, operation)
      this.log.push({ version: this.version + 1, opId, clientId, operations })
    }
    const done = { request, version: this.version }
    this.operations.set(opId, done)
    return done
  }

  /** Tells the state of a node, as builds do. */
  build(id: string, after: object | null): void {
    const operations = [{ kind: 'EXECUTION_CHANGED', id, after }]
    for (const operation of operations) applyOperation(this.plan, operation)
    this.log.push({ version: this.version + 1, opId: `build${this.version}`, clientId: null, operations })
  }

  graph() {
    return {
      version: String(this.version), cursor: String(this.version), nodes: [...this.plan.nodes.values()], edges: [...this.plan.edges.values()],
    }
  }
}

function check({ nodes, edges }: Draft, edit: Edit, i: number): void {
  if ('addNode' in edit && nodes.has(edit.addNode.id)) throw refusal('CONFLICT', 'A node with this id already exists')
  if ('updateNode' in edit && !nodes.has(edit.updateNode.id)) throw refusal('NOT_FOUND', 'Node not found')
  if ('deleteNode' in edit && !nodes.has(edit.deleteNode)) throw refusal('NOT_FOUND', 'Node not found')
  if ('deleteEdge' in edit && !edges.has(edit.deleteEdge)) throw refusal('NOT_FOUND', 'Edge not found')
  if ('addEdge' in edit) {
    const { id, source, target } = edit.addEdge
    if (edges.has(id)) throw refusal('CONFLICT', 'An edge with this id already exists')
    if (!nodes.has(source) || !nodes.has(target)) throw refusal('BAD_REQUEST', 'Edge refers to a node that does not exist')
  }
  if ('updateNode' in edit) checkExpected('NODE_UPDATED', nodes.get(edit.updateNode.id), edit.updateNode.expected, i)
  if ('updateEdge' in edit) checkExpected('EDGE_UPDATED', edges.get(edit.updateEdge.id), edit.updateEdge.expected, i)
}

function checkExpected(kind: string, there: PlanNode | PlanEdge | undefined, expected: object | undefined, edit: number): void {
  const conflicts = Object.entries(expected ?? {}).flatMap(([part, seen]): Conflict[] => {
    const current = there?.[part as keyof typeof there]
    if (JSON.stringify(current) === JSON.stringify(seen)) return []
    return [{ edit, kind, id: there!.id, part, reason: 'changed since', expected: seen, current, versions: [1], actorNames: ['Somebody'] }]
  })
  if (conflicts.length > 0) throw refusal('CONFLICT', 'Others have changed what this would change', { edit, conflicts })
}

function steps<T>(what: 'NODE' | 'EDGE', before: Map<string, T>, after: Map<string, T>): Operation[] {
  const ids = new Set([...before.keys(), ...after.keys()])
  return [...ids].flatMap((id): Operation[] => {
    if (!after.has(id)) return [{ kind: `${what}_REMOVED`, id, after: null }]
    if (JSON.stringify(before.get(id)) === JSON.stringify(after.get(id))) return []
    return [{ kind: before.has(id) ? `${what}_UPDATED` : `${what}_ADDED`, id, after: after.get(id) }]
  })
}

/** What may become of a request: lost on its way, executed with the answer lost, executed but for a busy server, or answered. */
export type Fate = 'lost' | 'unanswered' | 'busy' | 'busyField' | 'answered'

/** A browser: what its windows share, and what outlives them. */
export class Browser {
  readonly journal = memoryJournal()
  readonly windows: FakeWindow[] = []
  now = 1_000_000_000_000
}

/** A window with one plan. Nothing happens in it but by the test's hand. */
export class FakeWindow {
  store!: PlanStore
  clientId: string
  open = true
  private online = true
  private requests: { document: string; variables: unknown; answer: (answer: Answer<never>) => void; fail: (failure: Failure) => void }[] = []
  private sleepers: (() => void)[] = []
  private listeners = new Set<() => void>()
  private status: SocketStatus = { state: 'connecting', since: 0, greeting: {}, roundTrip: null }
  private follower: { variables: () => unknown; next: (event: never) => void; ended: (failure: Failure) => void } | null = null
  private at = 0
  private authors = true
  /** How many subscriptions to the plan nobody has stopped. */
  following = 0
  private page = 0
  private readonly browser: Browser
  private readonly server: FakeServer

  constructor(browser: Browser, server: FakeServer) {
    this.browser = browser
    this.server = server
    this.clientId = `window${browser.windows.length}`
    browser.windows.push(this)
    this.load()
  }

  /** Shows the page, anew if it was there. Of what was under way, nobody hears any more. With another id it is another window. */
  load(clientId = this.clientId): void {
    this.clientId = clientId
    this.open = true
    const page = ++this.page
    this.requests = []
    this.sleepers = []
    this.listeners = new Set()
    this.follower = null
    this.following = 0
    const post: Post = (document, variables) => new Promise((answer, fail) => {
      if (page === this.page) this.requests.push({ document: document.toString(), variables, answer: answer as never, fail })
    })
    this.store = new PlanStore({
      projectId, clientId: this.clientId, journal: this.browser.journal, post,
      socket: {
        snapshot: () => this.status,
        subscribe: (listener) => {
          this.listeners.add(listener)
          return () => this.listeners.delete(listener)
        },
        follow: (document, variables, next, ended) => {
          if (page !== this.page) return () => {}
          if (document.toString().includes('planVersion')) return this.tellHead(next as never, ended)
          this.authors = document.toString().includes('actorName')
          const follower = { variables, next: next as never, ended }
          this.follower = follower
          if (this.online) this.connect()
          this.following++
          return () => {
            this.following--
            if (this.follower === follower) this.follower = null
          }
        },
      },
      openWindows: async () => new Set(this.browser.windows.filter((window) => window.open).map((window) => window.clientId)),
      now: () => this.browser.now,
      beforeFrame: queueMicrotask,
      delay: () => new Promise((resolve) => {
        if (page === this.page) this.sleepers.push(resolve)
      }),
    })
    void this.store.start()
  }

  /** Ends the window. */
  close(): void {
    this.open = false
    this.page++
    this.follower = null
    this.requests = []
    this.sleepers = []
  }

  /** Decides about the oldest request, if there is one. */
  async decide(fate: Fate): Promise<boolean> {
    const request = this.requests.shift()
    if (!request) return false
    const { document, variables, answer, fail } = request
    if (fate === 'lost') fail(new Failure('NETWORK', 'lost'))
    else if (fate === 'busy') answer({ errors: [{ message: 'busy', extensions: { code: 'UNAVAILABLE', retryAfterMs: 5 } }] })
    else {
      const result = await this.server.execute(document, variables, fate === 'busyField' ? 0 : -1)
      if (fate === 'unanswered') fail(new Failure('NETWORK', 'lost'))
      else answer(result)
    }
    await settled()
    return true
  }

  /** Delivers the next event, if there is one. */
  deliver(): boolean {
    if (!this.follower || this.status.state !== 'live' || this.at >= this.server.version) return false
    const { version, opId, clientId, operations } = this.server.log[this.at++]!
    const authors = this.authors ? { clientId, actorId: 'them', actorName: 'Them', actorKind: 'anonymous', via: 'graphql', timestamp: 'then' } : {}
    this.follower.next({ planEvents: { version, cursor: String(version), snapshot: false, opId, operations, plan: null, ...authors } } as never)
    return true
  }

  /** Delivers the event before the last one again, if there is one, and all behind it later. */
  repeat(): void {
    if (this.at - 2 < this.server.floor) return
    this.at -= 2
    this.deliver()
  }

  disconnect(): void {
    this.online = false
    this.become('reconnecting')
  }

  /** Ends what is followed, for good. */
  end(failure: Failure): void {
    this.follower?.ended(failure)
  }

  connect(): void {
    this.online = true
    if (!this.follower) return
    this.become('live')
    if (this.server.former && this.authors) return this.end(new Failure('BAD_REQUEST', 'Cannot query field "actorName" on type "PlanEvent".'))
    this.at = Number((this.follower.variables() as { after: string }).after)
    if (this.at >= this.server.floor) return
    this.at = this.server.version
    const { cursor, ...plan } = this.server.graph()
    const event = { version: this.at, cursor, snapshot: true, opId: null, operations: [], plan: { ...plan, cursor } }
    this.follower.next({ planEvents: event } as never)
  }

  /** Time passes, as much as anybody waits for. */
  async wait(): Promise<boolean> {
    const sleeping = this.sleepers.splice(0)
    for (const wake of sleeping) wake()
    await settled()
    return sleeping.length > 0
  }

  /** Says once how far the plan is, if the connection holds so long. */
  private tellHead(next: (answer: object) => void, ended: (failure: Failure) => void): () => void {
    let stopped = false
    setImmediate(() => {
      if (stopped || this.status.state !== 'live') return
      if (this.server.former) ended(new Failure('BAD_REQUEST', 'Cannot query field "live" on type "Project".'))
      else next({ project: { live: { planVersion: this.server.version } } })
    })
    return () => { stopped = true }
  }

  private become(state: 'live' | 'reconnecting'): void {
    if (this.status.state === state) return
    this.status = { ...this.status, state }
    for (const listener of this.listeners) listener()
  }
}
