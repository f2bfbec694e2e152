// Who else is in a project, and where: the collaboration socket.
import type { Position } from './edits.ts'
import { pause } from './request.ts'
import { retryAfter } from './socket.ts'

/** Nodes that somebody moves with the pointer, and how far from where they are. */
export interface Dragging {
  nodeIds: string[]
  dx: number
  dy: number
}

/** Somebody in a project. */
export interface Person {
  userId: string
  name: string
  color: string
  isAgent: boolean
  /** Where their pointer is on the canvas; null while it is elsewhere. */
  cursor: Position | null
  selectedNodeId: string | null
  dragging: Dragging | null
  /** When they last did something (milliseconds since 1970, by the server's clock). */
  activeAt: number
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
  lastActive: string
  documents: Record<string, Place | undefined>
}

/** Where somebody is in a document. Releases before say nothing of what is dragged. */
interface Place {
  position: Position | null
  selectedNodeId: string | null
  dragging?: Dragging | null
}

const canvas = 'plan-dag-canvas'

/** The others see at most ten positions a second: in between, their pages draw the way. */
const betweenCursors = 100

/** The others hear of that many dragged nodes at most. */
const mostDragged = 50

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
  #place: Place = { position: null, selectedNodeId: null }
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
    this.#place = { ...this.#place, position, selectedNodeId }
    this.#tellPlaceSoon()
  }

  /** Shows the others which nodes one drags, until null. They see it with the pointer, so not before it moved. */
  drag(dragging: Dragging | null): void {
    const before = this.#place.dragging
    this.#place = { ...this.#place, dragging: dragging && { ...dragging, nodeIds: dragging.nodeIds.slice(0, mostDragged) } }
    if (dragging) this.#tellPlaceSoon()
    else if (before) this.#tellPlace()
  }

  #tellPlaceSoon(): void {
    this.#sending ??= setTimeout(() => this.#tellPlace(), betweenCursors)
  }

  #tellPlace(): void {
    clearTimeout(this.#sending)
    this.#sending = undefined
    const { position, selectedNodeId, dragging } = this.#place
    if (!position) return
    this.#tell('cursor_update', {
      documentId: canvas, documentType: 'canvas', position: { type: 'canvas', x: position.x, y: position.y }, timestamp: Date.now(),
      selectedNodeId, dragging,
    })
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

function personOf({ userId, userName, avatarColor, isAgent, lastActive, documents }: Frame): Person {
  const { position = null, selectedNodeId = null, dragging = null } = documents[canvas] ?? {}
  return {
    userId, name: userName, color: avatarColor, isAgent, cursor: position && { x: position.x, y: position.y }, selectedNodeId, dragging,
    activeAt: Date.parse(lastActive),
  }
}
