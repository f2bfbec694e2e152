// Links by which what a node holds is kept as a file: the browser takes it from the server, and nothing of it is in the page.
import type { Holding } from './holding.ts'

const formats = [['JSON', 'JSON'], ['CSV of nodes', 'CSVNodes'], ['CSV of edges', 'CSVEdges'], ['DOT', 'DOT'], ['GML', 'GML']] as const

/** The words and addresses of the files. */
export function downloadsOf(projectId: number, holding: Holding): [words: string, address: string][] {
  if (holding.kind === 'source') {
    return [['The file', `/api/data-sources/${holding.id}/download/raw`], ['JSON', `/api/data-sources/${holding.id}/download/json`]]
  }
  return formats.map(([words, format]) => [words, outputOf(projectId, holding.node.id, format)])
}

/** Where the graph that a node built last is, in a format. */
export function outputOf(projectId: number, nodeId: string, format: string): string {
  return `/api/projects/${projectId}/outputs/${encodeURIComponent(nodeId)}?${new URLSearchParams({ format, execute: 'false' })}`
}
