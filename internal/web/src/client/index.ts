// The client of a Layercake server: requests, plans that are followed and edited, and who else is there.
import { openJournal, type Journal } from './journal.ts'
import { PlanStore } from './plan.ts'
import { PresenceStore } from './presence.ts'
import { dataOf, poster, type Document, type Post } from './request.ts'
import { Socket } from './socket.ts'
import { claimWindow, openWindows } from './window.ts'

export type {
  Change, DataSourceExecution, EdgeParts, Edit, GraphExecution, Move, NodeParts, NodeType, Plan, PlanEdge, PlanNode, Position,
} from './edits.ts'
export type { AppliedChange, PlanSnapshot, PlanStatus, Refusal } from './plan.ts'
export type { Dragging, Identity, People, Person } from './presence.ts'
export type { Conflict, Document, Extensions } from './request.ts'
export type { Greeting, SocketStatus } from './socket.ts'
export { PlanStore } from './plan.ts'
export { PresenceStore } from './presence.ts'
export { Failure, newId, pause } from './request.ts'

/** Where a server is, and who calls. */
export interface Options {
  /** Such as http://127.0.0.1:3000. */
  url: string
  /** A session or an access token. */
  token?: string
  /** What people without an account call themselves. */
  name?: string
}

/** A connection to a server. It opens its socket when something is followed. */
export class Connection {
  /** Names this window to everybody, so that it knows its own changes. */
  readonly clientId: string
  /** What the others see from the next request on, and in projects that are joined from now on. */
  name: string | undefined
  readonly #url: string
  readonly #token: string | undefined
  readonly #post: Post
  readonly #journal: Journal
  #opened: Socket | undefined

  constructor({ url, token, name }: Options, clientId: string, journal: Journal) {
    this.#url = url.replace(/\/$/, '')
    this.#token = token
    this.name = name
    this.clientId = clientId
    this.#journal = journal
    this.#post = poster(`${this.#url}/graphql`, () => ({
      ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
      ...(this.name ? { 'x-layercake-name': encodeURIComponent(this.name.toWellFormed()) } : {}),
    }))
  }

  /** Asks or does something; fails with a Failure. */
  async request<Result, Variables>(document: Document<Result, Variables>, variables: Variables): Promise<Result> {
    return dataOf(await this.#post(document, variables))
  }

  /** Follows a plan until its stop is called. */
  plan(projectId: number): PlanStore {
    const store = new PlanStore({
      projectId, clientId: this.clientId, journal: this.#journal, post: this.#post, socket: this.socket, openWindows,
      now: () => Date.now(),
      beforeFrame,
      delay: (time) => new Promise((resolve) => setTimeout(resolve, time)),
    })
    void store.start()
    return store
  }

  /** Joins a project until its stop is called. */
  presence(projectId: number, color = '#3b82f6'): PresenceStore {
    const url = `${this.#webSocketURL()}/ws/collaboration?project_id=${projectId}`
    const store = new PresenceStore(url, { userId: this.clientId, name: this.name ?? 'Somebody', color })
    store.start()
    return store
  }

  /** Ends everything that is followed. */
  close(): void {
    this.#opened?.close()
  }

  /** The socket of all that is followed, which says how the connection is. Whoever only asks needs none. */
  get socket(): Pick<Socket, 'subscribe' | 'snapshot' | 'follow'> {
    this.#opened ??= new Socket(`${this.#webSocketURL()}/graphql/ws`, () => ({
      ...(this.#token ? { token: this.#token } : {}),
      ...(this.name ? { name: this.name } : {}),
    }))
    return this.#opened
  }

  #webSocketURL(): string {
    return this.#url.replace(/^http/, 'ws')
  }
}

/** Connects to a server: finds out which window this is, and what it has not sent yet. */
export async function connect(options: Options): Promise<Connection> {
  const [clientId, journal] = await Promise.all([claimWindow(), openJournal()])
  return new Connection(options, clientId, journal)
}

// Programs without a screen have no frames. Hidden windows have none either, and are drawn when they are shown.
function beforeFrame(draw: () => void): void {
  if (typeof requestAnimationFrame === 'undefined') setTimeout(draw)
  else requestAnimationFrame(draw)
}
