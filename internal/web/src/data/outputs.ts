// What an output's config says of its file, and how the file begins.
import { Failure } from '../client/index.ts'
import { withRetries } from '../app/retry.ts'
import { refusedBy } from './uploads.ts'

/** The format and the name that a config states; the name is null when the server finds one. */
export function fileOf(config: string): { format: string; name: string | null } {
  let members: Record<string, unknown> = {}
  try {
    members = Object(JSON.parse(config))
  } catch {
    // The server says what is wrong with it.
  }
  const first = (...names: string[]) => names.map((name) => members[name]).find((value) => typeof value === 'string' && value !== '')
  const path = first('outputPath', 'output_path', 'filename') as string | undefined
  return { format: String(first('renderTarget', 'render_target', 'exporter') ?? 'GML'), name: path?.split(/[/\\]/).pop() || null }
}

/** How a file begins. */
export interface Preview {
  text: string
  /** Whether the file has more. */
  isCut: boolean
}

/** Bytes of a preview at most. */
const most = 64 << 10

/** Reads how a file begins, and nothing behind that, until the signal says stop. While a build takes longer than an answer may, it asks again. */
export function previewOf(path: string, signal: AbortSignal): Promise<Preview> {
  return withRetries(async () => {
    let response: Response
    try {
      response = await fetch(path, { signal })
    } catch (error) {
      if (signal.aborted) throw error
      throw new Failure('NETWORK', 'The server cannot be reached')
    }
    if (response.ok && response.body) return beginningOf(response.body)
    const refused = refusedBy(await response.text(), response.headers.get('retry-after'))
    throw new Failure(
      refused?.retryAfterMs ? 'UNAVAILABLE' : 'REFUSED', [refused?.why ?? `The server answered with status ${response.status}`, ...refused?.problems ?? []].join(': '),
      refused?.retryAfterMs ? { extensions: { retryAfterMs: refused.retryAfterMs } } : {})
  })
}

/** The first bytes of a stream as text, which is ended behind them. What may be a part of a letter is left out. */
export async function beginningOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Preview> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let left = most; ;) {
    const { done, value } = await reader.read()
    if (done) return { text: text + decoder.decode(), isCut: false }
    text += decoder.decode(value.subarray(0, left), { stream: true })
    left -= value.length
    if (left >= 0) continue
    await reader.cancel()
    return { text, isCut: true }
  }
}
