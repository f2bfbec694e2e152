// Files on their way to the server, without the way itself: what is taken, in which order, and what is said of each.
import type { Position } from '../client/index.ts'
import { height, width } from '../app/card.tsx'
import { count } from '../app/words.ts'

/** What becomes of a file: a node at a place, the file of a node that has none, or that of a data source in the place of the former one. */
export type Target = { place: Position } | { node: string } | { replaces: number }

export const kinds = ['nodes', 'edges', 'layers', 'graph'] as const
export type Kind = (typeof kinds)[number]

export type State =
  | { at: 'waiting' }
  /** A busy server is asked again by itself. */
  | { at: 'busy'; why: string }
  | { at: 'sending'; sent: number }
  /** All is sent, and nothing answered yet. */
  | { at: 'sent' }
  | { at: 'done'; rows: number; dataType: string; problems: number; nodeIds: readonly string[] }
  | { at: 'refused'; why: string; problems: readonly string[] }
  /** No answer came: nobody knows what became of it. */
  | { at: 'lost'; why: string }
  | { at: 'stopped'; why: string }

export interface Upload {
  id: number
  file: File
  target: Target
  /** What it holds; null lets the server find out. */
  kind: Kind | null
  /** The same for each attempt, so that the file is added once; another for another request. */
  opId: string
  state: State
}

/** That many are sent at a time: each replica takes four at once, from everybody. */
const mostAtOnce = 2

/** More files at once are a mistake more often than not. */
export const mostFiles = 100

/** What a server takes unless its operator says otherwise. */
const usualLimit = 256 << 20

export const isUnderWay = ({ state: { at } }: Upload): boolean => at === 'sending' || at === 'sent'
export const isOpen = (upload: Upload): boolean => isUnderWay(upload) || upload.state.at === 'waiting' || upload.state.at === 'busy'

/** The uploads that can begin now, in their order. */
export function startable(uploads: readonly Upload[]): Upload[] {
  const room = mostAtOnce - uploads.filter(isUnderWay).length
  return uploads.filter(({ state }) => state.at === 'waiting').slice(0, Math.max(0, room))
}

/** A file as it was dropped or chosen. */
export interface Candidate {
  name: string
  size: number
  isFolder: boolean
}

/** Why a file cannot be sent; null when it can. Whether it can be read is for the server to say. */
export function refusalOf({ name, size, isFolder }: Candidate): string | null {
  if (isFolder) return 'This is a folder. Drop the files that are in it.'
  const extension = /\.[^.]*$/.exec(name)?.[0] ?? ''
  if (!/^\.(csv|tsv|json)$/i.test(extension)) {
    return `${extension ? `A file that ends in ${extension}` : 'A file without an ending'} cannot be read. Take a .csv, a .tsv or a .json file.`
  }
  if (size === 0) return 'This file is empty: it has 0 bytes. Take one with a header and rows.'
  return null
}

const unit = ['bytes', 'kB', 'MB', 'GB'] as const

/** Such as "512 bytes" and "1.5 MB". */
export function bytes(size: number): string {
  const power = Math.min(unit.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(size, 1)) / 10)))
  return `${power === 0 ? size : (size / 1024 ** power).toFixed(1)} ${unit[power]!}`
}

/** What is said of an upload. */
export function wordsOf({ file: { size }, target, state }: Upload): string {
  switch (state.at) {
    case 'waiting': return `Waits, ${bytes(size)}`
    case 'busy': return `${state.why}. It is tried again by itself.`
    case 'sending': return `${bytes(state.sent)} of ${bytes(size)} sent`
    case 'sent': return `All ${bytes(size)} sent, the server is reading the rest`
    case 'done': return [
      `${'replaces' in target ? 'Replaced,' : 'Added as'} ${state.dataType}, ${count(state.rows, 'row', 'rows')}`,
      ...(state.problems > 0 ? [`${count(state.problems, 'warning', 'warnings')}, listed in the inspector`] : []),
    ].join(', ')
    case 'refused':
    case 'lost':
    case 'stopped': return state.why
  }
}

/** What is said of an upload whose connection broke. */
export function lostWords(size: number, sent: number): string {
  const far = size > 0 ? Math.min(99, Math.floor((sent / size) * 100)) : 0
  return `The connection broke at ${far} %, ${bytes(Math.min(sent, size))} of ${bytes(size)}. Try again: it is added once, however often you try.` +
    (size >= usualLimit ? ` A server takes ${bytes(usualLimit)} at once, unless its operator says otherwise.` : '')
}

/** What is said of all, when there are several. */
export function summaryOf(uploads: readonly Upload[]): string {
  const parts = [
    [uploads.filter(isUnderWay).length, 'being sent'],
    [uploads.filter(({ state: { at } }) => at === 'waiting' || at === 'busy').length, 'waiting'],
    [uploads.filter(({ state: { at } }) => at === 'done').length, 'added'],
    [uploads.filter(({ state: { at } }) => at === 'refused' || at === 'lost' || at === 'stopped').length, 'not added'],
  ] as const
  return `${count(uploads.length, 'file', 'files')}: ${parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`).join(', ')}`
}

/** Cards of files that fall together are in columns of that many. */
const inColumn = 5

/** Where the cards of several files go that fall at one place: below and beside each other, the first with its middle there. */
export function placesAt({ x, y }: Position, files: number): Position[] {
  return Array.from({ length: files }, (_, i) => ({
    x: Math.round(x - width / 2 + Math.floor(i / inColumn) * (width + 60)), y: Math.round(y - height / 2 + (i % inColumn) * (height + 46)),
  }))
}

/** What an answer that is no success says. Passing ones are worth another try after a while, in milliseconds. */
export interface Refused {
  why: string
  problems: string[]
  retryAfterMs: number | null
}

/** Reads the answer of a server that did not take a file; null when it is none of its answers. */
export function refusedBy(text: string, retryAfter: string | null): Refused | null {
  let error: { code?: unknown; message?: unknown; problems?: unknown; total?: unknown; detail?: unknown } | undefined
  try {
    error = JSON.parse(text)?.error
  } catch {
    return null // it comes from something between us and the server
  }
  if (typeof error?.message !== 'string') return null
  const problems = Array.isArray(error.problems) ? error.problems.map(String) : typeof error.detail === 'string' ? [error.detail] : []
  const left = typeof error.total === 'number' ? error.total - problems.length : 0
  const passes = error.code === 'UNAVAILABLE' || error.code === 'RATE_LIMITED'
  return {
    why: error.message,
    problems: left > 0 ? [...problems, `and ${left.toLocaleString('en')} more`] : problems,
    retryAfterMs: passes ? (Number(retryAfter) || 1) * 1_000 : null,
  }
}
