// One file on its way to the server. XMLHttpRequest tells how much of it is sent; fetch does not.
import { connection } from '../app/session.ts'
import { lostWords, refusedBy, type State, type Upload } from './uploads.ts'

/** A connection over which nothing moves for so long is given up, in milliseconds. The server gives up after less. */
const silence = 60_000

/** What the server says of a file that it took. */
interface Taken {
  dataSources: { rowCount: number; dataType: string; problemCount: number }[]
  nodeIds?: string[]
}

/** How a request ended: as the last state, or to be tried again after so many milliseconds. */
export type End = State | { again: number; why: string }

/** Sends a file. It tells each state on the way, and how it ended, once. Returns what stops it, of which nothing is told any more. */
export function send(projectId: number, { file, target, kind, opId }: Upload, tell: (state: State) => void, ended: (end: End) => void): () => void {
  const request = new XMLHttpRequest()
  const path = 'replaces' in target ? `data-sources/${target.replaces}/file` : `projects/${projectId}/data-sources`
  const query = new URLSearchParams({ op_id: opId, client_id: connection.clientId, keep_bad: 'false' })
  request.open('POST', `/api/${path}?${query}`)
  if (connection.name) request.setRequestHeader('x-layercake-name', encodeURIComponent(connection.name.toWellFormed()))
  let sent = 0
  let over = false
  let patience: ReturnType<typeof setTimeout> | undefined
  const end = (how: End) => {
    if (over) return
    over = true
    clearTimeout(patience)
    ended(how)
  }
  const lose = () => {
    request.abort()
    end({ at: 'lost', why: lostWords(file.size, sent) })
  }
  const wait = () => {
    clearTimeout(patience)
    patience = setTimeout(lose, silence)
  }
  request.upload.addEventListener('progress', ({ loaded }) => {
    wait()
    sent = Math.min(loaded, file.size) // the form has some more
    if (!over) tell({ at: 'sending', sent })
  })
  request.upload.addEventListener('load', () => {
    sent = file.size
    if (!over) tell({ at: 'sent' })
  })
  request.addEventListener('load', () => end(endOf(request) ?? { at: 'lost', why: lostWords(file.size, sent) }))
  request.addEventListener('error', lose)
  wait()
  request.send(formOf(file, target, kind))
  return () => {
    over = true
    clearTimeout(patience)
    request.abort()
  }
}

/** The fields come before the file that they are about. */
function formOf(file: File, target: Upload['target'], kind: Upload['kind']): FormData {
  const form = new FormData()
  if ('place' in target) {
    form.set('x', String(target.place.x))
    form.set('y', String(target.place.y))
  }
  if ('node' in target) form.set('node', target.node)
  if (kind) form.set('data_type', kind)
  form.set('file', file)
  return form
}

function endOf(request: XMLHttpRequest): End | null {
  const { status, responseText } = request
  if (status >= 200 && status < 300) {
    try {
      const { dataSources: [source], nodeIds } = JSON.parse(responseText) as Taken
      return { at: 'done', rows: source!.rowCount, dataType: source!.dataType, problems: source!.problemCount, nodeIds: nodeIds ?? [] }
    } catch {
      return null
    }
  }
  const refused = refusedBy(responseText, request.getResponseHeader('retry-after'))
  if (!refused) return null
  const { why, problems, retryAfterMs } = refused
  return retryAfterMs === null ? { at: 'refused', why, problems } : { again: retryAfterMs, why }
}
