// Who else is in a project, and where: the collaboration socket.
import type { Position } from './edits.ts'
import { pause } from './request.ts'
import { retryAfter } from './socket.ts'

/** Somebody in a project. */
export interface Person {
  userId: string
  name: string
  color: string
  isAgent: boolean
  /** Where their pointer is on the canvas; null while it is elsewhere. */
  cursor: Position | null
  selectedNodeId: string | null
}

/** Everybody but oneself, by user id. It is another object whenever something changed. */
export type People = ReadonlyMap<string, Person>

/** Whom the others see. */
export interface Identity {
  userId: string
  name: string
  color: string
}

/** A person, as a frame tells it. */
interface Frame {
  userId: string
  userName: string
  avatarColor: string
  isOnline: boolean
  isAgent: boolean
  documents: Record<string, { position: { x: number; y: number } | null; selectedNodeId: string | null } | undefined>
}

const canvas = 'plan-dag-canvas'

/** The others see at most ten positions a second: in between, their pages draw the way. */
const betweenCursors = 100

/** The close codes after which nobody comes back: the project is gone, or an operator disconnected them. */
const gone = 1000
const kicked = 4000

export class PresenceStore {
  readonly #url: string
  readonly #me: Identity
  /** Why an operator disconnected oneself; null unless that happened. Only start goes on then. */
  kicked: string | null = null
  #people: People = new Map()
  readonly #listeners = new Set<() => void>()
  #socket: WebSocket | null = null
  #attempt = 0
  #stopped = false
  #retry: ReturnType<typeof setTimeout> | undefined
  #place: { position: Position; selectedNodeId: string | null } | null = null
  #sending: ReturnType<typeof setTimeout> | undefined

  constructor(url: string, me: Identity) {
    this.#url = url
    this.#me = me
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  snapshot = (): People => this.#people

  /** Joins, and comes back whenever the connection breaks, until stop. */
  start(): void {
    this.#stopped = false
    this.kicked = null
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    socket.onopen = () => {
      this.#attempt = 0
      const { userId, name, color } = this.#me
      this.#tell('join_session', { userId, userName: name, avatarColor: color, documentId: canvas })
    }
    socket.onmessage = (message) => this.#take(JSON.parse(String(message.data)))
    socket.onclose = ({ code, reason }) => {
      if (this.#socket !== socket) return
      if (code === kicked) this.kicked = reason
      this.#replace(new Map())
      if (!this.#stopped && code !== gone && code !== kicked) this.#retry = setTimeout(() => this.start(), pause(this.#attempt++, retryAfter(reason)))
    }
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#retry)
    clearTimeout(this.#sending)
    this.#socket?.close()
  }

  /** Shows the others where one's pointer is, and what one selected. */
  move(position: Position, selectedNodeId: string | null = null): void {
    this.#place = { position, selectedNodeId }
    this.#sending ??= setTimeout(() => {
      this.#sending = undefined
      const { position: { x, y }, selectedNodeId: selected } = this.#place!
      this.#tell('cursor_update', {
        documentId: canvas, documentType: 'canvas', position: { type: 'canvas', x, y }, timestamp: Date.now(),
        ...(selected === null ? {} : { selectedNodeId: selected }),
      })
    }, betweenCursors)
  }

  #tell(type: string, data: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, data }))
  }

  /** Takes a frame. Those of other types say nothing that is shown. */
  #take({ type, data }: { type: string; data: unknown }): void {
    if (type === 'bulk_presence') {
      this.#replace(new Map((data as Frame[]).filter((frame) => this.#isThere(frame)).map((frame) => [frame.userId, personOf(frame)])))
    } else if (type === 'user_presence') {
      const frame = data as Frame
      const people = new Map(this.#people)
      if (this.#isThere(frame)) people.set(frame.userId, personOf(frame))
      else people.delete(frame.userId)
      this.#replace(people)
    }
  }

  #isThere(frame: Frame): boolean {
    return frame.isOnline && frame.userId !== this.#me.userId
  }

  #replace(people: People): void {
    this.#people = people
    for (const listener of this.#listeners) listener()
  }
}

function personOf({ userId, userName, avatarColor, isAgent, documents }: Frame): Person {
  const { position = null, selectedNodeId = null } = documents[canvas] ?? {}
  return { userId, name: userName, color: avatarColor, isAgent, cursor: position && { x: position.x, y: position.y }, selectedNodeId }
}
