// A WebSocket for tests, whose other end is the test, and a clock that stands still.
import { afterEach, beforeEach, vi } from 'vitest'

export class FakeSocket {
  static readonly OPEN = 1
  static readonly CLOSING = 2
  static readonly CLOSED = 3
  /** All that were opened in a test. */
  static all: FakeSocket[] = []
  readonly readyState = FakeSocket.OPEN
  readonly sent: { type: string; data?: unknown }[] = []
  onopen!: () => Promise<void> | void
  onmessage!: (message: { data: string }) => void
  onclose!: (event: { code: number; reason: string }) => void

  constructor() {
    FakeSocket.all.push(this)
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text))
  }

  close(): void {}

  /** Says something to the client. */
  say(message: object): void {
    this.onmessage({ data: JSON.stringify(message) })
  }
}

/** Gives the tests of a file these sockets and that clock. */
export function withFakeSockets(): void {
  beforeEach(() => {
    FakeSocket.all = []
    vi.useFakeTimers()
    vi.stubGlobal('WebSocket', FakeSocket)
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })
}
