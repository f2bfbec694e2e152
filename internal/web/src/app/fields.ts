// The fields of nodes and edges.
import type { EdgeParts, NodeParts, PlanEdge, PlanNode } from '../client/index.ts'
import type { Field, Saved } from './drafts.ts'
import { isObject, parse, parseObject, valueAt, withValueAt, write } from './json.ts'
import { differencesOf, type Difference } from './merge.ts'
import { textOf, valueOf, type ValueField } from './schema.ts'

/** Label and description are one part on the wire, so the other one is sent as it was seen. */
export const nodeLabel: Field<PlanNode> = {
  name: 'Label', of: 'node',
  read: ({ metadata }) => metadata.label,
  save: (seen, text) => within(text, 200, saveNodeText(seen, { label: text })),
}

export const description: Field<PlanNode> = {
  name: 'Description', of: 'node',
  read: ({ metadata }) => metadata.description ?? '',
  save: (seen, text) => within(text, 10_000, saveNodeText(seen, { description: text || null })),
}

/** The whole config as text. */
export const configText: Field<PlanNode> = {
  name: 'Config as JSON', of: 'node',
  read: ({ config }) => pretty(config),
  save(seen, text) {
    const parsed = parse(text)
    if ('error' in parsed) return { problem: parsed.error.message, place: parsed.error }
    if (!isObject(parsed.value)) return { problem: 'A config is an object, in { and }' }
    return saveConfig(seen, write(parsed.value))
  },
  tell(seen, now) {
    const [before, after] = [configOf(seen.config), configOf(now.config)]
    if (!before || !after) return now.config
    const tell = ({ path, theirs }: Difference) => `${path.join(' › ')}: ${theirs === undefined ? 'removed' : write(theirs)}`
    return differencesOf(before, after).map(tell).join(', ')
  },
}

/** One value in the config. */
export function configField(field: ValueField): Field<PlanNode> {
  return {
    name: field.path.join(' › '), of: 'node',
    read: ({ config }) => textOf(valueAt(configOf(config) ?? undefined, field.path)),
    save(seen, text) {
      const config = configOf(seen.config)
      const typed = valueOf(field, text)
      if ('problem' in typed) return typed
      return config ? saveConfig(seen, write(withValueAt(config, field.path, typed.value))) : { problem: 'The config is no object' }
    },
  }
}

export const edgeLabel: Field<PlanEdge> = {
  name: 'Label', of: 'edge',
  read: ({ metadata }) => metadata.label ?? '',
  save: (seen, text) => within(text, 200, saveEdgeText(seen, { label: text || null })),
}

export const dataTypes = { GRAPH_DATA: 'The data of the graph', GRAPH_REFERENCE: 'A reference to the graph' } as const

export const dataType: Field<PlanEdge> = {
  name: 'Data', of: 'edge',
  read: ({ metadata }) => metadata.dataType,
  save: (seen, text) => saveEdgeText(seen, { dataType: text as keyof typeof dataTypes }),
}

export const sourceHandle = handle('Output of its source', 'sourceHandle')
export const targetHandle = handle('Input of its target', 'targetHandle')

function handle(name: string, part: 'sourceHandle' | 'targetHandle'): Field<PlanEdge> {
  return {
    name, of: 'edge',
    read: (edge) => edge[part] ?? '',
    save: (seen, text) => within(text, 200, updateEdge(seen, { [part]: text || null }, { [part]: seen[part] })),
  }
}

function within(text: string, most: number, saved: Saved): Saved {
  return [...text].length > most ? { problem: `Type at most ${most.toLocaleString('en')} characters` } : saved
}

const maxConfigBytes = 100_000

function saveConfig(seen: PlanNode, config: string): Saved {
  if (new TextEncoder().encode(config).length > maxConfigBytes) return { problem: 'A config has at most 100,000 bytes' }
  return updateNode(seen, { config }, { config: seen.config })
}

function saveNodeText(seen: PlanNode, text: Partial<PlanNode['metadata']>): Saved {
  return updateNode(seen, { metadata: { ...seen.metadata, ...text } }, { metadata: seen.metadata })
}

function saveEdgeText(seen: PlanEdge, text: Partial<PlanEdge['metadata']>): Saved {
  return updateEdge(seen, { metadata: { ...seen.metadata, ...text } }, { metadata: seen.metadata })
}

function updateNode({ id }: PlanNode, updates: NodeParts, expected: NodeParts): Saved {
  return { edit: { updateNode: { id, updates, expected } } }
}

function updateEdge({ id }: PlanEdge, updates: EdgeParts, expected: EdgeParts): Saved {
  return { edit: { updateEdge: { id, updates, expected } } }
}

/** Every field of a form reads the same texts: the config that is there, and the one that was there when typing began. */
export const configOf = remembered(parseObject)
const pretty = remembered((config: string) => {
  const parsed = parse(config)
  return 'value' in parsed ? write(parsed.value, '  ') : config
})

function remembered<T>(of: (text: string) => T): (text: string) => T {
  const known: [string, T][] = []
  return (text) => {
    const found = known.find(([each]) => each === text)
    if (found) return found[1]
    const made = of(text)
    known.unshift([text, made])
    known.length = Math.min(known.length, 4)
    return made
  }
}
