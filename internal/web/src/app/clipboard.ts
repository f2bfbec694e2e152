// Copy and paste. What is copied is text, so it goes to other projects and windows, and anywhere else.
import type { Edit, NodeType, Plan, PlanEdge, PlanNode, Position } from '../client/index.ts'
import { change, isTyping, maxEdits, planOf, select, selected, tell, type Desk } from './desk.ts'
import { kindNames } from './kinds.tsx'
import { farthest, newEdge, newNodeId, remove, type Addition } from './operations.ts'

/** What is in the clipboard: nodes, and the edges between them. */
export interface Clip {
  /** Where it was copied; null when that is not known. */
  from: string | null
  nodes: PlanNode[]
  edges: Pick<PlanEdge, 'source' | 'target' | 'metadata'>[]
}

/** The version of the format, which is also what it is known by. */
const format = 1

/** Names a project of this deployment. */
const placeOf = (projectId: number): string => `${location.origin}/${projectId}`

/** Nodes and the edges between them as text, which says where they are from. */
export function textOf(plan: Plan, ids: readonly string[], from: string): string {
  const inside = new Set(ids)
  const nodes = [...plan.nodes.values()].filter(({ id }) => inside.has(id))
    .map(({ id, nodeType, position: { x, y }, metadata: { label, description }, config }): PlanNode => (
      { id, nodeType, position: { x, y }, metadata: { label, description }, config }))
  const edges = [...plan.edges.values()].filter(({ source, target }) => inside.has(source) && inside.has(target))
    .map(({ source, target, metadata: { label, dataType } }) => ({ source, target, metadata: { label, dataType } }))
  return JSON.stringify({ layercake: format, from, nodes, edges })
}

/** What a text has; null when it is none of ours, and a sentence when it cannot be pasted. */
export function clipOf(text: string): Clip | string | null {
  if (!/^\s*\{\s*"layercake"/.test(text)) return null
  const damaged = 'What was copied is damaged: copy it again.'
  let value: Record<string, unknown>
  try {
    value = JSON.parse(text)
  } catch {
    return damaged
  }
  const { layercake, from, nodes, edges } = value
  if (layercake !== format) return 'What was copied comes from another release of this page, which this one does not understand.'
  if (!Array.isArray(nodes) || !Array.isArray(edges) || !nodes.every(isNode)) return damaged
  const ids = new Set(nodes.map(({ id }) => id))
  if (ids.size < nodes.length || !edges.every((edge) => isEdge(edge) && ids.has(edge.source) && ids.has(edge.target))) return damaged
  return { from: typeof from === 'string' ? from : null, nodes, edges }
}

function isNode(value: unknown): value is PlanNode {
  const { id, nodeType, position, metadata, config } = object(value)
  const { x, y } = object(position)
  const { label, description } = object(metadata)
  return typeof id === 'string' && kindNames.includes(nodeType as NodeType) && [x, y].every(isPlace) &&
    typeof label === 'string' && (description === null || typeof description === 'string') && typeof config === 'string'
}

function isPlace(value: unknown): boolean {
  return typeof value === 'number' && Math.abs(value) <= farthest
}

function isEdge(value: unknown): value is Clip['edges'][number] {
  const { source, target, metadata } = object(value)
  const { label } = object(metadata)
  return typeof source === 'string' && typeof target === 'string' && (label === null || typeof label === 'string')
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** A config without the data source that it names, which other projects do not have. */
function withoutSource(config: string): string {
  try {
    const { dataSourceId, ...rest } = object(JSON.parse(config))
    return dataSourceId === undefined ? config : JSON.stringify(rest)
  } catch {
    return config // whether it is allowed is for the server to say
  }
}

/** Adds what was copied into the project of a place, under new ids: around a point, or else beside the originals, and beside what was pasted there before. */
export function paste(plan: Plan, { from, nodes, edges }: Clip, center: Position | null, into: string): Addition {
  const configOf = ({ nodeType, config }: PlanNode) => (nodeType === 'DataSourceNode' && from !== into ? withoutSource(config) : config)
  const corner = (of: typeof Math.min) => ({ x: of(...nodes.map(({ position }) => position.x)), y: of(...nodes.map(({ position }) => position.y)) })
  const [first, last] = [corner(Math.min), corner(Math.max)]
  const by = center
    ? { x: Math.round(center.x - (first.x + last.x) / 2), y: Math.round(center.y - (first.y + last.y) / 2) }
    : { x: 40, y: 40 }
  const taken = new Set([...plan.nodes.values()].map(({ position: { x, y } }) => `${x} ${y}`))
  while (nodes.some(({ position: { x, y } }) => taken.has(`${x + by.x} ${y + by.y}`))) {
    by.x += 40
    by.y += 40
  }
  const ids = new Map(nodes.map(({ id, nodeType }) => [id, newNodeId(nodeType)]))
  const types = new Map(nodes.map(({ id, nodeType }) => [id, nodeType]))
  return {
    ids: [...ids.values()],
    edits: [
      ...nodes.map((node): Edit => {
        const { id, nodeType, position: { x, y }, metadata: { label, description } } = node
        const position = { x: x + by.x, y: y + by.y }
        return { addNode: { id: ids.get(id)!, nodeType, position, metadata: { label, description }, config: configOf(node) } }
      }),
      ...edges.map(({ source, target, metadata: { label } }): Edit => {
        const edge = newEdge(types.get(source), ids.get(source)!, ids.get(target)!)
        return { addEdge: { ...edge, metadata: { ...edge.metadata, label } } }
      }),
    ],
  }
}

/** Pastes a text into the plan around a point, or beside the originals. */
export function pasteText(desk: Desk, text: string, center: Position | null): void {
  const plan = planOf(desk)
  const clip = clipOf(text)
  if (!plan || clip === null) return
  if (typeof clip === 'string') return tell(desk, clip)
  if (clip.nodes.length === 0) return
  if (clip.nodes.length + clip.edges.length > maxEdits) {
    return tell(desk, `That would add ${clip.nodes.length + clip.edges.length} nodes and edges. At most ${maxEdits} can be pasted at once.`)
  }
  const { ids, edits } = paste(plan, clip, center, placeOf(desk.project.id))
  change(desk, edits)
  select(desk, ids)
}

/** Copies and pastes what is selected again, without the clipboard. */
export function duplicate(desk: Desk): void {
  const plan = planOf(desk)
  if (plan) pasteText(desk, textOf(plan, selected(desk).nodes, placeOf(desk.project.id)), null)
}

/** Pastes by a command rather than by the key. Only the key works without asking, and without HTTPS. */
export async function pasteByCommand(desk: Desk, center: Position | null): Promise<void> {
  try {
    pasteText(desk, await navigator.clipboard.readText(), center)
  } catch {
    tell(desk, 'The browser keeps the clipboard from this page. Press Ctrl+V instead.')
  }
}

/** Serves the browser's events of the clipboard until what it returns is called. They need no permission. */
export function followClipboard(desk: Desk): () => void {
  const isOurs = (event: ClipboardEvent) => !isTyping(event.target) && getSelection()?.isCollapsed !== false
  const onCopy = (event: ClipboardEvent) => {
    const plan = planOf(desk)
    const { nodes, edges } = selected(desk)
    if (!plan || nodes.length === 0 || !isOurs(event)) return
    event.preventDefault()
    if (event.type === 'cut' && !change(desk, remove(plan, nodes, edges))) return
    event.clipboardData?.setData('text/plain', textOf(plan, nodes, placeOf(desk.project.id)))
  }
  const onPaste = (event: ClipboardEvent) => {
    if (!isTyping(event.target)) pasteText(desk, event.clipboardData?.getData('text/plain') ?? '', desk.view.get()?.pointer() ?? null)
  }
  document.addEventListener('copy', onCopy)
  document.addEventListener('cut', onCopy)
  document.addEventListener('paste', onPaste)
  return () => {
    document.removeEventListener('copy', onCopy)
    document.removeEventListener('cut', onCopy)
    document.removeEventListener('paste', onPaste)
  }
}
